"""Distributing the tables of accounts over several PostgreSQL servers, as Citus does it."""
