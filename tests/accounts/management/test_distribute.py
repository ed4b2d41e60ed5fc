"""`manage.py distribute`: the plan needs no Citus, and what may not be distributed is refused."""

from __future__ import annotations

import re
from unittest import mock
from uuid import UUID

from django.db import connection
from django.test import RequestFactory, TestCase, override_settings

from accounts.audit.csv_export import note_export
from accounts.models import Account, AuditEntry, User
from accounts.tenancy.context import platform_context
from accounts.tenancy.distribution import cluster
from accounts.tenancy.distribution.statements import statements
from accounts.tenancy.distribution.tables import LOCAL_TABLES, distributed_tables
from accounts.tenancy.rls import policy_problems
from accounts.tenancy.roles import ROLES, Database
from agents.models import AgentInstance
from salient.database import DatabaseProblem
from sessions_app.models import Session
from sessions_app.operations.integrity.schema import NAMES, expected_names
from tests.support.commands import refusal, run, run_json
from tests.support.database.scratch_database import ScratchCase
from tests.support.database.stored import row_of
from tests.support.database.tenant_rows import contents, make_tenant
from tests.support.factories import make_audit_entry

# The tables of Citus that the command reads, with no Citus behind them.
CITUS = """
    CREATE TABLE pg_dist_node (nodename text, nodeport integer, groupid integer,
        shouldhaveshards boolean, isactive boolean DEFAULT true);
    CREATE TABLE pg_dist_placement (groupid integer);
    CREATE TABLE pg_dist_partition (logicalrelid regclass, partmethod "char");
    CREATE TABLE pg_dist_shard (logicalrelid regclass, shardid bigint);
    INSERT INTO pg_dist_node VALUES ('here', 5432, 0, true)
"""
# Its functions, which leave each table where it is.
FUNCTIONS = """
    CREATE FUNCTION create_distributed_table(regclass, text, colocate_with text) RETURNS void
        LANGUAGE sql AS '';
    CREATE FUNCTION truncate_local_data_after_distributing_table(regclass) RETURNS void
        LANGUAGE sql AS '';
    CREATE FUNCTION run_command_on_workers(text, OUT nodename text, OUT nodeport integer,
        OUT success boolean, OUT result text) RETURNS SETOF record
        LANGUAGE sql AS $$ SELECT 'there', 5433, position('LOGIN' IN $1) = 0, 'no right' $$
"""


