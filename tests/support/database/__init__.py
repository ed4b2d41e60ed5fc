"""Databases of tests: catalogs, scratch databases, statements that are watched."""
