"""Row-level security, tried in every context and role by everything that reads or writes.

It protects against a forgotten filter, not against arbitrary SQL: a login may change its roles, so
an injection could, too (`ArbitrarySqlTests` shows exactly what).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock
from uuid import UUID, uuid4

import psycopg
from asgiref.sync import async_to_sync
from django.db import (
    DatabaseError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    ProgrammingError,
    connection,
    models,
)
from django.db.models import Count, Exists, OuterRef, Q, Sum
from django.test import TestCase, TransactionTestCase
from psycopg.pq import TransactionStatus

from accounts.models import Account, ApiKey, Budget, Membership, User
from accounts.tenancy import context
from accounts.tenancy.context import (
    Context,
    NoTenantContext,
    TenantManager,
    platform_context,
    tenant_context,
)
from accounts.tenancy.lookups import find_account, find_api_key
from accounts.tenancy.roles import TENANT_RIGHTS
from agents.models import AgentInstance, ConfigVersion
from salient.ids import uuid7
from sessions_app.isolation_check.sql_probes import forge, row_to_forge
from sessions_app.models import LLMRequest, Message, Session
from tests.support.api_client import ApiClient
from tests.support.database import sql_guard
from tests.support.database.catalog import rows
from tests.support.database.tenant_rows import TENANT_MODELS, Rows, contents, make_tenant
from tests.support.factories import (
    make_account,
    make_instance,
    make_key,
    make_message,
    make_session,
)
from tests.support.fixtures import AgentFixtures

DENIED = r"permission denied|row-level security"


def unfiltered(model: Any) -> models.QuerySet[Any]:
    """Return a query without any manager, as a forgotten filter would leave it."""
    return models.QuerySet(model)


async def read(key: UUID) -> Message:
    found: Message = await Message.objects.aget(pk=key)
    return found


@contextmanager
def managers_in(other: Context) -> Iterator[None]:
    """Let the managers see another context than the one that the database is in."""
    token = context._context.set(other)
    try:
        yield
    finally:
        context._context.reset(token)


class TwoAccounts(TestCase):
    """`acme` and `beta` with a row of every kind; the contexts are acme's."""

    acme: Rows
    beta: Rows

    @classmethod
    def setUpTestData(cls) -> None:
        cls.acme, cls.beta = make_tenant("acme"), make_tenant("beta")

    @property
    def mine(self) -> Any:
        return self.acme[Account].pk

    @property
    def other(self) -> Any:
        return self.beta[Account].pk

    def assert_refused(self, attempt: Callable[[], Any], words: str = DENIED) -> None:
        """Expect the database to refuse; each attempt has a context of its own."""
        with self.assertRaisesRegex(ProgrammingError, words) as caught, tenant_context(self.mine):
            attempt()
        self.assertIsInstance(caught.exception.__cause__, psycopg.errors.InsufficientPrivilege)


