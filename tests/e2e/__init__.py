"""The admin in a real browser: what staff do there, and what holds for every page."""
