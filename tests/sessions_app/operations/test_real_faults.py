"""A PostgreSQL that is stopped, killed, paused and full, and workers that are: nothing is lost.

One server process and one PostgreSQL go through all of it, while turns run.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from unittest import mock

import aiohttp
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connection
from django.test import TransactionTestCase

from accounts.limits.budgets import set_budget
from accounts.tenancy.context import platform_context
from sessions_app.models import LLMRequest, Message, Role
from sessions_app.operations.integrity.service import check_integrity
from tests.support.database.stored import rows_of
from tests.support.factories import write_config
from tests.support.fixtures import AgentFixtures
from tests.support.servers.held_model import LONG, SHORT, SPOKEN, WHOLE, HeldModel, Stream
from tests.support.servers.own_postgres import OwnPostgres, may_mount, own_postgres
from tests.support.servers.served import Served, eventually, served

WITHIN_SECONDS = 60


class Scene:
    """The server, its PostgreSQL, and what callers were answered."""

    def __init__(
        self, postgres: OwnPostgres, server: Served, model: HeldModel, path: Callable[[str], str]
    ) -> None:
        self.postgres, self.server, self.model, self.path = postgres, server, model, path
        self.client: aiohttp.ClientSession
        # The statuses of all calls that were no streams, by phase.
        self.answers: dict[str, list[int]] = {}
        self.streams: dict[str, Stream] = {}

    async def ask(self, phase: str, message: str = "hello") -> int:
        async with asyncio.timeout(WITHIN_SECONDS):
            async with self.client.post(self.path("chat"), json={"message": message}) as answer:
                await answer.read()
        self.answers.setdefault(phase, []).append(answer.status)
        return answer.status

    @asynccontextmanager
    async def during_a_stream(self, phase: str, message: str = SHORT) -> AsyncIterator[None]:
        """Do something while an answer is half written; then it is written to its end."""
        stream = self.streams[phase] = Stream(message)
        self.model.released.clear()
        following = asyncio.create_task(self._follow(stream))
        async with asyncio.timeout(WITHIN_SECONDS):
            await stream.spoke.wait()
            yield
            self.model.released.set()
            await following

    async def _follow(self, stream: Stream) -> None:
        try:
            await stream.follow(self.client, self.path("stream"))
        except aiohttp.ClientError:
            # The worker was killed.
            return

    async def until(self, happened: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(WITHIN_SECONDS):
            while not await happened():  # noqa: ASYNC110 - no event of this process tells of it
                await asyncio.sleep(0.1)

    async def is_ready(self) -> bool:
        try:
            async with self.client.get("/readyz") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False


class RealFaultTests(AgentFixtures, TransactionTestCase):
    config = "model: mock:test-model\nretries: 0\n"

    def setUp(self) -> None:
        self.postgres = self.enterContext(own_postgres())
        super().setUp()
        # The account that the migrations make, if no test has emptied the tables yet.
        write_config(settings.AGENT_CONFIG_DIR, "default", "simple-chat", self.config)
        set_budget(self.account, period="day", limit=Decimal(100))

    def test_nothing_is_lost_and_nothing_is_charged_twice(self) -> None:
        # In this thread: PostgreSQL ends with the thread that started it.
        self.assert_all_is_there(asyncio.run(self.play()))

    async def play(self) -> Scene:
        headers = {"Authorization": f"Bearer {self.secret}"}
        async with HeldModel() as model, served(cut_after=1) as server:
            scene = Scene(self.postgres, server, model, self.path)
            async with aiohttp.ClientSession(server.url, headers=headers) as scene.client:
                model.released.set()
                await scene.ask("before")
                full = [filled] if may_mount() else []
                for phase in (stopped, crashed, paused, *full, killed):
                    await phase(scene)
                    await scene.until(scene.is_ready)
                    await scene.ask("after")
                    # One fault at a time: a killed worker no longer knows that no model was called.
                    await scene.until(nothing_runs)
                await ended(scene)
        return scene

    def assert_all_is_there(self, scene: Scene) -> None:
        self.assertEqual({*scene.answers.pop("before"), *scene.answers.pop("after")}, {200})
        full = {"filled"} if may_mount() else set[str]()
        self.assertEqual({*scene.answers}, {"stopped", "crashed", "paused"} | full)
        for phase, answers in scene.answers.items():
            self.assertEqual({*answers}, {503}, phase)
        with mock.patch.dict(os.environ, {"MOCK_BASE_URL": scene.model.base_url}):
            found = [each for each in check_integrity() if each.status not in {"ok", "notice"}]
        self.assertEqual(found, [])

        requests, messages = rows_of(LLMRequest), rows_of(Message)
        said = Counter((each.llm_request_id, each.role) for each in messages)
        answered = {
            each.llm_request_id: each.content for each in messages if each.role == Role.ASSISTANT
        }
        called = [each for each in requests if each.requests]
        # A call of the model is a request that is charged, once; no other is.
        self.assertEqual(len(called), len(scene.model.requests))
        self.assertEqual({each.requests for each in called}, {1})
        self.assertTrue(all(each.charged_cost for each in called))
        self.assertFalse(any(each.charged_cost for each in requests if not each.requests))
        for each in called:
            self.assertEqual(said[each.pk, Role.HUMAN], 1)
        ends = Counter(
            (each.completion_status, each.error_code, answered.get(each.pk)) for each in called
        )
        self.assertEqual(
            dict(ends),
            {
                # The calls before and after the faults, and the streams that met one.
                ("complete", "", WHOLE): 8 + 2 * len(full),
                # The one that was asked to end has stored what came, the killed one had no time.
                ("partial", "server_stopping", SPOKEN): 1,
                ("error", "abandoned", None): 1,
            },
        )


async def stopped(scene: Scene) -> None:
    """An administrator stops PostgreSQL and starts it again."""
    async with scene.during_a_stream("stopped"):
        scene.postgres.stop()
        await scene.ask("stopped")
        assert not await scene.is_ready()
        scene.model.released.set()
        scene.postgres.start()


async def crashed(scene: Scene) -> None:
    async with scene.during_a_stream("crashed"):
        scene.postgres.crash()
        await scene.ask("crashed")
        scene.postgres.start()


async def paused(scene: Scene) -> None:
    async with scene.during_a_stream("paused"):
        scene.postgres.pause()
        await scene.ask("paused")
        scene.postgres.go_on()


async def filled(scene: Scene) -> None:
    """The disk is full while a turn runs, and while another one would begin."""
    async with scene.during_a_stream("filled"):
        scene.postgres.fill()
        # No free page has room for so much.
        await scene.ask("filled", secrets.token_hex(12_000))
        scene.postgres.empty()


async def killed(scene: Scene) -> None:
    """A worker is killed while it writes; the next one settles its turn."""
    async with scene.during_a_stream("killed", LONG):
        [worker] = scene.server.workers()
        os.kill(worker, signal.SIGKILL)
        await eventually(lambda: bool(scene.server.workers() - {worker}))


async def ended(scene: Scene) -> None:
    """The workers are asked to end, with their server; the answer that is written is cut."""
    async with scene.during_a_stream("ended", LONG):
        scene.server.stop()
        await scene.server.gone()


async def nothing_runs() -> bool:
    def is_over() -> bool:
        try:
            with platform_context():
                return not LLMRequest.objects.running().exists()
        finally:
            # This thread's own.
            connection.close()

    return await sync_to_async(is_over)()
