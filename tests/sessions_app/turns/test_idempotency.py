"""One Idempotency-Key, one provider call, the same answer."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from decimal import Decimal
from typing import Any

from asgiref.sync import sync_to_async
from django.test import TestCase, TransactionTestCase, override_settings

from accounts.limits import budgets, quotas
from accounts.models import KeyMode
from salient import database
from sessions_app.models import LLMRequest
from tests.support.api_client import Answer, ApiClient
from tests.support.factories import make_key
from tests.support.servers.mock_openai import MockOpenAI, Reply, error, usage
from tests.support.worlds import World, counts, stored

MODEL = "model: mock:test-model\nretries: 0\n"


class RepeatedWorld(World):
    config = MODEL

    async def send(self, message: str = "hello", *, key: str = "k1", what: str = "chat") -> Answer:
        return await self.api.post(
            self.path(what), {"message": message}, headers={"idempotency-key": key}
        )


class RepetitionTests(RepeatedWorld, TestCase):
    def setUp(self) -> None:
        self.make_world()

    async def test_the_same_call_again_is_the_same_answer_and_one_provider_call(self) -> None:
        async with MockOpenAI() as server:
            server.replies.append(Reply("Once.", usage=usage(10, 5, cost=0.25)))
            first, second = await self.send(), await self.send()

        self.assertEqual((first.status, second.status), (200, 200))
        self.assertEqual(second.json(), first.json())
        self.assertEqual(second.body, first.body)
        self.assertEqual(len(server.requests), 1)
        self.assertEqual(second.headers["idempotency-replayed"], "true")
        self.assertNotIn("idempotency-replayed", first.headers)
        self.assertEqual(await sync_to_async(counts)(), (1, 2, 1))

    async def test_a_stream_is_replayed_as_events(self) -> None:
        async with MockOpenAI() as server:
            server.replies.append(Reply("one two three"))
            first, second = await self.send(what="stream"), await self.send(what="stream")

        self.assertEqual(len(server.requests), 1)
        self.assertEqual(second.headers["content-type"], first.headers["content-type"])
        events = second.events()
        self.assertEqual([name for name, _ in events], ["message", "done"])
        self.assertEqual(events[0][1], "".join(d for n, d in first.events() if n == "message"))
        self.assertEqual(json.loads(events[1][1]), json.loads(first.events()[-1][1]))

    async def test_a_streamed_answer_may_be_replayed_whole(self) -> None:
        async with MockOpenAI() as server:
            server.replies.append(Reply("one two three"))
            await self.send(what="stream")
            whole = await self.send(what="chat")

        self.assertEqual(whole.json()["response"], "one two three")
        self.assertEqual(len(server.requests), 1)

    async def test_another_message_under_the_same_key_is_refused(self) -> None:
        async with MockOpenAI() as server:
            await self.send("hello")
            other = await self.send("something else")

        self.assertEqual((other.status, other.json()["code"]), (422, "idempotency_key_reused"))
        self.assertEqual(len(server.requests), 1)

    async def test_a_failure_is_replayed_and_not_tried_again(self) -> None:
        async with MockOpenAI() as server:
            server.replies.append(error(500))
            first, second = await self.send(), await self.send()
            streamed = await self.send(what="stream")

        self.assertEqual((first.status, second.status), (502, 502))
        self.assertEqual(second.json(), first.json())
        self.assertEqual([name for name, _ in streamed.events()], ["error", "done"])
        self.assertEqual(len(server.requests), 1)

    async def test_a_key_belongs_to_its_caller(self) -> None:
        _, secret = await sync_to_async(make_key)(self.account)
        async with MockOpenAI() as server:
            mine = await self.send()
            self.api = ApiClient(secret)
            theirs = await self.send("not for you")

        self.assertEqual((mine.status, theirs.status), (200, 200))
        self.assertNotEqual(mine.json()["session_id"], theirs.json()["session_id"])
        self.assertEqual(len(server.requests), 2)

    async def test_a_refused_call_leaves_its_key_free(self) -> None:
        def budget(limit: int) -> Any:
            return budgets.set_budget(self.account, period="day", limit=Decimal(limit))

        await sync_to_async(budget)(0)
        async with MockOpenAI() as server:
            refused = await self.send()
            await sync_to_async(budget)(1)
            answered = await self.send()

        self.assertEqual((refused.status, answered.status), (402, 200))
        self.assertEqual(len(server.requests), 1)

    async def test_a_replay_needs_no_budget_but_counts_as_a_call(self) -> None:
        await sync_to_async(quotas.set_limits)(self.account, requests_per_minute_per_key=3)
        async with MockOpenAI():
            first = await self.send()
        await sync_to_async(budgets.set_budget)(self.account, period="day", limit=Decimal(0))
        again = [await self.send() for _ in range(3)]

        self.assertIn("r=2", first.headers["ratelimit"])
        self.assertEqual([a.status for a in again], [200, 200, 429])
        self.assertIn("r=1", again[0].headers["ratelimit"])

    async def test_an_invalid_key_is_refused(self) -> None:
        for name, key in (("long", "k" * 256), ("empty", ""), ("tab", "a\tb"), ("é", "é")):
            with self.subTest(name):
                answer = await self.send(key=key)
                self.assertEqual((answer.status, answer.json()["code"]), (400, "invalid_request"))
                self.assertIn("Idempotency-Key", answer.json()["detail"])
        self.assertEqual(await sync_to_async(counts)(), (0, 0, 0))


@override_settings(DATABASE_API_THREADS=4)
class RaceTests(RepeatedWorld, TransactionTestCase):
    def setUp(self) -> None:
        self.make_world()
        self.addCleanup(database.shut_down)

    async def test_of_many_first_calls_one_is_made_and_the_others_wait(self) -> None:
        others_are_answered = asyncio.Event()
        async with MockOpenAI() as server:
            server.replies.extend(Reply(after=others_are_answered) for _ in range(20))
            calls = [asyncio.create_task(self.send()) for _ in range(20)]
            finished = asyncio.as_completed(calls)
            for _ in calls[1:]:
                await next(finished)
            others_are_answered.set()
            answers = await asyncio.gather(*calls)
            late = await self.send()

        codes = Counter(a.status if a.status == 200 else a.json()["code"] for a in answers)
        self.assertEqual(codes, {200: 1, "turn_in_progress": 19})
        self.assertTrue(all(a.headers["retry-after"] == "1" for a in answers if a.status == 409))
        self.assertEqual((late.status, len(server.requests)), (200, 1))
        self.assertEqual(await sync_to_async(counts)(), (1, 2, 1))


class TestModeTests(RepeatedWorld, TestCase):
    """A key in test mode always meets the script, whatever the agent is configured to."""

    def setUp(self) -> None:
        self.make_world()
        _, secret = make_key(self.account, mode=KeyMode.TEST)
        self.api = ApiClient(secret)
        budgets.set_budget(self.account, period="day", limit=Decimal(0))

    async def test_it_reaches_no_provider_and_needs_no_budget(self) -> None:
        async with MockOpenAI() as server:
            answer = await self.send()

        self.assertEqual((answer.status, answer.json()["model"]), (200, "scripted:echo"))
        self.assertEqual(server.requests, [])
        request = await self.the_request()
        self.assertTrue(request.is_test)
        self.assertEqual(
            (request.provider, request.total_cost, request.charged_cost),
            (
                "scripted",
                0,
                0,
            ),
        )

    async def test_a_script_that_is_configured_is_the_one_that_answers(self) -> None:
        self.configure("model: scripted:say\nfallback_models: [mock:test-model]\n")
        async with MockOpenAI():
            answer = await self.send("word for word")
        self.assertEqual(answer.json()["response"], "word for word")

    async def the_request(self) -> LLMRequest:
        _, [request] = await sync_to_async(stored)()
        return request
