"""`migrate --plan` says what PostgreSQL will do: its rules are compared with PostgreSQL's locks."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any, ClassVar

from django.core.management import call_command
from django.db import connection, migrations, models, transaction
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState
from django.test import SimpleTestCase, TestCase, TransactionTestCase

from salient.database.upgrades import preflight, statements
from salient.database.upgrades.statements import Column, Effect, Known, Lock, Time
from salient.management.base import Misused
from tests.support.database import catalog
from tests.support.database.scratch_database import OWN_APPS, ScratchCase, scratch_database
from tests.support.factories import make_account

TABLES = """
    CREATE TABLE parents (id uuid PRIMARY KEY, name varchar(20), UNIQUE (name));
    CREATE TABLE children (
        id uuid PRIMARY KEY, parent uuid, name varchar(20), cost numeric(12, 6), note text
    );
    CREATE INDEX ix_children ON children (note);
    CREATE UNIQUE INDEX ux_children ON children (id, note);
    CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
    CREATE TRIGGER tr BEFORE INSERT ON children FOR EACH ROW EXECUTE FUNCTION f();
    INSERT INTO parents VALUES (gen_random_uuid(), 'p');
    INSERT INTO children SELECT gen_random_uuid(), id, 'c', 1, 'n' FROM parents;
"""
# Statements of today's and likely migrations; the last ones of each pair are of the way back.
STATEMENTS = (
    'ALTER TABLE "children" ADD COLUMN "a" integer DEFAULT 3 NOT NULL',
    "ALTER TABLE children ADD COLUMN a timestamptz DEFAULT now(), ADD COLUMN b text DEFAULT '('",
    "ALTER TABLE children ADD COLUMN a uuid DEFAULT gen_random_uuid()",
    "ALTER TABLE children ADD COLUMN a text GENERATED ALWAYS AS (note || '!') STORED",
    "ALTER TABLE children ADD COLUMN a uuid NULL CONSTRAINT fk REFERENCES parents (id)",
    "ALTER TABLE children ADD COLUMN a integer CHECK (a > 0)",
    "ALTER TABLE children DROP COLUMN note CASCADE",
    "ALTER TABLE children ALTER COLUMN name TYPE varchar(30)",
    "ALTER TABLE children ALTER COLUMN name TYPE text",
    'ALTER TABLE children ALTER COLUMN "name" TYPE text USING "name"::text',
    "ALTER TABLE children ALTER COLUMN name TYPE varchar(10)",
    "ALTER TABLE children ALTER COLUMN cost TYPE numeric(14, 6)",
    "ALTER TABLE children ALTER COLUMN cost TYPE numeric(14, 8)",
    "ALTER TABLE children ALTER COLUMN cost SET DEFAULT 0",
    "ALTER TABLE children ALTER COLUMN note SET NOT NULL",
    "ALTER TABLE children ALTER COLUMN note SET STATISTICS 500",
    "ALTER TABLE children ADD CONSTRAINT ck CHECK (cost > 0)",
    "ALTER TABLE children ADD CONSTRAINT ck CHECK (cost > 0) NOT VALID",
    "ALTER TABLE children ADD CONSTRAINT uq UNIQUE (name)",
    "ALTER TABLE children ADD CONSTRAINT uq UNIQUE USING INDEX ux_children",
    "ALTER TABLE children DROP CONSTRAINT children_pkey, ADD PRIMARY KEY (id, name)",
    "ALTER TABLE children ADD CONSTRAINT fk FOREIGN KEY (parent) REFERENCES parents (id)",
    "ALTER TABLE children ADD CONSTRAINT fk FOREIGN KEY (parent) REFERENCES parents NOT VALID",
    "ALTER TABLE children SET (fillfactor = 50)",
    "ALTER TABLE children ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE children RENAME TO grandchildren",
    "ALTER TABLE children DISABLE TRIGGER tr",
    "CREATE TABLE t (id uuid PRIMARY KEY, parent uuid REFERENCES parents (id))",
    'CREATE INDEX "ix" ON "children" ("name")',
    "CREATE UNIQUE INDEX ux ON children (name) WHERE name <> ''",
    "DROP INDEX ix_children",
    "DROP INDEX IF EXISTS never_made",
    "CREATE POLICY p ON children USING (true)",
    "CREATE TRIGGER tr2 AFTER INSERT ON children FOR EACH ROW EXECUTE FUNCTION f()",
    "DROP TRIGGER tr ON children",
    "CREATE STATISTICS st ON name, note FROM children",
    "DROP TABLE children",
    "LOCK TABLE children",
    "UPDATE children SET note = 'a;b'",
    "DELETE FROM children",
    "ANALYZE children",
    "GRANT SELECT ON children TO PUBLIC",
    "CREATE OR REPLACE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NULL; END $$",
)
HELD = "SELECT relation, mode FROM pg_locks WHERE pid = pg_backend_pid() AND relation = ANY(%s)"
# They are counted up until the session is idle.
SCANS = "SELECT oid, pg_stat_get_xact_numscans(oid) FROM unnest(%s) AS oid"
FILES = "SELECT oid, relfilenode FROM pg_class WHERE oid = ANY(%s)"
# Reading is no lock that anybody waits for.
WEAKER = {"AccessShareLock", "RowShareLock"}
STRENGTH = list(Lock)
LONGER = [Time.MOMENT, Time.SCAN, Time.REWRITE]


def mode_of(lock: Lock) -> str:
    """The lock's name in pg_locks."""
    return "".join(word.capitalize() for word in lock.split()) + "Lock"


