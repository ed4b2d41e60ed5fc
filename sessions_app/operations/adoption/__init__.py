"""Carries a database that Alembic made into today's schema, while it is used, and back."""
