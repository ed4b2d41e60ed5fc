"""The SQL guard of all tests reports faults, and nothing else."""

from __future__ import annotations

from contextlib import nullcontext
from unittest import mock
from uuid import uuid4

from django.db import connection
from django.test import SimpleTestCase, TestCase

from accounts.keys.services import create_account
from accounts.models import Account
from accounts.tenancy.context import platform_context, tenant_context
from tests.support.database import sql_guard

GUARDED = (
    'SELECT "sessions"."id" FROM "sessions"',
    "select 1 from sessions",
    "SELECT 1 FROM users JOIN memberships ON user_id = users.id",
    "UPDATE messages SET content = ''",
    'DELETE FROM "messages" WHERE "messages"."id" IN (%s)',
    "WITH x AS (SELECT 1 FROM ONLY llm_requests) SELECT * FROM x",
)
FREE = (
    "SELECT 1",
    'SELECT * FROM "django_session"',
    'SELECT * FROM "users" WHERE email = %s',
    "SELECT sessions FROM counters",
    "TRUNCATE sessions",
    "GRANT SELECT ON sessions, messages TO salient_platform",
    "SELECT id FROM app_find_account(%s)",
)


class FaultTests(TestCase):
    def test_outside_any_context_tenants_tables_are_out_of_bounds(self) -> None:
        for text in GUARDED:
            self.assertEqual(sql_guard.fault_of(text), "outside any context", text)

    def test_in_a_tenant_context_every_statement_names_the_account(self) -> None:
        with tenant_context(uuid4()):
            for text in GUARDED:
                self.assertEqual(sql_guard.fault_of(text), "not constrained by the account", text)
            constrained = 'UPDATE "messages" SET x = 1 WHERE "messages"."account_id" = %s'
            self.assertIsNone(sql_guard.fault_of(constrained))
            self.assertIsNone(sql_guard.fault_of('INSERT INTO "messages" ("id") VALUES (%s)'))
            moved = 'UPDATE "messages" SET "account_id" = %s WHERE id = %s'
            self.assertIsNotNone(sql_guard.fault_of(moved))

    def test_the_platform_may(self) -> None:
        with platform_context():
            self.assertEqual([text for text in GUARDED if sql_guard.fault_of(text)], [])

    def test_what_is_no_tenants_table_is_free(self) -> None:
        self.assertEqual([text for text in FREE if sql_guard.fault_of(text)], [])


class PlaceTests(TestCase):
    def test_the_products_own_statement_is_noted_with_its_place(self) -> None:
        with mock.patch("accounts.keys.services.platform_context", nullcontext):
            create_account("without-a-context")
        found = sql_guard.pop_faults()

        self.assertTrue(found)
        for each in found:
            self.assertRegex(each, r"^accounts/keys/services\.py:\d+: outside any context: ")

    def test_a_tests_own_statement_is_its_own_business(self) -> None:
        self.assertEqual(list(Account.objects.filter(slug="nobody")), [])
        self.assertEqual(sql_guard.pop_faults(), [])


class InstallTests(SimpleTestCase):
    databases = {"default"}

    def test_every_connection_of_a_test_is_watched(self) -> None:
        connection.ensure_connection()
        self.assertIn(sql_guard.guard, connection.execute_wrappers)
