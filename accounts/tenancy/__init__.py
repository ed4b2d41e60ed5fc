"""Tenant contexts, row-level security, the database's roles and what checks them."""
