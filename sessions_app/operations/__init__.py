"""What operators run: adoption of older databases, integrity, lifecycle of accounts."""
