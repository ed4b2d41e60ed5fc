"""Which tables and columns an archive of an account holds, and which not, and why.

Every table with rows of accounts is exported, or named in LEFT_OUT: tests compare them with the
models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from typing import Any, Final

from django.apps import apps
from django.db import models
from psycopg import sql

from accounts.models import Account, User
from accounts.tenancy.roles import has_account
from agents.models import AgentInstance

LEFT_OUT: Final[Mapping[str, str]] = {
    "former_agent_slugs": "old addresses lead on in the installation where they were used",
    "former_slugs": "old addresses lead on in the installation where they were used",
    "rate_states": "counters of the last minute's calls",
    "support_accesses": "readings by the staff of this installation; the audit log names them",
    "turn_cancellations": "a queue: answers that are to end",
    "turn_event_batches": "a queue: events of answers that are read again",
    "usage_totals": "sums of usage_days, which the worker makes anew",
    "webhook_deliveries": "a queue: events that are sent",
    "webhook_endpoints": "each has a signing secret of its own: register them anew",
}
# Columns that are not exported, with the SQL of what an import writes instead.
HIDDEN: Final[Mapping[str, Mapping[str, str]]] = {
    # The archive has the files under today's slugs.
    "accounts": {"config_folder": "''"},
    "agent_instances": {"config_folder": "''"},
    "api_keys": {
        "secret_hash": "gen_random_uuid()::text",
        "offer_hash": "''",
        "offer_expires_at": "NULL",
        "support_access_id": "NULL",
    },
    "invitations": {"token_hash": "gen_random_uuid()::text"},
    "provider_connections": {"secret": "''", "secret_host": "''", "secret_hint": "''"},
}
# What an import changes: without its secret a key or a link is no use, and must not look alive.
CHANGED: Final[Mapping[str, Mapping[str, str]]] = {
    "api_keys": {"revoked_at": "coalesce(r.revoked_at, now())"},
    "invitations": {
        "revoked_at": "CASE WHEN r.accepted_at IS NULL THEN coalesce(r.revoked_at, now()) END"
    },
}
# Keys that no model's field knows: the lower app does not know the upper one's models.
AFTER: Final[Mapping[str, type[models.Model]]] = {"budgets": AgentInstance}
ACCOUNTS: Final = Account._meta.db_table
PEOPLE: Final = "people"
PEOPLE_COLUMNS: Final = ("id", "email", "first_name", "last_name")


@dataclass(frozen=True, slots=True)
class Table:
    """One table of the archive."""

    name: str
    # All columns of today's schema, and those in the archive.
    columns: tuple[str, ...]
    exported: tuple[str, ...]
    # The rows are in the order of these; with the account they are the primary key.
    key: tuple[tuple[str, bool], ...]
    # Columns that point to people, who belong to no account.
    people: frozenset[str]

    @property
    def owner(self) -> str:
        """The column with the account's id."""
        return "id" if self.name == ACCOUNTS else "account_id"

    @property
    def has_id(self) -> bool:
        return ("id", False) in self.key

    def ordered(self, prefix: str = "") -> list[sql.Composable]:
        """Return the key's columns; texts in an order that is the same everywhere."""
        return [
            sql.SQL("{}{}").format(
                sql.Identifier(*filter(None, (prefix, name))),
                sql.SQL(' COLLATE "C"' if is_text else ""),
            )
            for name, is_text in self.key
        ]


@cache
def tables() -> tuple[Table, ...]:
    """Return the tables of an archive, each after those that it points to."""
    chosen: dict[type[models.Model], set[Any]] = {Account: set()}
    for model in sorted(apps.get_models(), key=lambda each: each._meta.label):
        if has_account(model) and model._meta.db_table not in LEFT_OUT:
            related = {field.related_model for field in model._meta.concrete_fields}
            chosen[model] = related - {model, None, User}
            if earlier := AFTER.get(model._meta.db_table):
                chosen[model].add(earlier)
    order = TopologicalSorter(chosen).static_order()
    return tuple(_table(model) for model in order if model in chosen)


def _table(model: type[models.Model]) -> Table:
    meta, name = model._meta, model._meta.db_table
    fields = meta.concrete_fields
    columns = tuple(str(field.column) for field in fields)
    key = [field for field in meta.pk_fields if field.column != "account_id"]
    return Table(
        name,
        columns,
        tuple(column for column in columns if column not in HIDDEN.get(name, {})),
        tuple((str(field.column), isinstance(field, models.CharField)) for field in key),
        frozenset(str(field.column) for field in fields if field.related_model is User),
    )
