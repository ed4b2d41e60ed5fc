"""Each release's database is carried to today's with its rows, and its code goes on working on it.

A server of the release before serves while `migrate` of the next one has run: what it sends for a
turn is kept beside its dump, and sent here to the newer schema.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.db import connection
from django.test import SimpleTestCase, TransactionTestCase

from salient.database.diagnosis import parameters
from salient.database.upgrades.pending import Migrations
from tests.support.database import catalog
from tests.support.database.releases import (
    Statement,
    schema_and_rows,
    statements,
    version_of_code,
    versions,
)
from tests.support.database.scratch_database import (
    connect_to,
    migrate,
    own_tables,
    scratch_database,
)

# Columns that a later migration changes on purpose, by version and table, and why.
CHANGED: Mapping[str, Mapping[str, frozenset[str]]] = {}
# Django's own groups and permissions, which nothing of ours uses.
UNUSED = ["users_groups", "users_user_permissions"]
# A release has a date; until then its version is "unreleased".
RELEASED = re.compile(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d", re.MULTILINE)
FUNCTIONS = """
    SELECT oid::regprocedure::text, pg_get_functiondef(oid) FROM pg_proc
    WHERE pronamespace = current_schema()::regnamespace ORDER BY 1
"""


def tables() -> dict[str, list[str]]:
    """Our tables that this database has, with their columns."""
    there = {name for (name,) in catalog.rows("SELECT relname FROM pg_class WHERE relkind = 'r'")}
    return catalog.columns_of(sorted(there & set(own_tables())))


def schema() -> list[Any]:
    """Everything that migrations make; PostgreSQL words a restored CHECK in another way."""
    lines = [line for line in catalog.schema(own_tables()) if " CHECK " not in line[1]]
    return [*lines, *sorted(catalog.names(own_tables())), *catalog.rows(FUNCTIONS)]


@contextmanager
def database_of(version: str) -> Iterator[str]:
    """A database as this release left it."""
    with scratch_database() as name:
        with connection.cursor() as cursor:
            cursor.execute(schema_and_rows(version))
        # The dump has changed the connection's search_path.
        connect_to(name)
        yield name


def lacking(had: Any, has: Any, where: str = "") -> Iterator[str]:
    """Yield what a reader of the older JSON would miss; names may have been added."""
    if type(had) is not type(has):
        yield f"{where or 'all'}: {has!r} for {had!r}"
    elif isinstance(had, dict):
        yield from (f"{where}.{name} is gone" for name in had if name not in has)
        for name in had.keys() & has.keys():
            yield from lacking(had[name], has[name], f"{where}.{name}")
    elif isinstance(had, list):
        if len(had) != len(has):
            yield f"{where}: {len(has)} elements for {len(had)}"
        for before, now in zip(had, has, strict=False):
            yield from lacking(before, now, f"{where}[]")


class KeptTests(SimpleTestCase):
    def test_every_release_is_kept(self) -> None:
        released = set(RELEASED.findall(Path(settings.BASE_DIR, "CHANGELOG.md").read_text()))
        self.assertEqual(released - set(versions()), set())
        # What is not released yet is kept as the main branch was.
        self.assertLessEqual(set(versions()) - released, {version_of_code()})

    def test_what_is_kept_is_worth_it(self) -> None:
        self.assertTrue(versions())
        for version in versions():
            called = [each["sql"] for each in statements(version) if each["answer"]]
            names = re.findall(r"SELECT (app_\w+)\(", "\n".join(called))
            self.assertEqual(names, ["app_open_turns", "app_settle_turns"] * 2, version)


class CarriedTests(TransactionTestCase):
    """Each release in turn: its rows, its schema, its turns."""

    def test_rows_and_turns_of_each_release(self) -> None:
        today = schema()
        for version in versions():
            with self.subTest(version), database_of(version):
                changed = CHANGED.get(version, {})
                columns = {
                    table: [name for name in names if name not in changed.get(table, ())]
                    for table, names in tables().items()
                }
                before = catalog.fingerprints(columns)
                empty = [table for table, (rows, _) in before.items() if not rows]
                self.assertEqual(empty, UNUSED)

                migrate()

                kept = {table: names for table, names in columns.items() if table in tables()}
                after = catalog.fingerprints(kept)
                self.assertEqual(after, {table: before[table] for table in kept})
                self.assertEqual(schema(), today)
                self.assertIsNone(Migrations().find_problem())
                self.check_turns(version)

    def check_turns(self, version: str) -> None:
        """Send what the release's code sent, as it sent it, and compare what it gets."""
        sent = statements(version)
        with psycopg.connect(**parameters(), autocommit=True) as old:
            for statement in sent:
                self.check_statement(old, statement)
        [session] = {each["id"] for each in self.turns(sent)}
        stored = catalog.rows(
            "SELECT role, content FROM messages WHERE session_id = %s "
            "ORDER BY created_at, role DESC",
            [session],
        )
        self.assertEqual([role for role, _ in stored], ["human", "assistant"] * 2)
        self.assertEqual([content for _, content in stored][::2], ["Hello", "And again"])
        requests = catalog.rows(
            "SELECT completion_status, reserved_cost FROM llm_requests WHERE session_id = %s",
            [session],
        )
        self.assertEqual({status for status, _ in requests}, {"complete"})
        self.assertEqual(len(requests), 2)

    def check_statement(self, old: psycopg.Connection[Any], statement: Statement) -> None:
        cursor = old.execute(statement["sql"])
        if statement["rows"] is not None:
            self.assertEqual(cursor.rowcount, statement["rows"], statement["sql"])
        if statement["answer"]:
            [[answer]] = cursor.fetchall()
            faults = list(lacking(json.loads(statement["answer"]), answer))
            self.assertEqual(faults, [], statement["sql"])

    def turns(self, sent: list[Statement]) -> list[dict[str, Any]]:
        answers = [json.loads(each["answer"]) for each in sent if "app_open_turns(" in each["sql"]]
        return [{"id": each["session_id"]} for answer in answers for each in answer["each"]]
