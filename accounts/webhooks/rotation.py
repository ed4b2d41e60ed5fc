"""Seals the secrets of webhooks anew, when SECRET_ENCRYPTION_KEYS has another first key."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from accounts.models import WebhookEndpoint
from accounts.tenancy.context import platform_context
from salient.security.encryption import SecretUnreadable, is_current, reseal

BATCH = 200
NAMES = ("secret", "previous_secret")


@dataclass(slots=True)
class Resealed:
    """How many secrets were sealed anew, were current already, and open no more."""

    resealed: int = 0
    current: int = 0
    unreadable: list[str] = field(default_factory=list)


def reseal_secrets(*, write: bool = True) -> Resealed:
    """Seal every secret under the first key; each batch is one short transaction."""
    found, after = Resealed(), UUID(int=0)
    while True:
        with platform_context():
            rows = WebhookEndpoint.objects.filter(pk__gt=after).select_for_update(no_key=True)
            batch = list(rows.order_by("pk")[:BATCH])
            for endpoint in batch:
                _reseal(endpoint, found, write=write)
        if len(batch) < BATCH:
            return found
        after = batch[-1].pk


def _reseal(endpoint: WebhookEndpoint, found: Resealed, *, write: bool) -> None:
    fresh: dict[str, str] = {}
    for name in NAMES:
        sealed = getattr(endpoint, name)
        if not sealed:
            continue
        if is_current(sealed):
            found.current += 1
            continue
        try:
            fresh[name] = reseal(sealed)
        except SecretUnreadable:
            found.unreadable.append(f"{endpoint.account_id}/webhook {endpoint.pk}")
    found.resealed += len(fresh)
    if fresh and write:
        rows = WebhookEndpoint.objects.filter(account_id=endpoint.account_id, pk=endpoint.pk)
        rows.update(**fresh)
