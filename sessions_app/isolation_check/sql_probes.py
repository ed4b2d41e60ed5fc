"""Tries in SQL, in one account's tenant context, to reach another account's rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import (
    IntegrityError,
    NotSupportedError,
    ProgrammingError,
    connection,
    transaction,
)
from psycopg import errors, sql

from accounts.tenancy.context import platform_context, tenant_context
from accounts.tenancy.roles import tenant_tables
from salient.ids import uuid7
from sessions_app.isolation_check.accounts import FixtureAccount

# Counters that a refused call may change; they are no account's secret.
COUNTERS = frozenset({"rate_states", "account_limits", "refusal_days"})
# A server's job removes those of turns that have ended, whoever's they are.
FLEETING = frozenset({"turn_cancellations"})


class Undo(Exception):
    """Rolls back a transaction, whose changes must not stay."""


def rows(query: str, table: str, values: list[Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL(query).format(sql.Identifier(table)), values)
        return list(cursor.fetchall()) if cursor.description else [cursor.rowcount]


def fingerprints(account: FixtureAccount) -> dict[str, str]:
    """Return a digest of the account's rows by table, read in the platform context."""
    query = "SELECT md5(string_agg(t::text, ',' ORDER BY t::text)) FROM {} AS t WHERE "
    theirs = [account.account.pk]
    with platform_context():
        found = {
            table: rows(query + "account_id = %s", table, theirs)[0][0]
            for table in tenant_tables()
            if table not in COUNTERS | FLEETING
        }
        found["accounts"] = rows(query + "id = %s", "accounts", theirs)[0][0]
        found["users"] = rows(query + "id = %s", "users", [account.user.pk])[0][0]
    return found


def rows_to_forge(theirs: FixtureAccount) -> dict[str, dict[str, Any]]:
    """Read a row of each table, before a server's jobs remove those that have had their time."""
    return {table: row_to_forge(theirs.account.pk, table) for table in tenant_tables()}


def sql_leaks(
    ours: FixtureAccount,
    theirs: FixtureAccount,
    forged: dict[str, dict[str, Any]],
    probes: Counter[str],
) -> Iterator[str]:
    """Yield what the database did not refuse."""
    found: list[str] = []
    with suppress(Undo), tenant_context(ours.account.pk):
        for what, attempt in _attempts(ours, theirs, forged):
            probes["SQL"] += 1
            if _reaches(attempt):
                found.append(f"SQL in the tenant context: {what}")
        probes["SQL"] += 1
        if not _is_refused(_without_account):
            found.append("SQL in the tenant's role without an account was answered")
        raise Undo
    yield from found


def _attempts(
    ours: FixtureAccount, theirs: FixtureAccount, forged: dict[str, dict[str, Any]]
) -> Iterator[tuple[str, Callable[[], list[Any]]]]:
    other = theirs.account.pk
    for table in tenant_tables():
        for what, query, value in (
            ("rows by account", "SELECT 1 FROM {} WHERE account_id = %s", other),
            ("all rows", "SELECT 1 FROM {} AS t WHERE t::text LIKE %s", f"%{other}%"),
            ("update", "UPDATE {} SET account_id = account_id WHERE account_id = %s", other),
            ("deletion", "DELETE FROM {} WHERE account_id = %s", other),
            ("own rows given away", "UPDATE {} SET account_id = %s", other),
        ):
            yield f"{table}: {what}", partial(rows, query, table, [value])
        yield f"{table}: forged row", partial(forge, table, forged[table])
    mine = [ours.account.pk]
    yield "another account", partial(rows, "SELECT 1 FROM {} WHERE id <> %s", "accounts", mine)
    yield "a temporary table in the place of the limits", partial(_hide_limits, mine[0])
    person = [theirs.user.pk]
    yield "another's person", partial(rows, "SELECT 1 FROM {} WHERE id = %s", "users", person)


def _hide_limits(account: UUID) -> list[Any]:
    """Count a turn while a temporary table has the name of the limits; it must stay empty."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE account_limits (LIKE account_limits INCLUDING ALL)")
        cursor.execute("SELECT app_take_limits(%s, NULL, '[]', 1, 1, 1, 0, NULL)", [account])
        cursor.execute("SELECT 1 FROM pg_temp.account_limits")
        return list(cursor.fetchall())


def _reaches(attempt: Callable[[], list[Any]]) -> bool:
    """Return whether the attempt read or changed a row; a change is rolled back.

    A row that only a constraint refused has passed row-level security.
    """
    touched: list[Any] = []
    try:
        refused = _is_refused(lambda: touched.extend(attempt()))
    except IntegrityError:
        return True
    return not refused and bool(touched) and touched != [0]


def _is_refused(attempt: Callable[[], None]) -> bool:
    """Return whether the database refused the attempt, which is rolled back."""
    try:
        with suppress(Undo), transaction.atomic():
            attempt()
            raise Undo
    except NotSupportedError as error:
        # A cluster moves no row to another account, whoever asks.
        if not settings.DATABASE_DISTRIBUTED or "partition value" not in str(error):
            raise
        return True
    except ProgrammingError as error:
        if not isinstance(error.__cause__, errors.InsufficientPrivilege):
            raise
        return True
    return False


def _without_account() -> None:
    with connection.cursor() as cursor:
        # By a statement, which reaches a cluster's workers.
        cursor.execute("SET LOCAL app.account_id TO ''")
    rows("SELECT 1 FROM {} LIMIT 1", "agent_instances", [])


def row_to_forge(account_id: UUID, table: str) -> dict[str, Any]:
    """Read one row of this account in the platform context, with an id of its own if it has one."""
    query = sql.SQL("SELECT * FROM {} WHERE account_id = %s LIMIT 1").format(sql.Identifier(table))
    with platform_context(), connection.cursor() as cursor:
        cursor.execute(query, [account_id])
        names = [column.name for column in cursor.description]
        row = dict(zip(names, cursor.fetchone(), strict=True))
    return row | ({"id": uuid7()} if "id" in row else {})


def forge(table: str, row: dict[str, Any]) -> list[Any]:
    """Insert the row by VALUES: a cluster refuses INSERT … SELECT, whoever the row belongs to."""
    query = sql.SQL("INSERT INTO {{}} ({}) VALUES ({})").format(
        sql.SQL(", ").join(map(sql.Identifier, row)),
        sql.SQL(", ").join([sql.Placeholder()] * len(row)),
    )
    return rows(query.as_string(), table, list(row.values()))
