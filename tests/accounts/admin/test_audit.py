from __future__ import annotations

from decimal import Decimal
from typing import Any

from asgiref.sync import async_to_sync
from django.db import connection
from django.test import SimpleTestCase, TestCase
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.audit.log import changes_of, in_words
from accounts.models import Account, ApiKey, AuditEntry, MemberRole, User
from accounts.models.audit import OBJECT_TYPES
from accounts.tenancy.context import platform_context, tenant_context
from agents.models import ProviderConnection
from salient.actors import Actor, acting
from tests.accounts.member_fixtures import browser_of, make_member
from tests.support.api_client import ApiClient
from tests.support.database.catalog import rows
from tests.support.database.stored import row_of, rows_of
from tests.support.factories import (
    make_account,
    make_budget,
    make_connection,
    make_instance,
    make_key,
    make_limits,
    make_membership,
    make_user,
)
from tests.support.fixtures import key_client
from tests.support.people import make_root, opened

LOG = reverse("admin:accounts_auditentry_changelist")


def entries(**about: Any) -> list[AuditEntry]:
    return rows_of(AuditEntry, "created_at", "id", **about)


def only(**about: Any) -> AuditEntry:
    [entry] = entries(**about)
    return entry


class WordsTests(SimpleTestCase):
    def test_there_was_no_secret_before_the_row_and_there_is_none_after_it(self) -> None:
        sign, nothing = "(secret)", "\N{EN DASH}"
        for action, shown in (
            ("created", (nothing, sign)),
            ("changed", (sign, sign)),
            ("deleted", (sign, nothing)),
        ):
            with self.subTest(action):
                entry = AuditEntry(action=action, changes={"secret_hash": [sign, sign]})
                [change] = changes_of(entry)
                self.assertEqual((change.before, change.after), shown)

    def test_values_are_written_for_people(self) -> None:
        for value, words in (
            (None, "\N{EN DASH}"),
            ("", "\N{EN DASH}"),
            ([], "\N{EN DASH}"),
            (True, "yes"),
            (False, "no"),
            (0, "0"),
            (["chat", "me"], "chat, me"),
            ({"a": 1}, '{\n  "a": 1\n}'),
            ({"a": "one\ntwo"}, '{\n  "a": "one\ntwo"\n}'),
            ("2026-11-24T01:02:03.5+01:00", "24 Nov 2026, 00:02:03 UTC"),
            ("2026-11-24", "2026-11-24"),
        ):
            with self.subTest(value):
                self.assertEqual(in_words(value), words)


async def _parts(answer: Any) -> list[bytes]:
    return [part async for part in answer.streaming_content]


