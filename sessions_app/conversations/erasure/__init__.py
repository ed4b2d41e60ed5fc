"""Erasing a person: finds the texts, erases them with their copies, and scans for what is left."""
