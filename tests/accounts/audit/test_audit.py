"""The audit log: the database writes it with the actor, and no role may change it."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.contrib.auth.models import Group, Permission
from django.db import ProgrammingError, connection
from django.test import TestCase
from django.utils import timezone

from accounts.models import (
    Account,
    AccountLimits,
    ApiKey,
    AuditEntry,
    Budget,
    Invitation,
    Membership,
    SupportAccess,
    User,
)
from accounts.tenancy.context import platform_context, tenant_context
from accounts.tenancy.roles import ROLES
from agents.models import AgentInstance, ProviderConnection
from salient.actors import Actor, acting
from sessions_app.conversations.sessions import leave_tombstone
from sessions_app.models import Profile
from tests.support.database.catalog import rows
from tests.support.database.stored import as_platform, rows_of
from tests.support.database.tenant_rows import make_tenant
from tests.support.factories import (
    make_account,
    make_audit_entry,
    make_budget,
    make_config_publication,
    make_connection,
    make_instance,
    make_invitation,
    make_key,
    make_limits,
    make_membership,
    make_profile,
    make_saved_chat,
    make_session,
    make_support_access,
    make_user,
)

ACTORS = [
    Actor("staff", "7", "staff@example.com", "ticket 12"),
    Actor("member", "8", "owner@example.com"),
    Actor("key", str(UUID(int=9)), "deploy key"),
    Actor("visitor", "abc", "ada@acme"),
    Actor("command", "account", "account"),
]


def entries(account: Account | None = None, **where: Any) -> list[AuditEntry]:
    """All entries of the account, oldest first."""
    if account is not None:
        where["account_id"] = account.pk
    return rows_of(AuditEntry, "created_at", "id", **where)


def write(model: Any, pk: Any, **values: Any) -> None:
    with platform_context():
        model.objects.filter(pk=pk).update(**values)


class AppendOnlyTests(TestCase):
    def setUp(self) -> None:
        self.account = make_account()
        make_audit_entry(self.account)

    def contexts(self) -> list[Callable[[], AbstractContextManager[None]]]:
        return [lambda: tenant_context(self.account.pk), platform_context]

    def test_the_database_refuses_both_roles_to_change_or_delete_an_entry(self) -> None:
        self.assertEqual(set(ROLES), {"salient_tenant", "salient_platform"})
        for context in self.contexts():
            for statement in (
                "UPDATE audit_log SET actor = 'nobody'",
                "UPDATE audit_log SET reason = reason WHERE false",
                "DELETE FROM audit_log",
                "DELETE FROM audit_log WHERE false",
                "TRUNCATE audit_log",
                "ALTER TABLE audit_log DISABLE TRIGGER ALL",
                "DROP TABLE audit_log",
            ):
                with (
                    self.subTest(statement),
                    self.assertRaisesRegex(ProgrammingError, "permission denied|must be owner"),
                    context(),
                    connection.cursor() as cursor,
                ):
                    cursor.execute(statement)

    def test_no_role_disables_a_trigger_or_writes_as_the_trigger_does(self) -> None:
        for context in self.contexts():
            for statement in (
                "DROP TRIGGER recorded ON accounts",
                "ALTER TABLE api_keys DISABLE TRIGGER recorded",
                "SELECT app_record_change()",
                "SET LOCAL session_replication_role = replica",
            ):
                with (
                    self.subTest(statement),
                    self.assertRaises(ProgrammingError),
                    context(),
                    connection.cursor() as cursor,
                ):
                    cursor.execute(statement)

    def test_a_tenant_writes_no_entry_for_another_account(self) -> None:
        other = make_account()
        with (
            self.assertRaisesRegex(ProgrammingError, "row-level security"),
            tenant_context(other.pk),
        ):
            AuditEntry.objects.create(
                account=self.account, action="noted", object_type="sessions", object_id="1"
            )

    def test_an_account_reads_its_own_entries_only(self) -> None:
        other = make_account()
        with tenant_context(other.pk):
            self.assertEqual(rows("SELECT DISTINCT account_id FROM audit_log"), [(other.pk,)])


class RecordingTests(TestCase):
    """Each change of a row leaves one entry with the values before and after, and the actor."""

    account: Account

    @classmethod
    def setUpTestData(cls) -> None:
        cls.account = make_account("acme")

    def newest(self, table: str) -> AuditEntry:
        return entries(self.account, object_type=table)[-1]

    def test_a_change_is_recorded_as_before_and_after(self) -> None:
        write(Account, self.account.pk, status="suspended", name="Acme Corporation")
        entry = self.newest("accounts")
        self.assertEqual(entry.action, "changed")
        self.assertEqual((entry.object, entry.object_id), ("acme", str(self.account.pk)))
        self.assertEqual(
            entry.changes, {"status": ["active", "suspended"], "name": ["Acme", "Acme Corporation"]}
        )

    def test_creating_and_deleting_are_recorded_too(self) -> None:
        budget = make_budget(self.account, limit=10)
        as_platform(budget.delete)
        made, deleted = entries(self.account, object_type="budgets")
        self.assertEqual((made.action, deleted.action), ("created", "deleted"))
        self.assertEqual(made.changes["period"], [None, "month"])
        self.assertEqual(deleted.changes["period"], ["month", None])

    def test_each_kind_of_actor_is_named(self) -> None:
        for number, actor in enumerate(ACTORS):
            with acting(actor):
                write(Account, self.account.pk, name=f"Name {number}")
            entry = self.newest("accounts")
            found = Actor(entry.actor_kind, entry.actor_id, entry.actor, entry.reason)
            self.assertEqual(found, actor)

    def test_a_tenant_context_names_its_actor_too(self) -> None:
        with acting(Actor("key", "9", "deploy key")):
            make_membership(self.account)
        self.assertEqual(self.newest("memberships").actor, "deploy key")

    def test_the_actor_does_not_outlast_its_context(self) -> None:
        with acting(ACTORS[0]):
            write(Account, self.account.pk, name="One")
        write(Account, self.account.pk, name="Two")
        self.assertEqual(self.newest("accounts").actor_kind, "system")

    def test_writing_the_same_again_leaves_no_entry(self) -> None:
        before = len(entries())
        write(Account, self.account.pk, status="active", slug="acme")
        self.assertEqual(len(entries()), before)

    def test_every_table_that_staff_and_members_change_is_recorded(self) -> None:
        instance = make_instance(self.account)
        key, _ = make_key(self.account)
        limits, budget = make_limits(self.account), make_budget(self.account)
        member, guest = make_membership(self.account), make_invitation(self.account)
        access, link = make_support_access(self.account), make_connection(self.account)
        changes: list[tuple[Any, Any, dict[str, Any]]] = [
            (Account, self.account.pk, {"subscription_tier": "enterprise"}),
            (AgentInstance, instance.pk, {"status": "inactive"}),
            (ApiKey, key.pk, {"revoked_at": timezone.now()}),
            (AccountLimits, limits.pk, {"concurrent_turns": 3}),
            (Budget, budget.pk, {"limit": Decimal(20)}),
            (Membership, member.pk, {"role": "admin"}),
            (Invitation, guest.pk, {"revoked_at": timezone.now()}),
            (SupportAccess, access.pk, {"ended_at": timezone.now()}),
            (ProviderConnection, link.pk, {"base_url": "https://other.example/v1"}),
        ]
        for model, pk, values in changes:
            with self.subTest(model._meta.db_table):
                write(model, pk, **values)
                entry = self.newest(model._meta.db_table)
                self.assertEqual((entry.action, set(entry.changes)), ("changed", set(values)))

    def test_a_publication_and_a_saved_chat_are_recorded_without_their_texts(self) -> None:
        instance = make_instance(self.account)
        make_config_publication(instance, text="model: a-secret-plan", note="Kinder words")
        make_saved_chat(instance, name="greeting", messages=["a-secret-plan"])
        [published], [saved] = (
            entries(self.account, object_type=table)
            for table in ("config_publications", "saved_chats")
        )
        self.assertEqual((published.object, saved.object), ("Kinder words", "greeting"))
        for entry in (published, saved):
            self.assertNotIn("a-secret-plan", json.dumps(entry.changes))

    def test_people_are_recorded_without_an_account(self) -> None:
        user = make_user("ann@example.com")
        write(User, user.pk, is_staff=True)
        made, changed = entries(object_type="users", object_id=str(user.pk))
        self.assertIsNone(made.account_id)
        self.assertEqual(changed.changes, {"is_staff": [False, True]})

    def test_a_membership_is_named_by_its_person_and_role(self) -> None:
        member = make_membership(self.account, make_user("ann@example.com"), role="member")
        write(Membership, member.pk, role="owner")
        as_platform(member.delete)
        self.assertEqual(
            [(each.action, each.object) for each in entries(object_type="memberships")],
            [
                ("created", "ann@example.com as member"),
                ("changed", "ann@example.com as owner"),
                ("deleted", "ann@example.com as owner"),
            ],
        )

    def test_an_accounts_limits_are_named_by_the_account(self) -> None:
        make_limits(self.account)
        self.assertEqual(self.newest("account_limits").object, "acme")

    def test_a_membership_deleted_with_its_person_is_named_by_what_is_left(self) -> None:
        member = make_membership(self.account, make_user("ann@example.com"), role="member")
        person = member.user_id
        User.objects.filter(pk=person).delete()
        [_, ended] = entries(object_type="memberships")
        self.assertEqual((ended.action, ended.object), ("deleted", f"{person} as member"))

    def test_what_is_done_in_one_transaction_reads_in_its_order(self) -> None:
        with platform_context():
            for number in range(50):
                Account.objects.filter(pk=self.account.pk).update(name=f"Name {number}")
        names = [each.changes["name"][1] for each in entries(object_type="accounts")[-50:]]
        self.assertEqual(names, [f"Name {number}" for number in range(50)])

    def test_groups_and_permissions_are_recorded_too(self) -> None:
        group = Group.objects.create(name="Support")
        user = make_user("ann@example.com")
        permission = Permission.objects.get(codename="view_account")
        group.permissions.add(permission)
        user.groups.add(group)
        user.user_permissions.add(permission)

        found = {entry.object_type for entry in entries()}
        self.assertLessEqual(
            {"auth_group", "auth_group_permissions", "users_groups", "users_user_permissions"},
            found,
        )


class NothingSecretTests(TestCase):
    def test_a_changed_secret_is_recorded_without_its_values(self) -> None:
        account = make_account()
        user = make_user(password="plain-password-1")
        key, text = make_key(account)
        guest = make_invitation(account, token_hash="a" * 64)
        link = make_connection(account, secret="enc:old-secret", secret_host="models.example")
        hashes = [user.password, key.secret_hash, text, "a" * 64, "enc:old-secret"]
        user.set_password("plain-password-2")
        write(User, user.pk, password=user.password)
        write(ApiKey, key.pk, secret_hash="b" * 64)
        write(Invitation, guest.pk, token_hash="c" * 64, role="admin")
        write(ProviderConnection, link.pk, secret="enc:new-secret")
        as_platform(link.delete)
        hashes += [user.password, "b" * 64, "c" * 64, "enc:new-secret"]

        log = "\n".join(line for (line,) in rows("SELECT t::text FROM audit_log t"))
        self.assertEqual([secret for secret in hashes if secret in log], [])
        for table, column in (
            ("users", "password"),
            ("api_keys", "secret_hash"),
            ("invitations", "token_hash"),
            ("provider_connections", "secret"),
        ):
            found = [e for e in entries(object_type=table, action="changed") if e.changes]
            self.assertEqual(found[-1].changes[column], ["(secret)", "(secret)"], table)


class ProfileTests(TestCase):
    """Entries about people's data name who changed which columns, but never the values."""

    def setUp(self) -> None:
        self.session = make_session()
        self.profile = make_profile(
            self.session,
            customer_name="Ann Canary",
            email="canary@example.com",
            preferences={"colour": "canary"},
        )

    def log(self) -> list[AuditEntry]:
        return entries(self.session.account, object_type="profiles")

    def test_a_change_names_the_columns_and_no_value(self) -> None:
        with acting(Actor("staff", "7", "staff@example.com")):
            write(Profile, self.profile.pk, phone="555 canary", customer_name="Ann B. Canary")
        made, changed = self.log()

        secret = ["(secret)", "(secret)"]
        self.assertEqual(changed.changes, {"phone": secret, "customer_name": secret})
        self.assertEqual((changed.actor, changed.object), ("staff@example.com", self.label()))
        self.assertEqual(set(made.changes), {"customer_name", "email", "preferences", "session_id"})
        self.assertNotIn("canary", f"{made.changes} {changed.changes}".lower())

    def label(self) -> str:
        return str(self.session.pk)

    def test_deleting_a_conversation_leaves_nothing_of_it_in_the_log(self) -> None:
        with tenant_context(self.session.account_id):
            leave_tombstone(self.session)
        self.assertEqual([entry.action for entry in self.log()], ["created", "deleted"])
        text = "\n".join(line for (line,) in rows("SELECT t::text FROM audit_log t"))
        self.assertNotIn("canary", text.lower())

    def test_writing_the_same_again_leaves_no_entry(self) -> None:
        as_platform(self.profile.save)
        self.assertEqual(len(self.log()), 1)


