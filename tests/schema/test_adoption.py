"""A database that Alembic made is carried over while it is used, and back, or refused unchanged."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any, ClassVar
from unittest.mock import Mock, patch

import psycopg
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import SimpleTestCase

from accounts.tenancy.accounts import list_accounts
from benchmarks.adoption import Traffic, fill
from sessions_app.operations.adoption import adopting, carrying, following, switching
from sessions_app.operations.adoption.check import check, faults
from sessions_app.operations.adoption.choices import Choices, read
from sessions_app.operations.adoption.rows import Catalog
from sessions_app.operations.adoption.shapes import RENAMED, TENANCY_REVISIONS
from sessions_app.operations.adoption.state import BEFORE, NEXT, State, Step, alone, found_state
from sessions_app.usage import rollup
from tests.support.commands import refusal, run_json
from tests.support.database import catalog
from tests.support.database.quick_migrate import quick_migrate
from tests.support.database.scratch_database import (
    BASELINE,
    ScratchCase,
    migrate,
    newest,
    own_tables,
    run_sql,
    scratch_database,
)
from tests.support.servers.served import database_url

# ruff: noqa: S608 - the ids and tables are our own
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
    "texts that jsonb cannot hold": (
        "ALTER TABLE messages ALTER meta TYPE json;"
        """UPDATE messages SET meta = '{"a": "\\\\u0000 \\ud83d\\ude00"}';"""
        f"INSERT INTO messages SELECT '{SESSION}', '{SESSION}', 'human', 'x', "
        """'{"a": "\\\\\\u0000"}', now();"""
        f"INSERT INTO messages SELECT '{OTHER}', '{SESSION}', 'human', 'x', "
        """'{"a": "\\ud83d"}', now()""",
        (
            "messages.meta: 2 rows with \\u0000 or half of a surrogate pair, which jsonb cannot "
            f"hold: {SESSION}, {OTHER}",
        ),
    ),
    "rows that nobody sees": (
        "ALTER TABLE messages ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;"
        "CREATE ROLE adopts LOGIN; GRANT adopts TO current_user;"
        "ALTER TABLE messages OWNER TO adopts; GRANT SELECT ON ALL TABLES IN SCHEMA public "
        "TO adopts; SET LOCAL ROLE adopts",
        (
            "this login may not create schemas and tables here",
            "this login may not take on salient_platform and salient_tenant: have an administrator",
            "sessions belongs to ",
            "row-level security hides rows of messages from this login: switch it off before",
            "llm_requests belongs to ",
            "profiles belongs to ",
        ),
    ),
    "tables behind another schema": (
        "CREATE SCHEMA before_them; SET LOCAL search_path = before_them, public",
        tuple(
            f"{table} is in the schema public, which must be the first of the search_path"
            for table in BASELINE
        ),
    ),
    "naive moments": (
        f"ALTER TABLE messages ALTER created_at {NAIVE.format('created_at')}",
        (
            "messages.created_at is of the type timestamp without time zone, not timestamptz; "
            "--zone says in which time zone its values are",
        ),
    ),
    "unknown roles": (
        f"INSERT INTO messages SELECT gen_random_uuid(), '{SESSION}', 'user', 'x', NULL, now() "
        "FROM generate_series(1, 12)",
        (
            "messages.role: 12 rows with a role besides human, assistant, system, tool, developer "
            "('user'): ",
        ),
    ),
    "an enumeration": (
        "CREATE TYPE message_role AS ENUM ('human', 'AI');"
        "ALTER TABLE messages ALTER role TYPE message_role USING role::message_role;"
        "UPDATE messages SET role = 'AI'",
        (
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
        "CREATE INDEX ON profiles (session_id);"
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
    "another revision, and a table in the way": (
        "UPDATE alembic_version SET version_num = 'abc'; CREATE TABLE accounts (id uuid)",
        (
            "alembic_version is abc: the tables look like those of 4360c1de944b, and only these "
            "are adopted",
            "tables of these names are there already: accounts",
        ),
    ),
    "columns that are missing, and texts that are too long": (
        "ALTER TABLE profiles DROP phone; ALTER TABLE sessions ALTER email TYPE text;"
        "UPDATE sessions SET email = repeat('x', 256)",
        (
            "profiles.phone is missing",
            f"sessions.email: 1 row with more than 255 characters: {SESSION}",
        ),
    ),
    "an index that is missing": (
        "DROP INDEX ix_messages_session_id",
        ("messages has no index on session_id: CREATE INDEX CONCURRENTLY ON messages ",),
    ),
    "a view": (
        "CREATE VIEW spend AS SELECT sum(computed_cost) FROM llm_requests",
        ("llm_requests is used by view spend: drop it before, and make it anew after",),
    ),
    "a table that refers to sessions": (
        "CREATE TABLE notes (id uuid REFERENCES sessions (id))",
        ("notes refers to sessions (notes_id_fkey): drop this foreign key before",),
    ),
}
NEWEST = (*BASELINE, "accounts", "agent_instances", "directory_lists", "directory_entries")
NEWEST_REFUSED: dict[str, tuple[str, tuple[str, ...]]] = {
    "slugs": (
        "UPDATE accounts SET slug = 'chat' WHERE slug = 'acme';"
        "UPDATE agent_instances SET instance_slug = 'Simple_chat1' WHERE display_name LIKE '% 2'",
        (
            "accounts.slug: 1 row with a slug that is none or reserved (--map "
            "accounts.slug:OLD=NEW): 00000000-0000-4000-8000-00000000ac01",
            "agent_instances.instance_slug: 1 row with a slug that is none or reserved (--map "
            "agent_instances.instance_slug:OLD=NEW): 00000000-0000-4000-8000-00000000a903",
            "agent_instances.instance_slug: 2 rows with a slug that others have too, capitals "
            "aside (--map agent_instances.instance_slug:OLD=NEW): ",
        ),
    ),
    "words": (
        "UPDATE accounts SET status = 'frozen', subscription_tier = 'gold' WHERE slug = 'acme';"
        "UPDATE llm_requests SET completion_status = 'odd' WHERE completion_status = 'partial'",
        (
            "accounts.status: 1 row with a status besides active, suspended, deleted ('frozen'): ",
            "accounts.subscription_tier: 1 row with a subscription_tier besides free, standard, "
            "premium, enterprise ('gold'): ",
            "llm_requests.completion_status: 60 rows with a completion_status besides complete, "
            "partial, error, cancelled ('odd'): ",
        ),
    ),
    "a request of another session": (
        "UPDATE messages SET llm_request_id = (SELECT max(id::text)::uuid FROM llm_requests) "
        "WHERE id = (SELECT min(id::text)::uuid FROM messages "
        "WHERE session_id = '00000000-0000-4000-8000-100000000001')",
        ("messages.llm_request_id: rows whose request is of another session: ",),
    ),
}
OWNER = "default_account/simple_chat1"
CHOICES = read(OWNER, [], "")
FUNCTIONS = """
    SELECT oid::regprocedure::text, pg_get_functiondef(oid) FROM pg_proc
    WHERE pronamespace = current_schema()::regnamespace AND proname LIKE 'app%' ORDER BY 1
