"""SQL texts stand in files: {app}/sql has what is in force, migrations have frozen copies."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.test import SimpleTestCase, TestCase

from accounts.tenancy.roles import Database, fixed_paths
from salient.database.sql_files import SQLFile, in_schema
from tests.support.database import catalog
from tests.support.database.scratch_database import OWN_APPS

# Every function in our schema: name with argument types -> name, version of its row, definition.
FUNCTIONS = """
    SELECT oid::regprocedure::text, proname, ctid::text || xmin::text, pg_get_functiondef(oid)
    FROM pg_proc WHERE pronamespace = current_schema()::regnamespace
"""
# What migrations may import of ours, and why its changes do not change history. `makemigrations`
# writes the first four: a field names its default and its validators by their path.
STABLE = {
    "salient.ids.uuid7": "makes ids in Python, not in the database",
    "accounts.models.slugs.validate_slug": "validates forms, not rows",
    "salient.api.origins.validate_origin": "validates forms, not rows",
    "accounts.models.default_alert_percents": "a default in Python, not in the database",
    "salient.database.constraints.CompositeForeignKey": "a kind of constraint",
    "salient.database.indexes.AddIndexConcurrently": "an operation",
    "salient.database.key_changes.AddForeignKeys": "an operation",
    "salient.database.key_changes.RemoveUnique": "an operation",
    "salient.database.key_changes.ReplaceUnique": "an operation",
    "salient.database.key_changes.WidenPrimaryKey": "an operation",
    "salient.database.sql_files.SQLFile": "an operation",
    "accounts.tenancy.roles.make_roles": "prepares the server, not the schema",
}


def files() -> list[Path]:
    """The files with the functions in force."""
    return sorted(
        path for app in OWN_APPS for path in Path(settings.BASE_DIR, app).glob("sql/*.sql")
    )


def functions() -> dict[str, tuple[str, str, str]]:
    return {signature: tuple(rest) for signature, *rest in catalog.rows(FUNCTIONS)}


class InForceTests(TestCase):
    def test_each_file_makes_one_function_and_all_of_them_are_as_in_the_database(self) -> None:
        whole = functions()
        self.assertGreater(len(whole), 10)
        made: dict[str, Path] = {}
        for path in files():
            before = functions()
            with connection.cursor() as cursor:
                cursor.execute(in_schema(path.read_text(), connection))
            # REVOKE writes the function's row once more.
            changed = {k for k, function in functions().items() if function != before.get(k)}
            with self.subTest(str(path)):
                self.assertEqual([whole[name][0] for name in changed], [path.stem])
            made |= dict.fromkeys(changed, path)
        self.assertEqual(set(made), set(whole))
        for statement in fixed_paths(Database(connection)):
            with connection.cursor() as cursor:
                cursor.execute(statement)
        for name, (_, _, definition) in functions().items():
            self.assertEqual(definition, whole[name][2], made[name])

    def test_each_file_begins_with_what_a_caller_must_know(self) -> None:
        for path in files():
            head, _, text = path.read_text().partition("CREATE OR REPLACE FUNCTION ")
            with self.subTest(str(path)):
                self.assertEqual([line for line in head.splitlines() if line[:2] != "--"], [])
                self.assertIn("Locks", head)
                self.assertIn("Raises", head)
                # What it raises by itself is named.
                raised = set(re.findall(r"ERRCODE = '(\w+)'", text))
                self.assertEqual({state for state in raised if state not in head}, set())
                self.assertTrue(text.startswith(f"{path.stem}("))


class FrozenTests(SimpleTestCase):
    databases = {"default"}

    def operations(self) -> Iterator[tuple[str, str, SQLFile]]:
        loader = MigrationLoader(connection)
        for (app, name), migration in sorted(loader.disk_migrations.items()):
            for operation in migration.operations:
                if isinstance(operation, SQLFile):
                    yield app, name, operation

    def test_a_migration_runs_its_own_files_and_goes_back_to_none_that_is_younger(self) -> None:
        found = list(self.operations())
        self.assertGreater(len(found), 20)
        for app, name, operation in found:
            number = name.partition("_")[0]
            with self.subTest(f"{app}.{name}: {operation.name}"):
                self.assertEqual((operation.app, operation.name[:4]), (app, number))
                self.assertLessEqual((operation.before or number)[:4], number)

    def test_no_frozen_file_is_left_over(self) -> None:
        used = {
            Path(settings.BASE_DIR, app, "migrations", "sql", f"{file}.sql")
            for app, _, operation in self.operations()
            for file in (operation.name, operation.before)
            if file is not None
        }
        folders = [Path(settings.BASE_DIR, app, "migrations", "sql") for app in OWN_APPS]
        self.assertEqual({path for folder in folders for path in folder.iterdir()}, used)


class ImportTests(SimpleTestCase):
    def test_migrations_import_nothing_of_ours_that_may_change(self) -> None:
        paths = [
            path
            for app in OWN_APPS
            for path in Path(settings.BASE_DIR, app, "migrations").glob("0*.py")
        ]
        used = {(path.name, name) for path in paths for name in names_used(path)}
        self.assertEqual({each for each in used if each[1] not in STABLE}, set())
        self.assertEqual({name for _, name in used}, set(STABLE))


def names_used(path: Path) -> Iterator[str]:
    """Name what a module takes from our packages: `from x import y`, or `x.y` after `import x`."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            if is_ours(node.module or ""):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            for module in (alias.name for alias in node.names if is_ours(alias.name)):
                text = path.read_text()
                found = set(re.findall(rf"\b{re.escape(module)}\.(\w+)\b(?!\.)", text))
                # A module that is only imported would be a name of its own here.
                yield from (f"{module}.{name}" for name in found or {"*"})
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in {
            "import_module",
            "__import__",
        }:
            yield ast.unparse(node)


def is_ours(module: str) -> bool:
    return module.partition(".")[0] in {*OWN_APPS, "salient"}
