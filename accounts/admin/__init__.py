"""The admin site, and the admin's pages for accounts, people, keys, limits and webhooks."""

from accounts.admin import (
    accounts,
    api_keys,
    limits,
    members,
    support,
    users,
    worker,
)
from accounts.admin.changes import audit

__all__ = [
    "accounts",
    "api_keys",
    "audit",
    "limits",
    "members",
    "support",
    "users",
    "worker",
]