class RulesTests(ScratchCase):
    tables: ClassVar[dict[str, int]]
    known: ClassVar[Known]

    @classmethod
    def prepare(cls) -> None:
        with connection.cursor() as cursor:
            cursor.execute(TABLES)
        named = "SELECT relname, oid FROM pg_class WHERE relname IN ('parents', 'children')"
        cls.tables = dict(catalog.rows(named))
        types = {Column(table, name): kind for table, name, kind in catalog.rows(preflight.TYPES)}
        cls.known = Known(types, dict(catalog.rows(preflight.INDEXES)))

    def said(self, statement: str) -> dict[str, tuple[Lock, Time]]:
        """The strongest lock of each table, and the longest time."""
        strongest: dict[str, tuple[Lock, Time]] = {}
        for table, lock, time in statements.effects(statement, self.known):
            other = strongest.get(table, (lock, time))
            strongest[table] = (
                max(lock, other[0], key=STRENGTH.index),
                max(time, other[1], key=LONGER.index),
            )
        return strongest

    def met(self, statement: str) -> dict[str, tuple[str, Time]]:
        """What PostgreSQL holds and has done at the end of the statement."""
        oids = list(self.tables.values())
        named = {oid: name for name, oid in self.tables.items()}
        with transaction.atomic():
            before, scans = (dict(catalog.rows(query, [oids])) for query in (FILES, SCANS))
            with connection.cursor() as cursor:
                cursor.execute(statement)
            locks = [row for row in catalog.rows(HELD, [oids]) if row[1] not in WEAKER]
            read = {oid for oid, number in catalog.rows(SCANS, [oids]) if number > scans[oid]}
            after = dict(catalog.rows(FILES, [oids]))
            transaction.set_rollback(True)
        strength = {mode_of(lock): number for number, lock in enumerate(STRENGTH)}
        result: dict[str, tuple[str, Time]] = {}
        for oid, mode in sorted(locks, key=lambda row: strength[row[1]]):
            is_new = oid in after and after[oid] != before[oid]
            time = Time.REWRITE if is_new else Time.SCAN if oid in read else Time.MOMENT
            result[named[oid]] = mode, time
        return result

    def test_each_statement_locks_what_is_said(self) -> None:
        for statement in STATEMENTS:
            with self.subTest(statement):
                said = {k: (mode_of(lock), t) for k, (lock, t) in self.said(statement).items()}
                self.assertEqual(said, self.met(statement))


class TextTests(SimpleTestCase):
    def test_a_text_is_split_outside_of_strings_bodies_and_comments(self) -> None:
        text = """
            -- One; two.
            CREATE FUNCTION f() AS $body$ BEGIN; SELECT ';'; END; $body$;
            UPDATE a SET b = 'it''s; so' /* ; */ WHERE ";" = 1
        """
        self.assertEqual(
            list(statements.split(text)),
            [
                "CREATE FUNCTION f() AS $body$ BEGIN; SELECT ';'; END; $body$",
                "UPDATE a SET b = 'it''s; so' WHERE \";\" = 1",
            ],
        )

    def test_building_beside_the_platform_is_told_from_building_alone(self) -> None:
        known = Known({}, {"old": "t"})
        found = [
            *statements.effects('CREATE UNIQUE INDEX CONCURRENTLY "ix" ON "t" ("a")', known),
            *statements.effects("DROP INDEX CONCURRENTLY IF EXISTS old", known),
        ]
        self.assertEqual(
            found,
            [Effect("t", Lock.MAINTENANCE, Time.SCAN), Effect("t", Lock.MAINTENANCE, Time.MOMENT)],
        )

    def test_what_is_not_known_is_said_to_be_so(self) -> None:
        [found] = statements.effects("DO $$ BEGIN END $$", Known({}, {}))
        self.assertEqual(found.lock, Lock.UNKNOWN)

    def test_what_is_lost_is_said(self) -> None:
        for statement in ("ALTER TABLE a DROP COLUMN b CASCADE", "DROP TABLE a", "DELETE FROM a"):
            self.assertTrue(statements.loses_data(statement))
        self.assertFalse(statements.loses_data("CREATE FUNCTION f() AS $$ DELETE FROM a $$"))


class OwnMigrationsTests(TestCase):
    def test_every_statement_of_the_frozen_files_is_known(self) -> None:
        unknown = [
            (f"{app}.{name}", part)
            for (app, name), migration in MigrationLoader(None).disk_migrations.items()
            if app in OWN_APPS
            for operation in migration.operations
            if isinstance(operation, migrations.RunSQL)
            for text in (operation.sql, operation.reverse_sql)
            for part in statements.split(str(text))
            for effect in statements.effects(part, Known({}, {}))
            if Lock.UNKNOWN in effect or Time.UNKNOWN in effect
        ]
        self.assertEqual(unknown, [])


