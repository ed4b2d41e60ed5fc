"""What a call of a model costs, and the most that a turn may cost."""
