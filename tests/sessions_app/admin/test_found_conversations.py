"""Staff find what was said, walk through the hits, and go on to the version that answered."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from unittest import mock
from urllib.parse import parse_qs, urlsplit

from django.db import connection
from django.test import TestCase

from accounts.members.staff_roles import StaffRole, set_flags, set_groups
from accounts.members.support_access import end_all
from accounts.models import Account, AuditEntry, User
from accounts.tenancy.context import platform_context, tenant_context
from agents.models import AgentInstance, ConfigVersion
from sessions_app.conversations import search
from sessions_app.conversations.search import MessageSearch
from sessions_app.models import Message, Role, Session
from tests.sessions_app.admin_fixtures import slow_queries_of
from tests.support.database.catalog import rows
from tests.support.database.stored import as_platform, change_row, row_of
from tests.support.factories import (
    make_account,
    make_config_publication,
    make_config_version,
    make_instance,
    make_message,
    make_session,
    make_user,
)
from tests.support.people import make_root, opened

START = datetime(2026, 11, 20, 14, 0, tzinfo=UTC)
SESSIONS, SEARCH = "/admin/sessions_app/session/", "/admin/list-search/"


def links_of(page: Any) -> dict[str, str]:
    """Return the addresses of the page's links by their texts."""
    found = re.findall(r'<a href="([^"]*)"[^>]*>([^<]+)</a>', page.content.decode())
    return {text.strip(): unescape(address) for address, text in found}


class FoundCase(TestCase):
    boss: User
    account: Account
    agent: AgentInstance
    other_agent: AgentInstance
    version: ConfigVersion
    early: Session
    late: Session
    answers: list[Message]

    @classmethod
    def setUpTestData(cls) -> None:
        cls.boss = make_root(email="boss@example.com")
        cls.account = make_account("acme")
        cls.agent = make_instance(cls.account, "bot")
        cls.other_agent = make_instance(cls.account, "shop")
        cls.version = make_config_version(cls.agent)
        make_config_publication(cls.agent, number=3, config_version=cls.version)
        opened(cls.boss, cls.account)
        cls.early = cls.talk(0, "Is a refund late?", "A **refund** takes 30 days.", end_user="ada")
        cls.late = cls.talk(30, "Hello", "Your refund is late.", email="ben@example.com")

    @classmethod
    def talk(cls, minute: int, *texts: str, agent: AgentInstance | None = None, **of: Any) -> Any:
        """Make a conversation: a question and an answer, a second apart, and so on."""
        at = START + timedelta(minutes=minute)
        session = make_session(agent or cls.agent, created_at=at, last_activity_at=at, **of)
        for number, text in enumerate(texts):
            answers = number % 2
            make_message(
                session,
                role=Role.ASSISTANT if answers else Role.HUMAN,
                content=text,
                created_at=at + timedelta(seconds=number),
                config_version=cls.version if answers and not agent else None,
            )
        return session

    def setUp(self) -> None:
        self.client.force_login(self.boss)

    def find(self, **fields: str) -> Any:
        sent = {"list": "sessions_app_session", "account__id__exact": "acme", **fields}
        return self.client.post(SEARCH, sent, secure=True, follow=True)

    def found(self, **fields: str) -> set[Any]:
        return {row.pk for row in self.find(**fields).context["cl"].result_list}

    def open(self, address: str) -> Any:
        page = self.client.get(address.partition("#")[0], secure=True, follow=True)
        self.assertEqual(page.status_code, 200)
        return page

    def first_result(self, page: Any) -> str:
        [address, *_] = re.findall(r'href="(/admin/sessions_app/session/[^"]+)"', self.rows(page))
        return unescape(address)

    def rows(self, page: Any) -> str:
        return str(page.content.decode().partition('id="result_list"')[2])


