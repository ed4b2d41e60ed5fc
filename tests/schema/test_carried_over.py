"""A database of the history up to sessions_app.0026, with rows, is carried to today and back.

schema_0026.sql is a dump (pg_dump --inserts) of what the migrations made before their SQL was moved
into files, with two accounts that have a row in every table.
"""

from __future__ import annotations

from typing import Any, ClassVar

from tests.support.database import catalog
from tests.support.database.scratch_database import (
    ScratchCase,
    migrate,
    own_tables,
    run_sql,
    scratch_database,
)

DUMPED_AT = {"sessions_app": "0026", "agents": "0007", "accounts": "0015"}
FUNCTIONS = """
    SELECT oid::regprocedure::text, pg_get_functiondef(oid), proacl::text FROM pg_proc
    WHERE pronamespace = current_schema()::regnamespace ORDER BY 1
"""
TRIGGERS = """
    SELECT tgrelid::regclass::text, pg_get_triggerdef(oid) FROM pg_trigger
    WHERE NOT tgisinternal ORDER BY 1, 2
"""


def schema() -> list[Any]:
    """Everything that migrations make; PostgreSQL words a restored CHECK in another way."""
    tables = [line for line in catalog.schema(own_tables()) if " CHECK " not in line[1]]
    return [*tables, *map(_without_grants, catalog.rows(FUNCTIONS)), *catalog.rows(TRIGGERS)]


def _without_grants(function: tuple[str, str, str | None]) -> tuple[str, str]:
    # A dump without rights has none for the logins of this server.
    return function[0], function[1]


def go_back() -> None:
    for app, name in DUMPED_AT.items():
        migrate(app, name)


class FrozenHistoryTests(ScratchCase):
    """The migrations make what they made before their texts were frozen."""

    def test_an_empty_database_gets_the_schema_of_the_dump(self) -> None:
        for app, name in DUMPED_AT.items():
            migrate(app, name)
        made = schema()
        with scratch_database():
            run_sql("schema_0026.sql")
            self.assertEqual(made, schema())


class CarriedOverTests(ScratchCase):
    columns: ClassVar[dict[str, list[str]]]
    before: ClassVar[catalog.Fingerprints]
    old_schema: ClassVar[list[Any]]

    @classmethod
    def prepare(cls) -> None:
        run_sql("schema_0026.sql")
        cls.columns = catalog.columns_of(own_tables())
        cls.before = catalog.fingerprints(cls.columns)
        cls.old_schema = schema()

    def test_rows_and_schema_are_the_same_after_the_way_there_and_back(self) -> None:
        self.assertEqual([table for table, (rows, _) in self.before.items() if not rows], [])
        migrate()
        newest = schema()
        self.assertEqual(catalog.fingerprints(self.columns), self.before)
        with scratch_database():
            migrate()
            self.assertEqual(schema(), newest)
        go_back()
        self.assertEqual(schema(), self.old_schema)
        self.assertEqual(catalog.fingerprints(self.columns), self.before)
        migrate()
        self.assertEqual(schema(), newest)
        self.assertEqual(catalog.fingerprints(self.columns), self.before)
