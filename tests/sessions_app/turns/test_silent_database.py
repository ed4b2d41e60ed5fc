"""A database that is there but does not answer is a 503, and no restart is needed afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from asgiref.sync import async_to_sync, sync_to_async
from django.test import TransactionTestCase

from accounts.models import AccountLimits
from accounts.tenancy.context import platform_context
from sessions_app.models import LLMRequest
from tests.support.database.stored import rows_of
from tests.support.fixtures import AgentFixtures
from tests.support.servers.served import Served, served
from tests.support.servers.silent_proxy import SilentProxy

# Without a limit of its own a caller would wait for as long as the silence lasts.
WITHIN_SECONDS = 60
REFUSED = (503, "unavailable")


class SilentDatabaseTests(AgentFixtures, TransactionTestCase):
    config = "model: scripted:echo\n"

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[tuple[SilentProxy, Served, aiohttp.ClientSession]]:
        headers = {"Authorization": f"Bearer {self.secret}"}
        with SilentProxy() as proxy:
            async with (
                asyncio.timeout(300),
                served(cut_after=1, DATABASE_URL=proxy.url) as server,
                aiohttp.ClientSession(server.url, headers=headers) as client,
            ):
                assert await self.chat(client) == (200, "complete")
                yield proxy, server, client
                proxy.release()

    async def chat(self, client: aiohttp.ClientSession) -> tuple[int, str]:
        async with asyncio.timeout(WITHIN_SECONDS):
            async with client.post(self.path("chat"), json={"message": "hello"}) as answer:
                body = await answer.json(content_type=None)
                return answer.status, body.get("code") or body["status"]

    async def ready(self, client: aiohttp.ClientSession) -> int:
        async with client.get("/readyz") as answer:
            return answer.status

    async def until_ready(self, client: aiohttp.ClientSession) -> None:
        async with asyncio.timeout(WITHIN_SECONDS):
            while await self.ready(client) != 200:  # noqa: ASYNC110 - no event tells of it
                await asyncio.sleep(0.05)

    async def many(self, client: aiohttp.ClientSession) -> list[tuple[int, str]]:
        return await asyncio.gather(*(self.chat(client) for _ in range(20)))

    def assert_nothing_runs(self) -> None:
        with platform_context():
            self.assertFalse(LLMRequest.objects.running().exists())
            self.assertEqual(AccountLimits.objects.get().running, 0)

    def test_callers_and_load_balancers_are_answered_while_it_is_silent_and_at_once_after_it(
        self,
    ) -> None:
        async def play() -> tuple[list[Any], str]:
            async with self.serving() as (proxy, server, client):
                proxy.hold()
                first, ready = await asyncio.gather(self.many(client), self.ready(client))
                # Known by now: these do not even wait.
                second, page = await self.many(client), await self.page(client)
                log = server.log.read_text()
                proxy.release()
                await self.until_ready(client)
                after = await self.many(client) + await self.many(client)
                await asyncio.sleep(5)
                return [set(first), ready, set(second), page, set(after)], log

        answers, log = async_to_sync(play)()

        self.assertEqual(answers, [{REFUSED}, 503, {REFUSED}, 503, {(200, "complete")}])
        self.assertEqual(log.count("is there but does not answer"), 1)
        self.assert_nothing_runs()

    async def page(self, client: aiohttp.ClientSession) -> int:
        async with client.get("/admin/login/", allow_redirects=False) as answer:
            return answer.status

    def test_connections_that_died_in_the_silence_are_replaced_without_an_error(self) -> None:
        async def play() -> tuple[set[Any], set[Any]]:
            async with self.serving() as (proxy, _server, client):
                await self.many(client)
                proxy.hold()
                during = await self.many(client)
                proxy.forget()
                proxy.release()
                await self.until_ready(client)
                return set(during), set(await self.many(client))

        during, after = async_to_sync(play)()

        self.assertEqual((during, after), ({REFUSED}, {(200, "complete")}))

    def test_a_turn_that_runs_meanwhile_is_settled_when_it_answers_again(self) -> None:
        self.configure("model: scripted:echo?first_ms=1500\n")

        async def play() -> tuple[int, str]:
            async with self.serving() as (proxy, _server, client):
                running = asyncio.create_task(self.chat(client))
                await asyncio.sleep(0.7)
                proxy.hold()
                answers = await running
                proxy.release()
                await self.until_ready(client)
                while await sync_to_async(self.running)():  # noqa: ASYNC110 - the row is the event
                    await asyncio.sleep(0.1)
                return answers

        status, _ = async_to_sync(play)()

        self.assertEqual(status, 503)
        self.assert_nothing_runs()
        self.assertEqual({row.completion_status for row in rows_of(LLMRequest)}, {"complete"})

    def running(self) -> bool:
        with platform_context():
            return LLMRequest.objects.running().exists()