class QuietTests(TestCase):
    def test_what_turns_write_leaves_no_entry(self) -> None:
        account = make_account()
        instance = make_instance(account)
        key, _ = make_key(account)
        limits, budget = make_limits(account), make_budget(account)
        user = make_user()
        before = len(entries())
        now = timezone.now()
        write(ApiKey, key.pk, last_used_at=now)
        write(AccountLimits, limits.pk, running=3)
        write(Budget, budget.pk, spent=2, reserved=1, period_start=now, alerted_percent=80)
        write(AgentInstance, instance.pk, last_used_at=now)
        write(User, user.pk, last_login=now)
        self.assertEqual(len(entries()), before)


class ErasureTests(TestCase):
    def test_an_erased_account_leaves_nothing_but_its_end(self) -> None:
        acme, beta = make_tenant("acme"), make_tenant("beta")
        account, theirs = acme[Account].pk, entries(beta[Account])
        with acting(ACTORS[0]), platform_context():
            Account.objects.filter(pk=account).delete()
        self.assertEqual(entries(account_id=account), [])
        ours = {str(row.pk) for row in acme.values() if not isinstance(row, User)}
        [end] = [entry for entry in entries() if {entry.object_id} & ours]
        self.assertEqual((end.account_id, end.action, end.object), (None, "deleted", "acme"))
        self.assertEqual(end.actor, "staff@example.com")
        self.assertEqual(entries(beta[Account]), theirs)
