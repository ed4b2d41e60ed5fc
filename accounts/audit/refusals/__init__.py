"""Refused calls, kept as daily sums."""
