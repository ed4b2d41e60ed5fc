"""Issues, rotates, revokes and offers API keys."""
