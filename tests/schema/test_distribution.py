"""The schema can be distributed by account, as Citus does it; checked without Citus."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.db.models import Count
from django.test import SimpleTestCase, TestCase

from accounts.tenancy.context import tenant_context
from accounts.tenancy.distribution.findings import CHANGED, findings
from accounts.tenancy.distribution.tables import LOCAL_TABLES, distributed_tables
from accounts.tenancy.roles import Database
from agents.models import AgentInstance
from sessions_app.usage.requests import Column
from tests.support.database import catalog
from tests.support.database.scratch_database import OWN_APPS
from tests.support.factories import make_account, make_instance


class DistributionTests(TestCase):
    def test_nothing_stands_in_the_way_but_what_is_changed(self) -> None:
        found = findings(Database(connection))
        self.assertEqual([each for each in found if not each.change], [])
        changed = {(rule, name) for rule, names in CHANGED.items() for name in names}
        self.assertEqual({(each.rule, each.name) for each in found}, changed)

    def test_each_rule_names_what_breaks_it(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("""
                CREATE UNIQUE INDEX canary_unique ON profiles (id);
                CREATE POLICY canary ON profiles USING (id IN (SELECT id FROM users));
                CREATE FUNCTION canary_trigger() RETURNS trigger LANGUAGE plpgsql
                    AS 'BEGIN RETURN NULL; END';
                CREATE TRIGGER canary AFTER INSERT ON profiles
                    FOR EACH ROW EXECUTE FUNCTION canary_trigger();
                ALTER TABLE usage_totals ADD CONSTRAINT canary_local FOREIGN KEY (id)
                    REFERENCES profiles (id);
                ALTER TABLE sessions ADD CONSTRAINT canary_to_local FOREIGN KEY (user_id)
                    REFERENCES usage_totals (id);
                ALTER TABLE sessions ADD CONSTRAINT canary_key FOREIGN KEY (user_id)
                    REFERENCES profiles (id)
            """)
        faults = {
            (each.rule, each.name) for each in findings(Database(connection)) if not each.change
        }
        self.assertEqual(
            faults,
            {
                ("unique without account_id", "canary_unique"),
                ("sub-select in a policy", "profiles"),
                ("trigger", "canary_trigger"),
                ("key from a local table", "canary_local"),
                ("key to a local table", "canary_to_local"),
                ("key without account_id", "canary_key"),
            },
        )

    def test_every_table_with_an_account_is_distributed_or_local(self) -> None:
        found = catalog.rows(
            "SELECT attrelid::regclass::text FROM pg_attribute "
            "JOIN pg_class ON pg_class.oid = attrelid AND relkind = 'r' "
            "AND relnamespace = current_schema()::regnamespace WHERE attname = 'account_id'"
        )
        tables = {table for (table,) in found} | {"accounts", "users"}
        self.assertEqual(tables, {*distributed_tables(), *LOCAL_TABLES})

    def test_only_keys_that_hold_a_slug_follow_an_update(self) -> None:
        following = catalog.rows("""
            SELECT conname, EXISTS (SELECT FROM pg_attribute
                WHERE attrelid = conrelid AND attnum = ANY(conkey) AND attname LIKE '%slug')
            FROM pg_constraint WHERE contype = 'f' AND confupdtype = 'c'
                AND connamespace = current_schema()::regnamespace
        """)
        self.assertEqual(len(following), 4)
        self.assertEqual({name for name, has_slug in following if not has_slug}, set())

    def test_a_query_may_count_what_belongs_to_whole_rows(self) -> None:
        """PostgreSQL no longer takes a row's columns for granted in a group of its id alone."""
        instance = make_instance(make_account("acme"), "bot")
        with tenant_context(instance.account_id):
            found = AgentInstance.objects.filter(account_id=instance.account_id)
            [row] = found.annotate(published=Count("config_publications"))
            self.assertEqual((row.instance_slug, vars(row)["published"]), ("bot", 0))


class CodeTests(SimpleTestCase):
    """What no catalog shows: how the code's queries refer to rows of other tables."""

    def test_a_subquery_of_each_row_names_its_account(self) -> None:
        found = [place for app in OWN_APPS for place in outer_references(app)]
        self.assertGreater(len(found), 10)
        self.assertEqual([place for place, text in found if "account_id" not in text], [])

    def test_a_look_up_for_each_summed_request_names_the_account_by_its_value(self) -> None:
        """By a column of a derived table, Citus does not see which worker has it."""
        look_ups = [column.value for column in Column if "SELECT" in column.value]
        self.assertEqual(len(look_ups), 2)
        for text in look_ups:
            self.assertIn("account_id = %(account)s", text)


def outer_references(app: str) -> Iterator[tuple[str, str]]:
    """Yield the place and text of each statement that refers to an outer query's row."""
    for path in sorted(Path(settings.BASE_DIR, app).rglob("*.py")):
        text = path.read_text()
        if "OuterRef(" not in text or "migrations" in path.parts:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Assign | ast.AnnAssign | ast.Return | ast.Expr):
                statement = ast.get_source_segment(text, node) or ""
                if "OuterRef(" in statement:
                    yield f"{path.name}:{node.lineno}", statement
