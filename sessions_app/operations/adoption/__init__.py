"""Moves a database made by Alembic to Salient's schema, while it is used, and back."""
