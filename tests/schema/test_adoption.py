"""A database that Alembic made is carried over and back, or refused unchanged."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any, ClassVar

from django.core.management import CommandError, call_command
from django.db import connection, transaction

from accounts.tenancy.context import platform_context
from sessions_app.models import LLMRequest, Session
from sessions_app.operations.adoption import adopting
from sessions_app.operations.adoption.check import Report, check
from sessions_app.operations.adoption.choices import Choices, read
from sessions_app.operations.adoption.state import BEFORE, NEXT
from sessions_app.usage import rollup
from tests.support.database import catalog
from tests.support.database.scratch_database import (
    BASELINE,
    ScratchCase,
    migrate,
    own_tables,
    run_sql,
)

# ruff: noqa: S608 - the ids and tables are our own
NEWEST = ("accounts", "agent_instances", *BASELINE, "directory_lists", "directory_entries")
SCHEMAS = f"SELECT nspname FROM pg_namespace WHERE nspname IN ('{BEFORE}', '{NEXT}')"
FUNCTIONS = """
    SELECT oid::regprocedure::text, pg_get_functiondef(oid) FROM pg_proc
    WHERE pronamespace = current_schema()::regnamespace AND proname LIKE 'app%' ORDER BY 1
"""
OWNER = "default_account/simple_chat1"


def run(statements: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statements)


def contents(*tables: str) -> list[Any]:
    return [catalog.rows(f"SELECT t::text FROM {table} AS t ORDER BY 1") for table in tables]


def silent(_line: str) -> None:
    """Print nothing."""


class NewestTests(ScratchCase):
    """The whole way of a database at the newest revision, with writers, and back."""

    fresh: ClassVar[tuple[Any, Any]]

    @classmethod
    def setUpClass(cls) -> None:
        # The tests' own database is what `migrate` makes of an empty one.
        cls.fresh = catalog.schema(own_tables()), catalog.rows(FUNCTIONS)
        super().setUpClass()

    @classmethod
    def prepare(cls) -> None:
        run_sql("newest.sql")
        run_sql("newest_rows.sql")

    def test_there_and_back(self) -> None:
        self.migrate_refuses()
        self.check_says_what_is_odd()
        self.carried_in_two_runs_while_it_is_written_to()
        self.switched()
        self.undone()

    def migrate_refuses(self) -> None:
        with self.assertRaisesMessage(CommandError, "manage.py adopt"):
            migrate()

    def check_says_what_is_odd(self) -> None:
        report = check(Choices())
        assert report
        print(report)
        self.assertEqual(len(report.faults), 1, report.faults)

    def carried_in_two_runs_while_it_is_written_to(self) -> None:
        choices = read(OWNER, [], "")
        print(adopting.carry(choices, print))

    def switched(self) -> None:
        report = adopting.switch(print)
        print(report)
        self.assertEqual(catalog.schema(own_tables()), self.fresh[0])
        self.assertEqual(catalog.rows(FUNCTIONS), self.fresh[1])

    def undone(self) -> None:
        adopting.undo()
        self.assertEqual(catalog.rows(SCHEMAS), [])
