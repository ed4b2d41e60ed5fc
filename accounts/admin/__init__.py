"""The admin site, and the admin's pages for accounts, people, keys, limits and webhooks."""

from accounts.admin import (
    accounts,
    api_keys,
    audit,
    limits,
    members,
    support,
    tasks,
    users,
    webhooks,
)

__all__ = [
    "accounts",
    "api_keys",
    "audit",
    "limits",
    "members",
    "support",
    "tasks",
    "users",
    "webhooks",
]
