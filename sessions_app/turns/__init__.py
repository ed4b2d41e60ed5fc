"""One turn: open it, run it, settle it; its stream, its repetition, its failures."""
