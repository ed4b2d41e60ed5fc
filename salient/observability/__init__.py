"""What is seen of a running installation: logs, metrics and traces."""
