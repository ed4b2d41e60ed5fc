"""Observability of a running installation: logs, metrics and traces."""