class SearchTests(FoundCase):
    def test_what_people_wrote_and_who_they_are_stands_in_no_address(self) -> None:
        page = self.find(text="refund", q="ben@example.com", role="assistant")
        where = [address for address, _ in page.redirect_chain]
        where += re.findall(r'(?:href|action)="([^"]*)"', page.content.decode())
        for address in where:
            self.assertNotRegex(address, "refund|ben(@|%40)example")
        self.assertContains(page, "<mark>refund</mark>")
        # Nor where somebody typed the address.
        typed = {"text": "refund", "q": "ben", "account__id__exact": "acme"}
        sent = self.client.get(SESSIONS, typed, secure=True)
        self.assertEqual(
            set(parse_qs(urlsplit(sent["Location"]).query)), {"account__id__exact", "private"}
        )
        self.assertNotIn("refund", sent["Location"])
        # An id is nobody's text, and stays as it is for links and colleagues.
        self.assertIn(str(self.early.pk), self.find(q=str(self.early.pk)).redirect_chain[-1][0])

    def test_a_refused_export_leads_back_without_the_texts(self) -> None:
        query = {"q": "ben@example.com", "from": "2026-11-30", "to": "2026-11-01"}
        answer = self.client.get(f"{SESSIONS}export/", query, secure=True)
        self.assertEqual(answer.status_code, 302)
        self.assertNotIn("ben", answer["Location"])
        self.assertIn("private=", answer["Location"])

    def test_an_address_that_cannot_be_read_says_so(self) -> None:
        page = self.client.get(SESSIONS, {"private": "gAAAAnothing"}, secure=True)
        self.assertContains(page, "search again")
        self.assertEqual(page.context["cl"].result_list, [])
        self.assertContains(self.find(text="x" * 5000), "at most 300 characters")

    def test_words_are_found_by_speaker_agent_person_and_time(self) -> None:
        elsewhere = self.talk(10, "Hi", "No refund here.", agent=self.other_agent)
        day = "2026-11-20"
        for fields, wanted in (
            ({"text": "refund"}, {self.early, self.late, elsewhere}),
            ({"text": "refund", "role": "human"}, {self.early}),
            ({"text": '"refund is late"', "role": "assistant"}, {self.late}),
            (
                {"text": "refund", "agent_instance__id__exact": str(self.other_agent.pk)},
                {elsewhere},
            ),
            ({"text": "refund", "q": "ada"}, {self.early}),
            ({"text": "refund", "q": "Ben@Example.com"}, {self.late}),
            (
                {
                    "text": "refund",
                    "from": day,
                    "from_time": "14:05",
                    "to": day,
                    "to_time": "14:10",
                },
                {elsewhere},
            ),
            ({"text": "refund", "from": "2026-11-21"}, set()),
            (
                {"q": "ada", "from": day, "from_time": "14:00", "to": day, "to_time": "14:00"},
                {self.early},
            ),
            ({"from": day, "from_time": "14:29"}, {self.late}),
        ):
            with self.subTest(fields):
                self.assertEqual(self.found(**fields), {each.pk for each in wanted})

    def test_a_hit_counts_by_its_own_time_however_long_the_conversation_went_on(self) -> None:
        change_row(self.early, last_activity_at=START + timedelta(days=9))
        until = {"to": "2026-11-20", "to_time": "14:01"}
        self.assertEqual(self.found(text="refund", **until), {self.early.pk})
        self.assertEqual(self.found(q="ada", **until), {self.early.pk})

    def test_a_time_needs_its_day_and_comes_before_the_other(self) -> None:
        self.assertContains(self.find(from_time="14:00"), "Choose the day too.")
        day = "2026-11-20"
        late = self.find(**{"from": day, "from_time": "15:00", "to": day, "to_time": "14:00"})
        self.assertContains(late, "after the other time")

    def test_the_chosen_account_offers_its_agents_by_name(self) -> None:
        make_instance(make_account("beta"), "hidden")
        page = self.find(text="refund")
        self.assertContains(page, f'<option value="{self.other_agent.pk}">shop</option>', html=True)
        self.assertNotContains(page, ">hidden<")

    def test_a_search_that_takes_too_long_is_stopped_with_a_message(self) -> None:
        with slow_queries_of("messages"):
            self.assertContains(self.find(text="refund"), "was stopped")
        with mock.patch.object(search, "MOST_HITS", 2):
            self.assertContains(self.find(text="refund"), "Choose fewer days")


