"""Who calls: keys, tokens and cookies are checked here, before any view runs."""
