"""The two look-ups that come before any account is known: an account by slug, a key by its id.

Each calls a function of the database that returns one row and nothing else. Every other query runs
inside a tenant context.
"""

from __future__ import annotations

from typing import Any

from django.db import connection

from accounts.models import Account, AccountStatus, ApiKey
from accounts.models.slugs import is_slug
from salient.api.problems import NotFound
from salient.ttl import TTLCache

_KEY = (
    "id",
    "account_id",
    "key_id",
    "secret_hash",
    "kind",
    "mode",
    "scopes",
    "instance_ids",
    "origins",
    "networks",
    "expires_at",
    "revoked_at",
    "rotated_at",
    "last_used_at",
)
_ACCOUNT = ("id", "slug", "name", "status")

_accounts: TTLCache[tuple[str], Account] = TTLCache()


def find_account(slug: str) -> Account | None:
    """Return the account of that name, whatever its status."""
    if not is_slug(slug):
        return None
    row = _row(f"SELECT {', '.join(_ACCOUNT)} FROM app_find_account(%s)", slug)  # noqa: S608
    return row and Account.from_db("default", _ACCOUNT, row)


def find_active_account(slug: str) -> Account | None:
    account = find_account(slug)
    return account if account and account.status == AccountStatus.ACTIVE else None


async def cached_account(slug: str) -> Account:
    """Return the account of that name, at most CACHE_TTL seconds old; raises NotFound.

    It may be suspended: who may know that is told by `require_active`.
    """
    account = await _accounts.get_or_load(find_account, slug)
    if account is None or account.status == AccountStatus.DELETED:
        raise NotFound
    return account


def find_api_key(key_id: str) -> ApiKey | None:
    """Return the key with its account, whatever their state; it has the columns of `_KEY` only."""
    row = _row(
        f"SELECT {', '.join(_KEY)}, account_slug, account_status "  # noqa: S608
        "FROM app_find_api_key(%s)",
        key_id,
    )
    if row is None:
        return None
    *values, slug, status = row
    key = ApiKey.from_db("default", _KEY, values)
    key.account = Account.from_db(
        "default", ("id", "slug", "status"), (key.account_id, slug, status)
    )
    return key


def _row(query: str, value: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(query, [value])
        return cursor.fetchone()
