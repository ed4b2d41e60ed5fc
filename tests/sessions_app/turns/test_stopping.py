"""A server that stops, or gets a new worker, loses no row of the turns that were running."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import aiohttp
from django.test import TransactionTestCase

from accounts.limits.budgets import set_budget
from accounts.models import AccountLimits, Budget
from accounts.tenancy.context import platform_context
from sessions_app.models import LLMRequest, Message, Role
from tests.support.database.stored import row_of, rows_of
from tests.support.fixtures import AgentFixtures
from tests.support.servers.held_model import LONG, SHORT, SPOKEN, WHOLE, HeldModel, Stream, ask
from tests.support.servers.served import Served, eventually, served


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class StoppingTests(AgentFixtures, TransactionTestCase):
    config = "model: mock:test-model\n"

    def setUp(self) -> None:
        super().setUp()
        set_budget(self.account, period="day", limit=Decimal(100))

    @asynccontextmanager
    async def serving(
        self, *, cut_after: float
    ) -> AsyncIterator[tuple[Served, HeldModel, aiohttp.ClientSession]]:
        headers = {"Authorization": f"Bearer {self.secret}"}
        async with asyncio.timeout(60), HeldModel() as model, served(cut_after=cut_after) as server:
            # A worker that ends would wait for idle connections too.
            connector = aiohttp.TCPConnector(limit=0, force_close=True)
            async with aiohttp.ClientSession(
                server.url, headers=headers, connector=connector
            ) as client:
                yield server, model, client

    @asynccontextmanager
    async def running(
        self, streams: Iterable[Stream], *, cut_after: float
    ) -> AsyncIterator[tuple[Served, HeldModel]]:
        """Have all streams under way, each with its first words sent; leaving waits for them."""
        async with (
            self.serving(cut_after=cut_after) as (server, model, client),
            asyncio.TaskGroup() as group,
        ):
            for each in streams:
                group.create_task(each.follow(client, self.path("stream")))
            for each in streams:
                await each.spoke.wait()
            yield server, model

    def rows(self) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]:
        """Count the requests by how they ended, and the answers by what they say."""
        requests = rows_of(LLMRequest)
        answers = rows_of(Message, role=Role.ASSISTANT)
        texts = {answer.llm_request_id: answer.content for answer in answers}
        self.assertEqual(len(texts), len(answers))
        ends = Counter((each.completion_status, each.error_code) for each in requests)
        outcomes = Counter((each.completion_status, texts.get(each.pk, "")) for each in requests)
        for each in requests:
            self.assertIsNotNone(each.settled_at)
            self.assertGreater(each.prompt_tokens or 0, 0)
            self.assertGreater(each.completion_tokens or 0, 0)
            self.assertGreater(each.charged_cost or 0, 0)
        return ends, outcomes

    def assert_nothing_is_held(self) -> None:
        with platform_context():
            [limits], [budget] = AccountLimits.objects.all(), Budget.objects.all()
            charged = sum(each.charged_cost or 0 for each in LLMRequest.objects.all())
        self.assertEqual(limits.running, 0)
        self.assertEqual(budget.reserved, 0)
        self.assertEqual(budget.spent, charged)

    def test_twenty_streams_are_each_settled_whole_or_with_the_partial_answer(self) -> None:
        streams = [Stream(LONG) for _ in range(15)] + [Stream(SHORT) for _ in range(5)]

        async def play() -> int:
            async with self.running(streams, cut_after=3) as (server, model):
                server.stop()
                await server.until(answering=False)
                model.released.set()
                return await server.gone()

        self.assertEqual(asyncio.run(play()), 0)

        self.assertEqual(
            Counter((each.message, each.text, each.end and each.end["status"]) for each in streams),
            {(LONG, SPOKEN, "partial"): 15, (SHORT, WHOLE, "complete"): 5},
        )
        self.assertEqual({each.error for each in streams[:15]}, {"server_stopping"})
        ends, outcomes = self.rows()
        self.assertEqual(ends, {("partial", "server_stopping"): 15, ("complete", ""): 5})
        self.assertEqual(outcomes, {("partial", SPOKEN): 15, ("complete", WHOLE): 5})
        self.assert_nothing_is_held()

    def test_a_call_that_still_waits_for_its_answer_gets_an_error_and_is_settled(self) -> None:
        async def play() -> tuple[int, Any]:
            async with (
                self.serving(cut_after=1) as (server, model, client),
                asyncio.TaskGroup() as group,
            ):
                asking = group.create_task(ask(client, self.path("chat"), LONG))
                await model.called.wait()
                server.stop()
                return await asking

        status, answer = asyncio.run(play())

        self.assertEqual((status, answer["code"]), (503, "server_stopping"))
        request = row_of(LLMRequest)
        # The model streams also for a caller of the whole answer: the partial answer is stored.
        self.assertEqual(
            (request.completion_status, request.error_code), ("partial", "server_stopping")
        )
        self.assertIsNotNone(request.settled_at)
        self.assert_nothing_is_held()

    def test_after_kill_9_of_the_arbiter_its_worker_takes_no_new_turn_and_ends(self) -> None:
        stream = Stream(SHORT)

        async def play() -> tuple[int, Any]:
            async with self.serving(cut_after=20) as (server, model, client):
                [worker] = server.workers()
                connector = aiohttp.TCPConnector(limit=1)
                async with aiohttp.ClientSession(
                    server.url, headers=client.headers, connector=connector
                ) as open_one:
                    async with open_one.get("/healthz") as answer:
                        await answer.read()
                    following = asyncio.create_task(stream.follow(client, self.path("stream")))
                    await stream.spoke.wait()
                    server.process.kill()
                    server.process.wait()
                    await server.until(answering=False)
                    # gunicorn would go on serving what is connected already.
                    refused = await ask(open_one, self.path("chat"), SHORT)
                model.released.set()
                await following
                await eventually(lambda: not is_running(worker))
                return refused

        status, answer = asyncio.run(play())

        self.assertEqual((status, answer["code"]), (503, "server_stopping"))
        self.assertEqual((stream.text, stream.end["status"]), (WHOLE, "complete"))
        self.assertEqual(self.rows()[0], {("complete", ""): 1})
        self.assert_nothing_is_held()

    def test_a_new_worker_takes_over_while_the_old_one_finishes_its_streams(self) -> None:
        streams = [Stream(SHORT) for _ in range(5)]

        async def play() -> None:
            async with self.running(streams, cut_after=20) as (server, model):
                [old] = server.workers()
                server.reload()
                await eventually(lambda: bool(server.workers() - {old}))
                await server.until(answering=True)
                self.assertIn(old, server.workers())
                model.released.set()
                await eventually(lambda: old not in server.workers())
                await server.until(answering=True)

        asyncio.run(play())

        self.assertEqual(
            {(each.text, each.end["status"]) for each in streams}, {(WHOLE, "complete")}
        )
        ends, outcomes = self.rows()
        self.assertEqual(ends, {("complete", ""): 5})
        self.assertEqual(outcomes, {("complete", WHOLE): 5})
        self.assert_nothing_is_held()
