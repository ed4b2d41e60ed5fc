"""Saved chats, their runs and the comparison of answers."""
