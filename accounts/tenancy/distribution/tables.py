"""The registry: which tables are distributed by account, and which stay on one server.

Every table of TENANT_RIGHTS is distributed, unless it is local.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from accounts.tenancy.roles import TENANT_RIGHTS

# Who may log in, and what is read before an account is known; upper apps add theirs.
LOCAL_TABLES: Final = {
    "accounts",
    "users",
    "api_keys",
    "former_slugs",
    "memberships",
    "invitations",
    "support_accesses",
}

# Functions whose triggers a cluster does without: they write local tables. Upper apps add theirs.
OFF_SHARDS: Final[set[str]] = set()


def register_off_shards(functions: Iterable[str]) -> None:
    """Leave out an app's triggers with these functions."""
    OFF_SHARDS.update(functions)


def register_local(tables: Iterable[str]) -> None:
    """Keep an app's tables on one server: sums over all accounts."""
    LOCAL_TABLES.update(tables)


def is_kept(table: str, target: str) -> bool:
    """Whether a cluster has a key from this table to that one: both are distributed, or local."""
    return (table in LOCAL_TABLES) == (target in LOCAL_TABLES)


def distributed_tables() -> list[str]:
    return sorted(set(TENANT_RIGHTS) - LOCAL_TABLES)
