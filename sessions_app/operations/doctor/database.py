"""The database: version, schema, roles, row-level security, connections, disk and clock."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection

from accounts.tenancy.checks import pending_migrations
from accounts.tenancy.context import platform_context, tenant_context
from accounts.tenancy.role_report import check_roles
from accounts.tenancy.roles import TENANT_RIGHTS
from salient.database.diagnosis import DatabaseProblem, check_server
from salient.database.indexes import invalid_indexes
from salient.ids import uuid7
from sessions_app.operations.doctor.findings import Finding, Needs, Subject, fault, ok, warning

# A token or a rate that is late by more than this is refused, or let in, wrongly.
CLOCK_WARNING, CLOCK_FAULT = 2.0, 30.0
GIGABYTE = 1 << 30
# Below the first part or size of a disk it is a warning, below the second a fault.
DISK_WARNING, DISK_FAULT = (0.1, 2 * GIGABYTE), (0.03, GIGABYTE // 2)
# What the worker has besides the servers, and what is left for people.
WORKER_CONNECTIONS, SPARE_CONNECTIONS = 3, 3
_ROOM = """
    SELECT current_setting('max_connections')::int
        - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true)::int, 0)
"""


def _rows(query: str, values: Any = None) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return list(cursor.fetchall())


def _database() -> Iterator[Finding]:
    try:
        check_server()
    except DatabaseProblem as problem:
        yield fault(str(problem), "The line names what is wrong; see docs/operations.md.")
        return
    [(version, encoding)] = _rows(
        "SELECT current_setting('server_version'), current_setting('server_encoding')"
    )
    where = "embedded" if connection.settings_dict.get("EMBEDDED") else "of its own"
    yield ok(f"PostgreSQL {version}, {where}")
    if encoding != "UTF8":
        yield fault(f"its encoding is {encoding}", "Make the database anew with ENCODING 'UTF8'.")


def _schema() -> Iterator[Finding]:
    if pending_migrations("default"):
        yield fault("migrations are pending", "Run manage.py migrate.")
        return
    yield ok("every migration is applied")
    for index, table in invalid_indexes("default"):
        yield warning(
            f"the index {index} of {table} is invalid", "See manage.py check --database default."
        )


def _roles() -> Iterator[Finding]:
    report = check_roles(connection)
    # Nobody else reaches the embedded server, whose other logins do not matter.
    ignored = "every login" if connection.settings_dict.get("EMBEDDED") else None
    problems = [each for each in report["problems"] if not (ignored and each.startswith(ignored))]
    if problems:
        more = f", and {len(problems) - 1} more" if problems[1:] else ""
        yield fault(f"{problems[0]}{more}", "manage.py database_roles lists all.")
    for advice in report["advice"]:
        yield warning(advice)
    if not problems:
        yield ok(f"{report['login']} may take on both roles, and their rights are right")


def _row_level_security() -> Iterator[Finding]:
    """Read every tenant table as an account that does not exist: it has no rows."""
    stranger = uuid7()
    tables = sorted(TENANT_RIGHTS)
    with platform_context():
        filled = _with_rows_of_others(tables, stranger)
    with tenant_context(stranger):
        seen = _with_rows_of_others(tables, stranger)
    for table in seen:
        yield fault(
            f"{table}: any account reads the rows of others",
            "Stop serving. manage.py database_roles names the policies that are missing.",
        )
    if not seen:
        yield ok(f"an unknown account can read none of the {len(filled)} tables with rows")


def _with_rows_of_others(tables: list[str], account_id: UUID) -> list[str]:
    """Return the tables of which the open context sees a row that is not the account's."""
    # People belong to no account.
    columns = {"accounts": "id", "users": "NULL"}
    # With a column, as a cluster wants it of what it reads from several servers.
    query = " UNION ALL ".join(
        f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM {table} "  # noqa: S608 - our own names
        f"WHERE {columns.get(table, 'account_id')} IS DISTINCT FROM %(account)s::uuid)"
        for table in tables
    )
    return [table for (table,) in _rows(query, {"account": account_id})]


def _extensions() -> Iterator[Finding]:
    names = sorted(name for (name,) in _rows("SELECT extname FROM pg_extension"))
    if "plpgsql" not in names:
        yield fault("plpgsql is missing", "CREATE EXTENSION plpgsql, as its owner.")
        return
    yield ok("none is needed besides plpgsql")


def _connections() -> Iterator[Finding]:
    """Compare what one machine may open with what the server takes."""
    [(room,)] = _rows(_ROOM)
    wanted = settings.WORKERS * settings.DATABASE_POOL_SIZE + WORKER_CONNECTIONS
    text = f"up to {wanted} of this machine, {room} of the server"
    if wanted + SPARE_CONNECTIONS > room:
        advice = "Lower DATABASE_POOL_SIZE or WEB_CONCURRENCY, or raise max_connections."
        yield warning(text, advice)
    else:
        yield ok(text)


def _clock() -> Iterator[Finding]:
    before = time.time()
    [(theirs,)] = _rows("SELECT extract(epoch FROM clock_timestamp())::float8")
    # It was read somewhere between both.
    late = max(before - theirs, theirs - time.time(), 0.0)
    text = f"{late:.1f} s from the database's"
    advice = "Let both machines follow a time server (NTP)."
    if late > CLOCK_FAULT:
        yield fault(text, advice)
    elif late > CLOCK_WARNING:
        yield warning(text, advice)
    else:
        yield ok(text)


def _disk() -> Iterator[Finding]:
    """Look at the disk of var/, where the embedded database is too."""
    folder = Path(settings.BASE_DIR, "var")
    while not folder.exists():
        folder = folder.parent
    usage = shutil.disk_usage(folder)
    text = f"{usage.free / GIGABYTE:.1f} GB free of {usage.total / GIGABYTE:.1f} at var/"
    advice = "Free some: without it PostgreSQL refuses every write."
    for make, (part, size) in ((fault, DISK_FAULT), (warning, DISK_WARNING)):
        if usage.free < min(part * usage.total, size):
            yield make(text, advice)
            return
    if not os.access(folder, os.W_OK):
        yield warning(f"{folder} cannot be written", "Let the login of the server own it.")
    yield ok(text)


def _size() -> Iterator[Finding]:
    [(size,)] = _rows("SELECT pg_database_size(current_database())")
    yield ok(f"{size / GIGABYTE:.2f} GB; check the disk on the database's machine")


SUBJECTS = (
    Subject("disk", _disk, needs=Needs.NOTHING),
    Subject("roles", _roles),
    Subject("row-level security", _row_level_security),
    Subject("extensions", _extensions, Needs.DATABASE),
    Subject("connections", _connections, Needs.DATABASE),
    Subject("database size", _size, Needs.DATABASE),
    Subject("clock", _clock, Needs.DATABASE),
)
# What the others need.
DATABASE = Subject("database", _database, Needs.NOTHING)
SCHEMA = Subject("schema", _schema, Needs.DATABASE)
