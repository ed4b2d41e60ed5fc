"""Links that work once: to an invitation, and to a key that is handed over.

Only the e-mail holds the token; its row has a hash. accounts/pages/one_time_links.py shows the
pages. Django's own views do the same for passwords.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256

from django.db.models import QuerySet

from accounts.models import ApiKey, Invitation
from accounts.tenancy.context import tenant_context
from accounts.tenancy.lookups import find_active_account

LIFETIME = timedelta(days=7)


class LinkClosed(Exception):
    """The token is wrong, expired, withdrawn or used: nobody learns which."""


def new_token() -> str:
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> str:
    """Return what is stored of a token; 256 random bits need no salt."""
    return sha256(token.encode()).hexdigest()


def find_row[R: (ApiKey, Invitation)](account_slug: str, rows: Callable[[], QuerySet[R]]) -> R:
    """Return the row of the link with its account; `rows` is called inside the tenant context.

    Raises LinkClosed where there is no such row or the account is not active.
    """
    account = find_active_account(account_slug)
    if account is None:
        raise LinkClosed
    with tenant_context(account.pk):
        row = rows().first()
    if row is None:
        raise LinkClosed
    row.account = account
    return row
