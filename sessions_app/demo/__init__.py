"""The data of `manage.py demo --full`: accounts, agents, ninety days of conversations."""

from sessions_app.demo.fill import TURNS, fill, foreign_accounts

__all__ = ["TURNS", "fill", "foreign_accounts"]
