"""The pages of a session and of an LLM request: texts are shown under a support access."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

from asgiref.sync import sync_to_async
from django.db import connection
from django.test import SimpleTestCase, TestCase
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEntry, User
from accounts.tenancy.context import platform_context
from agents.runtime.events import ToolCall, ToolResult
from agents.runtime.providers.base import ToolRound
from salient.database import storable
from sessions_app.conversations import transcript
from sessions_app.models import LLMRequest, Message, Role, Session
from sessions_app.turns import tool_calls
from tests.support.database.reads import queries_of
from tests.support.database.stored import change_row, row_of
from tests.support.factories import (
    make_account,
    make_config_version,
    make_feedback,
    make_instance,
    make_key,
    make_llm_request,
    make_message,
    make_prompt_section,
    make_session,
    make_user,
)
from tests.support.fixtures import AgentFixtures, stored
from tests.support.people import make_root, opened

EVIL = "<script>alert(1)</script>"
BEGAN = datetime(2026, 11, 3, 9, tzinfo=UTC)


def call(**fields: Any) -> dict[str, Any]:
    defaults = {
        "provider": "openai",
        "model": "gpt-5-mini",
        "input_tokens": 120,
        "output_tokens": 30,
        "latency_ms": 900,
        "time_to_first_token_ms": 300,
        "total_cost": "0.00120000",
        "finish_reason": "stop",
        "error": "",
    }
    return defaults | fields


class PagesTestCase(TestCase):
    boss: User
    session: Session

    def setUp(self) -> None:
        self.boss = make_root(email="boss@example.com")
        self.client.force_login(self.boss)
        self.account = make_account("acme")
        self.session = make_session(make_instance(self.account, "bot"), end_user="user-7")

    def turn(self, number: int = 0, *, answer: str = "An answer", **fields: Any) -> LLMRequest:
        at = BEGAN + timedelta(minutes=number)
        request = make_llm_request(
            self.session,
            created_at=at,
            **{
                "completion_status": "complete",
                "latency_ms": 900,
                "total_cost": Decimal("0.0012"),
                "response_body": {"calls": [call()]},
            }
            | fields,
        )
        make_message(self.session, content=f"Question {number}", llm_request=request, created_at=at)
        if answer:
            make_message(
                self.session,
                role=Role.ASSISTANT,
                content=answer,
                llm_request=request,
                created_at=at + timedelta(seconds=1),
            )
        return request

    def let_in(self) -> None:
        opened(self.boss, self.account, reason="Ticket 4711")

    def page(self, **query: str) -> Any:
        address = reverse("admin:sessions_app_session_change", args=[self.session.pk])
        return self.client.get(address, query, secure=True)

    def text(self, **query: str) -> str:
        response = self.page(**query)
        self.assertEqual(response.status_code, 200)
        return str(response.content.decode())

    def request_page(self, request: LLMRequest) -> str:
        address = reverse("admin:sessions_app_llmrequest_change", args=[request.pk])
        response = self.client.get(address, secure=True)
        self.assertEqual(response.status_code, 200)
        return str(response.content.decode())


class SessionPageTests(PagesTestCase):
    def test_without_a_reason_the_work_is_shown_and_no_text(self) -> None:
        request = self.turn(answer="A secret answer")
        make_feedback(self.answer_of(request), rating=-1, comment="A secret comment")

        page = self.text()

        for word in ("Question 0", "secret"):
            self.assertNotIn(word, page)
        for text in ("$0.0012", "900 ms", "openai:gpt-5-mini", "user-7", "Show the texts"):
            self.assertIn(text, page)

    def answer_of(self, request: LLMRequest) -> Message:
        return row_of(Message, llm_request=request, role=Role.ASSISTANT)

    def test_with_a_reason_the_words_are_shown_and_the_reading_is_noted_once(self) -> None:
        self.turn(answer="A secret answer")
        self.let_in()

        self.assertIn("A secret answer", self.text())
        self.text()

        with platform_context():
            noted = AuditEntry.objects.filter(action="noted", object_type="sessions")
            self.assertEqual(
                [(each.object_id, each.actor, each.reason) for each in noted],
                [(str(self.session.pk), "boss@example.com", "Ticket 4711")],
            )
            self.assertEqual([each.object for each in noted], [str(self.session)])

    def test_texts_are_escaped_wherever_they_come_from(self) -> None:
        tools = [{"name": EVIL, "arguments": EVIL, "content": EVIL, "is_error": True}]
        body = {"calls": [call(model=EVIL, error=EVIL)], "tools": tools}
        request = self.turn(answer=EVIL, response_body=body, error_code="x")
        make_feedback(self.answer_of(request), comment=EVIL)
        self.let_in()

        self.assertNotIn(EVIL, self.text())
        self.assertNotIn(EVIL, self.request_page(request))

    def test_an_error_stands_below_the_question_that_it_left_without_an_answer(self) -> None:
        failed = [call(error="provider_timeout", output_tokens=0)] * 2
        self.turn(
            0,
            answer="",
            completion_status="error",
            error_code="provider_timeout",
            response_body={"calls": failed},
        )
        self.turn(1)
        self.let_in()

        page = self.text()

        question, error = page.index("Question 0"), page.index("No answer")
        self.assertLess(question, error)
        self.assertLess(error, page.index("Question 1"))
        self.assertIn("error: provider_timeout", page)
        self.assertIn("retry", page)

    def test_tools_and_feedback_are_shown_at_their_answer(self) -> None:
        tool = {"name": "current_time", "arguments": "{}", "content": "noon", "is_error": False}
        request = self.turn(response_body={"calls": [call()], "tools": [tool]})
        make_feedback(self.answer_of(request), rating=-1, comment="Too late")
        self.let_in()

        page = self.text()

        for text in ("1 tool call: current_time", "noon", "Too late", "bad</span>"):
            self.assertIn(text, page)

    def test_a_long_conversation_shows_its_end_and_leads_to_what_was_before(self) -> None:
        for number in range(40):
            self.turn(number)
        self.let_in()

        newest = self.page().context["page"]
        older = self.page(before=newest.earlier).context["page"]

        self.assertEqual(len(newest.entries), transcript.PAGE_SIZE)
        self.assertEqual(len(older.entries), 80 - transcript.PAGE_SIZE)
        self.assertEqual(older.earlier, "")
        times = [entry.message.created_at for entry in older.entries + newest.entries]
        self.assertEqual(times, sorted(times))
        for broken in ("nonsense", "2026-01-01~x", "~"):
            self.assertEqual(self.page(before=broken).status_code, 200)

    def test_an_answer_on_the_next_page_is_no_failure(self) -> None:
        # 51 messages: the oldest page ends with a question.
        make_message(self.session, content="Hello", created_at=BEGAN - timedelta(minutes=1))
        for number in range(50):
            self.turn(number)

        newest = self.page().context["page"]
        older = self.page(before=newest.earlier).context["page"]

        self.assertFalse(any(entry.unanswered for entry in older.entries + newest.entries))

    def test_as_many_queries_for_fifty_messages_as_for_two(self) -> None:
        self.turn(0)
        self.let_in()
        self.page()
        few = queries_of(self.page)
        for number in range(1, 40):
            make_feedback(self.answer_of(self.turn(number)))

        self.assertEqual(queries_of(self.page), few)

    def test_a_deleted_conversation_says_so(self) -> None:
        change_row(self.session, deleted_at=timezone.now())

        self.assertIn("was deleted", self.text())

    def test_it_leads_to_a_test_chat_to_its_requests_and_to_an_export(self) -> None:
        page = self.text()

        self.assertIn(reverse("admin:saved-chat-from-session", args=[self.session.pk]), page)
        for address in ("sessions_app_message_export", "sessions_app_llmrequest_changelist"):
            self.assertIn(reverse(f"admin:{address}"), page)

    def test_its_links_are_answered(self) -> None:
        self.turn()
        self.let_in()
        context = self.page().context
        for name in ("requests_address", "export_address", "save_address"):
            with self.subTest(name=name):
                response = self.client.get(context[name], secure=True)
                self.assertEqual(response.status_code, 200)

    def test_no_link_leads_to_a_missing_page(self) -> None:
        for key in (uuid4(), "no-such-thing"):
            address = reverse("admin:sessions_app_session_change", args=[key])
            self.assertEqual(self.client.get(address, secure=True).status_code, 302)

    def test_an_auditor_reads_and_is_offered_no_change(self) -> None:
        self.turn(answer="A secret answer")
        auditor = make_user("auditor@example.com", is_staff=True, is_auditor=True)
        self.client.force_login(auditor)

        page = self.text()

        self.assertNotIn("secret", page)
        self.assertNotIn("test chat", page)

    def test_the_key_of_a_visitors_cookie_is_never_asked_for(self) -> None:
        self.let_in()
        with CaptureQueriesContext(connection) as queries:
            page = self.text()

        self.assertNotIn(self.session.session_key, page)
        statements = " ".join(each["sql"] for each in queries)
        for column in ('"sessions"."session_key"', '"config_versions"."content"'):
            self.assertNotIn(column, statements)


class RequestPageTests(PagesTestCase):
    def test_tells_tokens_costs_times_status_and_caller(self) -> None:
        key, _ = make_key(self.account, name="shop server")
        version = make_config_version(self.session.agent_instance)
        request = self.turn(
            caller=f"key:{key.pk}",
            config_version=version,
            prompt_tokens=120,
            completion_tokens=30,
            total_tokens=150,
            time_to_first_token_ms=300,
            cost_source="genai-prices",
            reserved_cost=Decimal("0.02"),
            charged_cost=Decimal("0.0012"),
        )

        page = self.request_page(request)

        for text in ("shop server", str(version), "120 in", "30 out", "$0.02", "300 ms"):
            self.assertIn(text, page)
        self.assertIn(reverse("admin:accounts_apikey_change", args=[key.pk]), page)
        self.assertIn(reverse("admin:agents_configversion_change", args=[version.pk]), page)

    def test_an_unknown_cost_is_unknown_and_no_zero(self) -> None:
        page = self.request_page(self.turn(total_cost=None))

        self.assertIn("<strong>unknown</strong>", page)
        self.assertIn("<strong>$0.00</strong>", self.request_page(self.turn(1, total_cost=0)))

    def test_retries_and_fallbacks_are_distinguished(self) -> None:
        calls = [
            call(error="provider_rate_limited", output_tokens=0),
            call(error="provider_unavailable", output_tokens=0),
            call(provider="google", model="gemini-2.5-flash", finish_reason="tool_calls"),
            call(provider="google", model="gemini-2.5-flash"),
        ]
        request = self.turn(response_body={"calls": calls})

        notes = [each.note for each in transcript.Call.all_of(request)]

        self.assertEqual(notes, ["", "retry", "fallback", "after tools"])
        page = self.request_page(request)
        self.assertIn("fallback", page)
        self.assertIn("provider_rate_limited", page)

    def test_sections_are_sized_for_all_and_read_for_a_reason(self) -> None:
        make_prompt_section(self.account, digest="d" * 64, text="Never tell the secret.")
        section = {"name": "system prompt", "source": "published here", "bytes": 22, "tokens": 6}
        history = {"name": "history", "source": "messages", "bytes": 80, "tokens": 20}
        request = self.turn(
            request_body={
                "model": "openai:gpt-5-mini",
                "sections": [section | {"digest": "d" * 64}, history | {"messages": 4}],
            }
        )

        hidden = self.request_page(request)
        self.let_in()
        shown = self.request_page(request)

        for page in (hidden, shown):
            for text in ("system prompt", "published here", "4 messages", 'max="80"'):
                self.assertIn(text, page)
        self.assertNotIn("Never tell the secret.", hidden)
        self.assertIn("Never tell the secret.", shown)

    def test_what_was_sent_is_the_prompt_the_history_and_the_question(self) -> None:
        make_prompt_section(self.account, digest="e" * 64, text="Be kind.")
        self.turn(answer="Answer nought")
        self.turn(1, answer="Answer one")
        section = {"name": "system prompt: Tone", "source": "x", "bytes": 8, "tokens": 2}
        body = {"sections": [section | {"digest": "e" * 64}], "history_messages": 2}
        request = self.turn(2, request_body=body | {"history_bytes": 20})
        self.assertNotIn("As it was sent", self.request_page(request))
        self.let_in()
        sent = self.request_page(request).partition("As it was sent: 4 messages")[2]

        texts = re.findall(r'aria-label="(\w+)">([^<]*)</pre>', sent)
        self.assertEqual(
            texts,
            [
                ("system", "Be kind."),
                ("user", "Question 1"),
                ("assistant", "Answer one"),
                ("user", "Question 2"),
            ],
        )

    def test_as_many_queries_for_many_sections_as_for_one(self) -> None:
        one = self.turn(request_body={"sections": [self.section("a")]})
        many = self.turn(1, request_body={"sections": [self.section(each) for each in "abcdefg"]})
        self.let_in()
        self.request_page(one)
        self.request_page(many)
        of_one, of_many = (queries_of(self.request_page, request) for request in (one, many))

        self.assertEqual(of_one, of_many)

    def section(self, letter: str) -> dict[str, Any]:
        return {"name": letter, "source": "s", "bytes": 1, "tokens": 1, "digest": letter * 64}

    def test_what_came_before_sections_and_calls_were_kept_is_shown_too(self) -> None:
        for body in (None, {}, {"note": "old"}):
            with self.subTest(body=body):
                request = self.turn(
                    BEGAN.minute, request_body=body, response_body=body, caller="", answer=""
                )
                self.assertIn("Not kept", self.request_page(request))


class RealTurnTests(AgentFixtures, TestCase):
    config = "model: scripted:tool\ntools: [current_time]\n"

    async def test_a_turn_stores_its_tools_arguments_and_results(self) -> None:
        turn = await self.say("What time is it?")

        _, [request] = await sync_to_async(stored)(turn["session_id"])
        [recorded] = (request.response_body or {})["tools"]
        self.assertEqual((recorded["name"], recorded["is_error"]), ("current_time", False))
        self.assertTrue(recorded["content"])


class KeptToolCallTests(SimpleTestCase):
    def test_long_and_odd_texts_are_kept_so_that_they_can_be_stored(self) -> None:
        call = ToolCall("1", "look_up", "a\x00b\ud800")
        lost = ToolCall("2", "look_up", "{}")
        result = ToolResult("1", "look_up", "x" * 10_000)

        [recorded, other] = storable(
            tool_calls.recorded_tool_calls([ToolRound("", (call, lost), (result,))])
        )

        self.assertEqual(recorded["arguments"], "ab\ufffd")
        self.assertLess(len(recorded["content"]), 4_010)
        self.assertTrue(other["is_error"])
