"""The machine that answers: a request in, events out. No HTTP towards callers, no rows."""
