"""One history of each thing: publications, files, settings, keys and people in one list."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import Permission
from django.db import connection
from django.db.models import Model
from django.test import TestCase
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.audit import timeline
from accounts.audit.log import NOTHING
from accounts.keys.services import rotate_api_key
from accounts.limits.budgets import set_budget
from accounts.models import AuditEntry, MemberRole
from accounts.tenancy.context import platform_context, tenant_context
from agents.config import loader
from agents.config.versions import publishing
from agents.config.versions.current import current_config
from agents.config.versions.timeline import changed_files
from salient.actors import Actor, acting
from salient.cursor import Cursor
from tests.accounts.member_fixtures import make_member
from tests.support.database.stored import change_row, count_of
from tests.support.factories import make_audit_entry, make_key, make_user
from tests.support.fixtures import AgentFixtures
from tests.support.people import make_root

LONG = "Be brief.\nBe kind.\n"
HEADING = re.compile(r"<h2 id=\"event[^>]*>(.*?)</h2>", re.DOTALL)


def words(text: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


class HistoryTests(AgentFixtures, TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.root = make_root(email="ann@example.com", first_name="Ann", last_name="Walker")
        self.client.force_login(self.root)

    def serve(self) -> None:
        """Let the agent answer once, so that its files count."""
        loader.forget()
        with tenant_context(self.account.pk):
            current_config("acme", self.instance)

    def publish(self, text: str, note: str) -> None:
        actor = Actor("staff", str(self.root.pk), self.root.email)
        with acting(actor), platform_context():
            publishing.publish(self.instance, text, note, self.root)

    def history(self, row: Model, **query: str) -> Any:
        name = f"admin:{row._meta.app_label}_{row._meta.model_name}_history"
        return self.client.get(reverse(name, args=[row.pk]), query, secure=True)

    def headings(self, page: Any) -> list[str]:
        return [words(each) for each in HEADING.findall(page.content.decode())]

    def test_a_history_shows_no_rows_whose_pages_the_person_may_not_see(self) -> None:
        make_key(self.account, name="Hidden shop", instance_ids=[self.instance.pk])
        staff = make_user("few@example.com", is_staff=True)
        self.client.force_login(staff)
        names = ["view_account", "view_agentinstance", "view_apikey", "view_auditentry"]
        rows: tuple[tuple[Model, str], ...] = (
            (self.instance, "view_apikey"),
            (self.account, "view_auditentry"),
        )
        for row, needed in rows:
            for may in (False, True):
                with self.subTest(needed, may=may):
                    given = [name for name in names if may or name != needed]
                    rights = Permission.objects.filter(codename__in=given)
                    staff.user_permissions.set(rights)
                    page = self.history(row)
                    self.assertEqual(page.status_code, 200)
                    self.assertEqual("Hidden shop" in page.content.decode(), may)

    def changed_agent(self) -> None:
        self.serve()
        self.publish("retries: 1\n", "Try once")
        self.configure("model: scripted:echo\ntemperature: 0.5\n", prompt=LONG)
        self.serve()
        set_budget(self.account, period="day", limit=Decimal(5), instance_id=self.instance.pk)
        self.publish("retries: 2\n", "Try twice")

    def test_an_agents_history_has_publications_files_settings_and_budgets_in_one_list(
        self,
    ) -> None:
        self.changed_agent()
        page = self.history(self.instance)
        kinds = [each.partition(",")[0].strip() for each in self.headings(page)]
        self.assertEqual(
            [re.sub(r" [0-9a-f]{12} ", " … ", kind) for kind in kinds],
            [
                "created config publication number 2 of bot",
                "created budget day",
                "changed files … of bot",
                "created config publication number 1 of bot",
                "created files … of bot",
                "created agent bot",
            ],
        )
        self.assertContains(page, "by Ann Walker ann@example.com", count=2)
        self.assertContains(page, "Reason: Try twice")
        text = words(page.content.decode())
        self.assertIn("retries 1 2", text)
        self.assertIn(f"temperature {NOTHING} 0.5", text)
        self.assertIn("lines changed", text)
        self.assertIn("Be kind.", text)
        self.assertNotIn("override", text)

    def test_an_accounts_history_has_what_all_its_parts_have(self) -> None:
        self.changed_agent()
        member = make_member(self.account, MemberRole.ADMIN, "bob@example.com")
        with acting(Actor("member", str(member.user_id), "bob@example.com")):
            make_key(self.account, name="shop")
        headings = " | ".join(self.headings(self.history(self.account)))
        for part in (
            "config publication number 2",
            "changed files",
            "member bob@example.com as admin",
            "API key shop",
            "created account acme",
            "bob@example.com member",
        ):
            self.assertIn(part, headings)

    def test_a_keys_history_has_its_successors_and_names_the_key_that_acted(self) -> None:
        key, _ = make_key(self.account, name="old key")
        with acting(Actor("key", str(key.pk), key.key_id)):
            rotated = rotate_api_key(self.account.pk, key.pk)
        headings = self.headings(self.history(key))
        self.assertEqual(len(headings), 3)
        self.assertEqual(sum("by old key key" in each for each in headings), 2)
        self.assertEqual(len(self.headings(self.history(rotated.key))), 3)

    def test_a_members_history_has_the_invitation_and_each_role(self) -> None:
        make_member(self.account, MemberRole.OWNER, "o@example.com")
        member = make_member(self.account, MemberRole.MEMBER, "bob@example.com")
        change_row(member, role="admin")
        page = self.history(member)
        self.assertEqual(len(self.headings(page)), 2)
        self.assertIn("role member admin", words(page.content.decode()))

    def test_pages_follow_each_other_and_cost_the_same(self) -> None:
        for number in range(2 * timeline.PAGE):
            make_audit_entry(self.account, object="entry", object_id=str(number))
        page, seen, costs = self.history(self.account), [], []
        while True:
            seen += self.headings(page)
            if not (older := re.search(r"\?before=([^\"]+)\">Older", page.content.decode())):
                break
            with CaptureQueriesContext(connection) as queries:
                page = self.history(self.account, before=older[1])
            costs.append(len(queries))
        mine = count_of(AuditEntry, account=self.account)
        self.assertEqual((len(seen), len(set(costs))), (mine, 1))
        self.assertLess(costs[0], 15)
        self.assertEqual(self.history(self.account, before="nonsense").status_code, 200)

    def test_an_account_reads_its_own_history_in_its_own_context(self) -> None:
        with tenant_context(self.account.pk):
            sources = [*timeline.account_sources(self.account.pk)]
            events, following = timeline.page(sources)
            self.assertTrue(events)
            self.assertIsNone(following)
            last = Cursor(events[-1].when, events[-1].id)
            self.assertEqual(timeline.page(sources, last), ([], None))
            self.assertEqual(changed_files(self.account.pk)(None, 5), [])
