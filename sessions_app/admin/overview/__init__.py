"""The overview's figures and charts."""
