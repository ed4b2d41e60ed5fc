"""nginx with deploy/nginx.conf: streams are not buffered, and a reload loses no request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from django.test import TransactionTestCase

from tests.support.factories import make_key
from tests.support.fixtures import AgentFixtures
from tests.support.servers.held_model import SHORT, WHOLE, HeldModel, Stream, ask
from tests.support.servers.nginx import HOST, eventually_answers, proxied
from tests.support.servers.served import Served, eventually, served


class BehindNginxTests(AgentFixtures, TransactionTestCase):
    config = "model: mock:test-model\n"

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[tuple[Served, HeldModel, aiohttp.ClientSession]]:
        async with (
            asyncio.timeout(90),
            HeldModel() as model,
            served(
                cut_after=20, ALLOWED_HOSTS=f"{HOST},127.0.0.1", TRUST_PROXY_HEADERS="true"
            ) as server,
        ):
            with proxied(server.port) as proxy:
                async with proxy.client(self.secret) as client:
                    await eventually_answers(client)
                    yield server, model, client

    def test_streams_come_piece_by_piece_and_a_reload_loses_no_request(self) -> None:
        streams = [Stream(SHORT) for _ in range(3)]
        statuses: list[int] = []

        async def play() -> None:
            async with self.serving() as (server, model, client), asyncio.TaskGroup() as group:
                for each in streams:
                    group.create_task(each.follow(client, self.path("stream")))
                for each in streams:
                    await each.spoke.wait()
                [old] = server.workers()
                server.reload()
                while len(server.workers() - {old}) == 0 or len(statuses) < 20:
                    async with client.get(self.path("history")) as answer:
                        statuses.append(answer.status)
                model.released.set()
                await eventually(lambda: old not in server.workers())
                statuses.append((await ask(client, self.path("chat"), SHORT))[0])

        asyncio.run(play())

        self.assertEqual(
            {(each.text, each.end["status"]) for each in streams}, {(WHOLE, "complete")}
        )
        # Without a session history is a 400; what matters is that Salient answered each time.
        self.assertEqual(set(statuses[:-1]), {400})
        self.assertEqual(statuses[-1], 200)

    def test_the_clients_address_is_the_one_that_nginx_saw(self) -> None:
        forged = {"X-Forwarded-For": "203.0.113.9"}
        _, here = make_key(self.account, networks=["127.0.0.1/32"])
        _, there = make_key(self.account, networks=["203.0.113.0/24"])

        async def play() -> list[int]:
            async with self.serving() as (_, model, client):
                model.released.set()
                return [
                    (await ask_as(client, self.path("chat"), key, forged)) for key in (here, there)
                ]

        answered, refused = asyncio.run(play())

        self.assertEqual((answered, refused // 100), (200, 4))


async def ask_as(
    client: aiohttp.ClientSession, path: str, key: str, headers: dict[str, str]
) -> int:
    headers = {**headers, "Authorization": f"Bearer {key}"}
    async with client.post(path, json={"message": SHORT}, headers=headers) as answer:
        return answer.status
