"""The admin site, and the admin's pages for accounts, people, keys and limits."""

from accounts.admin import accounts, api_keys, audit, limits, members, support, users

__all__ = ["accounts", "api_keys", "audit", "limits", "members", "support", "users"]
