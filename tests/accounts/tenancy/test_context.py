from __future__ import annotations

from itertools import permutations
from unittest import mock

from django.db import DatabaseError, connection
from django.test import TestCase, TransactionTestCase
from django.test.utils import CaptureQueriesContext

from accounts.models import ApiKey
from accounts.tenancy.context import NoTenantContext, platform_context, tenant_context
from agents.models import AgentInstance, ConfigVersion
from tests.support.factories import make_account, make_instance


def current_account() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('app.account_id', true)")
        return str(cursor.fetchone()[0] or "")


class DoorTests(TestCase):
    def setUp(self) -> None:
        self.acme, self.beta = make_account("acme"), make_account("beta")
        self.bot, self.theirs = make_instance(self.acme, "bot"), make_instance(self.beta, "bot")

    def test_without_a_context_there_is_no_tenant_data(self) -> None:
        for touch in (
            AgentInstance.objects.all,
            AgentInstance.objects.count,
            lambda: ApiKey.objects.filter(name="x"),
            self.acme.agent_instances.all,
        ):
            with self.assertRaises(NoTenantContext):
                touch()

    def test_a_tenant_context_shows_its_rows_alone(self) -> None:
        with tenant_context(self.acme.pk):
            self.assertEqual(list(AgentInstance.objects.all()), [self.bot])
            self.assertFalse(AgentInstance.objects.filter(pk=self.theirs.pk).exists())
            self.assertEqual(AgentInstance.objects.update(display_name="mine"), 1)

    def test_the_platform_context_shows_all(self) -> None:
        with platform_context():
            found = AgentInstance.objects.filter(instance_slug="bot")
            self.assertEqual(set(found), {self.bot, self.theirs})

    def test_a_key_to_another_row_joins_it_by_the_account_too(self) -> None:
        with platform_context():
            rows = ConfigVersion.objects.select_related("agent_instance").order_by("created_at")
            reverse = AgentInstance.objects.filter(config_versions__digest="x")
            joins = [str(each.query).replace("(", "").replace(")", "") for each in (rows, reverse)]
            accounts = str(AgentInstance.objects.select_related("account").query)

        both = permutations(("config_versions", "agent_instances"))
        equal = [f'"{one}"."account_id" = "{two}"."account_id"' for one, two in both]
        for join in joins:
            self.assertTrue(any(each in join for each in equal), join)
        joined = accounts.partition(" FROM ")[2].partition(" ORDER BY ")[0]
        self.assertEqual(joined.count('"account_id"'), 1, accounts)

    def test_a_row_is_saved_where_its_account_is(self) -> None:
        with platform_context(), CaptureQueriesContext(connection) as captured:
            self.bot.display_name = "Renamed"
            self.bot.save()

        [update] = [each["sql"] for each in captured if each["sql"].startswith("UPDATE")]
        condition = update.partition(" WHERE ")[2]
        self.assertIn(f"\"account_id\" = '{self.acme.pk.hex}'", condition)

    def test_contexts_are_not_nested(self) -> None:
        with (
            tenant_context(self.acme.pk),
            self.assertRaisesMessage(RuntimeError, "durable"),
            platform_context(),
        ):
            self.fail("a context inside a context")

    def test_what_cannot_be_entered_says_why(self) -> None:
        with (
            mock.patch("accounts.tenancy.context.TENANT_ROLE", "salient_nobody"),
            self.assertRaisesMessage(DatabaseError, 'role "salient_nobody" does not exist'),
            tenant_context(self.acme.pk),
        ):
            self.fail("a context without its role")


class DoorSettingTests(TransactionTestCase):
    def test_the_account_ends_with_the_transaction(self) -> None:
        acme = make_account("acme")
        with tenant_context(acme.pk):
            self.assertEqual(current_account(), str(acme.pk))
        self.assertEqual(current_account(), "")

    def test_a_connection_that_died_while_idle_is_replaced(self) -> None:
        acme = make_account("acme")
        connection.ensure_connection()
        connection.connection.close()
        with tenant_context(acme.pk):
            self.assertEqual(current_account(), str(acme.pk))
