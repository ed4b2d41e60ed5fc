"""Refused calls, counted and shown."""
