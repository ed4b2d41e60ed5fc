"""Keys, indexes and policies of the database that are not as the migrations made them."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models import BaseConstraint, CheckConstraint, Model, UniqueConstraint

from accounts.tenancy.distribution.tables import is_kept
from accounts.tenancy.rls import policy_problems
from accounts.tenancy.roles import Database
from salient.database.constraints import CompositeForeignKey
from salient.database.indexes import invalid_indexes
from sessions_app.operations.integrity.checks import STATEMENT_SECONDS, Check, Found, Scope

OURS = ("accounts", "agents", "sessions_app")
_NOT_VALID = """
    SELECT conrelid::regclass::text, quote_ident(conname) FROM pg_constraint
    WHERE NOT convalidated AND contype IN ('f', 'c')
        AND connamespace = current_schema()::regnamespace
    ORDER BY 1, 2
"""
NAMES = """
    SELECT conname FROM pg_constraint WHERE connamespace = current_schema()::regnamespace
    UNION ALL
    SELECT relname FROM pg_class
    WHERE relkind IN ('i', 'I') AND relnamespace = current_schema()::regnamespace
"""


def _rows(query: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())


def _named(names: Iterable[str]) -> Found:
    return Found.of((None, name) for name in names)


def _validate(_scope: Scope) -> None:
    """Validate each key, which reads its table and locks out no writer.

    One that rows contradict, or that belongs to another login, stays as it is.
    """
    for table, name in _rows(_NOT_VALID):
        with suppress(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = '{STATEMENT_SECONDS}s'")
            cursor.execute("SET LOCAL lock_timeout = '2s'")
            cursor.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")


def expected_names() -> set[str]:
    """Return the names of the keys, checks and indexes that our models declare."""
    found: set[str] = set()
    for model in apps.get_models():
        if model._meta.app_label in OURS:
            kinds = (CompositeForeignKey, CheckConstraint, UniqueConstraint)
            found |= {
                each.name
                for each in model._meta.constraints
                if isinstance(each, kinds) and not _is_dropped(model, each)
            }
            found |= {each.name for each in model._meta.indexes}
    return found


def _is_dropped(model: type[Model], constraint: BaseConstraint) -> bool:
    """Whether it is a key that `distribute` drops: from one server's table to another's."""
    if not settings.DATABASE_DISTRIBUTED or not isinstance(constraint, CompositeForeignKey):
        return False
    return not is_kept(model._meta.db_table, apps.get_model(constraint.to)._meta.db_table)


POLICIES = Check(
    "policies",
    "Tables whose row-level security is not what their migration made.",
    "manage.py database_roles; the migrations have the policies.",
    lambda _scope: _named(policy_problems(Database(connection))),
)
CHECKS = (
    Check(
        "keys",
        "Keys and checks that are NOT VALID: rows from before them were never looked at.",
        "--fix validates them, as the owner of the tables; rows that contradict one are orphans.",
        lambda _scope: _named(f"{table} {name}" for table, name in _rows(_NOT_VALID)),
        _validate,
    ),
    Check(
        "missing_keys",
        "Keys, checks and indexes that the migrations made and the database lacks.",
        "Run an interrupted migrate again; what somebody dropped has to be made again by hand.",
        lambda _scope: _named(expected_names() - {name for (name,) in _rows(NAMES)}),
    ),
    Check(
        "indexes",
        "Indexes that no query uses, because building them was interrupted.",
        "manage.py check --database default says what to run.",
        lambda _scope: _named(f"{table} {index}" for index, table in invalid_indexes("default")),
    ),
    POLICIES,
)
