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
from tests.support.fixtures import AgentFixtures, counts, key_client, stored
from tests.support.servers.mock_openai import MockOpenAI, Reply, error, usage

MODEL = "model: mock:test-model\nretries: 0\n"


class RepeatedFixtures(AgentFixtures):
    config = MODEL

    async def send(self, message: str = "hello", *, key: str = "k1", what: str = "chat") -> Answer:
        return await self.api.post(
            self.path(what), {"message": message}, headers={"idempotency-key": key}
        )


class RepetitionTests(RepeatedFixtures, TestCase):
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


MANY = 50
NATIVE = {"message": "hello"}
OPENAI = {"model": "bot", "messages": [{"role": "user", "content": "hello"}]}
ROUTES: dict[str, tuple[str, dict[str, Any]]] = {
    "native": ("chat", NATIVE),
    "native stream": ("stream", NATIVE),
    "openai": ("v1/chat/completions", OPENAI),
    "openai stream": ("v1/chat/completions", {**OPENAI, "stream": True}),
}


@override_settings(DATABASE_API_THREADS=4)
class RaceTests(RepeatedFixtures, TransactionTestCase):
    """Fifty equal calls at once, of which one reaches the model."""

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(database.shut_down)

    async def call(self, route: str) -> Answer:
        """Send what all calls of a route send, under a key of the route's own."""
        what, body = ROUTES[route]
        return await self.api.post(self.path(what), body, headers={"idempotency-key": route})

    async def assert_one_turn_a_route(self) -> None:
        turns = len(ROUTES)
        self.assertEqual(await sync_to_async(counts)(), (turns, 2 * turns, turns))

    async def test_while_one_is_answered_the_others_wait(self) -> None:
        for route in ROUTES:
            with self.subTest(route):
                others_are_answered = asyncio.Event()
                async with MockOpenAI() as server:
                    server.replies.extend(Reply(after=others_are_answered) for _ in range(MANY))
                    calls = [asyncio.create_task(self.call(route)) for _ in range(MANY)]
                    finished = asyncio.as_completed(calls)
                    for _ in calls[1:]:
                        await next(finished)
                    others_are_answered.set()
                    answers = await asyncio.gather(*calls)
                    late = await asyncio.gather(*(self.call(route) for _ in range(MANY)))
                refused = [answer for answer in answers if answer.status != 200]
                [first] = [answer for answer in answers if answer.status == 200]
                self.assertEqual(len(server.requests), 1)
                self.assertEqual(Counter(map(code_of, refused)), {"turn_in_progress": MANY - 1})
                self.assertEqual({answer.headers["retry-after"] for answer in refused}, {"1"})
                self.assertEqual({said(answer) for answer in late}, {said(first)})
                self.assertEqual({answer.status for answer in late}, {200})
                self.assertEqual({a.headers["idempotency-replayed"] for a in late}, {"true"})
        await self.assert_one_turn_a_route()

    async def test_those_that_come_after_the_answer_get_it_too(self) -> None:
        """The model answers at once, so that some calls wait and others are replayed."""
        for route in ROUTES:
            with self.subTest(route):
                async with MockOpenAI() as server:
                    calls = [self.repeated(route) for _ in range(MANY)]
                    answers = await asyncio.gather(*calls)
                self.assertEqual(len(server.requests), 1)
                self.assertEqual(len({said(answer) for answer in answers}), 1)
                made = [a for a in answers if "idempotency-replayed" not in a.headers]
                self.assertEqual(len(made), 1)
        await self.assert_one_turn_a_route()

    async def repeated(self, route: str) -> Answer:
        """Send the call as clients do: again, while the first is being answered."""
        while (answer := await self.call(route)).status != 200:
            self.assertEqual(code_of(answer), "turn_in_progress")
            await asyncio.sleep(0.02)
        return answer


def code_of(answer: Answer) -> str:
    """Return the code of a problem, in our form or OpenAI's."""
    problem = answer.json()
    return str(problem.get("error", problem)["code"])


def said(answer: Answer) -> str:
    """Return what the answer says, its ids too; a stream may say it in other pieces."""
    text = answer.body.decode()
    if not answer.headers["content-type"].startswith("text/event-stream"):
        return text
    if "event:" in text:
        events = answer.events()
        words = "".join(data for name, data in events if name == "message")
        return words + events[-1][1]
    chunks = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    words = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    return f"{chunks[0]['id']} {words} {chunks[-1]['salient']}"


class TestModeTests(RepeatedFixtures, TestCase):
    """A key in test mode always meets the script, whatever the agent is configured to."""

    def setUp(self) -> None:
        super().setUp()
        self.api = key_client(self.account, mode=KeyMode.TEST)
        budgets.set_budget(self.account, period="day", limit=Decimal(0))

    async def test_it_reaches_no_provider_and_needs_no_budget(self) -> None:
        async with MockOpenAI() as server:
            answer = await self.send()

        self.assertEqual((answer.status, answer.json()["model"]), (200, "scripted:echo"))
        self.assertEqual(server.requests, [])
        request = await self.the_request()
        self.assertTrue(request.is_test)
        self.assertEqual(
            (request.provider, request.total_cost, request.charged_cost), ("scripted", 0, 0)
        )

    async def test_a_script_that_is_configured_is_the_one_that_answers(self) -> None:
        self.configure("model: scripted:say\nfallback_models: [mock:test-model]\n")
        async with MockOpenAI():
            answer = await self.send("word for word")
        self.assertEqual(answer.json()["response"], "word for word")

    async def the_request(self) -> LLMRequest:
        _, [request] = await sync_to_async(stored)()
        return request
