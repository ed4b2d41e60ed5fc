"""The search box of every page: what one has at hand, few queries, by rights, and no secrets."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Permission
from django.test import TestCase
from django.urls import reverse

from accounts.models import Account, ApiKey, User
from accounts.tenancy.context import platform_context, tenant_context
from agents.models import AgentInstance
from sessions_app.conversations.look_up import MOST_OF_A_KIND, look_up
from sessions_app.models import LLMRequest, Session
from tests.support.database.reads import queries_of
from tests.support.factories import (
    make_account,
    make_instance,
    make_invitation,
    make_key,
    make_llm_request,
    make_membership,
    make_session,
    make_user,
)
from tests.support.people import make_auditor, make_root

FIND = reverse("admin:find")
# Of log-in, session, actor, context and rights, beside the look-ups.
AROUND = 12


class PaletteTests(TestCase):
    account: Account
    agent: AgentInstance
    key: ApiKey
    secret: str
    session: Session
    request: LLMRequest
    member: User
    root: User

    @classmethod
    def setUpTestData(cls) -> None:
        cls.root = make_root(email="root@example.com")
        cls.account = make_account("acme", name="Acme Corporation")
        cls.agent = make_instance(cls.account, "help-desk")
        cls.key, cls.secret = make_key(cls.account, name="web shop")
        cls.session = make_session(cls.agent, email="ada@client.example", end_user="ada-17")
        cls.request = make_llm_request(cls.session)
        cls.member = make_user("bob@acme.example", first_name="Bob", last_name="Builder")
        make_membership(cls.account, cls.member)
        make_invitation(cls.account, email="eve@acme.example")

    def setUp(self) -> None:
        self.client.force_login(self.root)

    def find(self, text: str) -> list[tuple[str, str]]:
        answer = self.client.post(FIND, {"text": text, "as": "json"}, secure=True)
        self.assertEqual(answer.status_code, 200)
        self.assertIn("no-store", answer["Cache-Control"])
        found: list[Any] = answer.json()["found"]
        for each in found:
            self.assertIn("/change/", each["href"])
        return [(each["kind"], each["name"]) for each in found]

    def test_everything_is_found_by_what_one_has_of_it(self) -> None:
        account, agent = ("Account", "Acme Corporation"), ("Agent", "Help Desk")
        key, session = ("API key", "web shop"), ("Session", "acme/help-desk")
        request, person = ("LLM request", "acme/help-desk"), ("Person", "bob@acme.example")
        cases: dict[str, list[tuple[str, str]]] = {
            "corpor": [account],
            "acme": [account],
            "help": [agent],
            "acme/help": [agent],
            "web sh": [key],
            self.secret: [key],
            self.key.shown_id: [key],
            self.key.shown_id[:11]: [key],
            self.key.key_id: [key],
            str(self.key.pk): [key],
            str(self.account.pk): [account],
            str(self.agent.pk): [agent],
            str(self.session.pk): [session],
            str(self.request.pk): [request],
            f"resp_{self.request.pk.hex}": [request],
            "Bob@Acme.example": [person, ("Member", "bob@acme.example")],
            "eve@acme.example": [("Invitation", "eve@acme.example")],
            "ada@client.example": [session],
            "ada-17": [session],
            "nobody": [],
            "a": [],
            "": [],
            "\x00": [],
            "x" * 300: [],
        }
        for text, expected in cases.items():
            with self.subTest(text):
                self.assertEqual(self.find(text), expected)

    def test_it_works_without_a_script_and_shows_no_secret(self) -> None:
        page = self.client.post(FIND, {"text": f" {self.secret} "}, secure=True)
        self.assertContains(page, "web shop")
        self.assertNotContains(page, self.secret[22:])
        self.assertContains(page, self.key.key_id)
        self.assertContains(self.client.get(FIND, {"text": "acme"}, secure=True), "Find")
        self.assertNotContains(self.client.get(FIND, {"text": "acme"}, secure=True), "Corporation")
        self.assertContains(self.client.post(FIND, {"text": "zzz"}, secure=True), "Nothing has")
        self.assertContains(self.client.get("/admin/", secure=True), 'id="palette-text"')

    def test_each_look_up_is_a_few_queries_of_a_few_rows(self) -> None:
        for number in range(2 * MOST_OF_A_KIND):
            make_account(f"acme-{number}")
        self.assertEqual(len(self.find("acme")), MOST_OF_A_KIND)
        for text, most in (("acme", 5), ("ada@client.example", 4), (self.secret, 1), ("a", 0)):
            with self.subTest(text):
                self.assertLessEqual(queries_of(self.find, text), AROUND + most)
        self.assertLessEqual(queries_of(self.find, str(self.session.pk)), AROUND + 6)

    def test_results_are_by_rights(self) -> None:
        self.client.force_login(staff := make_user(is_staff=True))
        self.assertEqual(self.find("acme"), [])
        staff.user_permissions.set(Permission.objects.filter(codename="view_account"))
        self.assertEqual(self.find("acme"), [("Account", "Acme Corporation")])
        for text in (self.secret, "help", "bob@acme.example", str(self.session.pk)):
            self.assertEqual(self.find(text), [])
        self.client.force_login(make_auditor(email="eye@example.com"))
        self.assertEqual(self.find("web"), [("API key", "web shop")])
        self.client.force_login(make_user())
        self.assertEqual(self.client.post(FIND, {"text": "acme"}, secure=True).status_code, 302)

    def test_an_account_finds_what_is_its_own(self) -> None:
        other = make_instance(make_account("other"), "help-too")
        with tenant_context(self.account.pk):
            found = [each.row for each in look_up("help", lambda _model: True)]
        self.assertEqual(found, [self.agent])
        with platform_context():
            found = [each.row for each in look_up("help", lambda _model: True)]
        self.assertEqual(found, [self.agent, other])
