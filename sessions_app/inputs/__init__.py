"""What callers ask of a turn: one value of every endpoint, made whole for the engine."""
