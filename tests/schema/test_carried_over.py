"""Databases that the former migrations made, with rows, are taken as they are, or refused.

former_migrations.sql is a dump (pg_dump --inserts) of what the last commit with these migrations
made, with two accounts that have a row in every table.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.management import CommandError
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.test.utils import CaptureQueriesContext

from tests.support.database import catalog
from tests.support.database.scratch_database import (
    BASELINE,
    ScratchCase,
    migrate,
    newest,
    own_tables,
    run_sql,
    scratch_database,
)

FUNCTIONS = """
    SELECT oid::regprocedure::text, pg_get_functiondef(oid) FROM pg_proc
    WHERE pronamespace = current_schema()::regnamespace ORDER BY 1
"""
TRIGGERS = """
    SELECT tgrelid::regclass::text, pg_get_triggerdef(oid) FROM pg_trigger
    WHERE NOT tgisinternal ORDER BY 1, 2
"""
# What only servers from before called; sessions_app.0004 drops it.
FORMER = {
    "app_count_usage(uuid,uuid,date,jsonb)",
    "app_lock_sessions(uuid,jsonb)",
    "app_open_turn(jsonb)",
    "app_open_turns(jsonb)",
    "app_release_limits(uuid,uuid,numeric,numeric,timestamp with time zone)",
    "app_settle_turn(jsonb)",
    "app_settle_turns(jsonb)",
    "app_take_limits(uuid,uuid,text[],text[],integer[],integer,boolean,numeric,"
    "timestamp with time zone)",
}
# Former migrations that a database lacks where it stands in the middle of them.
MISSING = {
    "in sessions_app": "app = 'sessions_app' AND name > '0027'",
    "before the last of sessions_app": "app = 'sessions_app' AND name > '0029'",
    "before the last of accounts": "app = 'accounts' AND name > '0017'",
    "in agents": "app = 'agents' AND name > '0004' OR app = 'sessions_app' AND name > '0006'",
    "after its first tables": "app = 'sessions_app' OR app IN ('accounts', 'agents') "
    "AND name > '0003'",
}


def tables() -> list[str]:
    """Our tables that this database has."""
    there = {name for (name,) in catalog.rows("SELECT relname FROM pg_class WHERE relkind = 'r'")}
    return [table for table in own_tables() if table in there]


def take_over() -> None:
    """Migrate to what replaces the former migrations, and no further."""
    migrate("sessions_app", "0004")


def schema() -> list[Any]:
    """Everything that migrations make; PostgreSQL words a restored CHECK in another way."""
    lines = [line for line in catalog.schema(own_tables()) if " CHECK " not in line[1]]
    functions = [each for each in catalog.rows(FUNCTIONS) if each[0] not in FORMER]
    return [*lines, *catalog.columns_of(tables()).items(), *functions, *catalog.rows(TRIGGERS)]


def functions() -> set[str]:
    return {name for name, _ in catalog.rows(FUNCTIONS)}


class CarriedOverTests(ScratchCase):
    columns: ClassVar[dict[str, list[str]]]
    before: ClassVar[catalog.Fingerprints]
    old_schema: ClassVar[list[Any]]

    @classmethod
    def prepare(cls) -> None:
        run_sql("former_migrations.sql")
        cls.columns = catalog.columns_of(tables())
        cls.before = catalog.fingerprints(cls.columns)
        cls.old_schema = schema()

    def test_todays_migrations_make_the_same_schema(self) -> None:
        self.assertLess(FORMER, functions())
        with scratch_database():
            take_over()
            self.assertEqual(schema(), self.old_schema)
            self.assertEqual(functions() & FORMER, set())

    def test_it_is_only_recorded(self) -> None:
        with scratch_database(copied=True), CaptureQueriesContext(connection) as queries:
            MigrationExecutor(connection).migrate([("sessions_app", "0003_keys_and_indexes")])
        statements = [query["sql"].split(maxsplit=3)[:3] for query in queries]
        changes = [each for each in statements if each[0] not in {"SELECT", "BEGIN", "COMMIT"}]
        self.assertEqual(changes, [["INSERT", "INTO", '"django_migrations"']] * 5)

    def test_rows_are_the_same_after_migrating_and_after_the_way_back_and_forth(self) -> None:
        self.assertEqual([table for table, (rows, _) in self.before.items() if not rows], [])
        with scratch_database():
            migrate("sessions_app", "0001")
            baseline, columns = catalog.schema(BASELINE), catalog.columns_of(BASELINE)
        # The way back renames and rounds the costs, and the way forth hashes the tests' keys.
        kept = {
            table: [c for c in columns[table] if "cost" not in c and c != "session_key"]
            for table in BASELINE
        }
        with scratch_database(source=newest()):
            today = schema()
        with scratch_database(copied=True):
            take_over()
            self.assertEqual(schema(), self.old_schema)
            self.assertEqual(functions() & FORMER, set())
            self.assertEqual(catalog.fingerprints(self.columns), self.before)
            migrate()
            self.assertEqual(schema(), today)
            self.assertEqual(catalog.fingerprints(self.columns), self.before)

            rows = catalog.fingerprints(kept)
            migrate("sessions_app", "0001")
            self.assertEqual(catalog.schema(BASELINE), baseline)
            self.assertEqual(catalog.fingerprints(kept), rows)
            migrate()
            self.assertEqual(schema(), today)
            self.assertEqual(catalog.fingerprints(kept), rows)


class HalfMigratedTests(ScratchCase):
    @classmethod
    def prepare(cls) -> None:
        run_sql("former_migrations.sql")

    def test_a_database_in_the_middle_of_them_is_refused_in_one_line(self) -> None:
        for where, missing in MISSING.items():
            with self.subTest(where), transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(f"DELETE FROM django_migrations WHERE {missing}")  # noqa: S608
                before = catalog.rows("SELECT app, name FROM django_migrations ORDER BY id")
                with self.assertRaises(CommandError) as raised:
                    # Without its migrations, what is there would have to be tables of Alembic.
                    migrate(skip_checks="first tables" in where)
                after = catalog.rows("SELECT app, name FROM django_migrations ORDER BY id")
                transaction.set_rollback(True)

                self.assertEqual(after, before)
                [line] = str(raised.exception).splitlines()
                app, name = max(row for row in before if row[0] == "accounts")
                self.assertIn(f"{app} at {name}", line)
                self.assertIn("“manage.py migrate” of commit 2e2dc50 first", line)

    def test_one_that_went_back_to_its_first_tables_goes_on(self) -> None:
        with scratch_database(copied=True):
            migrate("sessions_app", "0001")
            newer = "name IN ('0001_accounts', '0001_agents', '0002_budgets_of_agents')"
            with connection.cursor() as cursor:
                # As the former code recorded it.
                cursor.execute(f"DELETE FROM django_migrations WHERE {newer}")  # noqa: S608
            migrate()
            adopted = schema()
        with scratch_database(source=newest()):
            self.assertEqual(schema(), adopted)
