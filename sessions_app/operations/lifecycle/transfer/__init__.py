"""Moves an account to another installation: one archive is written, checked and read."""