class WalkTests(FoundCase):
    def test_a_conversation_opens_at_the_hit_and_leads_to_the_others(self) -> None:
        page = self.open(self.first_result(self.find(text="refund")))
        self.assertEqual(page.context["session"].pk, self.late.pk)
        self.assertContains(page, "Your <mark>refund</mark> is late.")
        self.assertContains(page, "Hit 1 of 1 in this conversation")
        self.assertNotIn("Newer conversation", links_of(page))
        [hit] = parse_qs(urlsplit(page.redirect_chain[-1][0]).query)["at"]
        self.assertContains(page, f'id="m-{hit}"')

        page = self.open(links_of(page)["Older conversation"])
        self.assertEqual(page.context["session"].pk, self.early.pk)
        self.assertContains(page, "A **<mark>refund</mark>** takes 30 days.")
        self.assertContains(page, "Hit 2 of 2 in this conversation")
        before = links_of(page)["Previous hit"]
        page = self.open(before)
        self.assertContains(page, "Is a <mark>refund</mark> late?")
        self.assertContains(page, "Hit 1 of 2 in this conversation")
        self.assertNotIn("Previous hit", links_of(page))
        self.assertTrue(before.endswith(f"#m-{parse_qs(urlsplit(before).query)['at'][0]}"))

        links = links_of(page)
        for address in links.values():
            self.assertNotIn("refund", address)
        self.assertEqual(self.open(links["Newer conversation"]).context["session"].pk, self.late.pk)
        self.assertContains(self.open(links["All results"]), "<mark>refund</mark>")

    def test_any_filtered_list_leads_from_one_conversation_to_the_next(self) -> None:
        page = self.open(self.first_result(self.find()))
        self.assertEqual(page.context["session"].pk, self.late.pk)
        self.assertNotContains(page, "<mark>")
        page = self.open(links_of(page)["Older conversation"])
        self.assertEqual(page.context["session"].pk, self.early.pk)
        self.assertNotIn("Older conversation", links_of(page))
        self.assertNotIn("All results", links_of(self.open(f"{SESSIONS}{self.late.pk}/change/")))

    def test_an_old_hit_is_on_its_page(self) -> None:
        long = self.talk(90, "The needle", *("hay" for _ in range(70)))
        page = self.open(self.first_result(self.find(text="needle")))
        self.assertContains(page, "The <mark>needle</mark>")
        self.assertEqual(len(page.context["page"].entries), 11)
        newest = self.open(f"{SESSIONS}{long.pk}/change/{links_of(page)['Newest messages']}")
        self.assertEqual(len(newest.context["page"].entries), 50)
        self.assertNotContains(newest, "needle")

    def test_marked_texts_are_escaped(self) -> None:
        self.talk(90, "<script>alert(1)</script> zebra & co")
        page = self.open(self.first_result(self.find(text="zebra")))
        self.assertContains(
            page, "&lt;script&gt;alert(1)&lt;/script&gt; <mark>zebra</mark> &amp; co"
        )

    def test_when_the_access_has_ended_nothing_is_marked(self) -> None:
        address = self.first_result(self.find(text="refund"))
        as_platform(end_all, self.boss)
        page = self.open(address)
        self.assertNotContains(page, "<mark>")
        self.assertNotContains(page, "Hit ")
        self.assertNotContains(page, "30 days")
        # Which conversations have the words is what people wrote.
        for link in ("Older conversation", "Newer conversation"):
            self.assertNotContains(page, link)
        self.assertTemplateUsed(self.find(text="refund"), "admin/support/reason.html")

    def test_from_an_answer_to_its_version_and_on_to_the_draft(self) -> None:
        links = links_of(self.open(f"{SESSIONS}{self.early.pk}/change/"))
        version = self.open(links["Version: number 3"])
        self.assertEqual(version.context["version"].pk, self.version.pk)
        editor = f"/admin/agents/agentinstance/{self.agent.pk}/configuration/"
        self.assertEqual(links_of(version)["Fix the agent"], editor)
        self.assertEqual(links["Fix the agent"], editor)

        support = make_user("sue@example.com", is_staff=True)
        set_flags(support, StaffRole.SUPPORT)
        set_groups(support, StaffRole.SUPPORT)
        self.client.force_login(support)
        links = links_of(self.open(f"{SESSIONS}{self.early.pk}/change/"))
        self.assertIn("Write a better answer", links)
        self.assertNotIn("Fix the agent", links)

    def test_each_search_is_noted_in_the_accounts_log(self) -> None:
        self.find(text="refund")
        noted = row_of(AuditEntry, object_type="messages", action="noted")
        self.assertEqual((noted.account_id, noted.object), (self.account.pk, "search: refund"))


