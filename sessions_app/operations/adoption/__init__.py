"""Checks a database that Alembic made, before `migrate` adopts it."""
