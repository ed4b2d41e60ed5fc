"""A dry run says what the real call would be, and leaves nothing behind."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings

from accounts.limits.quotas import set_limits
from accounts.models import AccountLimits, Budget, Scope
from accounts.tenancy.context import platform_context
from agents.costs.own_prices import forget_prices
from sessions_app.models import LLMRequest, PromptSection, Session
from tests.support.api_client import Answer, ApiClient
from tests.support.database.stored import change_all, count_of, row_of
from tests.support.factories import make_key
from tests.support.fixtures import LimitedFixtures, MockModelFixtures, counts, key_client, stored
from tests.support.servers.mock_openai import MockOpenAI, Reply

PROMPT = "You sell shoes.\n\n## Discounts\n\nNever say that there are any.\n"
PRICES = """\
prices:
  - model: mock:test-model
    input: 3
    output: 7
"""


class DryFixtures(LimitedFixtures, MockModelFixtures):
    config = LimitedFixtures.config + "tools: [current_time]\n"

    def setUp(self) -> None:
        super().setUp()
        self.configure(self.config, PROMPT)
        self.manager = key_client(
            self.account, scopes=[Scope.CHAT, Scope.CONFIG_READ, Scope.VISITORS_WRITE]
        )

    async def try_out(self, who: ApiClient | None = None, **body: Any) -> Any:
        answer = await self.tried(who, **body)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json()

    async def tried(self, who: ApiClient | None = None, **body: Any) -> Answer:
        sent = {"message": "hello", "dry_run": True, **body}
        return await (who or self.api).post(self.path("chat"), sent)

    def problem_of(self, answer: Answer) -> tuple[int, str, str]:
        problem = answer.json()
        return answer.status, problem["code"], problem["detail"]


class SameAsTheRealCallTests(DryFixtures):
    async def compare(self, **body: Any) -> tuple[Any, LLMRequest]:
        """Try a turn, then run it; return what was foreseen and the stored request."""
        tried = await self.try_out(self.manager, **body)
        answered = await self.chat(**body)
        self.assertEqual(answered.status, 200, answered.body)
        _, requests = await sync_to_async(stored)()
        request = requests[-1]
        assert request.request_body is not None
        self.assertEqual(Decimal(tried["cost"]["max"]), request.reserved_cost)
        self.assertEqual(tried["config_version"], answered.json()["config_version"])
        self.assertEqual(tried["model"], f"{request.provider}:{request.model}")
        self.assertEqual(tried["max_output_tokens"], request.request_body["max_tokens"])
        self.assertEqual(tried["history_messages"], request.request_body["history_messages"])
        self.assertIsNone(tried["refusal"])
        return tried, request

    async def test_a_new_conversation(self) -> None:
        async with MockOpenAI():
            tried, request = await self.compare()

        self.assertIsNone(tried["session_id"])
        assert request.request_body is not None
        sections = request.request_body["sections"]
        self.assertEqual(
            tried["parts"], [{"name": e["name"], "tokens": e["tokens"]} for e in sections]
        )
        names = [part["name"] for part in tried["parts"]]
        self.assertEqual(
            names,
            ["system prompt", "system prompt: Discounts", "tool: current_time", "user message"],
        )
        self.assertEqual(tried["input_tokens"], sum(e["tokens"] for e in sections))
        self.assertEqual((tried["dry_run"], tried["fallback_models"]), (True, []))
        self.assertEqual(tried["cost"]["source"], "unknown")

    async def test_a_conversation_that_goes_on(self) -> None:
        async with MockOpenAI() as server:
            server.replies.append(Reply("Größe 43 → “schön”."))
            session_id = (await self.chat("Welche Größe habe ich?")).json()["session_id"]
            tried, _ = await self.compare(message="Und jetzt?", session_id=session_id)

        self.assertEqual((tried["session_id"], tried["history_messages"]), (session_id, 2))
        said = "Welche Größe habe ich?Größe 43 → “schön”."
        self.assertIn({"name": "history", "tokens": -(-len(said.encode()) // 4)}, tried["parts"])

    async def test_a_short_memory(self) -> None:
        self.configure(f"{self.config}history_limit: 2\n")
        async with MockOpenAI():
            session_id = (await self.chat("one")).json()["session_id"]
            await self.chat("two", session_id=session_id)
            tried, _ = await self.compare(session_id=session_id)
        self.assertEqual(tried["history_messages"], 2)

    async def test_a_visitor_goes_on_without_an_id(self) -> None:
        answer = await self.manager.post(self.path("visitors"), {})
        visitor = ApiClient(answer.json()["token"])
        self.assertIsNone((await self.try_out(visitor))["session_id"])
        async with MockOpenAI():
            answer = await visitor.post(self.path("chat"), {"message": "hi"})
        tried = await self.try_out(visitor)
        self.assertEqual(
            (tried["session_id"], tried["history_messages"]), (answer.json()["session_id"], 2)
        )

    async def test_own_prices_and_those_of_fallback_models(self) -> None:
        (settings.AGENT_CONFIG_DIR / "acme" / "prices.yaml").write_text(PRICES)
        forget_prices()
        self.addCleanup(forget_prices)
        async with MockOpenAI():
            tried, _ = await self.compare()
            self.assertEqual(tried["cost"]["source"], "configured")
            self.configure(f"{self.config}fallback_models: [openai:gpt-4.1-mini]\n")
            tried, _ = await self.compare()
        self.assertEqual(tried["fallback_models"], ["openai:gpt-4.1-mini"])
        self.assertEqual(tried["cost"]["source"], "mixed")

    async def test_a_key_for_tests_costs_nothing(self) -> None:
        _, secret = await sync_to_async(make_key)(self.account, mode="test")
        tried = await self.try_out(ApiClient(secret))
        self.assertEqual(tried["model"], "scripted:echo")
        self.assertEqual((Decimal(tried["cost"]["max"]), tried["cost"]["source"]), (0, "free"))


class NoTraceTests(DryFixtures):
    async def test_it_stores_nothing_reserves_nothing_and_calls_no_model(self) -> None:
        await sync_to_async(self.budget)(Decimal(1))
        async with MockOpenAI() as server:
            await self.try_out()
        self.assertEqual(server.requests, [])
        self.assertEqual(await sync_to_async(counts)(), (0, 0, 0))
        await sync_to_async(self.assert_books_are_closed)()
        await sync_to_async(self.assert_no_text)()

    def assert_no_text(self) -> None:
        self.assertEqual(count_of(PromptSection), 0)
        self.assertEqual(row_of(Budget).spent, 0)

    async def test_it_counts_as_a_call_and_is_refused_as_one(self) -> None:
        await sync_to_async(set_limits)(self.account, requests_per_minute_per_key=2)
        first, second, third = [await self.tried() for _ in range(3)]
        self.assertIn('"key";r=1', first.headers["ratelimit"])
        self.assertEqual([first.status, second.status, third.status], [200, 200, 429])
        self.assertIsNone(first.json()["refusal"])
        self.assertEqual(second.json()["refusal"]["code"], "rate_limited")


class RefusalTests(DryFixtures):
    async def test_a_limit_refuses_as_it_would_refuse_the_call(self) -> None:
        def occupy() -> None:
            set_limits(self.account, concurrent_turns=1)
            with platform_context():
                AccountLimits.objects.filter(account=self.account).update(running=1)

        await sync_to_async(self.budget)(Decimal("0.00000001"))
        for code, prepare in (("budget_exceeded", None), ("too_many_turns", occupy)):
            with self.subTest(code):
                if prepare is not None:
                    await sync_to_async(prepare)()
                refusal = (await self.try_out())["refusal"]
                real = await self.chat()
                self.assertEqual(refusal["code"], code)
                self.assertEqual(refusal, real.json())
        self.assertEqual(await sync_to_async(counts)(), (0, 0, 0))

    async def test_what_is_refused_is_priced_too(self) -> None:
        await sync_to_async(self.budget)(Decimal("0.00000001"))
        tried = await self.try_out()
        self.assertEqual(tried["refusal"]["unpriced_models"], ["mock:test-model"])
        self.assertEqual(Decimal(tried["refusal"]["needed"]), Decimal(tried["cost"]["max"]))

    async def test_whatever_else_is_wrong_is_answered_as_to_the_call(self) -> None:
        async with MockOpenAI():
            session_id = (await self.chat()).json()["session_id"]

        def let_run() -> None:
            change_all(LLMRequest, completion_status="running", settled_at=None)

        def close() -> None:
            change_all(LLMRequest, completion_status="complete")
            change_all(Session, closed_at="2026-01-01T00:00:00Z")

        unknown = {"session_id": "01a1fc25-530b-7abb-be19-1fd8609513f4"}
        known = {"session_id": session_id}
        for code, body, prepare in (
            ("not_found", unknown, None),
            ("invalid_request", {"message": " "}, None),
            ("turn_in_progress", known, let_run),
            ("session_closed", known, close),
        ):
            with self.subTest(code):
                if prepare is not None:
                    await sync_to_async(prepare)()
                answer = await self.tried(**body)
                self.assertEqual(answer.json()["code"], code)
                self.assertEqual(self.problem_of(answer), self.problem_of(await self.chat(**body)))

    async def test_streams_and_repeated_calls_have_none(self) -> None:
        body = {"message": "hello", "dry_run": True}
        posted = await self.api.post(self.path("stream"), body)
        got = await self.api.get(self.path("stream"), message="hello", dry_run="true")
        for answer in (posted, got):
            self.assertEqual(answer.status, 400, answer.body)
            [fault] = answer.json()["errors"]
            self.assertEqual(fault["field"], "dry_run")
            self.assertIn("…/chat", fault["message"])
        answer = await self.api.post(self.path("chat"), body, headers={"idempotency-key": "again"})
        self.assertEqual(answer.status, 400, answer.body)
        self.assertEqual(answer.json()["errors"][0]["field"], "Idempotency-Key")
        async with MockOpenAI():
            self.assertEqual((await self.chat(dry_run=False)).json()["status"], "complete")


class WhoSeesWhatTests(DryFixtures):
    def setUp(self) -> None:
        super().setUp()
        # More than any answer to a visitor may tell.
        self.budget(Decimal("0.00000001"))
        _, starter = make_key(self.account, scopes=[Scope.VISITORS_WRITE])
        starts = async_to_sync(ApiClient(starter).post)
        tokens = [
            starts(self.path("visitors"), body).json()["token"] for body in ({}, {"sub": "c-1"})
        ]
        self.people = [ApiClient(token) for token in tokens]

    async def test_visitors_and_end_users_learn_no_model_no_prompt_and_no_amount(self) -> None:
        for person in self.people:
            answer = await self.tried(person)
            tried = answer.json()
            self.assertEqual(
                {name for name, value in tried.items() if value is None},
                {"model", "fallback_models", "session_id", "parts", "cost"}
                | {"input_tokens", "max_output_tokens"},
            )
            self.assertEqual(tried["refusal"]["code"], "agent_unavailable")
            for hidden in ("test-model", "needed", "remaining", "0.0000", "Discounts"):
                self.assertNotIn(hidden, answer.body.decode())

    async def test_headings_of_the_prompt_are_for_who_manages_the_agent(self) -> None:
        managed = (await self.try_out(self.manager))["parts"]
        _, secret = await sync_to_async(make_key)(self.account, scopes=[Scope.CHAT])
        plain = (await self.try_out(ApiClient(secret)))["parts"]
        self.assertEqual(
            [part["name"] for part in plain],
            ["system prompt", "tool: current_time", "user message"],
        )
        self.assertEqual(
            sum(part["tokens"] for part in plain), sum(part["tokens"] for part in managed)
        )
