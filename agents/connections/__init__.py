"""An account's own model servers."""