class ReadingTests(TwoAccounts):
    def test_every_table_shows_the_accounts_own_rows_and_no_others(self) -> None:
        for model in TENANT_MODELS:
            with self.subTest(model=model.__name__), tenant_context(self.mine):
                owners = set(unfiltered(model).values_list("account_id", flat=True))
                self.assertEqual(owners, {self.mine})
                self.assertFalse(unfiltered(model).filter(pk=self.beta[model].pk).exists())
                with self.assertRaises(model.DoesNotExist):
                    unfiltered(model).get(pk=self.beta[model].pk)

    def test_the_platform_sees_both(self) -> None:
        for model in TENANT_MODELS:
            with self.subTest(model=model.__name__), platform_context():
                owners = set(unfiltered(model).values_list("account_id", flat=True))
                self.assertLessEqual({self.mine, self.other}, owners)

    def test_conditions_joins_and_aggregates_reach_no_further(self) -> None:
        theirs = self.beta[Message]
        with tenant_context(self.mine):
            found = unfiltered(Message).filter(
                Q(pk=theirs.pk) | Q(account_id=self.other) | ~Q(pk=None)
            )
            self.assertEqual({m.account_id for m in found}, {self.mine})
            joined = unfiltered(Message).filter(session__account__slug="beta")
            self.assertEqual(joined.count(), 0)
            self.assertEqual(unfiltered(LLMRequest).aggregate(n=Count("pk"))["n"], 2)
            by_slug = unfiltered(Session).values("account_slug").annotate(n=Count("messages"))
            self.assertEqual({row["account_slug"] for row in by_slug}, {"acme"})
            total = unfiltered(Budget).aggregate(total=Sum("limit"))["total"]
            self.assertEqual(total, self.acme[Budget].limit)

    def test_subqueries_unions_and_exists_reach_no_further(self) -> None:
        with tenant_context(self.mine):
            all_sessions = unfiltered(Session).filter(account_id=OuterRef("pk"))
            accounts = unfiltered(Account).annotate(used=Exists(all_sessions))
            self.assertEqual([(a.slug, a.used) for a in accounts], [("acme", True)])
            both = unfiltered(Session).filter(account_id=self.other).union(unfiltered(Session))
            self.assertEqual({s.account_id for s in both}, {self.mine})
            self.assertEqual(unfiltered(Session).in_bulk([self.beta[Session].pk]), {})

    def test_raw_sql_and_cursors_reach_no_further(self) -> None:
        with tenant_context(self.mine):
            self.assertEqual(rows("SELECT DISTINCT account_id FROM messages"), [(self.mine,)])
            found = Message.objects.raw("SELECT * FROM messages")
            self.assertEqual({message.account_id for message in found}, {self.mine})
            streamed = unfiltered(Message).iterator(chunk_size=1)
            self.assertEqual({message.account_id for message in streamed}, {self.mine})
            server = connection.connection.cursor(name="probe")
            server.execute("SELECT account_id FROM sessions")
            self.assertEqual({row[0] for row in server.fetchall()}, {self.mine})
            server.close()
            with connection.cursor() as cursor, cursor.copy("COPY messages TO STDOUT") as copy:
                text = b"".join(bytes(part) for part in copy).decode()
            self.assertIn(str(self.mine), text)
            self.assertNotIn(str(self.other), text)

    def test_a_statement_prepared_for_one_account_serves_no_other(self) -> None:
        for _ in range(8):
            for account in (self.mine, self.other):
                with tenant_context(account):
                    self.assertEqual(rows("SELECT DISTINCT account_id FROM budgets"), [(account,)])

    def test_an_account_sees_itself_alone_and_changes_nothing_of_it(self) -> None:
        with tenant_context(self.mine):
            self.assertEqual([a.slug for a in Account.objects.all()], ["acme"])
        self.assert_refused(lambda: Account.objects.update(name="other"))
        self.assert_refused(lambda: Account.objects.all().delete())

    def test_an_account_sees_its_members_and_not_their_passwords(self) -> None:
        member = self.acme[Membership].user
        with tenant_context(self.mine):
            people = User.objects.only("email")
            self.assertEqual([user.email for user in people], [member.email])
            self.assertEqual([m.user_id for m in Membership.objects.all()], [member.pk])
        self.assert_refused(lambda: User.objects.get(pk=member.pk), "permission denied")
        self.assert_refused(lambda: rows("SELECT password FROM users"), "permission denied")
        self.assert_refused(lambda: User.objects.update(email="x@example.com"))

    def test_djangos_own_tables_are_out_of_a_tenants_reach(self) -> None:
        for table in ("django_session", "django_admin_log", "users_groups", "auth_permission"):
            with self.subTest(table):
                self.assert_refused(lambda: rows(f"SELECT * FROM {table}"))  # noqa: B023, S608

    def test_the_lookups_without_a_context_are_refused_in_one(self) -> None:
        self.assertEqual(find_account("beta"), self.beta[Account])
        self.assertEqual(find_api_key(self.beta[ApiKey].key_id), self.beta[ApiKey])
        self.assert_refused(lambda: find_account("beta"), "permission denied for function")
        self.assert_refused(lambda: find_api_key("x"), "permission denied for function")


