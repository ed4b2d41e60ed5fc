"""The verbs of accounts: make tenants, issue keys."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.core.exceptions import ValidationError

from accounts import keys
from accounts.models import Account, ApiKey, Scope
from accounts.tenancy import tenant


def create_account(slug: str, *, name: str = "") -> Account:
    """Make an account; raises ValidationError for a bad or taken slug."""
    account = Account(slug=slug, name=name or slug.replace("-", " ").replace("_", " ").title())
    account.full_clean()
    account.save(force_insert=True)
    return account


def issue_api_key(
    account: Account,
    *,
    name: str,
    scopes: Iterable[str] = tuple(Scope.values),
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """Make a key and return it with its text, which is shown only this once.

    Raises ValidationError for an unknown scope or none at all.
    """
    wanted = list(dict.fromkeys(scopes))
    if unknown := [scope for scope in wanted if scope not in Scope.values]:
        raise ValidationError(f"Unknown scope “{unknown[0]}”; use {', '.join(Scope.values)}.")
    if not wanted:
        raise ValidationError("A key needs at least one scope.")
    text = keys.new_key()
    with tenant(account.pk):
        key = ApiKey.objects.create(
            account=account,
            name=name,
            key_id=text.key_id,
            secret_hash=text.secret_hash,
            scopes=wanted,
            expires_at=expires_at,
        )
    return key, text.text
