"""Reads and checks the settings of the environment and of .env."""
