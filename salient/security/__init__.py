"""Outbound requests, encryption at rest, start-up checks and logs without secrets."""