class WritingTests(TwoAccounts):
    def test_unfiltered_updates_and_deletes_touch_own_rows_only(self) -> None:
        before = contents(self.beta)
        with tenant_context(self.mine):
            self.assertEqual(unfiltered(Message).update(content="gone"), 1)
            self.assertEqual(
                unfiltered(Message).filter(pk=self.beta[Message].pk).update(content="x"), 0
            )
            self.assertEqual(
                rows("UPDATE budgets SET spent = 1 RETURNING account_id"), [(self.mine,)]
            )
            self.assertEqual(unfiltered(Message).filter(account_id=self.other).delete()[0], 0)
            self.assertEqual(unfiltered(Message).delete()[0], 1)
            self.assertEqual(rows("DELETE FROM rate_states RETURNING account_id"), [(self.mine,)])
        self.assertEqual(contents(self.beta), before)

    def test_an_object_of_another_accounts_row_is_not_saved(self) -> None:
        before = contents(self.beta)
        theirs = self.beta[Message]
        theirs.content = "changed"
        for fields in (["content"], None):
            with self.assertRaises(DatabaseError), tenant_context(self.mine):
                theirs.save(force_update=True, update_fields=fields)
        with tenant_context(self.mine):
            self.assertEqual(Message.objects.bulk_update([theirs], ["content"]), 0)
            self.assertEqual(unfiltered(Message).bulk_update([theirs], ["content"]), 0)
            theirs.delete()
        self.assertEqual(contents(self.beta), before)

    def test_a_forged_row_is_refused_in_every_table(self) -> None:
        for model in TENANT_MODELS:
            table = model._meta.db_table
            forged = row_to_forge(self.other, table)
            with self.subTest(table):
                may = "INSERT" in TENANT_RIGHTS[table]
                self.assert_refused(
                    lambda: forge(table, forged),  # noqa: B023
                    "violates row-level security" if may else "permission denied",
                )

    def test_bulk_create_for_another_account_is_refused(self) -> None:
        message = self.beta[Message]
        message.pk = uuid7()
        self.assert_refused(lambda: Message.objects.bulk_create([message]))
        self.assert_refused(lambda: Message.objects.bulk_create([message], ignore_conflicts=True))
        self.assert_refused(lambda: message.save(force_insert=True))

    def test_an_upsert_does_not_reach_another_accounts_row(self) -> None:
        theirs = self.beta[ConfigVersion]

        def upsert() -> None:
            ConfigVersion.objects.bulk_create(
                [theirs],
                update_conflicts=True,
                unique_fields=["id", "account"],
                update_fields=["last_served_at"],
            )

        self.assert_refused(upsert)
        # Under another account it is another row, of an agent that this account does not have.
        theirs.account_id = self.mine
        with self.assertRaises(IntegrityError), tenant_context(self.mine):
            upsert()

    def test_what_was_paid_for_or_decided_is_not_rewritten(self) -> None:
        for attempt in (
            lambda: unfiltered(ApiKey).update(scopes=[]),
            lambda: unfiltered(ApiKey).update(secret_hash="0" * 64),
            lambda: unfiltered(ApiKey)._raw_delete("default"),
            lambda: unfiltered(ConfigVersion).update(content={}),
            lambda: unfiltered(ConfigVersion)._raw_delete("default"),
            lambda: unfiltered(LLMRequest)._raw_delete("default"),
            lambda: unfiltered(AgentInstance)._raw_delete("default"),
        ):
            self.assert_refused(attempt, "permission denied")

    def test_the_schema_is_out_of_reach(self) -> None:
        for statement in (
            "TRUNCATE messages",
            "CREATE TRIGGER t BEFORE INSERT ON messages EXECUTE FUNCTION f()",
            "CREATE INDEX ON messages (id)",
        ):
            with self.subTest(statement):
                self.assert_refused(lambda: rows(statement), "permission denied|must be owner")  # noqa: B023
        for statement in (
            "ALTER TABLE messages DISABLE ROW LEVEL SECURITY",
            "DROP POLICY tenant ON messages",
            "CREATE POLICY mine ON messages USING (true)",
            "GRANT ALL ON messages TO salient_tenant",
        ):
            with (
                self.subTest(statement),
                self.assertRaises(ProgrammingError),
                tenant_context(self.mine),
            ):
                rows(statement)


