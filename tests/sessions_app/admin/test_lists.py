"""The staff's lists of what happened: pages by place, filters, searches, exports."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from unittest import mock

from asgiref.sync import sync_to_async
from django.db import connection
from django.test import AsyncClient, TestCase
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.audit import csv_export
from accounts.members import support_access
from accounts.models import Account, AuditEntry, User
from accounts.tenancy.context import platform_context
from agents.models import AgentInstance
from salient.cursor import Cursor
from sessions_app.conversations.origins import origin_of
from sessions_app.models import LLMRequest, Message, MessageFeedback, Session
from tests.sessions_app.admin_fixtures import slow_queries_of
from tests.support.database.reads import queries_of, reads
from tests.support.database.stored import as_platform, change_all, row_of
from tests.support.factories import (
    make_account,
    make_feedback,
    make_instance,
    make_llm_request,
    make_message,
    make_session,
    make_usage_day,
)
from tests.support.people import make_root, opened

LISTS: dict[str, Any] = {
    "session": Session,
    "message": Message,
    "llmrequest": LLMRequest,
    "messagefeedback": MessageFeedback,
}
START = datetime(2026, 1, 1, tzinfo=UTC)


class ListCase(TestCase):
    boss: User
    account: Account
    instance: AgentInstance

    @classmethod
    def setUpTestData(cls) -> None:
        cls.boss = make_root(email="boss@example.com")
        cls.account = make_account("acme")
        cls.instance = make_instance(cls.account, "bot")

    def setUp(self) -> None:
        self.client.force_login(self.boss)

    def talk(self, number: int = 0, **fields: Any) -> Session:
        """One more conversation of one turn, `number` minutes after the first."""
        at = START + timedelta(minutes=number)
        session = make_session(self.instance, last_activity_at=at, created_at=at, **fields)
        request = make_llm_request(session, created_at=at)
        message = make_message(session, llm_request=request, created_at=at, content=f"word{number}")
        make_feedback(message, created_at=at)
        return session

    def get(self, name: str, **query: Any) -> Any:
        # What may be a text of people is sealed first.
        return self.client.get(f"/admin/sessions_app/{name}/", query, secure=True, follow=True)

    def listed(self, name: str, **query: Any) -> list[Any]:
        return [row.pk for row in self.get(name, **query).context["cl"].result_list]

    def access(self) -> None:
        opened(self.boss, self.account)

    def of_account(self) -> dict[str, str]:
        return {"account__id__exact": str(self.account.pk)}


class PlaceTests(ListCase):
    @classmethod
    def setUpTestData(cls) -> None:
        super().setUpTestData()
        case = cls()
        # Each moment has two rows: a page may end between them.
        for number in range(120):
            case.talk(number // 2)

    def walk(self, name: str, side: str, first: str) -> list[list[Any]]:
        """Follow the links to the end, as people do."""
        pages, address = [], first
        while address:
            changes = self.client.get(f"/admin/sessions_app/{name}/{address}", secure=True).context
            listed = changes["cl"]
            pages.append([row.pk for row in listed.result_list])
            goes_on = listed.has_older if side == "older" else listed.has_newer
            address = getattr(listed, f"{side}_page")() if goes_on else ""
            self.last = listed
        return pages

    def test_older_and_newer_pages_show_every_row_once_in_order(self) -> None:
        for name, model in LISTS.items():
            with self.subTest(name):
                field = "last_activity_at" if name == "session" else "created_at"
                with platform_context():
                    wanted = list(model.objects.order_by(f"-{field}", "-pk").values_list("pk"))
                first = f"?account__id__exact={self.account.pk}"
                older = self.walk(name, "older", first)
                self.assertEqual([len(page) for page in older], [50, 50, 20])
                self.assertEqual([(pk,) for page in older for pk in page], wanted)
                newer = self.walk(name, "newer", self.last.newer_page())
                back = [pk for page in reversed(newer) for pk in page]
                self.assertEqual([(pk,) for pk in back], wanted[:100])

    def test_a_page_counts_nothing_and_a_deep_one_asks_as_much_as_the_first(self) -> None:
        for name in LISTS:
            with self.subTest(name):
                numbers = []
                deep = str(Cursor(START + timedelta(minutes=20), self.account.pk))
                for place in ({}, {}, {"before": deep}, {"after": deep}):
                    with CaptureQueriesContext(connection) as queries:
                        self.get(name, **self.of_account(), **place)
                    numbers.append(len(queries))
                    counted = [q["sql"] for q in queries if "COUNT(" in q["sql"]]
                    self.assertEqual(counted, [])
                self.assertEqual(len(set(numbers[1:])), 1, numbers)

    def test_a_bad_place_is_no_page(self) -> None:
        for cursor in ("x", "2026-01-01~x", f"2026-01-01T00:00:00~{self.account.pk}"):
            query = {"before": cursor}
            page = self.client.get("/admin/sessions_app/session/", query, secure=True)
            self.assertEqual(page.status_code, 302)


class QueryTests(ListCase):
    def test_a_list_takes_as_many_queries_for_fifty_rows_as_for_one(self) -> None:
        self.access()
        self.talk()
        queries = {"text": "word0"} | self.of_account()
        before = {name: self.number(name) for name in LISTS}
        search_before = self.number("session", **queries)
        for number in range(49):
            self.talk(number)
        change_all(Message, content="word0")
        self.assertEqual({name: self.number(name) for name in LISTS}, before)
        self.assertEqual(self.number("session", **queries), search_before)

    def number(self, name: str, **query: str) -> int:
        # What is searched for, and that a list was looked through, is noted once.
        self.get(name, **(query or self.of_account()))
        return queries_of(self.get, name, **(query or self.of_account()))


class FilterTests(ListCase):
    def setUp(self) -> None:
        super().setUp()
        self.old = self.talk(
            0, end_user="ada", last_status="error", total_cost=Decimal(2), feedback=-1, turn_count=3
        )
        self.new = self.talk(60 * 24 * 3, email="ben@example.com", last_status="complete")

    def test_each_filter_of_sessions_lets_its_rows_through(self) -> None:
        for query, wanted in (
            ({"q": str(self.old.pk)}, self.old),
            ({"q": "ada"}, self.old),
            ({"q": "ben@example.com"}, self.new),
            ({"last_status__exact": "error"}, self.old),
            ({"feedback__exact": "-1"}, self.old),
            ({"cost_from": "1.5", "cost_to": "2"}, self.old),
            ({"cost_to": "1"}, self.new),
            ({"from": "2026-01-02"}, self.new),
            ({"to": "2026-01-01"}, self.old),
            ({"from": "2026-01-04", "to": "2026-01-04"}, self.new),
        ):
            with self.subTest(query):
                self.assertEqual(self.listed("session", **query), [wanted.pk])
        self.assertEqual(self.listed("session", q="nobody"), [])

    def test_an_account_is_found_by_id_and_by_slug(self) -> None:
        other = make_session()
        for given in (str(self.account.pk), "acme"):
            found = self.listed("session", account__id__exact=given)
            self.assertEqual(set(found), {self.old.pk, self.new.pk})
            self.assertNotIn(other.pk, found)

    def test_requests_are_filtered_by_status_model_session_and_agent(self) -> None:
        failed = make_llm_request(self.old, completion_status="error", provider="p", model="m:1")
        for query in (
            {"completion_status__exact": "error"},
            {"model": "p:m:1"},
            {"model": "m:1", "session__id__exact": str(self.old.pk)},
        ):
            with self.subTest(query):
                wanted = [] if query.get("model") == "m:1" else [failed.pk]
                self.assertEqual(self.listed("llmrequest", **query), wanted)
        both = self.listed("llmrequest", session__id__exact=str(self.old.pk))
        self.assertEqual(len(both), 2)
        of_agent = self.listed("llmrequest", agent_instance__id__exact=str(self.instance.pk))
        self.assertEqual(len(of_agent), 3)

    def test_what_is_wrong_is_reported_at_its_field_and_nothing_is_shown(self) -> None:
        for query, field, words in (
            ({"account__id__exact": "nobody"}, "account__id__exact", "no such account"),
            ({"from": "yesterday"}, "from", "valid date"),
            ({"from": "2026-02-01", "to": "2026-01-01"}, "from", "after the other date"),
            ({"cost_from": "much"}, "cost_from", "number"),
            ({"cost_from": "1e999999"}, "cost_from", "digits"),
            ({"cost_to": "0.000000001"}, "cost_to", "decimal places"),
            ({"text": "hello"}, "account__id__exact", "inside one account"),
        ):
            with self.subTest(query):
                page = self.get("session", **query)
                self.assertEqual(page.context["cl"].result_list, [])
                self.assertIn(words, str(page.context["cl"].form.errors[field]))
                self.assertContains(page, words)

    def test_a_filter_that_there_is_not_is_refused_by_name(self) -> None:
        page = self.get("session", colour="red")
        self.assertContains(page, "“colour”", status_code=400)

    def test_what_was_typed_is_escaped(self) -> None:
        page = self.get("session", q='"><script>alert(1)</script>')
        self.assertNotContains(page, "<script>alert")

    def test_messages_are_read_inside_one_account_or_by_an_id(self) -> None:
        self.assertContains(self.get("message"), "Choose an account")
        self.assertEqual(len(self.listed("message", **self.of_account())), 2)
        self.assertEqual(len(self.listed("message", session__id__exact=str(self.old.pk))), 1)

    def test_a_filter_that_takes_too_long_is_stopped_with_a_message(self) -> None:
        with slow_queries_of("sessions"):
            page = self.get("session")
        self.assertContains(page, "was stopped")


class OriginTests(ListCase):
    """Lists tell what no customer caused."""

    def caused(self, number: int, caller: str, **fields: Any) -> None:
        session = self.talk(number)
        with platform_context():
            LLMRequest.objects.filter(session=session).update(caller=caller, **fields)

    def badges(self, name: str) -> list[str]:
        page = self.get(name, **self.of_account()).content.decode()
        return re.findall(r'<span class="badge info">(playground|test \w+)</span>', page)

    def test_each_row_of_staff_and_tests_has_a_badge(self) -> None:
        self.caused(0, "key:1")
        self.caused(1, "visitor:2")
        self.caused(2, f"staff:{self.boss.pk}")
        self.caused(3, f"staff:{self.boss.pk}", request_body={"test_chat": "7"})
        self.caused(4, "key:1", is_test=True)
        # Nobody has asked for anything yet; and what was deleted says of nobody who it was.
        make_session(self.instance)
        self.caused(5, "", request_body=None)
        for name in ("session", "message", "llmrequest"):
            self.assertEqual(self.badges(name), ["test key", "test chat", "playground"], name)

    def test_a_session_costs_one_look_however_many_turns_it_has(self) -> None:
        session = self.talk()
        for _ in range(300):
            make_llm_request(session)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE llm_requests")
        with platform_context(), reads() as found:
            self.listed_sessions()
        self.assertLess(found.rows_of["llm_requests"], 5)

    def listed_sessions(self) -> list[Session]:
        return list(Session.objects.annotate(origin=origin_of(session_id="pk")))


class TextTests(ListCase):
    def test_words_are_looked_for_under_a_support_access_alone(self) -> None:
        self.talk(1)
        page = self.get("session", text="word1", **self.of_account())
        self.assertTemplateUsed(page, "admin/support/reason.html")
        self.assertNotContains(page, "<mark>")

        self.access()
        page = self.get("session", text="word1", **self.of_account())
        self.assertContains(page, "<mark>word1</mark>")
        noted = row_of(AuditEntry, object_type="messages", action="noted")
        self.assertEqual((noted.account_id, noted.object), (self.account.pk, "search: word1"))

    def test_the_words_are_understood_as_search_engines_do(self) -> None:
        self.access()
        first, second = self.talk(1), self.talk(2)
        make_message(first, content="The invoice of March is late")
        make_message(second, content="An invoice is a late bill")
        for text, wanted in (
            ("invoice", {first.pk, second.pk}),
            ('"invoice of March"', {first.pk}),
            ("invoice -march", {second.pk}),
            ("INVOICE bill", {second.pk}),
            ("nothing", set()),
        ):
            with self.subTest(text):
                found = self.listed("session", text=text, **self.of_account())
                self.assertEqual(set(found), wanted)

    def test_other_accounts_are_not_searched(self) -> None:
        self.access()
        other = make_session()
        make_message(other, content="word1 of another")
        self.talk(1)
        found = self.listed("session", text="word1", **self.of_account())
        self.assertNotIn(other.pk, found)

    def test_messages_are_escaped_in_a_snippet(self) -> None:
        self.access()
        session = self.talk(1)
        make_message(session, content="5 < 6 & invoice <script>alert(1)</script>")
        page = self.get("session", text="invoice", **self.of_account())
        self.assertContains(page, "5 &lt; 6 &amp; <mark>invoice</mark>")
        self.assertNotContains(page, "<script>alert")

    def test_a_messages_words_are_hidden_without_access(self) -> None:
        session = self.talk(1)
        message = row_of(Message, session=session)
        feedback = row_of(MessageFeedback, session=session)
        change_all(MessageFeedback, comment="comment1")
        pages: list[Callable[[], Any]] = [
            lambda: self.get("message", **self.of_account()),
            lambda: self.get(f"message/{message.pk}/change"),
            lambda: self.get("messagefeedback"),
            lambda: self.get(f"messagefeedback/{feedback.pk}/change"),
        ]
        for page in pages:
            self.assertNotRegex(page().content.decode(), "word1|comment1")
        for row in (f"message/{message.pk}", f"messagefeedback/{feedback.pk}"):
            history = self.get(f"{row}/history")
            self.assertNotRegex(history.content.decode(), "word1|comment1")
        self.access()
        for page in pages:
            self.assertRegex(page().content.decode(), "word1|comment1")

    def test_whose_texts_a_list_has_shown_is_noted_once_for_an_access(self) -> None:
        session = self.talk(1)
        lists: tuple[tuple[str, dict[str, str]], ...] = (
            ("message", self.of_account()),
            ("message", {"session__id__exact": str(session.pk)}),
            ("messagefeedback", {}),
        )
        for name, query in lists:
            self.get(name, **query)
        self.assertEqual(self.looks(), [])
        self.access()
        for _ in range(2):
            for name, query in lists:
                self.get(name, **query)
        # Without a comment there is nothing to read in a feedback.
        self.assertEqual(self.looks(), ["messages"])
        change_all(MessageFeedback, comment="comment1")
        self.get("messagefeedback")
        self.access()
        self.get("message", **self.of_account())
        self.assertEqual(self.looks(), ["message_feedback", "messages", "messages"])

    def looks(self) -> list[str]:
        with platform_context():
            noted = AuditEntry.objects.filter(action="noted", object_id="list", reason="ticket 7")
            mine = noted.filter(account=self.account, actor=self.boss.email)
            return sorted(mine.values_list("object_type", flat=True))


class ExportTests(ListCase):
    """Over ASGI, as it is served: a response that streams."""

    async def export(self, name: str, **query: str) -> list[list[str]]:
        browser = AsyncClient()
        await browser.aforce_login(self.boss)
        page = await browser.get(f"/admin/sessions_app/{name}/", query, secure=True)
        # What may be a text of people is sealed first.
        if page.status_code == 302:
            page = await browser.get(page["Location"], secure=True)
        self.assertEqual(page.status_code, 200, page.headers)
        self.assertEqual(page.headers["content-type"], "text/csv; charset=utf-8")
        self.assertIn("attachment", page.headers["content-disposition"])
        self.assertIn("no-store", page.headers["cache-control"])
        stream = page.streaming_content  # type: ignore[attr-defined]
        text = b"".join([part async for part in stream])
        return list(csv.reader(io.StringIO(text.decode("utf-8-sig"), newline="")))

    async def test_each_list_is_exported_by_its_filters(self) -> None:
        await self.make(self.talk, 0, end_user="=cmd|' /C calc'!A0", last_status="error")
        await self.make(self.talk, 60 * 24 * 3)
        for name in ("session", "llmrequest", "messagefeedback"):
            with self.subTest(name):
                every = await self.export(f"{name}/export")
                self.assertEqual(len(every), 1 + 2)
                one = await self.export(f"{name}/export", **{"from": "2026-01-02"})
                self.assertEqual([one[0], every[2]], [every[0], one[1]])
        found = await self.export("session/export", last_status__exact="error")
        self.assertEqual(found[1][found[0].index("end_user")], "'=cmd|' /C calc'!A0")

    async def test_messages_leave_of_one_account_and_under_an_access_alone(self) -> None:
        await self.make(self.talk, 0)
        query = self.of_account()
        browser = AsyncClient()
        await browser.aforce_login(self.boss)
        path = "/admin/sessions_app/message/export/"
        self.assertEqual((await browser.get(path, secure=True)).status_code, 302)
        reason_page = await browser.get(path, query, secure=True)
        self.assertTemplateUsed(reason_page, "admin/support/reason.html")
        await self.make(self.access)
        [head, line] = await self.export("message/export", **query)
        self.assertEqual(line[head.index("content")], "word0")

    async def test_usage_is_exported_by_account_and_day(self) -> None:
        today = timezone.now().date()
        await self.make(make_usage_day, self.instance, day=today, requests=3, cost=Decimal("0.5"))
        await self.make(make_usage_day, self.instance, day=today - timedelta(days=2))
        [head, line] = await self.export("llmrequest/usage", **{"from": str(today)})
        row = dict(zip(head, line, strict=True))
        self.assertEqual((row["account"], row["agent"]), ("acme", "bot"))
        self.assertEqual((row["requests"], row["cost_usd"]), ("3", "0.50000000"))

    async def test_a_cost_that_nobody_knows_is_exported_empty_and_not_as_nothing(self) -> None:
        today = timezone.now().date()
        await self.make(make_usage_day, self.instance, day=today, requests=3, unpriced=3)
        await self.make(make_session, self.instance, turn_count=2, unpriced_turns=2)
        [head, line] = await self.export("llmrequest/usage", **{"from": str(today)})
        row = dict(zip(head, line, strict=True))
        self.assertEqual((row["cost_usd"], row["requests_of_unknown_cost"]), ("", "3"))
        [head, *lines] = await self.export("session/export", **self.of_account())
        costs = {(row[head.index("cost_usd")], row[head.index("turns")]) for row in lines}
        self.assertIn(("", "2"), costs)

    async def test_an_export_is_noted_in_the_audit_log_of_the_account(self) -> None:
        await self.export("llmrequest/export", **self.of_account())
        noted = await self.make(self.noted)
        self.assertEqual((noted.object_type, noted.object), ("llm_requests", "CSV export"))
        self.assertEqual((noted.account_id, noted.actor), (self.account.pk, self.boss.email))

    async def test_one_of_all_accounts_is_noted_in_each_without_what_is_anothers(self) -> None:
        await self.make(make_account, "beta")
        days = {"from": "2026-01-01", "to": "2026-01-31"}
        await self.export("session/export", q="ada@example.com", **days)
        await self.export("llmrequest/usage", **days)
        found = await self.make(self.all_notes)

        told = {"from": [None, "2026-01-01"], "to": [None, "2026-01-31"]}
        everywhere = "CSV export of all accounts"
        for table in ("sessions", "usage_days"):
            for slug in ("acme", "beta"):
                self.assertIn((slug, table, everywhere, told), found)
        whole = told | {"q": [None, "ada@example.com"]}
        self.assertIn((None, "sessions", "CSV export", whole), found)
        accounts = await Account.objects.acount()
        self.assertEqual(len(found), 2 * (accounts + 1))

    async def test_one_of_an_agent_or_a_session_is_noted_in_its_account_alone(self) -> None:
        await self.make(make_account, "beta")
        session = await self.make(self.talk, 0)
        await self.export("session/export", agent_instance__id__exact=str(self.instance.pk))
        await self.export("llmrequest/export", session__id__exact=str(session.pk))
        found = await self.make(self.all_notes)
        self.assertEqual([(slug, name) for slug, _, name, _ in found], [("acme", "CSV export")] * 2)

    def all_notes(self) -> list[Any]:
        with platform_context():
            noted = AuditEntry.objects.filter(action="noted", actor=self.boss.email)
            rows = noted.values_list("account__slug", "object_type", "object", "changes")
            return list(rows)

    async def test_messages_stop_leaving_when_the_access_ends(self) -> None:
        await self.make(self.talk, 0)
        await self.make(self.talk, 1)
        await self.make(self.access)
        browser = AsyncClient()
        await browser.aforce_login(self.boss)
        path = "/admin/sessions_app/message/export/"
        with mock.patch.object(csv_export, "ROWS_PER_PAGE", 1):
            page = await browser.get(path, self.of_account(), secure=True)
            stream = aiter(page.streaming_content)  # type: ignore[attr-defined]
            text = await anext(stream) + await anext(stream)
            await self.make(self.access_ends)
            text += b"".join([part async for part in stream])
        self.assertIn(b"word0", text)
        self.assertNotIn(b"word1", text)
        self.assertIn(b"INCOMPLETE: the export was ended here", text)

    def access_ends(self) -> None:
        as_platform(support_access.end_all, self.boss)

    def noted(self) -> AuditEntry:
        return row_of(AuditEntry, action="noted")

    async def test_wrong_filters_lead_back_to_the_list_that_tells(self) -> None:
        browser = AsyncClient()
        await browser.aforce_login(self.boss)
        path = "/admin/sessions_app/session/export/"
        answer = await browser.get(path, {"from": "yesterday"}, secure=True)
        self.assertEqual(answer.status_code, 302)
        self.assertEqual(answer.headers["location"], "../?from=yesterday")

    async def make(self, factory: Any, *args: Any, **fields: Any) -> Any:
        return await sync_to_async(factory)(*args, **fields)