"""
# A turn, and the statement of a batch before which it is written: that of messages.
TURN_BEFORE = 2
TURN = f"""
    INSERT INTO llm_requests (id, session_id, provider, model, created_at, completion_status)
        VALUES ('{REQUEST}', '{{session}}', 'openrouter', 'x-ai/grok-4', now(), 'completed')
        ON CONFLICT DO NOTHING;
    INSERT INTO messages (id, session_id, role, content, created_at, llm_request_id,
            agent_instance_id)
        VALUES ('{REQUEST}', '{{session}}', 'assistant', 'late', now(), '{REQUEST}',
            '00000000-0000-4000-8000-00000000a901')
        ON CONFLICT DO NOTHING
"""
SCHEMAS = f"SELECT nspname FROM pg_namespace WHERE nspname IN ('{BEFORE}', '{NEXT}')"


def execute(statements: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statements)


def state(tables: tuple[str, ...]) -> Any:
    """Everything that an adoption could change: schema, rows, and which tables there are."""
    contents = [catalog.rows(f"SELECT t::text FROM {table} AS t ORDER BY 1") for table in tables]
    return catalog.schema(tables), contents, sorted(connection.introspection.table_names())


def silent(_line: str) -> None:
    """Print nothing."""


class RefusalCase(ScratchCase):
    @contextmanager
    def changed(self, statements: str) -> Iterator[None]:
        """The database after these statements, which are undone."""
        with transaction.atomic():
            execute(statements)
            yield
            transaction.set_rollback(True)

    def refused(self, cases: dict[str, tuple[str, tuple[str, ...]]], choices: Choices) -> None:
        for what, (change, wanted) in cases.items():
            with self.subTest(what), self.changed(change):
                lines = faults(choices)
                self.assertEqual(len(lines), len(wanted), lines)
                for line, start in zip(lines, wanted, strict=True):
                    self.assertTrue(line.startswith(start), line)


class RefusalTests(RefusalCase):
    @classmethod
    def prepare(cls) -> None:
        run_sql("baseline.sql")
        execute(ROWS)

    def test_each_fault_is_named_with_its_rows_before_anything_is_changed(self) -> None:
        self.refused(REFUSED, Choices())

    def test_ten_rows_are_named_and_the_rest_is_counted(self) -> None:
        with self.changed(REFUSED["unknown roles"][0]):
            [line] = faults()
        self.assertTrue(line.endswith(" and 2 more"))
        self.assertEqual(line.count("-"), 10 * 4)

    def test_options_carry_what_would_be_refused(self) -> None:
        mended = {
            "unknown roles": read("", ["messages.role:user=human"], ""),
            "an enumeration": read("", ["messages.role:AI=assistant"], ""),
            "naive moments": read("", [], "Europe/Berlin"),
        }
        for what, choices in mended.items():
            with self.subTest(what), self.changed(REFUSED[what][0]):
                self.assertEqual(faults(choices), [])

    def test_the_command_refuses_and_changes_nothing(self) -> None:
        before = state(BASELINE)
        execute("UPDATE messages SET role = 'user'")
        try:
            with self.assertRaises(SystemExit) as left:
                call_command("adopt", "--check", stdout=StringIO())
            self.assertEqual(left.exception.code, 1)
            for command in (["adopt"], ["check", "--database", "default"]):
                with self.assertRaises(CommandError) as refused:
                    call_command(*command, verbosity=0, stderr=StringIO())
                self.assertIn(faults()[0], str(refused.exception))
        finally:
            execute("UPDATE messages SET role = 'human'")
        with self.assertRaisesMessage(CommandError, "carry it over with “manage.py adopt”"):
            migrate()
        with self.assertRaisesMessage(CommandError, "carry it over with “manage.py adopt”"):
            call_command("migrate", plan=True, stdout=StringIO())
        self.assertEqual(state(BASELINE), before)

    def test_a_database_without_sessions_is_carried_to_its_end(self) -> None:
        empty = State(Mock(), Step.COPYING, {"rows": {"sessions": 0}})
        with (
            patch.multiple(following, carry_tenants=Mock(), owner_id=Mock()),
            patch.object(following, "_next_sessions", return_value=[]),
        ):
            following.copy_all(empty, Mock(), silent)
        self.assertEqual((empty.step, empty.facts["done"]), (Step.FOLLOWING, 0))

    def test_steps_that_have_no_turn_yet(self) -> None:
        for step in ("--switch", "--undo", "--finish"):
            code, _ = refusal("adopt", step)
            self.assertEqual(code, 1)
        for wrong in (["--others"], ["--owner", "x"], ["--map", "x.y:a=b"], ["--zone", "Nowhere"]):
            code, _ = refusal("adopt", *wrong)
            self.assertEqual(code, 2)


class NameTests(SimpleTestCase):
    def test_a_schema_is_named_in_functions_as_sql_wants_it(self) -> None:
        definition = f"""
            CREATE FUNCTION "Old App".app_x() RETURNS int SET search_path TO '{NEXT}', 'pg_temp'
            AS $$ SELECT count(*) FROM {NEXT}.accounts, "{NEXT}".sessions $$
        """
        self.assertEqual(
            switching._renamed_in(definition, NEXT, "Old App"),
            """
            CREATE FUNCTION "Old App".app_x() RETURNS int SET search_path TO 'Old App', 'pg_temp'
            AS $$ SELECT count(*) FROM "Old App".accounts, "Old App".sessions $$
        """,
        )


class NewestTests(RefusalCase):
    """The whole way of a database at the newest revision, and back."""

    fresh: ClassVar[tuple[Any, Any]]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        # What `migrate` makes of an empty database.
        with scratch_database(source=newest()):
            cls.fresh = catalog.schema(own_tables()), catalog.rows(FUNCTIONS)

    @classmethod
    def prepare(cls) -> None:
        run_sql("newest.sql")
        run_sql("newest_rows.sql")

    maxDiff = 4000

    @quick_migrate()
    def test_there_and_back(self) -> None:
        self.refused(NEWEST_REFUSED, CHOICES)
        self.it_says_what_it_does_with_what_is_odd()
        before = state(NEWEST)[:2]
        with patch.object(following, "SESSIONS_AT_ONCE", 25):
            self.it_goes_on_after_a_kill_and_follows_what_is_written()
        odd = state(NEWEST)[:2]
        self.it_switches_only_when_nobody_is_there()
        self.all_is_in_its_place()
        self.it_goes_back_only_by_force_once_conversations_have_gone_on()
        self.assertEqual(state(NEWEST)[:2], odd)
        self.assertEqual(odd[0], before[0])
        self.assertEqual(catalog.rows(SCHEMAS), [])
        self.assertEqual(
            {*own_tables()} & {*connection.introspection.table_names()},
            {*BASELINE, "accounts", "agent_instances"},
        )

    def it_says_what_it_does_with_what_is_odd(self) -> None:
        report = check(Choices())
        assert report
        self.assertEqual(
            report.faults,
            [
                "sessions: 4 without an agent, which neither slugs nor messages name: say with "
                "--owner ACCOUNT/AGENT who gets them"
            ],
        )
        self.assertEqual(report.rows["messages"], 440)
        for start in (
            "accounts has one index under several names: ix_accounts_slug, uq_accounts_slug",
            "messages.role: 220 times 'Human' becomes 'human'",
            "llm_requests.completion_status: 60 times 'completed' becomes 'complete'",
            "sessions: 5 without an agent go to default_account/simple_chat2",
            "sessions: 1 without an agent go to acme/acme_chat1",
            "sessions.account_slug: 10 differ from the slug of their account_id, which counts: ",
            "40 llm_requests without an account or an agent; they get their session's",
            "directory_lists and directory_entries stay as they are",
        ):
            found = [note for note in report.notes if note.startswith(start)]
            self.assertEqual(len(found), 1, (start, report.notes))

    def it_goes_on_after_a_kill_and_follows_what_is_written(self) -> None:
        report = adopting.carry(CHOICES, silent, batches=1)
        self.assertEqual((report["step"], report["done"]), ("copying", 25))
        # Late writes: in sessions that are carried already, that are not yet, that are new.
        first, last = (f"00000000-0000-4000-8000-1000000000{n}" for n in ("01", "59"))
        execute(f"""
            INSERT INTO sessions (id, session_key, is_anonymous, created_at, last_activity_at)
                VALUES ('{SESSION}', 'late', true, now(), now());
            INSERT INTO messages (id, session_id, role, content, created_at, agent_instance_id)
                SELECT gen_random_uuid(), id, 'human', 'late', now(),
                    '00000000-0000-4000-8000-00000000a901'
                FROM sessions WHERE id IN ('{SESSION}', '{first}', '{last}');
            UPDATE llm_requests SET total_cost = 1 WHERE session_id = '{first}';
            DELETE FROM profiles WHERE session_id = '00000000-0000-4000-8000-100000000003';
            UPDATE accounts SET name = 'Acme GmbH', slug = 'acme2' WHERE slug = 'acme';
        """)
        with self.assertRaisesMessage(CommandError, "An adoption is under way here"):
            migrate()
        with self.assertRaises(CommandError):
            adopting.carry(read("acme/acme_chat1", [], ""), silent)
        report = adopting.carry(Choices(), silent)
        self.assertEqual((report["step"], report["done"]), ("following", 60))
        # And again, after it has caught up.
        execute(f"UPDATE sessions SET meta = '{{}}' WHERE id = '{first}'")
        with self.a_turn_between_two_statements(first):
            adopting.carry(Choices(), silent)
        self.one_change_of_a_long_session_counts_by_its_rows(first)
        self.changes_behind_many_of_one_session_are_followed_too(first, last)

    def one_change_of_a_long_session_counts_by_its_rows(self, session: str) -> None:
        """It is carried before the old tables are held."""
        execute(f"UPDATE sessions SET meta = '{{}}' WHERE id = '{session}'")
        with (
            patch.object(following, "FEW_ROWS", 5),
            patch.object(following, "follow", wraps=following.follow) as follow,
        ):
            adopting.carry(Choices(), silent)
        # Once because of its rows, and once at the end of each of two rounds.
        self.assertEqual(follow.call_count, 3)

    def changes_behind_many_of_one_session_are_followed_too(self, first: str, last: str) -> None:
        """Few rows are in the first changes that are carried at once; that says nothing of all."""
        for number in range(6):
            execute(f"UPDATE sessions SET meta = '{{\"n\": {number}}}' WHERE id = '{first}'")
        execute(f"UPDATE sessions SET meta = '{{}}' WHERE id = '{last}'")
        with (
            patch.object(following, "SESSIONS_AT_ONCE", 3),
            patch.object(following, "MOST_ROUNDS", 1),
        ):
            adopting.carry(Choices(), silent)
        self.assertEqual(catalog.rows(f"SELECT count(*) FROM {BEFORE}.changes"), [(0,)])

    @contextmanager
    def a_turn_between_two_statements(self, session: str) -> Iterator[None]:
        """Have the old application write a turn after its requests were carried."""
        plain = carrying.statements

        def interrupted(*args: Any) -> Iterator[Any]:
            for number, statement in enumerate(plain(*args)):
                if number == TURN_BEFORE:
                    with psycopg.connect(database_url()) as old:
                        old.execute(TURN.format(session=session))
                yield statement

        with patch.object(carrying, "statements", interrupted):
            yield

    def it_switches_only_when_nobody_is_there(self) -> None:
        with alone(), self.assertRaisesMessage(CommandError, "being adopted at the moment"):
            adopting.switch(silent)
        with (
            psycopg.connect(database_url()),
            self.assertRaisesMessage(CommandError, "Stop the old application"),
        ):
            adopting.switch(silent)
        # A login that may not look at others' connections knows that they are there.
        with (
            self.changed("SET LOCAL ROLE salient_tenant"),
            psycopg.connect(database_url()),
            self.assertRaisesMessage(CommandError, "Stop the old application"),
        ):
            adopting._refuse_others(Catalog(connection))
        # Killed between the two parts of the switch, it goes on as well.
        with patch.object(switching, "settle", side_effect=KeyboardInterrupt):
            self.assertRaises(KeyboardInterrupt, adopting.switch, silent)
        self.assertEqual({*NEWEST} & {*connection.introspection.table_names()}, {*NEWEST[-2:]})
        for step in ([], ["--check"]):
            self.assertIn("A switch was interrupted", refusal("adopt", *step)[1])
        report = run_json("adopt", "--switch")
        self.assertTrue(report["ok"], report)
        self.assertIn("adopt --finish or adopt --undo", refusal("adopt", "--check")[1])
        self.assertEqual(
            {table: each["rows_after"] for table, each in report["tables"].items()},
            {
                "accounts": 2,
                "agent_instances": 3,
                "sessions": 61,
                "messages": 444,
                "llm_requests": 241,
                "profiles": 19,
            },
        )

    def all_is_in_its_place(self) -> None:
        self.assertEqual(catalog.schema(own_tables()), self.fresh[0])
        self.assertEqual(catalog.rows(FUNCTIONS), self.fresh[1])
        self.assertEqual(
            catalog.rows(
                "SELECT account_slug, agent_instance_slug, count(*) FROM sessions "
                "GROUP BY 1, 2 ORDER BY 1, 2"
            ),
            [
                ("acme2", "acme_chat1", 12),
                ("default_account", "simple_chat1", 24),
                ("default_account", "simple_chat2", 25),
            ],
        )
        bodies = catalog.rows(
            "SELECT request_body::text FROM llm_requests WHERE request_body IS NOT NULL "
            "ORDER BY session_id, created_at LIMIT 2"
        )
        meta = {"temperature": 1}
        self.assertEqual(
            [json.loads(body) for (body,) in bodies],
            [
                {"messages": [], "adopted": {"meta": meta}},
                {"body": [1], "adopted": {"meta": meta, "assembled_prompt": "You are kind."}},
            ],
        )
        hashed = hashlib.sha256(hashlib.md5(b"key7").hexdigest().encode()).hexdigest()  # noqa: S324
        self.assertEqual(
            catalog.rows(f"SELECT id::text FROM sessions WHERE session_key = '{hashed}'"),
            [("00000000-0000-4000-8000-100000000007",)],
        )
        for account in list_accounts():
            self.assertFalse(rollup.compare(account.pk, rollup.BEGINNING))
        self.assertEqual(
            catalog.rows(
                "SELECT confrelid::regclass::text, convalidated FROM pg_constraint "
                "WHERE conname = 'directory_lists_account_id_fkey'"
            ),
            [("accounts", True)],
        )
        migrate()

    def it_goes_back_only_by_force_once_conversations_have_gone_on(self) -> None:
        self.it_goes_back_after_a_switch_by_another_version()
        execute("UPDATE messages SET content = 'new' WHERE role = 'assistant'")
        code, output = refusal("adopt", "--undo")
        self.assertEqual(code, 1)
        self.assertIn("--discard", output)
        # Killed when the old tables are back, it does not take them for today's.
        with patch.object(switching, "validate_outside", side_effect=KeyboardInterrupt):
            self.assertRaises(KeyboardInterrupt, adopting.undo, discard=True)
        for step in ([], ["--switch"]):
            self.assertIn("run adopt --undo again first", refusal("adopt", *step)[1])
        self.assertTrue(run_json("adopt", "--undo", "--discard")["undone"])

    def it_goes_back_after_a_switch_by_another_version(self) -> None:
        """It noted other tables, and hashes of other columns."""
        state = found_state()
        assert state is not None
        noted = state.facts["after"]
        state.store(after={"sessions": [61, "0" * 32], "messages": noted["messages"]})
        with patch.object(switching, "take_back") as take_back:
            self.assertTrue(run_json("adopt", "--undo")["undone"])
        take_back.assert_called_once()
        state.store(after=noted)


class BetweenTests(RefusalCase):
    """The revisions between: what each had, from the newest one backwards."""

    # The statements that take back what the next revision did. Of the last two it is not known
    # which of them added which column.
    BACK: ClassVar = {
        "f1a2b3c4d5e6": "ALTER TABLE llm_requests DROP assembled_prompt",
        "e9e83012d6b4": "ALTER TABLE llm_requests DROP meta",
        "944490dcfaaa": "ALTER TABLE directory_entries DROP search_vector CASCADE;"
        "DROP TRIGGER directory_entries_search_vector_update ON directory_entries",
        "48d95232d581": "DROP TABLE directory_entries, directory_lists",
        "2f9b9044dd96": "ALTER TABLE sessions DROP agent_instance_slug",
        "d5930048c917": "ALTER TABLE messages DROP llm_request_id",
        "5cd8e16e070f": ";".join(
            f"ALTER TABLE llm_requests ALTER {new} TYPE numeric(10, 6);"
            f"ALTER TABLE llm_requests RENAME {new} TO {old}"
            for old, new in RENAMED.items()
        ),
        "d7f01eb864b8": "DELETE FROM messages; DELETE FROM llm_requests WHERE account_id IS NULL;"
        "DELETE FROM profiles; DELETE FROM sessions WHERE account_id IS NULL;"
        "ALTER TABLE sessions ALTER account_id SET NOT NULL, ALTER account_slug SET NOT NULL, "
        "ALTER agent_instance_id SET NOT NULL",
    }

    @classmethod
    def prepare(cls) -> None:
        run_sql("newest.sql")
        run_sql("newest_rows.sql")

    @quick_migrate()
    def test_each_is_carried_and_the_oldest_there_and_back(self) -> None:
        self.assertEqual(("d7f01eb864b8", *[*self.BACK][::-1][1:]), TENANCY_REVISIONS[:-1])
        for revision, statements in self.BACK.items():
            with self.subTest(revision):
                execute(f"{statements}; UPDATE alembic_version SET version_num = '{revision}'")
                report = check(CHOICES)
                assert report is not None
                self.assertEqual((report.revision, report.faults), (revision, []))
                self.assertEqual([note for note in report.notes if "not carried" in note], [])
        with self.changed("UPDATE llm_requests SET unit_cost_prompt = 'NaN'"):
            [line] = faults(CHOICES)
            self.assertTrue(line.startswith("llm_requests.unit_cost_prompt: "), line)
        before = state((*BASELINE, "accounts", "agent_instances"))[:2]
        costs = catalog.rows("SELECT id, computed_cost FROM llm_requests ORDER BY id")

        adopting.carry(CHOICES, silent)
        self.assertTrue(run_json("adopt", "--switch")["ok"])

        after = catalog.rows("SELECT id, total_cost FROM llm_requests ORDER BY id")
        self.assertEqual(after, costs)
        self.assertTrue(run_json("adopt", "--undo")["undone"])
        self.assertEqual(state((*BASELINE, "accounts", "agent_instances"))[:2], before)


class BaselineTests(ScratchCase):
    """The whole way of a database at the baseline, under traffic, to the point of no return."""

    sessions = 40
    url: ClassVar[str]

    @classmethod
    def prepare(cls) -> None:
        cls.url = database_url()
        fill(cls.url, cls.sessions, "baseline")
        # Naming conventions differ, and keys were made twice.
        execute("""
            ALTER TABLE sessions RENAME CONSTRAINT sessions_pkey TO pk_sessions;
            ALTER INDEX ix_messages_session_id RENAME TO "ix_Messages.session id";
            ALTER TABLE messages
                ADD CONSTRAINT again FOREIGN KEY (session_id) REFERENCES sessions (id);
            UPDATE messages SET content = (SELECT string_agg('w' || n, ' ')
                FROM generate_series(1, 200000) AS n)
                WHERE id = (SELECT id FROM messages ORDER BY id LIMIT 1)
        """)

    @quick_migrate()
    def test_to_the_end(self) -> None:
        traffic = Traffic(self.url, self.sessions, "baseline")
        with traffic.going_on():
            # Killed before usage was summed, the switch does that first.
            with patch.object(adopting, "_sum", side_effect=KeyboardInterrupt):
                self.assertRaises(KeyboardInterrupt, adopting.carry, Choices(), silent)
            self.assertEqual(traffic.errors, [])
            report = adopting.switch(silent, others=True)
        self.assertGreater(traffic.writes, 0)
        self.assertGreater(traffic.reads, 0)
        self.assertTrue(report["ok"], report)
        self.assertEqual(report["tables"]["sessions"]["rows_after"], self.sessions + traffic.writes)
        for each in report["tables"].values():
            self.assertEqual(each["rows_before"], each["rows_after"])
        owners = "SELECT DISTINCT account_slug, agent_instance_slug FROM sessions"
        self.assertEqual(catalog.rows(owners), [("default", "simple-chat")])
        for account in list_accounts():
            self.assertFalse(rollup.compare(account.pk, rollup.BEGINNING))
        # Repeated, it changes nothing.
        self.assertEqual(run_json("adopt", "--switch")["tables"], report["tables"])

        self.assertTrue(run_json("adopt", "--finish")["finished"])

        self.assertEqual(catalog.rows(SCHEMAS), [])
        self.assertEqual(refusal("adopt", "--undo")[0], 1)
        self.assertEqual(catalog.rows("SELECT * FROM alembic_version"), [("4360c1de944b",)])
        self.assertEqual(faults(), [])
        migrate()
