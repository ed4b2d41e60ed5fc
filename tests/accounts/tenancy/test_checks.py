"""`manage.py check` finds a tenant's table that lacks any of the four layers."""

from __future__ import annotations

from typing import Any
from unittest import mock

from django.core import checks
from django.core.checks.registry import registry
from django.db import connection, models
from django.test import SimpleTestCase, TestCase
from django.test.utils import isolate_apps

from accounts.models import Account
from accounts.tenancy import checks as our_checks
from accounts.tenancy.checks import check_policies, check_tenant_models, model_problems
from accounts.tenancy.context import TenantManager, TenantModel, TenantQuerySet
from salient.database.constraints import CompositeForeignKey
from sessions_app.models import Session


def account_key() -> Any:
    return models.ForeignKey(Account, models.DB_CASCADE, related_name="+", db_constraint=False)


def composite(*fields: str, to: str = "accounts.Account") -> CompositeForeignKey:
    targets = ["account", "id"] if len(fields) > 1 else ["id"]
    return CompositeForeignKey(fields=fields, to=to, to_fields=targets, name="fk_things_x")


class Manager(TenantManager[Any]):
    pass


@isolate_apps("accounts")
class ModelTests(SimpleTestCase):
    def codes(self, model: type[models.Model]) -> list[str]:
        return [code for code, _ in model_problems(model)]

    def test_the_product_has_none(self) -> None:
        self.assertEqual(check_tenant_models(), [])

    def test_a_model_with_an_account_that_is_no_tenant_model(self) -> None:
        class Thing(models.Model):  # noqa: DJ008 - it never has a row
            account = account_key()

            class Meta:
                app_label = "accounts"
                db_table = "sessions"
                constraints = [composite("account")]

        self.assertEqual(self.codes(Thing), ["E001", "E002"])

    def test_a_manager_that_refuses_nothing(self) -> None:
        class Thing(TenantModel):
            account = account_key()
            objects = TenantManager.from_queryset(TenantQuerySet[Any])()
            everything: Any = models.Manager()

            class Meta:
                app_label = "accounts"
                db_table = "sessions"
                constraints = [composite("account")]

        self.assertEqual(self.codes(Thing), ["E002"])

    def test_no_composite_key(self) -> None:
        class Thing(TenantModel):
            account = account_key()
            objects = Manager()

            class Meta:
                app_label = "accounts"
                db_table = "sessions"

        self.assertEqual(self.codes(Thing), ["E003"])

    def test_a_reference_outside_the_composite_key(self) -> None:
        class Thing(TenantModel):
            account = account_key()
            session = models.ForeignKey(Session, models.DB_CASCADE, related_name="+")
            objects = Manager()

            class Meta:
                app_label = "accounts"
                db_table = "sessions"
                constraints = [composite("account")]

        self.assertEqual(self.codes(Thing), ["E003"])
        Thing._meta.constraints = [composite("account", "session", to="sessions_app.Session")]
        self.assertEqual(self.codes(Thing), [])

    def test_a_table_that_nobody_registered(self) -> None:
        class Thing(TenantModel):
            account = account_key()
            objects = Manager()

            class Meta:
                app_label = "accounts"
                db_table = "things"
                constraints = [composite("account")]

        self.assertEqual(self.codes(Thing), ["E004"])


class PolicyTests(TestCase):
    def found(self) -> list[str]:
        return [message.msg for message in check_policies(databases=["default"])]

    def run_sql(self, statement: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)

    def test_the_product_has_none(self) -> None:
        self.assertEqual(self.found(), [])

    def test_each_way_to_lose_row_level_security_is_found(self) -> None:
        true = "TO salient_tenant USING (true) WITH CHECK (true)"
        for statement, words in (
            ("ALTER TABLE messages DISABLE ROW LEVEL SECURITY", "messages: row-level security"),
            ("DROP POLICY tenant ON budgets", "budgets: its policies"),
            ("DROP POLICY platform ON budgets", "budgets: its policies"),
            (f"CREATE POLICY more ON sessions {true}", "sessions: its policies"),
            (
                f"DROP POLICY tenant ON api_keys; CREATE POLICY tenant ON api_keys {true}",
                "api_keys",
            ),
            ("ALTER POLICY tenant ON profiles USING (account_id IS NOT NULL)", "profiles: its"),
            ("ALTER POLICY tenant ON accounts TO public", "accounts: its policies"),
            ("DROP POLICY tenant ON users", "users: its policies"),
        ):
            with self.subTest(statement):
                point = self.enterContext(Savepoint())
                self.run_sql(statement)
                [problem] = self.found()
                self.assertIn(words, problem)
                point.undo()

    def test_nothing_is_checked_without_a_database_or_before_migrating(self) -> None:
        self.run_sql("DROP POLICY tenant ON budgets")
        self.assertEqual(check_policies(databases=None), [])
        with mock.patch.object(our_checks, "pending_migrations", return_value=True):
            self.assertEqual(self.found(), [])

    def test_both_checks_are_registered(self) -> None:
        self.assertIn(check_tenant_models, registry.get_checks())
        self.assertIn(check_policies, registry.get_checks(include_deployment_checks=True))
        self.assertEqual(check_policies.tags, (checks.Tags.database,))


class Savepoint:
    """Takes back what is done to the schema."""

    def __enter__(self) -> Savepoint:
        self.name = connection.savepoint()
        return self

    def undo(self) -> None:
        connection.savepoint_rollback(str(self.name))

    def __exit__(self, *_error: object) -> None:
        """The test's transaction ends it."""