class LogPageTests(TestCase):
    def setUp(self) -> None:
        self.root = make_root(email="boss@example.com")
        self.client.force_login(self.root)
        self.account = make_account("acme", name="Acme")

    def get(self, path: str, **query: Any) -> Any:
        # An address with a search leads to one that does not show it.
        return self.client.get(path, query, secure=True, follow="q" in query)

    def change_account(self) -> AuditEntry:
        page = reverse("admin:accounts_account_change", args=[self.account.pk])
        form = {"name": "<b>New</b>", "status": "active", "subscription_tier": ""}
        self.client.post(page, form, secure=True)
        return only(object_type="accounts", action="changed")

    def test_an_entry_shows_each_value_before_and_after(self) -> None:
        entry = self.change_account()
        page = self.get(reverse("admin:accounts_auditentry_change", args=[entry.pk]))

        self.assertContains(page, "<td>Acme</td>")
        self.assertContains(page, "<td>&lt;b&gt;New&lt;/b&gt;</td>")
        self.assertContains(page, "boss@example.com")
        account = reverse("admin:accounts_account_change", args=[self.account.pk])
        self.assertContains(page, f'href="{account}"')

    def test_an_export_of_all_accounts_has_a_page(self) -> None:
        self.get(reverse("admin:accounts_auditentry_export"))
        noted = entries(action="noted", object_type="audit_log")
        self.assertIn(None, {entry.account_id for entry in noted})
        for entry in noted:
            page = self.get(reverse("admin:accounts_auditentry_change", args=[entry.pk]))
            self.assertContains(page, reverse("admin:accounts_auditentry_changelist"))

    def test_the_list_is_filtered_by_what_staff_ask(self) -> None:
        other = make_account("beta")
        self.change_account()
        with acting(Actor("staff", "7", "boss@example.com")):
            make_membership(make_account(), make_user("ann@example.com"))
        for query, shown in (
            ({}, True),
            ({"action__exact": "changed"}, True),
            ({"action__exact": "deleted"}, False),
            ({"object_type": "accounts"}, True),
            ({"object_type": "users"}, False),
            ({"actor_kind__exact": "staff"}, True),
            ({"actor_kind__exact": "key"}, False),
            ({"account__id__exact": str(self.account.pk)}, True),
            ({"account__id__exact": str(other.pk)}, False),
            ({"q": "boss@example.com", "action__exact": "changed"}, True),
            ({"q": str(other.pk), "action__exact": "changed"}, False),
            ({"q": "ann@example.com"}, True),
            ({"q": "ann"}, False),
        ):
            with self.subTest(query):
                page = self.get(LOG, **query)
                self.assertEqual("Staff</span>" in page.content.decode(), shown)

    def test_it_is_exported_as_it_is_filtered_and_that_is_noted(self) -> None:
        self.change_account()
        address = reverse("admin:accounts_auditentry_export")
        answer = self.get(address, object_type="accounts", account__id__exact=self.account.pk)
        text = b"".join(async_to_sync(_parts)(answer)).decode()

        self.assertIn("boss@example.com", text)
        self.assertNotIn("users", text)
        noted = only(action="noted")
        self.assertEqual((noted.object, noted.account_id), ("CSV export", self.account.pk))

    def test_every_recorded_table_can_be_filtered_by(self) -> None:
        found = rows("SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = 'recorded'")
        self.assertEqual({table for (table,) in found} - set(OBJECT_TYPES), set())

    def test_a_rows_history_is_what_the_log_knows_of_it(self) -> None:
        self.change_account()
        history = reverse("admin:accounts_account_history", args=[self.account.pk])
        page = self.get(history)

        self.assertContains(page, "&lt;b&gt;New&lt;/b&gt;")
        self.assertContains(page, "created")
        self.assertContains(page, LOG)
        nothing = reverse("admin:accounts_account_history", args=[self.root.pk])
        self.assertEqual(self.get(nothing).status_code, 302)

    def test_a_persons_history_too(self) -> None:
        User.objects.filter(pk=self.root.pk).update(first_name="Ada")
        page = self.get(reverse("admin:accounts_user_history", args=[self.root.pk]))

        self.assertContains(page, "Ada")

    def test_it_is_seen_by_who_may_see_the_row(self) -> None:
        self.client.force_login(make_user(is_staff=True))
        history = reverse("admin:accounts_account_history", args=[self.account.pk])
        self.assertEqual(self.get(history).status_code, 403)
        self.assertEqual(self.get(LOG).status_code, 403)

    def test_the_list_costs_the_same_for_one_and_for_fifty(self) -> None:
        self.get(LOG)
        costs = []
        for _ in range(2):
            with CaptureQueriesContext(connection) as counted:
                self.assertEqual(self.get(LOG).status_code, 200)
            costs.append(len(counted))
            for number in range(30):
                make_key(self.account, name=f"key {number}")
        self.assertEqual(costs[0], costs[1])


