"""One turn: begin it, run it, settle it; its stream, its replay, its failures."""
