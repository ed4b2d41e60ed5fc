"""Backups: a dump of the database with a manifest of its rows, and its way back."""
