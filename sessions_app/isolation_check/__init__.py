"""Tries every border between two accounts that it makes and removes."""
