"""Two app servers behind nginx and PgBouncer are one Salient, also while one is being replaced."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
from django.conf import settings
from django.test import TransactionTestCase

from sessions_app.models import LLMRequest
from tests.support.database.stored import rows_of
from tests.support.factories import make_account, make_instance, make_key, make_limits, write_config
from tests.support.fixtures import AgentFixtures
from tests.support.servers.held_model import (
    LONG,
    QUICK,
    SHORT,
    SPOKEN,
    WHOLE,
    HeldModel,
    Stream,
    ask,
)
from tests.support.servers.nginx import HOST, Proxy, eventually_answers, proxied
from tests.support.servers.pgbouncer import pooled
from tests.support.servers.served import Served, served

# How many turns a minute globex has, on all servers together.
GLOBEX_TURNS = 4
# A default of the next version, which its answers tell.
OLD_LIMIT, NEW_LIMIT = "600", "601"


class SeveralServersTests(AgentFixtures, TransactionTestCase):
    config = "model: mock:test-model\n"

    def setUp(self) -> None:
        super().setUp()
        globex = make_account("globex")
        make_instance(globex, "bot")
        write_config(settings.AGENT_CONFIG_DIR, "globex", "bot", self.config, "Be brief.")
        make_limits(globex, requests_per_minute=GLOBEX_TURNS)
        _, self.globex_secret = make_key(globex)

    def test_they_share_turns_limits_and_accounts_and_one_is_replaced_unnoticed(self) -> None:
        asyncio.run(self.play())

        ends = Counter(row.completion_status for row in rows_of(LLMRequest))
        self.assertEqual((set(ends), ends["cancelled"]), ({"complete", "cancelled"}, 1))

    async def play(self) -> None:
        async with asyncio.timeout(180), HeldModel() as model, AsyncExitStack() as stack:
            self.database = stack.enter_context(pooled())
            servers = [self.version(OLD_LIMIT), self.version(OLD_LIMIT)]
            async with asyncio.TaskGroup() as starting:
                started = [
                    starting.create_task(stack.enter_async_context(each)) for each in servers
                ]
            first, second = (each.result() for each in started)
            proxy = stack.enter_context(proxied(first.port, second.port))
            client = await stack.enter_async_context(proxy.client(self.secret, force_close=True))
            await eventually_answers(client)
            here, there = self.opened(stack, first), self.opened(stack, second)
            await self.check_cancelling(here, there)
            await self.check_sessions_and_accounts(client, here, there)
            await self.check_limits(first, second)
            await self.check_replacing(first, second, proxy, client, model)

    @asynccontextmanager
    async def version(self, limit: str) -> AsyncIterator[Served]:
        async with served(
            cut_after=20,
            ALLOWED_HOSTS=f"{HOST},127.0.0.1",
            DATABASE_URL=self.database,
            LIMIT_REQUESTS_PER_MINUTE=limit,
            TRUST_PROXY_HEADERS="true",
        ) as server:
            yield server

    def client_of(self, url: str, secret: str) -> aiohttp.ClientSession:
        # A server that ends would wait for idle connections too.
        connector = aiohttp.TCPConnector(force_close=True)
        headers = {"Authorization": f"Bearer {secret}"}
        return aiohttp.ClientSession(url, headers=headers, connector=connector)

    async def check_cancelling(
        self, here: aiohttp.ClientSession, there: aiohttp.ClientSession
    ) -> None:
        """A turn that runs on one server is cancelled on the other one."""
        stream = Stream(LONG)
        async with asyncio.TaskGroup() as group:
            group.create_task(stream.follow(here, self.path("stream")))
            await stream.spoke.wait()
            path = self.path(f"turns/{stream.turn_id}/cancel")
            async with there.post(path, json={}) as answer:
                cancelled = await answer.json()
        self.assertEqual((cancelled["status"], cancelled["response"]), ("cancelled", SPOKEN))
        self.assertEqual(stream.end["status"], "cancelled")

    async def check_sessions_and_accounts(
        self,
        client: aiohttp.ClientSession,
        here: aiohttp.ClientSession,
        there: aiohttp.ClientSession,
    ) -> None:
        """A conversation goes on wherever its next call arrives, and nobody else reads it."""
        stream = Stream(QUICK)
        await stream.follow(client, self.path("stream"))
        self.assertEqual((stream.text, stream.end["status"]), (WHOLE, "complete"))
        session = stream.end["session_id"]
        for each in (here, there, client):
            body = {"message": QUICK, "session_id": session}
            async with each.post(self.path("chat"), json=body) as answer:
                self.assertEqual(answer.status, 200, await answer.text())
        history = self.path(f"history?session_id={session}")
        own: list[Any] = []
        for each in (here, there):
            async with each.get(history) as answer:
                own.append((answer.status, len((await answer.json())["messages"])))
            async with each.get(
                history, headers={"Authorization": f"Bearer {self.globex_secret}"}
            ) as answer:
                self.assertEqual(answer.status, 404)
        self.assertEqual(own, [(200, 8), (200, 8)])

    async def check_limits(self, first: Served, second: Served) -> None:
        """An account's turns are counted on all servers together."""
        path, statuses = self.path("chat", "globex"), []
        for turn in range(GLOBEX_TURNS + 1):
            url = (first, second)[turn % 2].url
            async with self.client_of(url, self.globex_secret) as client:
                statuses.append((await ask(client, path, QUICK))[0])
        self.assertEqual(statuses, [200] * GLOBEX_TURNS + [429])

    async def check_replacing(
        self,
        first: Served,
        second: Served,
        proxy: Proxy,
        client: aiohttp.ClientSession,
        model: HeldModel,
    ) -> None:
        """While calls go on, the first server is taken out, stopped, and the next version put in.

        The steps are those of docs/scaling.md.
        """
        held, calls = Stream(SHORT), Calls(client, self.path("chat"))
        async with asyncio.TaskGroup() as group, AsyncExitStack() as stack:
            group.create_task(held.follow(self.opened(stack, first), self.path("stream")))
            await held.spoke.wait()
            calling = [group.create_task(calls.go_on()) for _ in range(2)]
            await calls.answered(10)
            proxy.configure(f"127.0.0.1:{first.port} down", f"127.0.0.1:{second.port}")
            proxy.reload()
            await asyncio.sleep(1)
            first.stop()
            await first.until(answering=False)
            await calls.answered(10)
            # It has ended when the stream that it still had has ended.
            self.assertIsNone(first.process.poll())
            model.released.set()
            self.assertEqual(await first.gone(), 0)
            next_one = await stack.enter_async_context(self.version(NEW_LIMIT))
            proxy.configure(f"127.0.0.1:{next_one.port}", f"127.0.0.1:{second.port}")
            proxy.reload()
            await calls.answered(10, by=NEW_LIMIT)
            calls.go = False
            await asyncio.gather(*calling)
        self.assertEqual((held.text, held.end["status"]), (WHOLE, "complete"))
        self.assertEqual(set(calls.met), {(200, OLD_LIMIT), (200, NEW_LIMIT)})

    def opened(self, stack: AsyncExitStack, server: Served) -> aiohttp.ClientSession:
        session = self.client_of(server.url, self.secret)
        stack.push_async_callback(session.close)
        return session


class Calls:
    """Callers that go on while a server is being replaced, and what they met."""

    def __init__(self, client: aiohttp.ClientSession, path: str) -> None:
        self.client = client
        self.path = path
        self.go = True
        # The answer's status, and the account's limit as the server that answered knows it.
        self.met: Counter[tuple[int, str]] = Counter()

    async def go_on(self) -> None:
        while self.go:
            async with self.client.post(self.path, json={"message": QUICK}) as answer:
                await answer.read()
                policy = answer.headers.get("RateLimit-Policy", "")
            self.met[answer.status, policy.partition("q=")[2].partition(";")[0]] += 1
            # A new server has to start meanwhile, on the same machine.
            await asyncio.sleep(0.2)

    async def answered(self, more: int, by: str | None = None) -> None:
        """Wait for so many more answers; `by` one version only."""

        def number() -> int:
            return sum(n for (_, limit), n in self.met.items() if by in (None, limit))

        wanted = number() + more
        while number() < wanted:  # noqa: ASYNC110 - the callers only count
            await asyncio.sleep(0.02)
