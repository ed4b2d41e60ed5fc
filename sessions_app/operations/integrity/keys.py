"""Rows whose keys lead nowhere, and slugs that differ from the rows that they are copies of.

The database's keys forbid both. Keys that are NOT VALID or were dropped, and rows that were loaded
while triggers were off, may have let them in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

from django.apps import apps
from django.db import models

from accounts.models.audit import NOBODY
from salient.database.constraints import CompositeForeignKey
from sessions_app.operations.integrity.checks import (
    Check,
    Found,
    Scope,
    change_rows,
    count_rows,
    of_account,
)

# ruff: noqa: S608 - built from the models' own names

SLUGS = frozenset({"slug", "instance_slug"})


@dataclass(frozen=True, slots=True)
class Key:
    """A foreign key: its table and columns, and those that it refers to."""

    table: str
    primary: tuple[str, ...]
    target: str
    # (own column, referred column)
    ids: tuple[tuple[str, str], ...]
    slugs: tuple[tuple[str, str], ...]

    @property
    def column(self) -> str:
        """The column that the key is about: the last one, as the account comes first."""
        return self.ids[-1][0]

    @property
    def name(self) -> str:
        """The table, the column and the primary key of a row."""
        parts = ", ".join(f"own.{column}" for column in self.primary)
        return f"'{self.table}.{self.column} ' || concat_ws('/', {parts})"

    @property
    def joined(self) -> str:
        return " AND ".join(f"target.{there} = own.{here}" for here, there in self.ids)

    @property
    def broken(self) -> str:
        """Select the rows that refer to nothing; a null in any column switches a key off.

        In the words that a cluster takes, also for tables that are not distributed.
        """
        given = " AND ".join(f"own.{here} <> '{NOBODY}'" for here, _ in self.ids)
        return f"""
            SELECT own.account_id, {self.name} FROM {self.table} AS own
            LEFT JOIN {self.target} AS target ON {self.joined}
            WHERE {given} AND {of_account("own")} AND target.{self.ids[-1][1]} IS NULL
        """

    @property
    def differs(self) -> str:
        return " OR ".join(f"target.{there} <> own.{here}" for here, there in self.slugs)

    @property
    def outdated(self) -> str:
        """Select the rows whose copied slug is another than the one of the row referred to."""
        return f"""
            SELECT own.account_id, {self.name} FROM {self.table} AS own
            JOIN {self.target} AS target ON {self.joined}
            WHERE ({self.differs}) AND {of_account("own")}
        """

    @property
    def update(self) -> str:
        taken = ", ".join(f"{here} = target.{there}" for here, there in self.slugs)
        return f"""
            UPDATE {self.table} AS own SET {taken} FROM {self.target} AS target
            WHERE {self.joined} AND ({self.differs}) AND {of_account("own")}
        """


def keys() -> Iterator[Key]:
    """Yield the foreign keys that hold an account, of all models."""
    for model in apps.get_models():
        for constraint in model._meta.constraints:
            if isinstance(constraint, CompositeForeignKey):
                yield _key(model, constraint)


def _key(model: type[models.Model], constraint: CompositeForeignKey) -> Key:
    target = apps.get_model(constraint.to)
    pairs = [
        (_column(model, here), _column(target, there))
        for here, there in zip(constraint.fields, constraint.to_fields, strict=True)
    ]
    return Key(
        model._meta.db_table,
        tuple(str(field.column) for field in model._meta.pk_fields),
        target._meta.db_table,
        tuple(pair for pair in pairs if pair[1] not in SLUGS),
        tuple(pair for pair in pairs if pair[1] in SLUGS),
    )


def _column(model: type[models.Model], name: str) -> str:
    field: Any = model._meta.get_field(name)
    return str(field.column)


def broken(chosen: Callable[[Key], bool]) -> Callable[[Scope], Found]:
    """Find the rows of the chosen keys that refer to nothing."""

    def find(scope: Scope) -> Found:
        found = (count_rows(key.broken, scope) for key in keys() if chosen(key))
        return reduce(add, found, Found())

    return find


def _outdated(scope: Scope) -> Found:
    return reduce(add, (count_rows(key.outdated, scope) for key in keys() if key.slugs), Found())


def _update_slugs(scope: Scope) -> None:
    for key in keys():
        if key.slugs:
            change_rows(key.update, scope)


def _is_endpoint(key: Key) -> bool:
    return (key.table, key.target) == ("webhook_deliveries", "webhook_endpoints")


def _is_version(key: Key) -> bool:
    return key.target == "config_versions"


_FORGET_DELIVERIES = f"""
    DELETE FROM webhook_deliveries AS own WHERE {of_account("own")} AND NOT EXISTS (
        SELECT FROM webhook_endpoints AS target
        WHERE target.account_id = own.account_id AND target.id = own.endpoint_id
    )
"""
RESTORE = "Restore what is missing from a backup, or delete these rows. Then validate the keys."

CHECKS = (
    Check(
        "orphans",
        "Rows whose account, agent, session, request or other parent does not exist.",
        RESTORE,
        broken(lambda key: not _is_version(key) and not _is_endpoint(key)),
    ),
    Check(
        "config_versions",
        "Rows that name a version of a configuration that does not exist.",
        RESTORE,
        broken(_is_version),
    ),
    Check(
        "deliveries",
        "Webhook deliveries whose endpoint does not exist: they can never be sent.",
        "--fix deletes them, as the database does with an endpoint.",
        broken(_is_endpoint),
        lambda scope: change_rows(_FORGET_DELIVERIES, scope),
        "webhook_deliveries",
    ),
    Check(
        "slugs",
        "Rows whose account's or agent's slug differs from the one that it has.",
        "--fix copies the slug again.",
        _outdated,
        _update_slugs,
        "sessions",
    ),
)