class WhoseDoingTests(TestCase):
    """Each change by staff, a member, a key or a command is there with its actor."""

    def setUp(self) -> None:
        self.root = make_root(email="boss@example.com")
        self.client.force_login(self.root)
        self.account = make_account("acme", name="Acme")

    def save(self, row: Any, **form: Any) -> AuditEntry:
        meta = row._meta
        page = reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[row.pk])
        answer = self.client.post(page, form, secure=True)
        self.assertEqual(answer.status_code, 302, answer.content.decode())
        [entry] = entries(object_type=meta.db_table, object_id=str(row.pk), action="changed")
        return entry

    def test_what_staff_save_is_staffs(self) -> None:
        key, _ = make_key(self.account, name="old")
        bot = make_instance(self.account)
        saved: list[tuple[Any, dict[str, Any], str, list[Any]]] = [
            (self.account, {"name": "New", "status": "active"}, "name", ["Acme", "New"]),
            (key, {"name": "new"}, "name", ["old", "new"]),
            (
                make_budget(self.account, limit=Decimal(10)),
                {"limit": "20", "alert_percents": "80,100"},
                "limit",
                [10, 20],
            ),
            (make_limits(self.account), {"concurrent_turns": 5}, "concurrent_turns", [None, 5]),
            (
                bot,
                {"display_name": "New", "agent_type": "simple_chat", "status": "active"},
                "display_name",
                [bot.display_name, "New"],
            ),
            (
                make_connection(self.account),
                {"base_url": "https://new.example/v1"},
                "base_url",
                ["https://models.example/v1", "https://new.example/v1"],
            ),
            (
                make_user("new@example.com"),
                {
                    "email": "new@example.com",
                    "first_name": "Ada",
                    "date_joined_0": "2026-01-01",
                    "date_joined_1": "00:00",
                },
                "first_name",
                ["", "Ada"],
            ),
        ]
        for row, form, column, values in saved:
            with self.subTest(row._meta.label):
                entry = self.save(row, **form)
                self.assertEqual((entry.actor_kind, entry.actor), ("staff", "boss@example.com"))
                self.assertEqual(entry.changes[column], values)

    def test_what_a_member_or_a_key_changes_is_theirs(self) -> None:
        owner = make_member(self.account, MemberRole.OWNER, "owner@example.com")
        target = make_membership(self.account)
        key, text = make_key(self.account)
        path = f"/accounts/acme/members/{target.pk}"
        member, by_key = browser_of(owner.user), ApiClient(text)
        for who, role, kind, name in (
            (member, "admin", "member", "owner@example.com"),
            (by_key, "viewer", "key", key.key_id),
        ):
            body = f'{{"role": "{role}"}}'.encode()
            answer = async_to_sync(who.call)("PATCH", path, raw=body)
            self.assertEqual(answer.status, 200, answer.body)
            entry = only(object_type="memberships", action="changed", actor_kind=kind)
            self.assertEqual((entry.actor, entry.changes["role"][1]), (name, role))

    def test_no_secret_stands_in_it(self) -> None:
        key, _ = make_key(self.account)
        made = reverse("admin:agents_providerconnection_add")
        form = {"account": self.account.pk, "name": "own", "base_url": "https://m.example/v1"}
        self.client.post(made, form | {"key": "sk-canary-0123456789"}, secure=True)
        sealed = row_of(ProviderConnection).secret
        hashed = row_of(ApiKey, pk=key.pk).secret_hash
        recorded = str([entry.changes for entry in entries()])

        for secret in (sealed, hashed, "sk-canary-0123456789", self.root.password):
            self.assertNotIn(secret, recorded)


class ApiTests(TestCase):
    def setUp(self) -> None:
        self.account: Account = make_account("acme")
        self.api = key_client(self.account)

    def read(self, **query: Any) -> Any:
        answer = async_to_sync(self.api.call)("GET", "/accounts/acme/audit", query=query)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json()

    def change(self, count: int) -> None:
        for number in range(count):
            with acting(Actor("command", "test")), platform_context():
                Account.objects.filter(pk=self.account.pk).update(name=f"name {number}")

    def test_an_entry_says_who_what_and_from_which_value(self) -> None:
        self.change(1)
        [entry] = self.read(action="changed")["entries"]

        self.assertEqual(entry["actor"], {"kind": "command", "id": "test", "name": ""})
        account = {"type": "accounts", "id": str(self.account.pk), "name": "acme"}
        self.assertEqual(entry["object"], account)
        self.assertEqual(entry["changes"], {"name": {"before": "Acme", "after": "name 0"}})

    def test_pages_give_every_entry_once_the_newest_first(self) -> None:
        self.change(7)
        whole = [entry["id"] for entry in self.read(limit=200)["entries"]]
        pages, before = [], None
        while True:
            page = self.read(limit=2, **({"before": before} if before else {}))
            pages += [entry["id"] for entry in page["entries"]]
            if (before := page["before"]) is None:
                break

        self.assertEqual(pages, whole)
        self.assertEqual(len(whole), 9)

    def test_the_account_sees_which_staff_read_its_texts(self) -> None:
        opened(make_root(email="boss@example.com"), self.account)
        [entry] = self.read(object_type="support_accesses")["entries"]

        self.assertEqual(entry["object"]["name"], "boss@example.com")
        self.assertEqual(entry["changes"]["reason"], {"before": None, "after": "ticket 7"})

    def test_nothing_of_another_account_and_of_the_platform(self) -> None:
        make_key(make_account("beta"), name="theirs")
        make_user("person@example.com")

        listed = str(self.read(limit=200))
        self.assertNotIn("theirs", listed)
        self.assertNotIn("person@example.com", listed)

    def test_what_is_wrong_is_named(self) -> None:
        for query in ({"limit": 0}, {"before": "x"}, {"action": "x"}, {"who": "me"}):
            with self.subTest(query):
                call = async_to_sync(self.api.call)("GET", "/accounts/acme/audit", query=query)
                self.assertEqual((call.status, call.json()["code"]), (400, "invalid_request"))

    def test_an_accounts_own_role_adds_no_false_entry_for_another(self) -> None:
        beta = make_account("beta")
        with tenant_context(self.account.pk):
            self.assertEqual(AuditEntry.objects.filter(account=beta).count(), 0)
