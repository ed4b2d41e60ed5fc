"""Guards: outbound requests, encryption at rest, start-up checks, logs."""