class ManagerTests(TwoAccounts):
    """Managers, related rows and saves by Django itself need a context as well."""

    def test_without_a_context_django_reaches_no_row(self) -> None:
        message = self.acme[Message]
        unfetched = Message(pk=message.pk, session_id=message.session_id)
        for touch in (
            message.refresh_from_db,
            message.save,
            lambda: unfetched.session,
            self.acme[Session].messages.all,
            lambda: Message._base_manager.get(pk=message.pk),
            lambda: Message._base_manager.bulk_create([message]),
            lambda: async_to_sync(read)(message.pk),
            lambda: Message.objects.raw("SELECT 1"),
        ):
            with self.assertRaises(NoTenantContext):
                touch()

    def test_another_accounts_row_is_not_there(self) -> None:
        theirs = self.beta[Message]
        unfetched = Message(pk=uuid4(), session_id=theirs.session_id)
        with tenant_context(self.mine):
            for touch in (
                theirs.refresh_from_db,
                lambda: Message._base_manager.get(pk=theirs.pk),
                lambda: Message.objects.for_account(self.other).get(),
                lambda: unfetched.session,
                self.beta[Session].messages.get,
                lambda: async_to_sync(read)(theirs.pk),
            ):
                with self.assertRaises((Message.DoesNotExist, Session.DoesNotExist)):
                    touch()
            self.assertEqual(self.beta[Account].agent_instances.count(), 0)
            self.assertEqual(Message.objects.for_account(self.mine).count(), 1)

    def test_the_filter_alone_suffices_and_so_does_the_database_alone(self) -> None:
        with platform_context(), managers_in(self.mine):
            self.assertEqual({m.account_id for m in Message.objects.all()}, {self.mine})
        with tenant_context(self.mine), managers_in(context.PLATFORM):
            self.assertEqual({m.account_id for m in Message.objects.all()}, {self.mine})


class NoAccountTests(TwoAccounts):
    def test_a_role_without_an_account_gets_an_error_and_no_empty_list(self) -> None:
        for account in ("''", "NULL"):
            with self.subTest(account):
                self.assert_refused(lambda: self.read_as(account), "no account is set")  # noqa: B023

    def test_an_account_that_is_no_uuid_is_an_error(self) -> None:
        with self.assertRaises(DatabaseError), tenant_context(self.mine):
            self.read_as("'x OR true'")

    def test_an_account_that_is_not_there_has_no_rows(self) -> None:
        with tenant_context(uuid4()):
            for model in TENANT_MODELS:
                self.assertEqual(unfiltered(model).count(), 0)

    def read_as(self, account: str) -> None:
        rows(f"SELECT set_config('app.account_id', {account}, true)")
        rows("SELECT count(*) FROM messages")


class ArbitrarySqlTests(TwoAccounts):
    """The limit of the protection: arbitrary SQL can leave the context, so none may run."""

    def test_arbitrary_sql_can_leave_the_context(self) -> None:
        for leave in (
            "SELECT set_config('role', 'salient_platform', true)",
            "SET LOCAL ROLE salient_platform",
            f"SELECT set_config('app.account_id', '{self.other}', true)",
        ):
            with self.subTest(leave), tenant_context(self.mine):
                with connection.cursor() as cursor:
                    cursor.execute(leave)
                self.assertIn((self.other,), rows("SELECT DISTINCT account_id FROM messages"))

    def test_code_after_a_context_is_outside_any_context(self) -> None:
        with tenant_context(self.mine), connection.cursor() as cursor:
            cursor.execute("SET LOCAL ROLE salient_platform")
        self.assertEqual(rows("SELECT current_user = session_user"), [(True,)])


class ForgottenFilterTests(AgentFixtures, TestCase):
    """Promise 1: with the ORM's filter removed, the API still shows no row of another account."""

    canary = "canary-of-beta"

    def setUp(self) -> None:
        super().setUp()
        beta = make_account("beta", name=self.canary)
        instance = make_instance(beta, "their-bot")
        make_key(beta, name=self.canary)
        self.theirs = make_session(instance, email=self.canary)
        make_message(self.theirs, content=self.canary)
        with tenant_context(beta.pk):
            AgentInstance.objects.update(display_name=self.canary)

    async def test_no_answer_holds_another_accounts_rows(self) -> None:
        await self.say("hello")
        plain = models.Manager.get_queryset
        with mock.patch.object(TenantManager, "get_queryset", plain):
            for path, query in (
                ("/accounts/acme/agents", {}),
                ("/accounts/acme/agents/their-bot", {}),
                ("/accounts/acme/members", {}),
                ("/accounts/acme/connections", {}),
                ("/accounts/acme/me", {}),
                (self.path("sessions"), {}),
                (self.path("history"), {"session_id": str(self.theirs.pk)}),
            ):
                answer = await ApiClient(self.secret).get(path, **query)
                self.assertNotIn(self.canary.encode(), answer.body, path)
            answer = await self.api.post(
                self.path("chat"), {"message": "hi", "session_id": str(self.theirs.pk)}
            )
            self.assertEqual(answer.status, 404)
        # The SQL guard has noted the missing filters.
        self.assertTrue(any("not constrained" in found for found in sql_guard.pop_faults()))


