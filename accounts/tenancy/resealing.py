"""Encrypts the secrets in tenants' rows again when SECRET_ENCRYPTION_KEYS has a new first key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from accounts.tenancy.context import TenantModel, platform_context
from salient.security.encryption import SecretUnreadable, is_current, reseal

BATCH = 200


@dataclass(slots=True)
class Rotation:
    """How many secrets were sealed anew or were current already, and which ones no key opens."""

    resealed: int = 0
    current: int = 0
    unreadable: list[str] = field(default_factory=list)


def reseal_rows[Row: TenantModel](
    rows: Callable[[], QuerySet[Row]],
    columns: Sequence[str],
    name: Callable[[Row], str],
    rotation: Rotation,
    *,
    write: bool,
) -> None:
    """Seal every secret in these columns under the first key, and count it in `rotation`.

    `rows` is called inside the platform context; `name` says which row has a secret that no key
    opens. Each batch is one short transaction, which locks the rows that it changes, one by one, as
    a cluster wants it; it may be run again at any time.
    """
    after = UUID(int=0)
    while True:
        with platform_context():
            batch = list(rows().filter(pk__gt=after).order_by("pk")[:BATCH])
            for row in batch:
                if write and not all(map(is_current, _secrets(row, columns).values())):
                    # A secret may have moved to another column since, as it was sealed.
                    own = rows().filter(account_id=row.account_id, pk=row.pk)
                    for found in own.select_for_update(no_key=True):
                        _reseal(found, columns, name, rotation, write=True)
                else:
                    _reseal(row, columns, name, rotation, write=False)
        if len(batch) < BATCH:
            return
        after = batch[-1].pk


def _reseal[Row: TenantModel](
    row: Row,
    columns: Sequence[str],
    name: Callable[[Row], str],
    rotation: Rotation,
    *,
    write: bool,
) -> None:
    resealed: dict[str, Any] = {}
    for column, sealed in _secrets(row, columns).items():
        if is_current(sealed):
            rotation.current += 1
            continue
        try:
            resealed[column] = reseal(sealed)
        except SecretUnreadable:
            rotation.unreadable.append(name(row))
    rotation.resealed += len(resealed)
    if resealed and write:
        own = type(row)._default_manager.filter(account_id=row.account_id, pk=row.pk)
        own.update(**resealed)


def _secrets(row: TenantModel, columns: Sequence[str]) -> dict[str, str]:
    """Return what is sealed, by column; those without a secret are left out."""
    return {column: sealed for column in columns if (sealed := getattr(row, column))}
