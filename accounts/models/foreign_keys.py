"""The foreign keys of tenant tables: fields without a constraint of Django's, and the constraints.

PostgreSQL checks a key without row-level security, so only a constraint that holds the account
refuses a row that points into another account.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models

from salient.database.constraints import CompositeForeignKey

if TYPE_CHECKING:
    from accounts.models.account import Account


def account_key(related_name: str = "+") -> models.ForeignKey[Account]:
    """Return the key to the account that a row belongs to, and is deleted with."""
    return models.ForeignKey(
        "accounts.Account",
        models.DB_CASCADE,
        related_name=related_name,
        db_constraint=False,
        db_index=False,
    )


def name_of_read(row: models.Model, field: str) -> str:
    """Return the name of a related row that was read with this one; "" without a query if not."""
    related = row._state.fields_cache.get(field)
    return "" if related is None else str(related)


def account_constraint(table: str) -> CompositeForeignKey:
    """Direct, so that erasing an account removes the rows before instances are checked."""
    return CompositeForeignKey(
        fields=["account"],
        to="accounts.Account",
        to_fields=["id"],
        name=f"fk_{table}_account_id",
        on_update="NO ACTION",
    )


def user_constraint(
    table: str, field: str = "user", *, on_delete: str = "CASCADE"
) -> CompositeForeignKey:
    return CompositeForeignKey(
        fields=[field],
        to="accounts.User",
        to_fields=["id"],
        name=f"fk_{table}_{field}_id",
        on_delete=on_delete,
        on_update="NO ACTION",
    )


def tenant_constraint(
    table: str, field: str, to: str, *, on_delete: str = "CASCADE"
) -> CompositeForeignKey:
    """Hold the key `field` together with the account: it refers to a row of the same account."""
    return CompositeForeignKey(
        fields=["account", field],
        to=to,
        to_fields=["account", "id"],
        name=f"fk_{table}_{field}_id",
        on_delete=on_delete,
        on_update="NO ACTION",
    )