def fill_notes(_apps: Any, _schema_editor: Any) -> None:
    """Would change rows."""


class OneWay(migrations.RunSQL):
    reversible = False


class PlanTests(TransactionTestCase):
    def setUp(self) -> None:
        self.enterContext(scratch_database(copied=True))
        make_account("acme")
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE accounts")

    def plan(self, *target: str, **options: Any) -> Any:
        shown = StringIO()
        call_command("migrate", *target, plan=True, stdout=shown, **options)
        return shown.getvalue()

    def test_nothing_is_pending(self) -> None:
        self.assertIn("No migration is pending in test_scratch_", self.plan())

    def test_the_way_back_is_told_and_nothing_is_changed(self) -> None:
        before = catalog.rows("SELECT app, name FROM django_migrations ORDER BY id")
        found = json.loads(self.plan("sessions_app", "0011", json=True))

        steps = {each["name"]: each for each in found["migrations"]}
        index = steps["sessions_app.0012_open_feedback"]
        self.assertEqual((index["backwards"], index["transaction"]), (True, False))
        [built] = index["operations"]
        [lock] = built["locks"]
        self.assertEqual(
            (lock["table"], lock["lock"], lock["time"]),
            ("message_feedback", "SHARE UPDATE EXCLUSIVE", "moment"),
        )
        erasures = steps["sessions_app.0013_erasures"]["operations"]
        self.assertEqual(
            [each["does"] for each in erasures if each["loses_data"]], ["Create model Erasure"]
        )
        self.assertEqual(
            catalog.rows("SELECT app, name FROM django_migrations ORDER BY id"), before
        )
        # As Django's own, for scripts.
        self.plan(check_unapplied=True)
        with self.assertRaises(SystemExit) as left:
            self.plan("sessions_app", "0013", check_unapplied=True)
        self.assertEqual(left.exception.code, 1)

    def test_an_unknown_target_is_one_line(self) -> None:
        for target in (("nothing",), ("accounts", "0099"), ("accounts", "00")):
            with self.assertRaises(Misused):
                self.plan(*target)
        with self.assertRaisesMessage(Misused, "--json goes with --plan"):
            call_command("migrate", json=True)

    def preview(self, *operations: Any) -> list[dict[str, Any]]:
        migration = type("Migration", (migrations.Migration,), {"operations": operations})
        state: ProjectState = MigrationLoader(connection).project_state()
        with preflight._read_only(connection):
            found = preflight._Preview(connection).of_migration(
                migration("0099_next", "accounts"), state, backwards=False
            )
        return list(found["operations"])

    def test_rows_size_and_what_cannot_be_undone_are_told_of_each_operation(self) -> None:
        field = models.TextField(default="")
        found = self.preview(
            migrations.AddField("account", "note", field),
            OneWay("UPDATE accounts SET note = slug"),
            migrations.RunPython(fill_notes, migrations.RunPython.noop),
        )

        [(rows, size)] = catalog.rows(
            "SELECT count(*), pg_total_relation_size('accounts') FROM accounts"
        )
        table = {"table": "accounts", "rows": rows, "bytes": size}
        self.assertEqual(
            [each["locks"] for each in found],
            [
                [table | {"lock": "ACCESS EXCLUSIVE", "time": "moment"}],
                [table | {"lock": "ROW EXCLUSIVE", "time": "scan"}],
                [],
            ],
        )
        self.assertEqual([each["reversible"] for each in found], [True, False, True])
        self.assertIn("known only when it runs: fill_notes", found[2]["note"])
        report = {
            "database": "d",
            "migrations": [
                {
                    "name": "accounts.0099_next",
                    "backwards": False,
                    "transaction": True,
                    "operations": found,
                }
            ],
        }
        self.assertEqual(
            list(preflight.lines(report)),
            [
                "1 migration would run in d; nothing was changed.",
                "accounts.0099_next",
                "  Add field note to account",
                f"    accounts, about {rows} rows, {size / 2**20:.1f} MB: reads and writes wait "
                "for a moment (ACCESS EXCLUSIVE)",
                "  Raw SQL operation: cannot be undone",
                f"    accounts, about {rows} rows, {size / 2**20:.1f} MB: reads and writes go on "
                "while all of it is read (ROW EXCLUSIVE)",
                "  Raw Python operation: Python code, whose statements are known only when it "
                "runs: fill_notes",
                "Cannot be undone: accounts.0099_next.",
            ],
        )

    def test_what_writes_past_its_editor_is_refused_by_the_database(self) -> None:
        class Writes(migrations.RunSQL):
            def database_forwards(self, app_label: str, schema_editor: Any, *_: Any) -> None:
                with schema_editor.connection.cursor() as cursor:
                    cursor.execute("UPDATE accounts SET name = 'other'")

        [found] = self.preview(Writes(""))

        self.assertIn("read-only transaction", found["note"])
        self.assertEqual(catalog.rows("SELECT count(*) FROM accounts WHERE name = 'other'"), [(0,)])
