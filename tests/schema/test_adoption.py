"""A database that Alembic made is adopted whatever its keys are called, or refused unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any

from django.core.management import CommandError, call_command
from django.db import ProgrammingError, connection, transaction
from django.test.utils import CaptureQueriesContext

from sessions_app.operations.adoption.survey import adopt, problems
from tests.support.database import catalog
from tests.support.database.scratch_database import (
    BASELINE,
    ScratchCase,
    migrate,
    own_tables,
    run_sql,
    scratch_database,
)

# ruff: noqa: S608 - the ids are our own
SESSION = "00000000-0000-4000-8000-000000000001"
MESSAGE = "00000000-0000-4000-8000-0000000000a1"
REQUEST = "00000000-0000-4000-8000-0000000000b1"
OTHER = SESSION.replace("0001", "0002")
ROWS = f"""
    INSERT INTO sessions VALUES ('{SESSION}', 'key-1', NULL, true, '2025-01-01', '2025-01-02');
    INSERT INTO messages VALUES ('{MESSAGE}', '{SESSION}', 'human', 'Hi', NULL, '2025-01-01');
    INSERT INTO llm_requests VALUES ('{REQUEST}', '{SESSION}', 'openai', 'gpt-5', NULL, NULL, 10,
        5, 15, 0.000001, 0.000002, 0.000003, 120, '2025-01-01');
    INSERT INTO profiles (id, session_id, updated_at)
        VALUES ('{SESSION}', '{SESSION}', '2025-01-01');
