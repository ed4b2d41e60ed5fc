"""Turns against a real OpenAI-compatible server on loopback, from the API down to the rows."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import Any

from asgiref.sync import sync_to_async
from django.test import TestCase

from sessions_app.models.insights import UsageDay
from tests.support.api_client import Answer
from tests.support.database.stored import rows_of
from tests.support.fixtures import AgentFixtures, stored
from tests.support.servers.mock_openai import MockOpenAI, Reply, delta, error, stream, usage

PROMPT = "You are the shop's helper."


def counted_models() -> list[str]:
    return [row.model for row in rows_of(UsageDay)]


class ProviderTurnTests(AgentFixtures, TestCase):
    config = """\
model: mock:test-model
temperature: 0.3
max_tokens: 77
retries: 1
"""

    def setUp(self) -> None:
        super().setUp()
        self.configure(self.config, PROMPT)

    async def chat(self, message: str, **body: Any) -> Answer:
        return await self.api.post(self.path("chat"), {"message": message, **body})

    async def test_the_configuration_reaches_the_model_on_the_first_turn_and_the_second(
        self,
    ) -> None:
        async with MockOpenAI() as server:
            server.replies += [Reply("I am here."), Reply("Still here.")]
            first = (await self.chat("one")).json()
            await self.chat("two", session_id=first["session_id"])

        for request in server.requests:
            self.assertEqual(request.body["temperature"], 0.3)
            self.assertEqual(request.body["max_tokens"], 77)
            self.assertEqual(request.body["messages"][0], {"role": "system", "content": PROMPT})
        self.assertEqual(
            server.requests[1].body["messages"][1:],
            [
                {"role": "user", "content": "one"},
                {"role": "assistant", "content": "I am here."},
                {"role": "user", "content": "two"},
            ],
        )

    async def test_a_stream_sends_the_same_and_ends_with_the_servers_usage(self) -> None:
        async with MockOpenAI() as server:
            server.replies.append(Reply("one two three", usage=usage(31, 7)))
            answer = await self.api.post(self.path("stream"), {"message": "count"})

        body = server.requests[0].body
        self.assertEqual((body["temperature"], body["max_tokens"]), (0.3, 77))
        done = json.loads(answer.events()[-1][1])
        self.assertEqual((done["usage"]["input_tokens"], done["usage"]["output_tokens"]), (31, 7))
        self.assertFalse(done["usage"]["estimated"])
        self.assertIsNotNone(done["time_to_first_token_ms"])

    async def test_a_model_name_of_255_characters_is_stored_and_counted(self) -> None:
        model = f"mock:/models/{'x' * 247}"
        self.configure(f"model: {model}\n", PROMPT)
        async with MockOpenAI() as server:
            answer = await self.chat("hello")

        self.assertEqual((answer.status, answer.json()["model"]), (200, model))
        self.assertEqual(f"mock:{server.requests[0].body['model']}", model)
        _, [request] = await sync_to_async(stored)()
        self.assertEqual(f"mock:{request.model}", model)
        self.assertEqual(await sync_to_async(counted_models)(), [model])

    async def test_a_key_that_no_header_may_hold_is_an_error_with_a_code(self) -> None:
        for key in ("sk-canary\nb", "sk-canary\u200b", "sk-\u00e4"):
            async with MockOpenAI(key=key) as server:
                with self.assertLogs("agents.runtime", "WARNING") as logs:
                    answer = await self.chat("hello")
                    streamed = await self.api.post(self.path("stream"), {"message": "hello"})
            self.assertEqual(answer.json()["code"], "unknown_model")
            self.assertNotEqual(answer.status, 500)
            self.assertIn(b"unknown_model", streamed.body)
            self.assertEqual(server.requests, [])
            self.assertNotIn("canary", "".join(logs.output))

    async def test_a_tool_turn_costs_the_sum_of_its_calls(self) -> None:
        self.configure(self.config + "tools: [current_time]\n", PROMPT)
        async with MockOpenAI() as server:
            server.replies += [
                Reply("", usage=usage(100, 10, cost=0.001), tool_calls=[("current_time", "{}")]),
                Reply("It is late.", usage=usage(150, 20, cost=0.002)),
            ]
            body = (await self.chat("what time is it?")).json()

        self.assertEqual(server.requests[1].body["messages"][-1]["role"], "tool")
        self.assertEqual((body["usage"]["input_tokens"], body["usage"]["output_tokens"]), (250, 30))
        self.assertEqual(body["usage"]["requests"], 2)
        self.assertEqual(Decimal(body["cost"]["total"]), Decimal("0.003"))
        _, [request] = await sync_to_async(stored)()
        self.assertEqual((request.total_cost, request.cost_source), (Decimal("0.003"), "reported"))
        self.assertEqual((request.prompt_tokens, request.completion_tokens), (250, 30))

    async def test_an_unknown_price_is_not_zero(self) -> None:
        async with MockOpenAI():
            body = (await self.chat("hello")).json()

        self.assertEqual((body["cost"]["total"], body["cost"]["source"]), (None, "unknown"))
        _, [request] = await sync_to_async(stored)()
        self.assertEqual((request.total_cost, request.cost_source), (None, "unknown"))

    async def test_a_listed_price_is_used_and_named(self) -> None:
        self.configure("model: openai:gpt-4o-mini\n", PROMPT)
        async with MockOpenAI(provider="openai") as server:
            server.replies.append(Reply("Hi.", usage=usage(1_000_000, 1_000_000)))
            body = (await self.chat("hello")).json()

        self.assertEqual(body["cost"]["source"], "genai-prices")
        self.assertEqual(
            Decimal(body["cost"]["input"]) + Decimal(body["cost"]["output"]),
            Decimal(body["cost"]["total"]),
        )
        self.assertGreater(Decimal(body["cost"]["total"]), Decimal("0.5"))

    async def test_a_failure_before_the_first_token_is_tried_again(self) -> None:
        async with MockOpenAI() as server:
            server.replies += [error(500), Reply("Better now.")]
            answer = await self.chat("hello")

        self.assertEqual((answer.status, answer.json()["response"]), (200, "Better now."))
        self.assertEqual(len(server.requests), 2)

    async def test_a_fallback_answers_under_its_own_name(self) -> None:
        self.configure(self.config + "fallback_models: [mock:other]\n", PROMPT)
        async with MockOpenAI() as server:
            server.replies += [error(500), error(500), Reply("I stand in.")]
            body = (await self.chat("hello")).json()

        self.assertEqual((body["response"], body["model"]), ("I stand in.", "mock:other"))
        _, [request] = await sync_to_async(stored)()
        self.assertEqual((request.provider, request.model), ("mock", "other"))

    async def test_a_cut_stream_stores_the_partial_answer(self) -> None:
        async with MockOpenAI() as server:
            server.replies.append(Reply("one two three four five", cut_after=4))
            answer = await self.api.post(self.path("stream"), {"message": "count"})

        names = [name for name, _ in answer.events()]
        self.assertEqual(names[-2:], ["error", "done"])
        self.assertEqual(len(server.requests), 1)
        [_, partial], [request] = await sync_to_async(stored)()
        self.assertEqual(partial.content, "one two three")
        self.assertEqual(request.completion_status, "partial")
        self.assertTrue(request.tokens_estimated)
        self.assertGreater(request.completion_tokens or 0, 0)

    async def test_beyond_a_limit_the_turn_ends_as_provider_protocol_and_is_settled(self) -> None:
        self.configure(self.config + "tools: [current_time]\n", PROMPT)
        calls = {"tool_calls": [{"function": {"name": "current_time"}}] * 15_000}
        thought = {"choices": [{"delta": {"reasoning_content": "hm " * 20_000}}]}
        deep = b"data: " + b"[" * 100_000 + b"\n\n"
        cases: list[tuple[str, list[object]]] = [
            ("calls", [{"choices": [{"delta": calls}]}]),
            ("thoughts", [thought] * 80),
            ("depth", [deep]),
        ]
        for name, events in cases:
            with self.subTest(name):
                async with MockOpenAI() as server:
                    server.replies.append(stream(delta("Hi"), *events))
                    answer = await self.chat("hello")
                self.assertEqual((answer.status, answer.json()["code"]), (502, "provider_protocol"))
                messages, requests = await sync_to_async(stored)()
                self.assertEqual(messages[-1].content, "Hi")
                self.assertEqual(
                    (requests[-1].completion_status, requests[-1].error_code),
                    ("partial", "provider_protocol"),
                )

    async def test_when_the_client_leaves_the_model_is_stopped_and_the_turn_settled(self) -> None:
        async with MockOpenAI() as server:
            server.replies.append(Reply("one two three four five six", chunk_delay=0.1))
            await self.leave_at(b"two")
            async with asyncio.timeout(5):
                await server.requests[0].closed.wait()

        self.assertTrue(server.requests[0].cut)
        [_, partial], [request] = await sync_to_async(stored)()
        self.assertTrue(partial.content.startswith("one two"))
        self.assertEqual(request.completion_status, "cancelled")

    async def test_nothing_the_provider_says_reaches_the_caller(self) -> None:
        for status, code, answered in (
            (401, "provider_auth", 502),
            (400, "provider_rejected", 502),
            (429, "provider_rate_limited", 503),
            (500, "provider_unavailable", 502),
        ):
            with self.subTest(status):
                async with MockOpenAI() as server:
                    server.replies += [
                        error(status, f"canary {server.key}", Retry_After="60") for _ in "ab"
                    ]
                    answer = await self.chat("hello")
                self.assertEqual((answer.status, answer.json()["code"]), (answered, code))
                self.assertNotIn(b"canary", answer.body)
                self.assertNotIn(server.key.encode(), answer.body)
        _, requests = await sync_to_async(stored)()
        stored_rows = json.dumps(
            [(r.response_body, r.request_body, r.error_code) for r in requests]
        )
        self.assertNotIn("canary", stored_rows)

    async def test_a_provider_that_is_busy_says_when_to_come_back(self) -> None:
        async with MockOpenAI() as server:
            server.replies += [error(429, Retry_After="60")]
            answer = await self.chat("hello")

        self.assertEqual(answer.headers["retry-after"], "60")
