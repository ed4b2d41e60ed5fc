"""Two server processes: one runs the turn, the other one is asked about it."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import aiohttp
from asgiref.sync import sync_to_async
from django.test import TransactionTestCase

from sessions_app.models import TurnCancellation, TurnEventBatch
from tests.support.api_client import Answer
from tests.support.database.stored import count_of, rows_of
from tests.support.fixtures import AgentFixtures, stored
from tests.support.servers.held_model import LONG, SHORT, SPOKEN, WHOLE, HeldModel
from tests.support.servers.served import served


class TwoProcessTests(AgentFixtures, TransactionTestCase):
    config = "model: mock:test-model\n"

    async def test_another_process_follows_and_cancels(self) -> None:
        async with (
            asyncio.timeout(120),
            HeldModel() as model,
            served(cut_after=5) as first,
            served(cut_after=5) as second,
            self.client_of(first.url) as here,
            self.client_of(second.url) as there,
        ):
            turn_id, sent = await self.leave(here, SHORT, background=True)
            following = asyncio.create_task(self.events(there, turn_id, sent))
            # The reader gets what it lacks as it comes: it waits while the model waits.
            await asyncio.sleep(0.6)
            self.assertFalse(following.done())
            model.released.set()
            rest = await following

            cancelled_id, _ = await self.leave(here, LONG, background=True)
            async with there.post(self.turn(cancelled_id, "cancel"), json={}) as answer:
                cancelled = await answer.json()
            async with there.get(self.turn(cancelled_id)) as answer:
                read = await answer.json()

        self.assertEqual(SPOKEN + text_of(rest), WHOLE)
        self.assertEqual(json.loads(rest[-1][1])["status"], "complete")
        self.assertEqual((cancelled["status"], cancelled["response"]), ("cancelled", SPOKEN))
        self.assertEqual(read, cancelled)
        await sync_to_async(self.assert_rows)()

    async def test_a_server_that_stops_tells_the_readers_of_both(self) -> None:
        async with (
            asyncio.timeout(120),
            HeldModel(),
            served(cut_after=1) as first,
            served(cut_after=5) as second,
            self.client_of(first.url) as here,
            self.client_of(second.url) as there,
        ):
            turn_id, _ = await self.leave(here, LONG, background=True)
            reading = [asyncio.create_task(self.events(each, turn_id)) for each in (here, there)]
            await asyncio.sleep(1)
            self.assertEqual([each.done() for each in reading], [False, False])
            first.stop()
            await first.gone()
            ends = await asyncio.gather(*reading)

        for name, events in zip(("here", "there"), ends, strict=True):
            with self.subTest(name):
                self.assertEqual(text_of(events), SPOKEN)
                errors = [json.loads(data)["code"] for name, data in events if name == "error"]
                self.assertEqual(errors, ["server_stopping"])
        self.assertEqual(json.loads(ends[1][-1][1])["status"], "partial")
        _, [request] = await sync_to_async(stored)()
        self.assertEqual(
            (request.completion_status, request.error_code), ("partial", "server_stopping")
        )

    def assert_rows(self) -> None:
        _, requests = stored()
        self.assertEqual(
            [(each.completion_status, each.error_code) for each in requests],
            [("complete", ""), ("cancelled", "turn_cancelled")],
        )
        self.assertGreater(requests[1].charged_cost or 0, 0)
        self.assertEqual(count_of(TurnCancellation), 1)
        batches = [row.llm_request_id for row in rows_of(TurnEventBatch)]
        # One write for what came at once, however many tokens it has.
        self.assertEqual([batches.count(each.pk) for each in requests], [2, 1])

    def client_of(self, url: str) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(url, headers={"Authorization": f"Bearer {self.secret}"})

    def turn(self, turn_id: str, *more: str) -> str:
        return self.path("/".join(["turns", turn_id, *more]))

    async def leave(
        self, client: aiohttp.ClientSession, message: str, **body: Any
    ) -> tuple[str, str]:
        """Begin a stream and leave after the first words; return the turn and the last id."""
        received = b""
        async with client.post(self.path("stream"), json={"message": message, **body}) as answer:
            self.assertEqual(answer.status, 200)
            async for part in answer.content.iter_any():
                received += part
                if text_of(events_in(received)) == SPOKEN:
                    break
            answer.close()
        return answer.headers["Salient-Turn"], re.findall(rb"id: (\S+)\n", received)[-1].decode()

    async def events(
        self, client: aiohttp.ClientSession, turn_id: str, sent: str = "0-0"
    ) -> list[tuple[str, str]]:
        headers = {"Last-Event-ID": sent}
        async with client.get(self.turn(turn_id, "events"), headers=headers) as answer:
            self.assertEqual(answer.status, 200)
            return events_in(await answer.read())


def events_in(received: bytes) -> list[tuple[str, str]]:
    return Answer(200, {}, received[: received.rfind(b"\n\n") + 2]).events()


def text_of(events: list[tuple[str, str]]) -> str:
    return "".join(data for name, data in events if name == "message")
