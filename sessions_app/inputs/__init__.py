"""What callers request for a turn: every endpoint builds one value, completed for the engine."""
