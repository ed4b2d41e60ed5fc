"""Two accounts, every route and every kind of caller."""
