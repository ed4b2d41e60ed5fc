"""The admin in a real browser: what staff do there, and what every page keeps to."""
