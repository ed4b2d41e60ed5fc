"""What ops run: adoption of older databases, integrity, lifecycle of accounts."""
