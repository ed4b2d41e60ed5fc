"""A `migrate` that is killed in the middle, or started twice, blocks no later one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from multiprocessing.context import ForkServerProcess
from typing import ClassVar

import psycopg
from django.core.management import call_command
from django.core.management.commands import migrate as django_migrate
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.migration import Migration
from django.db.migrations.recorder import MigrationRecorder

from salient.database.indexes import AddIndexConcurrently, check_indexes, invalid_indexes
from salient.database.upgrades.lock import migration_lock
from tests.support.database import catalog
from tests.support.database.migrate_process import start_migrate
from tests.support.database.quick_migrate import quick_migrate
from tests.support.database.scratch_database import (
    OWN_APPS,
    ScratchCase,
    connect_to,
    migrate,
    newest,
    own_tables,
    scratch_database,
)
from tests.support.servers.served import database_url, environment

SPOIL = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s::regclass"
END_BUILDERS = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
        AND query LIKE '%INDEX CONCURRENTLY%'
"""


def building() -> list[Migration]:
    """Every migration of ours that is no single transaction, in their order."""
    loader = MigrationLoader(connection)
    plan = [loader.graph.forwards_plan(leaf) for leaf in loader.graph.leaf_nodes()]
    ours = [key for part in plan for key in part if key[0] in OWN_APPS]
    return [
        migration
        for key in dict.fromkeys(ours)
        if not (migration := loader.disk_migrations[key]).atomic
    ]


def keys_of_conversations() -> Migration:
    """The migration that gives large tables their keys while the platform writes."""
    return next(each for each in building() if each.name == "0003_keys_and_indexes")


def added(migration: Migration) -> list[AddIndexConcurrently]:
    return [each for each in migration.operations if isinstance(each, AddIndexConcurrently)]


def execute(statement: str, *values: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)


def eventually(happened: Callable[[], object]) -> None:
    until = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.05)


class InterruptedTests(ScratchCase):
    """Each case has a database of its own, as it was before the migration."""

    whole: ClassVar[list[tuple[str, str]]]
    # A migration -> a database from before it, which cases copy: going back takes seconds.
    earlier: ClassVar[dict[str, str]]

    @classmethod
    def prepare(cls) -> None:
        own, cls.earlier = connection.settings_dict["NAME"], {}
        for migration in building():
            migrate_to_before(migration)
            cls.earlier[str(migration)] = cls.enterClassContext(scratch_database(copied=True))
            connect_to(own)
        with scratch_database(source=newest()):
            cls.whole = catalog.schema(own_tables())

    @contextmanager
    def before(self, migration: Migration) -> Iterator[None]:
        """Work in a database as it was before the migration."""
        with scratch_database(source=self.earlier[str(migration)]):
            yield

    def assert_goes_on(self, what: str) -> None:
        migrate()
        self.assertEqual(list(invalid_indexes("default")), [], what)
        self.assertEqual(catalog.schema(own_tables()), self.whole, what)

    def test_there_are_such_migrations_and_they_use_our_operations(self) -> None:
        self.assertGreaterEqual(len(building()), 1)
        for migration in building():
            for operation in migration.operations:
                if type(operation).__name__.endswith("Concurrently"):
                    self.assertIsInstance(operation, AddIndexConcurrently, str(migration))

    def test_an_invalid_index_is_made_anew_and_named_by_check(self) -> None:
        """Others are valid and not recorded: they are made anew as well."""
        some_stay_valid = False
        for number, migration in enumerate(building()):
            made = [operation.index.name for operation in added(migration)]
            names = made[number % 2 :: 2]
            some_stay_valid |= len(names) < len(made)
            with self.before(migration):
                migrate(migration.app_label, migration.name)
                record(migration, applied=False)
                for name in names:
                    execute(SPOIL, name)
                found = [str(warning.msg) for warning in check_indexes(databases=["default"])]
                self.assertEqual(
                    [name for name in names if not any(f" {name} " in line for line in found)], []
                )
                self.assert_goes_on(str(migration))
        self.assertTrue(some_stay_valid)

    def test_after_kill_9_in_the_first_and_in_the_middle_of_each_the_next_migrate_ends(
        self,
    ) -> None:
        for migration in building():
            table = migration_table(migration, added(migration)[-1])
            with self.before(migration):
                with old_snapshot():
                    kill_while_building(migration)
                with writing_to(table):
                    kill_while_building(migration)
                self.assert_goes_on(str(migration))

    def test_after_kill_9_while_foreign_keys_are_added_the_next_migrate_ends(self) -> None:
        migration = keys_of_conversations()
        with self.before(migration):
            # Every index is there, and the keys that refer to no configuration.
            with writing_to("config_versions"):
                kill_when(migration, waits_for_lock)
            self.assertNotEqual(catalog.schema(own_tables()), self.whole)
            self.assert_goes_on(str(migration))

    def test_a_change_of_keys_lets_others_pass_while_its_table_is_held(self) -> None:
        last = keys_of_conversations()
        with self.before(last):
            with psycopg.connect(database_url()) as holder:
                # A read keeps every change of the table waiting, and later reads behind that.
                holder.execute("SELECT FROM sessions LIMIT 1")
                process = start(last)
                eventually(waits_for_lock)
                with psycopg.connect(database_url(), options="-c lock_timeout=10s") as other:
                    other.execute("SELECT FROM sessions LIMIT 1")
                self.assertTrue(process.is_alive())
            process.join(120)
            self.assertEqual(process.exitcode, 0)
            self.assert_goes_on(str(last))

    def test_the_way_back_is_open_as_well(self) -> None:
        last = keys_of_conversations()
        with scratch_database(source=newest()):
            # What a way back that was killed has left.
            for name in ("sessions_pkey_new", "ix_sessions_session_key_new"):
                execute(f"CREATE INDEX {name} ON sessions (id)")
            go_back(last)
            # Once more, as if the first way back had not been recorded.
            record(last, applied=True)
            go_back(last)
            self.assert_goes_on(str(last))


