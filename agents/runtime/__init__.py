"""Runs an agent: a request in, events out. It serves no HTTP and reads no rows."""