def settings_now() -> list[Any]:
    return rows("""
        SELECT current_user = session_user, coalesce(current_setting('app.account_id', true), ''),
            current_setting('statement_timeout'), current_setting('lock_timeout'),
            current_setting('idle_in_transaction_session_timeout')
    """)


class CarryOverTests(TransactionTestCase):
    """The settings of a context end with it, however the transaction and the connection end."""

    def setUp(self) -> None:
        self.acme = make_account("acme")
        make_instance(self.acme, "bot")
        self.outside = settings_now()

    def test_a_context_sets_role_account_and_time_limits(self) -> None:
        for entered, role, account in (
            (tenant_context(self.acme.pk), "salient_tenant", str(self.acme.pk)),
            (platform_context(), "salient_platform", ""),
        ):
            with entered:
                self.assertEqual(rows("SELECT current_user::text"), [(role,)])
                self.assertEqual(settings_now(), [(False, account, "5s", "2s", "10s")])
        with platform_context(statement_seconds=60):
            self.assertEqual(settings_now()[0][2], "1min")

    def test_nothing_is_left_after_a_context(self) -> None:
        with tenant_context(self.acme.pk):
            pass
        self.assertEqual(settings_now(), self.outside)

    def test_nothing_is_left_after_an_error(self) -> None:
        for error in (ZeroDivisionError, KeyboardInterrupt):
            with self.assertRaises(error), tenant_context(self.acme.pk):
                raise error
            self.assertEqual(settings_now(), self.outside)
        with self.assertRaises(DatabaseError), tenant_context(self.acme.pk):
            rows("SELECT 1 / 0")
        self.assertEqual(settings_now(), self.outside)

    def test_nothing_is_left_on_a_connection_that_comes_back_from_the_pool(self) -> None:
        with tenant_context(self.acme.pk):
            before = connection.connection.info.backend_pid
        seen = set()
        for _ in range(10):
            connection.close()
            connection.ensure_connection()
            seen.add(connection.connection.info.backend_pid)
            self.assertEqual(connection.connection.info.transaction_status, TransactionStatus.IDLE)
            self.assertEqual(settings_now(), self.outside)
        self.assertIn(before, seen)

    def test_after_a_killed_backend_the_next_context_is_complete(self) -> None:
        with self.assertRaises((OperationalError, InterfaceError)), tenant_context(self.acme.pk):
            killed = connection.connection.info.backend_pid
            with connection._nodb_cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(%s, 2000)", [killed])
            rows("SELECT 1")
        self.assertNotEqual(rows("SELECT pg_backend_pid()"), [(killed,)])
        self.assertEqual(settings_now(), self.outside)
        with tenant_context(self.acme.pk):
            self.assertEqual(AgentInstance.objects.count(), 1)

    def test_a_statement_that_takes_too_long_is_ended(self) -> None:
        with self.assertRaises(OperationalError) as caught, platform_context(statement_seconds=1):
            rows("SELECT pg_sleep(10)")
        self.assertIsInstance(caught.exception.__cause__, psycopg.errors.QueryCanceled)


class TestTransactionTests(TestCase):
    """A test's own transaction is outermost: a context in it resets what it set."""

    def test_nothing_is_left_after_a_context(self) -> None:
        account, outside = make_account(), settings_now()
        with tenant_context(account.pk):
            pass
        self.assertEqual(settings_now(), outside)
        with self.assertRaises(ZeroDivisionError), tenant_context(account.pk):
            raise ZeroDivisionError
        self.assertEqual(settings_now(), outside)
