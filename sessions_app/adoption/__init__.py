"""Looks through a database that Alembic made, before it is adopted."""