class PlanTests(FoundCase):
    @classmethod
    def setUpTestData(cls) -> None:
        super().setUpTestData()
        with connection.cursor() as cursor:
            cursor.execute(
                """
                INSERT INTO messages (id, account_id, agent_instance_id, session_id, role, content,
                    created_at)
                SELECT gen_random_uuid(), %s, %s, %s, 'human',
                    'said common ' || n || ' rare' || (n %% 997), %s + n * interval '1 second'
                FROM generate_series(1, 20000) AS n
                """,
                [cls.account.pk, cls.agent.pk, cls.late.pk, START + timedelta(days=1)],
            )
            cursor.execute("ANALYZE messages")

    def plan(self, text: str, **of: Any) -> str:
        with platform_context():
            rows = MessageSearch(self.account.pk, text, **of).hits()
            return str(rows.values_list("session_id", flat=True)[: search.MOST_HITS].explain())

    def test_the_platforms_role_finds_a_rare_word_by_the_index_of_words(self) -> None:
        """Row-level security keeps no condition from the index: the policy holds for every row."""
        plan = self.plan("rare7")
        with platform_context():
            self.assertEqual(rows("SELECT current_user::text"), [("salient_platform",)])
            self.assertEqual(MessageSearch(self.account.pk, "rare7").hits().count(), 21)
        self.assertIn("ix_messages_text_start", plan)
        self.assertNotIn("Seq Scan", plan)

    def test_a_common_word_and_a_short_time_are_a_walk_of_the_newest(self) -> None:
        begin = START + timedelta(days=1, hours=1)
        for plan in (self.plan("common"), self.plan("common", role="human", begin=begin)):
            self.assertIn("ix_messages_account_time", plan)
            self.assertNotIn("Sort", plan)
            self.assertNotIn("Seq Scan", plan)
        short = self.plan("common", begin=begin, end=begin + timedelta(minutes=5))
        self.assertIn("ix_messages_account_time", short)
        self.assertNotIn("Seq Scan", short)

    def test_the_same_words_are_found_in_the_tenants_own_context(self) -> None:
        other = make_session(make_instance(make_account("beta")))
        make_message(other, content="a refund of another account")
        wanted = MessageSearch(self.account.pk, "refund")
        with tenant_context(self.account.pk):
            found, is_cut = wanted.sessions()
            [hit] = wanted.hits_in(self.late)
            marked = wanted.marked([hit.pk])
        self.assertEqual((found, is_cut), ({self.early.pk, self.late.pk}, False))
        self.assertEqual(marked[hit.pk], "Your <mark>refund</mark> is late.")
        with tenant_context(other.account_id):
            self.assertEqual(wanted.sessions(), (set(), False))
