"""The state of an adoption, stored in the database itself, so that a killed one can continue.

Three schemas take part: that of the old tables (home, mostly `public`), NEXT, in which today's
tables are made and filled while the old application works, and BEFORE, which holds the notes of
the adoption and, from the switch on, the old tables.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import psycopg
from django.db import connection, transaction
from django.db.utils import OperationalError
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.errors import LockNotAvailable

from salient.management.base import Refused
from sessions_app.operations.adoption.rows import Catalog

# ruff: noqa: S608 - built from constants of this module only
BEFORE: Final = "salient_before"
NEXT: Final = "salient_next"
# How the connection that holds the lock is called.
PROGRAM: Final = "salient adopt"
# Whoever works on an adoption holds this lock: b"adopt" as a number.
LOCK: Final = 0x61646F7074
# A lock on a table that is in use is asked for without waiting, this often, with a pause between.
LOCK_TRIES: Final = 600
LOCK_PAUSE: Final = 0.05
HOME: Final = "home"


class Step(StrEnum):
    """The steps of an adoption; each is done when the next one is stored."""

    BUILDING = "building"
    COPYING = "copying"
    FOLLOWING = "following"
    SWITCHED = "switched"
    SETTLED = "settled"
    # The old tables are in their place again; what was made is dropped next.
    UNDONE = "undone"


@dataclass(slots=True)
class State:
    """The row of the adoption: its step, and what was decided and found."""

    catalog: Catalog
    step: Step
    facts: dict[str, Any]

    @property
    def home(self) -> str:
        return str(self.facts[HOME])

    def store(self, step: Step | None = None, **facts: Any) -> None:
        self.step = step or self.step
        self.facts |= facts
        self.catalog.run(
            f"UPDATE {BEFORE}.adoption SET step = %s, facts = %s",
            [self.step.value, json.dumps(self.facts, default=str)],
        )


NOTES: Final = f"""
    CREATE SCHEMA {BEFORE};
    CREATE TABLE {BEFORE}.adoption (step text NOT NULL, facts jsonb NOT NULL);
    CREATE TABLE {BEFORE}.changes (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, session_id uuid
    );
"""


def found_state() -> State | None:
    """Return the adoption that was begun in this database."""
    catalog = Catalog(connection)
    if not catalog.tables([f"{BEFORE}.adoption"]):
        return None
    [(step, facts)] = catalog.rows(f"SELECT step, facts FROM {BEFORE}.adoption")
    return State(catalog, Step(step), json.loads(facts) if isinstance(facts, str) else facts)


def begin(facts: dict[str, Any]) -> State:
    catalog = Catalog(connection)
    [(home,)] = catalog.rows("SELECT current_schema()::text")
    facts = {**facts, HOME: home}
    with transaction.atomic():
        catalog.run(NOTES)
        catalog.run(
            f"INSERT INTO {BEFORE}.adoption VALUES (%s, %s)",
            [Step.BUILDING.value, json.dumps(facts)],
        )
    return State(catalog, Step.BUILDING, facts)


@contextmanager
def alone() -> Iterator[None]:
    """Refuse a second adoption of the database at the same time.

    The lock belongs to a connection of its own, because the work itself changes connections.
    """
    connection.ensure_connection()
    with psycopg.connect(_conninfo(), autocommit=True, application_name=PROGRAM) as own:
        row = own.execute("SELECT pg_try_advisory_lock(%s)", [LOCK]).fetchone()
        if not row or not row[0]:
            raise Refused("This database is being adopted at the moment.")
        try:
            yield
        finally:
            # Given back before the next step begins: a server notices a closed connection later.
            with suppress(psycopg.Error):
                own.execute("SELECT pg_advisory_unlock(%s)", [LOCK])


def _conninfo() -> str:
    named = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD"}
    place = {key: connection.settings_dict[name] for key, name in named.items()}
    place["dbname"] = connection.settings_dict["NAME"]
    options = connection.settings_dict["OPTIONS"]
    place |= {key: value for key, value in options.items() if isinstance(value, str | int)}
    return make_conninfo("", **{key: str(value) for key, value in place.items() if value})


@contextmanager
def in_schema(*schemas: str) -> Iterator[None]:
    """Work with another search_path, on new connections."""
    options = connection.settings_dict["OPTIONS"]
    path = "-c search_path=" + ",".join(schemas)
    _reconnect({**options, "options": f"{options.get('options', '')} {path}".strip()})
    try:
        yield
    finally:
        _reconnect(options)


def _reconnect(options: dict[str, Any]) -> None:
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]
    connection.settings_dict["OPTIONS"] = options


@contextmanager
def one_moment(catalog: Catalog) -> Iterator[None]:
    """Open a transaction whose statements all see the same rows, whatever others commit."""
    with transaction.atomic():
        catalog.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        yield


@contextmanager
def holding(catalog: Catalog, tables: list[sql.Composable], mode: str) -> Iterator[None]:
    """Open a transaction that holds the tables without ever having waited for them.

    Who waits for a lock makes all others wait behind: one that is not free is asked for again.
    """
    for _ in range(LOCK_TRIES):
        with transaction.atomic():
            try:
                with transaction.atomic():
                    listed = sql.SQL(", ").join(tables)
                    catalog.run(
                        sql.SQL("LOCK TABLE {} IN {} MODE NOWAIT").format(listed, sql.SQL(mode))
                    )
            except OperationalError as error:
                if not isinstance(error.__cause__, LockNotAvailable):
                    raise
            else:
                yield
                return
        time.sleep(LOCK_PAUSE)
    raise Refused(
        "The old tables were never free for a moment. End what holds them for long, and go on by "
        "the same command."
    )