def migrate_to_before(migration: Migration) -> None:
    """Apply what stands before the migration when everything is applied in order."""
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    names = [str(each) for each, _ in plan]
    with quick_migrate():
        executor.migrate([], plan=plan[: names.index(str(migration))])


def go_back(migration: Migration) -> None:
    """Undo the migration, and what depends on it."""
    [(app, name)] = [each for each in migration.dependencies if each[0] == migration.app_label]
    migrate(app, name)


def record(migration: Migration, *, applied: bool) -> None:
    """Record the migration, with those that it replaces, or forget it."""
    recorder = MigrationRecorder(connection)
    write = recorder.record_applied if applied else recorder.record_unapplied
    for app, name in [*migration.replaces, (migration.app_label, migration.name)]:
        write(app, name)


def kill_while_building(migration: Migration) -> None:
    kill_when(migration, is_building)


def kill_when(migration: Migration, happened: Callable[[], object]) -> None:
    process = start(migration)
    eventually(happened)
    process.kill()
    process.join()
    execute(END_BUILDERS)


def migration_table(migration: Migration, operation: AddIndexConcurrently) -> str:
    loader = MigrationLoader(connection)
    state = loader.project_state((migration.app_label, migration.name))
    model = state.models[migration.app_label, operation.model_name.lower()]
    return str(model.options["db_table"])


def is_building() -> bool:
    """Return whether an index, new or left by a kill, waits for others' transactions."""
    return bool(
        catalog.rows(
            "SELECT FROM pg_stat_activity WHERE datname = current_database() "
            "AND wait_event_type = 'Lock' AND query LIKE '%INDEX CONCURRENTLY%'"
        )
    )


def waits_for_lock() -> bool:
    """Return whether somebody in this database, not in that of another test, waits for a table."""
    return bool(
        catalog.rows(
            "SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = database "
            "WHERE NOT granted AND locktype = 'relation' AND datname = current_database()"
        )
    )


@contextmanager
def writing_to(table: str) -> Iterator[None]:
    """Have an open transaction that has written to the table: an index waits for it."""
    with psycopg.connect(database_url()) as writer:
        writer.execute(f"LOCK TABLE {table} IN ROW EXCLUSIVE MODE")
        yield
        writer.rollback()


@contextmanager
def old_snapshot() -> Iterator[None]:
    """Have an open transaction with a snapshot: a concurrent index waits for it, nothing else."""
    with psycopg.connect(database_url()) as reader:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        reader.execute("SELECT 1")
        yield
        reader.rollback()


def start(migration: Migration) -> ForkServerProcess:
    return start_migrate(migration.app_label, migration.name, environment(8000))


class TwiceTests(ScratchCase):
    def test_the_second_migrate_waits_says_so_in_one_line_and_finds_everything_done(self) -> None:
        told, shown = StringIO(), StringIO()

        def second() -> None:
            try:
                told_to = {"stdout": shown, "stderr": told, "no_color": True}
                call_command("migrate", "accounts", "0002", **told_to)
            finally:
                connection.close()

        waiting = threading.Thread(target=second)
        with migration_lock("default", self.fail):
            waiting.start()
            eventually(told.getvalue)
            # Django's own takes no lock: it stands for the first one's work.
            call_command(django_migrate.Command(), "accounts", "0001", verbosity=0)
            self.assertTrue(waiting.is_alive())
        waiting.join()

        self.assertEqual(told.getvalue().count("\n"), 1)
        self.assertIn("Another migrate runs on this database", told.getvalue())
        self.assertIn("Applying accounts.0002", shown.getvalue())
        self.assertNotIn("Applying accounts.0001", shown.getvalue())
