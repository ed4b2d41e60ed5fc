"""Agent instances: list, find and make them."""