class PlanTests(TestCase):
    def test_the_check_names_what_is_changed_and_where_each_table_goes(self) -> None:
        found = run_json("distribute", "--check")

        self.assertTrue(found["ok"])
        self.assertEqual(found["faults"], [])
        self.assertIn("account_id may be null: audit_log", " ".join(found["changes"]))
        self.assertEqual(
            (found["distributed"], found["local"]), (distributed_tables(), sorted(LOCAL_TABLES))
        )
        self.assertIn("is changed  trigger: app_record_change", run("distribute", "--check"))

    def test_a_fault_of_the_schema_is_an_exit_code(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("CREATE UNIQUE INDEX canary ON profiles (id)")

        with self.assertRaises(SystemExit) as ended:
            run("distribute", "--check")
        self.assertEqual(ended.exception.code, 1)

    def test_the_sql_distributes_parents_before_what_refers_to_them(self) -> None:
        statements = run_json("distribute", "--sql")["sql"]

        made = [text for text in statements if "create_distributed_table" in text]
        order = [text.split("'")[1] for text in made]
        self.assertEqual(sorted(order), distributed_tables())
        for parent, child in (("agent_instances", "sessions"), ("sessions", "messages")):
            self.assertLess(order.index(parent), order.index(child))
        dropped = [text for text in statements if "DROP CONSTRAINT" in text]
        self.assertTrue(any("fk_sessions_account_id" in text for text in dropped))
        self.assertFalse(any("REFERENCES accounts" in text for text in statements))
        [key] = [t for t in statements if 'ADD CONSTRAINT "fk_sessions_agent_instance_id"' in t]
        self.assertNotIn("slug", key)

    def test_an_account_is_erased_children_first_and_its_log_last(self) -> None:
        [erasing] = [
            text
            for text in run_json("distribute", "--sql")["sql"]
            if "FUNCTION app_follow_erased_accounts()" in text and "DELETE FROM" in text
        ]

        order = re.findall(r"DELETE FROM \w+\.(\w+)", erasing)
        self.assertEqual(sorted(order), distributed_tables())
        self.assertLess(order.index("messages"), order.index("sessions"))
        self.assertEqual(order[-1], "audit_log")

    def test_without_citus_nothing_is_applied(self) -> None:
        self.assertEqual(refusal("distribute", "--apply"), (1, cluster.NO_EXTENSION))
        self.assertIn("has no Citus", run("distribute", "--status"))

    def test_a_coordinator_with_shards_and_one_without_workers_are_refused(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(CITUS)
            self.enterContext(mock.patch.object(cluster, "_has_extension", return_value=True))
            self.assertEqual(refusal("distribute", "--apply"), (1, cluster.HOLDS_SHARDS))
            cursor.execute("UPDATE pg_dist_node SET shouldhaveshards = false")
            self.assertEqual(refusal("distribute", "--apply"), (1, cluster.NO_WORKERS))
            cursor.execute("INSERT INTO pg_dist_node VALUES ('there', 5433, 1, true)")
            cursor.execute("INSERT INTO pg_dist_partition VALUES ('sessions', 'h')")
            cursor.execute("INSERT INTO pg_dist_shard VALUES ('sessions', 1), ('sessions', 2)")

        self.assertIn("1 tables are distributed already", refusal("distribute", "--apply")[1])
        lines = run("distribute", "--status").splitlines()
        self.assertIn("coordinator here:5432: 0 shards", lines)
        self.assertIn("sessions: 2 shards", lines)
        self.assertIn("messages: not distributed", lines)


class WorkerTests(TestCase):
    def setUp(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(FUNCTIONS)
        self.enterContext(mock.patch.object(cluster, "refusal", return_value=""))

    def plan(self, *words: str) -> list[str]:
        return [text for text in cluster.plan(connection) if all(word in text for word in words)]

    def test_the_roles_may_log_in_to_the_workers_of_a_closed_database(self) -> None:
        for role in ROLES:
            [text] = self.plan("run_command_on_workers", f"ALTER ROLE {role} LOGIN;")
            self.assertIn("GRANT CONNECT ON DATABASE ", text)
            # Citus tells what came of the first statement only.
            self.assertRegex(text, r"\$workers\$DO \$\$ BEGIN [^$]+ END \$\$ \$workers\$")

    def test_what_fails_on_a_worker_stops_it(self) -> None:
        with (
            mock.patch.object(cluster, "plan", return_value=self.plan("LOGIN")),
            self.assertRaisesRegex(DatabaseProblem, "statement 1 failed.*there:5433: no right"),
        ):
            cluster.apply(connection)


class AppliedTests(TestCase):
    """All of the plan but the distribution itself, on tables with rows."""

    def setUp(self) -> None:
        self.acme, self.other = make_tenant("acme"), make_tenant("other")
        self.entry = make_audit_entry(None)
        self.before = [contents(each) for each in (self.acme, self.other)]
        with connection.cursor() as cursor:
            cursor.execute(FUNCTIONS)
            for statement in statements(Database(connection)):
                cursor.execute(statement)

    def test_rows_stay_as_they_are_and_entries_of_no_account_get_the_nil_id(self) -> None:
        self.assertEqual([contents(each) for each in (self.acme, self.other)], self.before)
        self.assertEqual(row_of(AuditEntry, pk=self.entry.pk).account_id, UUID(int=0))

    @override_settings(DATABASE_DISTRIBUTED=True)
    def test_what_is_dropped_is_not_missed(self) -> None:
        database = Database(connection)
        names = {row[0] for row in database.rows(NAMES)}

        self.assertEqual(expected_names() - names, set())
        self.assertEqual(list(policy_problems(database)), [])

    @override_settings(DATABASE_DISTRIBUTED=True)
    def test_an_export_of_all_is_noted_for_each_account_and_for_none(self) -> None:
        request = RequestFactory().get("/")
        request.user = self.acme[User]
        with platform_context():
            note_export(request, None, "sessions", {"from": "2026-01-01", "email": "x@example.com"})
            noted = AuditEntry.objects.filter(object_type="sessions", action="noted")
            found = {row.account_id: row.changes for row in noted}
            accounts = set(Account.objects.values_list("pk", flat=True))

        days = {"from": [None, "2026-01-01"]}
        self.assertEqual(found.pop(UUID(int=0)), days | {"email": [None, "x@example.com"]})
        self.assertEqual(found, dict.fromkeys(accounts, days))

    def test_an_account_is_erased_with_its_rows_and_no_other_row(self) -> None:
        with platform_context():
            self.acme[Account].delete()

        left = {table for table, rows in contents(self.acme).items() if rows}
        self.assertEqual(left, set())
        self.assertEqual(contents(self.other), self.before[1])

    def test_new_slugs_follow_and_a_deleted_person_is_forgotten(self) -> None:
        with platform_context():
            Account.objects.filter(pk=self.acme[Account].pk).update(slug="renamed")
            instance = self.acme[AgentInstance]
            AgentInstance.objects.filter(pk=instance.pk).update(instance_slug="new-bot")
            self.acme[User].delete()
            found = Session.objects.get(pk=self.acme[Session].pk)

        self.assertEqual(found.account_slug, "renamed")
        self.assertEqual(found.agent_instance_slug, "new-bot")
        self.assertIsNone(found.user_id)


class EmptyDatabaseTests(ScratchCase):
    def test_a_database_that_is_not_migrated_is_refused_in_one_line(self) -> None:
        for what in ("--check", "--sql", "--apply"):
            with self.subTest(what):
                self.assertEqual(refusal("distribute", what), (1, cluster.NOT_MIGRATED))
