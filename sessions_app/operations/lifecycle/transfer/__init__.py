"""Carries an account into another installation: one archive, written, checked and read."""
