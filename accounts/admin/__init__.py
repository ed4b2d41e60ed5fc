"""The staff's pages for accounts, people, keys and limits."""

from accounts.admin import account, api_keys, audit, groups, limits, members, support, users
from accounts.admin.account import admin as accounts

__all__ = [
    "account",
    "accounts",
    "api_keys",
    "audit",
    "groups",
    "limits",
    "members",
    "support",
    "users",
]