"""
BEYOND = "1 row with a moment that is infinite, before the year 1 or after 9999:"
NAIVE = "TYPE timestamp USING {} AT TIME ZONE 'UTC'"
REFUSED: dict[str, tuple[str, tuple[str, ...]]] = {
    "infinite and impossible moments": (
        "UPDATE sessions SET created_at = '-infinity', last_activity_at = 'infinity';"
        "UPDATE messages SET created_at = '0044-03-15 BC';"
        "UPDATE llm_requests SET created_at = '12000-01-01'",
        (
            f"sessions.created_at: {BEYOND} {SESSION}",
            f"sessions.last_activity_at: {BEYOND} {SESSION}",
            f"messages.created_at: {BEYOND} {MESSAGE}",
            f"llm_requests.created_at: {BEYOND} {REQUEST}",
        ),
    ),
    "NaN and negative numbers": (
        "UPDATE llm_requests SET prompt_tokens = -10, unit_cost_prompt = 'NaN', computed_cost = -1",
        (
            f"llm_requests.prompt_tokens: 1 row with a negative number: {REQUEST}",
            "llm_requests.unit_cost_prompt: 1 row with NaN, an infinite amount or one beyond "
            f"numeric(12, 8): {REQUEST}",
            f"llm_requests.computed_cost: 1 row with a negative number: {REQUEST}",
        ),
    ),
    "costs of another type": (
        "ALTER TABLE llm_requests ALTER computed_cost TYPE numeric;"
        "ALTER TABLE llm_requests ALTER unit_cost_prompt TYPE real;"
        "UPDATE llm_requests SET computed_cost = 'Infinity', unit_cost_prompt = 'NaN'",
        (
            "llm_requests.unit_cost_prompt is of the type real, not numeric",
            "llm_requests.unit_cost_prompt: 1 row with NaN, an infinite amount or one beyond "
            f"numeric(12, 8): {REQUEST}",
            "llm_requests.computed_cost: 1 row with NaN, an infinite amount or one beyond "
            f"numeric(12, 8): {REQUEST}",
        ),
    ),
    "costs that would be rounded or cut": (
        "ALTER TABLE llm_requests ALTER computed_cost TYPE numeric;"
        "ALTER TABLE llm_requests ALTER unit_cost_prompt TYPE numeric;"
        "UPDATE llm_requests SET computed_cost = 10000, unit_cost_prompt = 0.123456789",
        (
            f"llm_requests.unit_cost_prompt: 1 row with more than eight decimals: {REQUEST}",
            "llm_requests.computed_cost: 1 row with NaN, an infinite amount or one beyond "
            f"numeric(12, 8): {REQUEST}",
        ),
    ),
    "naive moments": (
        f"ALTER TABLE messages ALTER created_at {NAIVE.format('created_at')}",
        (
            "messages.created_at is of the type timestamp without time zone, not timestamptz: "
            "ALTER COLUMN … TYPE timestamptz USING … AT TIME ZONE 'UTC', if it means UTC",
        ),
    ),
    "unknown roles": (
        f"INSERT INTO messages SELECT gen_random_uuid(), '{SESSION}', 'user', 'x', NULL, now() "
        "FROM generate_series(1, 12); UPDATE messages SET role = 'Human' WHERE content = 'Hi'",
        (
            "messages.role: 13 rows with a role besides human, assistant, system, tool, developer "
            "('Human', 'user'): ",
        ),
    ),
    "an enumeration": (
        "CREATE TYPE message_role AS ENUM ('human', 'AI');"
        "ALTER TABLE messages ALTER role TYPE message_role USING role::message_role;"
        "UPDATE messages SET role = 'AI'",
        (
            "messages.role is of the type message_role, not varchar(20)",
            "messages.role: 1 row with a role besides human, assistant, system, tool, developer "
            f"('AI'): {MESSAGE}",
        ),
    ),
    "rows that point to nothing": (
        f"ALTER TABLE messages DROP CONSTRAINT messages_session_id_fkey;"
        f"UPDATE messages SET session_id = '{OTHER}'",
        (f"messages.session_id: 1 row with a session that is not there: {MESSAGE}",),
    ),
    "rows that are there twice": (
        "DROP INDEX ix_sessions_session_key; DROP INDEX ix_profiles_session_id;"
        f"INSERT INTO sessions SELECT '{OTHER}', 'key-1', NULL, true, now(), now(), NULL;"
        f"INSERT INTO profiles (id, session_id, updated_at) VALUES ('{OTHER}', '{SESSION}', now())",
        (
            f"sessions.session_key: 2 rows with a value that others have too: {SESSION}, {OTHER}",
            f"profiles.session_id: 2 rows with a value that others have too: {SESSION}, {OTHER}",
        ),
    ),
    "rows without what they need": (
        "ALTER TABLE messages ALTER session_id DROP NOT NULL;UPDATE messages SET session_id = NULL",
        (f"messages.session_id: 1 row without a value: {MESSAGE}",),
    ),
    "another revision": (
        "UPDATE alembic_version SET version_num = 'a7b8c9d0e1f2'; CREATE TABLE accounts (id uuid);"
        "ALTER TABLE sessions ADD account_id uuid",
        (
            "alembic_version is a7b8c9d0e1f2: only databases at 4360c1de944b are adopted",
            "tables of these names are there already: accounts",
            "sessions.account_id is there already: a migration makes a column of this name",
        ),
    ),
    "columns that are missing, too short or in the way": (
        "ALTER TABLE profiles DROP phone; ALTER TABLE sessions ALTER session_key TYPE varchar(40),"
        "ALTER meta TYPE json, ADD tenant text DEFAULT 'x', ADD region text;"
        "UPDATE sessions SET region = ''; ALTER TABLE sessions ALTER region SET NOT NULL",
        (
            "sessions.session_key is of the type character varying(40), not varchar(255)",
            "sessions.meta is of the type json, not jsonb",
            "sessions.region is unknown, NOT NULL and without DEFAULT: no row can be added",
            "profiles.phone is missing",
        ),
    ),
    "a view of the costs": (
        "CREATE VIEW spend AS SELECT sum(computed_cost) FROM llm_requests",
        (
            "llm_requests.computed_cost is used by view spend: "
            "drop it before, and make it anew after",
        ),
    ),
    "a name that a migration gives": (
        "ALTER TABLE messages ADD CONSTRAINT ck_messages_role CHECK (role <> '')",
        ("the name ck_messages_role is taken: rename that constraint or index",),
    ),
}
CARRIED = {
    "a naming convention": """
        ALTER TABLE sessions RENAME CONSTRAINT sessions_pkey TO pk_sessions;
        ALTER TABLE messages RENAME CONSTRAINT messages_session_id_fkey TO fk_messages_session_id;
        ALTER TABLE llm_requests RENAME CONSTRAINT llm_requests_session_id_fkey
            TO fk_llm_requests_session_id_sessions;
        ALTER INDEX ix_messages_session_id RENAME TO "ix_Messages.session id";
        ALTER INDEX ix_sessions_email RENAME TO ix_sessions_user
    """,
    "unique constraints in the place of indexes": """
        DROP INDEX ix_sessions_session_key, ix_profiles_session_id;
        ALTER TABLE sessions ADD UNIQUE (session_key);
        ALTER TABLE profiles ADD CONSTRAINT ix_profiles_session_id UNIQUE (session_id)
    """,
    "nothing but the tables": """
        ALTER TABLE messages DROP CONSTRAINT messages_session_id_fkey,
            DROP CONSTRAINT messages_pkey;
        DROP INDEX ix_messages_session_id, ix_sessions_email, ix_sessions_session_key
    """,
    "keys that are there twice, and one that deletes": """
        ALTER TABLE messages ADD CONSTRAINT again FOREIGN KEY (session_id) REFERENCES sessions (id);
        ALTER TABLE profiles DROP CONSTRAINT profiles_session_id_fkey, ADD CONSTRAINT other
            FOREIGN KEY (session_id) REFERENCES sessions (id) ON DELETE CASCADE NOT VALID
    """,
}


def run(statements: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statements)


def state() -> Any:
    """Everything that a migration could change: schema, rows, and which tables there are."""
    contents = [catalog.rows(f"SELECT t::text FROM {table} AS t ORDER BY 1") for table in BASELINE]
    return catalog.schema(BASELINE), contents, sorted(connection.introspection.table_names())


class AdoptionCase(ScratchCase):
    @classmethod
    def prepare(cls) -> None:
        run_sql("baseline.sql")
        run(ROWS)

    @contextmanager
    def changed(self, statements: str) -> Iterator[None]:
        """The database after these statements, which are undone."""
        with transaction.atomic():
            run(statements)
            yield
            transaction.set_rollback(True)


class RefusalTests(AdoptionCase):
    def test_each_fault_is_named_with_its_rows_before_anything_is_changed(self) -> None:
        for what, (change, wanted) in REFUSED.items():
            with self.subTest(what), self.changed(change):
                before = state()
                with self.assertRaises(CommandError) as raised:
                    adopt("default")

                self.assertEqual(state(), before)
                lines = str(raised.exception).splitlines()[1:]
                self.assertEqual(len(lines), len(wanted), lines)
                for line, start in zip(lines, wanted, strict=True):
                    self.assertTrue(line.startswith(f"- {start}"), line)

    def test_ten_rows_are_named_and_the_rest_is_counted(self) -> None:
        with self.changed(REFUSED["unknown roles"][0]):
            [line] = problems("default")

        self.assertTrue(line.endswith(" and 3 more"))
        self.assertEqual(line.count("-"), 10 * 4)


class MigrateTests(AdoptionCase):
    """The commands themselves, one after the other on one database."""

    def test_migrate_refuses_before_and_adopts_after_the_rows_are_mended(self) -> None:
        run("UPDATE messages SET role = 'user', created_at = 'infinity'")
        run(CARRIED["a naming convention"])
        before = state()
        self.assertEqual(len(problems("default")), 2)
        with self.assertRaises(CommandError) as checked:
            call_command("check", databases=["default"], stderr=StringIO())
        with self.assertRaises(CommandError) as migrated:
            migrate(fake_initial=True)
        for line in problems("default"):
            self.assertIn(line, str(checked.exception))
            self.assertIn(line, str(migrated.exception))
        self.assertEqual(state(), before)

        run("UPDATE messages SET role = 'human', created_at = '2025-01-01'")
        migrate(fake_initial=True)

        self.assertEqual(catalog.rows("SELECT count(account_id) FROM messages"), [(1,)])
        self.assertEqual(problems("default"), [])
        adopted = catalog.schema(own_tables())
        with scratch_database():
            with CaptureQueriesContext(connection) as looked:
                self.assertEqual(problems("default"), [])
            self.assertLessEqual(len(looked), 5)
            migrate()
            self.assertEqual(catalog.schema(own_tables()), adopted)


class FailingTests(AdoptionCase):
    def test_an_adoption_that_fails_leaves_the_tables_and_rows_as_they_were(self) -> None:
        run("""
            CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN RAISE EXCEPTION 'no'; END $$;
            CREATE TRIGGER fail BEFORE UPDATE ON profiles FOR EACH ROW EXECUTE FUNCTION fail()
        """)
        before = state()[:2]
        with self.assertRaisesMessage(ProgrammingError, "no"):
            migrate(fake_initial=True)
        self.assertEqual(state()[:2], before)

        run("DROP TRIGGER fail ON profiles")
        migrate()
        self.assertEqual(catalog.rows("SELECT count(account_id) FROM profiles"), [(1,)])


class NameTests(AdoptionCase):
    def test_keys_and_indexes_get_the_names_that_the_migrations_know(self) -> None:
        baseline = catalog.schema(BASELINE)
        for what, change in CARRIED.items():
            with self.subTest(what), self.changed(change):
                adopt("default")
                # A key stays as it is, whatever it does besides: a migration replaces it.
                found = [
                    (table, line.removesuffix(" ON DELETE CASCADE NOT VALID"))
                    for table, line in catalog.schema(BASELINE)
                ]
                self.assertEqual(found, baseline)

    def test_wider_columns_are_adopted(self) -> None:
        wider = """
            ALTER TABLE sessions ALTER session_key TYPE text, ADD note text;
            ALTER TABLE profiles ALTER products_of_interest TYPE text[];
            ALTER TABLE llm_requests ALTER computed_cost TYPE numeric(14, 8)
        """
        with self.changed(wider):
            self.assertEqual(problems("default"), [])
