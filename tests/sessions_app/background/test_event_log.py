"""What a background turn stores of its events: all of them, each once, soon, and in order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any
from unittest import mock
from uuid import uuid4

from django.test import SimpleTestCase

from agents.runtime.events import Event, TextDelta
from sessions_app.background import event_log
from sessions_app.background.event_log import EventLog


class Table:
    """Takes batches as the database does: one that begins where another does stays as it is."""

    def __init__(self) -> None:
        self.batches: dict[int, list[Any]] = {}
        self.calls = 0
        # Waited for by each call when its batch is stored already.
        self.answers = asyncio.Event()
        self.answers.set()
        self.lost_answers = 0
        self.stored = asyncio.Event()

    async def store(self, _account: Any, _function: str, batch: str, **_: Any) -> None:
        self.calls += 1
        sent = json.loads(batch)
        self.batches.setdefault(sent["first_number"], sent["events"])
        self.stored.set()
        await self.answers.wait()
        if self.lost_answers:
            self.lost_answers -= 1
            raise OSError("the connection is lost")

    def events(self) -> list[Any]:
        """Return the events as a reader in another process gets them."""
        found: list[Any] = []
        for first in sorted(self.batches):
            if first == len(found):
                found += self.batches[first]
        return found


class EventLogTests(SimpleTestCase):
    def setUp(self) -> None:
        self.table = Table()
        self.enterContext(mock.patch.object(event_log, "call_as_tenant", self.table.store))
        self.enterContext(mock.patch.object(event_log, "STORE_SECONDS", 0.01))
        self.log = EventLog(uuid4(), uuid4())
        self.said: asyncio.Queue[str | None] = asyncio.Queue()

    async def _events(self) -> AsyncGenerator[Event]:
        while (text := await self.said.get()) is not None:
            yield TextDelta(text)

    async def record(self) -> None:
        async for _ in self.log.recorded(self._events()):
            pass

    async def expect(self, *texts: str) -> None:
        async with asyncio.timeout(10):
            while self.table.events() != [*texts]:  # noqa: ASYNC110 - as a reader looks
                await asyncio.sleep(0.01)

    async def test_what_comes_after_a_pause_is_stored_while_the_turn_runs(self) -> None:
        recording = asyncio.create_task(self.record())
        for number in range(1, 4):
            await self.said.put("word ")
            await self.expect(*["word "] * number)
        await self.said.put(None)
        await recording

    async def test_a_turn_that_ends_while_a_batch_is_written_stores_the_rest(self) -> None:
        self.table.answers.clear()
        recording = asyncio.create_task(self.record())
        await self.said.put("one ")
        async with asyncio.timeout(10):
            await self.table.stored.wait()
        await self.said.put("two")
        await self.said.put(None)
        await asyncio.sleep(0.05)
        self.table.answers.set()
        await recording

        self.assertEqual(self.table.events(), ["one ", "two"])

    async def test_so_it_does_where_only_the_answer_to_a_batch_was_lost(self) -> None:
        self.table.lost_answers = 1
        recording = asyncio.create_task(self.record())
        await self.said.put("one ")
        async with asyncio.timeout(10):
            await self.table.stored.wait()
        await self.said.put("two")
        await self.said.put(None)
        await recording

        self.assertEqual(self.table.events(), ["one ", "two"])

    async def test_a_database_that_refuses_does_not_keep_the_turn_from_ending(self) -> None:
        self.table.lost_answers = 10**9
        with self.assertLogs(event_log.logger, "WARNING") as logs:
            recording = asyncio.create_task(self.record())
            await self.said.put("one ")
            async with asyncio.timeout(10):
                while self.table.calls < 5:  # noqa: ASYNC110 - as the table counts
                    await asyncio.sleep(0.01)
                await self.said.put(None)
                await recording

        # Once, and not each time.
        self.assertEqual(len(logs.output), 1)
