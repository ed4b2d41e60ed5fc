"""Readers of a turn's events: what they leave behind, and what ends them besides the turn."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any
from unittest import mock

from asgiref.sync import sync_to_async
from django.test import TestCase, override_settings
from django.utils import timezone

from accounts.auth import revocation
from accounts.auth.caller import Caller
from accounts.models import Account, AccountStatus, Scope
from agents.runtime.events import TextDelta, ToolCall
from salient.api.lifespan import finish_background
from salient.api.problems import NotFound
from sessions_app.background import cancellation, following, stored_turns
from sessions_app.background.running import running_here
from sessions_app.models import LLMRequest, TurnEventBatch
from sessions_app.turns.abandoned import settle_abandoned
from tests.support.api_client import Call
from tests.support.database.stored import change_all, change_row, count_of
from tests.support.factories import make_event_batch, make_llm_request, make_message, make_session
from tests.support.fixtures import AgentFixtures
from tests.support.servers.held_model import SHORT, HeldModel

RUNNING = {"completion_status": "running", "settled_at": None}
# What two texts and a call between them are stored as.
STORED = ["Hello ", {"call": "c1", "name": "look"}, "there"]


def watches() -> int:
    """Return how many turns and readers are under watch."""
    return sum(len(watcher.watches) for watcher in revocation._watchers.values())


class FollowingTests(AgentFixtures, TestCase):
    config = "model: mock:test-model\n"

    def make_running(self) -> LLMRequest:
        """Make a turn that another process runs, and what that has stored of it."""
        session = make_session(self.instance)
        request = make_llm_request(session, **RUNNING)
        make_message(session, content="Hi", llm_request=request)
        make_event_batch(request, events=STORED)
        return request

    def events_of(self, request: Any) -> str:
        turn_id = request if isinstance(request, str) else request.pk
        return self.path(f"turns/{turn_id}/events")

    async def test_readers_that_leave_at_any_moment_leave_nothing(self) -> None:
        async with HeldModel() as model, asyncio.timeout(60):
            body = {"message": SHORT, "background": True}
            begun = (await self.api.post(self.path("chat"), body)).json()
            for elsewhere in (False, True):
                with mock.patch.object(
                    stored_turns, "running_here", (lambda *_: None) if elsewhere else running_here
                ):
                    for moment in range(30):
                        call = Call(self.api, "GET", self.events_of(begun["id"])).begin()
                        if moment > 20:
                            await asyncio.sleep(0.01 * (moment - 20))
                        for _ in range(moment):
                            await asyncio.sleep(0)
                        await call.end()
                self.assertEqual(following._followers, {})
                self.assertEqual(watches(), 1)
            model.released.set()
            await finish_background()
        self.assertEqual(watches(), 0)
        # With no turn left, the next look ends the canceller.
        async with asyncio.timeout(10):
            while cancellation._cancellers:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    async def test_a_turn_whose_process_died_ends_for_its_readers(self) -> None:
        request = await sync_to_async(self.make_running)()
        reading = asyncio.create_task(self.api.get(self.events_of(request)))
        await asyncio.sleep(0.5)
        self.assertFalse(reading.done())
        await sync_to_async(settle_abandoned)(older_than=0)
        events = (await reading).events()

        self.assertEqual([name for name, _ in events][-2:], ["error", "done"])
        self.assertEqual(events[0], ("message", "Hello "))
        self.assertEqual(json.loads(events[-2][1])["code"], "abandoned")
        self.assertEqual(json.loads(events[-1][1])["status"], "error")

    async def test_who_cancels_a_turn_that_does_not_end_looks_ever_less_often(self) -> None:
        request = await sync_to_async(self.make_running)()
        with (
            mock.patch.object(stored_turns, "CANCEL_SECONDS", 2.0),
            mock.patch.object(stored_turns, "read_turn", wraps=stored_turns.read_turn) as read,
        ):
            answer = await self.api.post(self.path(f"turns/{request.pk}/cancel"), {})

        self.assertEqual((answer.status, answer.json()["status"]), (200, "running"))
        self.assertLessEqual(read.call_count, 7)

    @override_settings(REVOCATION_CHECK_SECONDS=0.1)
    async def test_a_suspended_account_has_no_readers(self) -> None:
        request = await sync_to_async(self.make_running)()
        reading = asyncio.create_task(self.api.get(self.events_of(request)))
        await asyncio.sleep(0.3)
        await sync_to_async(change_all)(Account, status=AccountStatus.SUSPENDED)
        async with asyncio.timeout(10):
            events = (await reading).events()

        self.assertEqual([name for name, _ in events], ["message", "tool", "message", "error"])
        self.assertEqual(json.loads(events[-1][1])["code"], "access_ended")

    async def test_a_turn_that_is_deleted_under_a_reader_gives_no_more(self) -> None:
        request = await sync_to_async(self.make_running)()
        await sync_to_async(self.end)(request)
        caller = Caller(self.account.pk, "acme", frozenset(Scope.values))
        events = stored_turns.StoredTurn(caller, self.instance, request.pk).events()
        first = await anext(events)
        await sync_to_async(stored_turns.delete_turn)(caller, self.instance, request.pk)
        # What had been read at once is all.
        rest = [await anext(events) for _ in STORED[1:]]
        with self.assertRaises(NotFound):
            await anext(events)

        self.assertEqual([*map(type, (first, *rest))], [TextDelta, ToolCall, TextDelta])

    async def test_any_last_event_id_is_refused_or_gives_an_end(self) -> None:
        request = await sync_to_async(self.make_running)()
        await sync_to_async(self.end)(request)
        for sent in ("0-0", "5-0", "11-0", "11-1", "999999999-0", "0-999999999", "error"):
            answer = await self.api.call(
                "GET", self.events_of(request), headers={"Last-Event-ID": sent}
            )
            self.assertEqual(answer.status, 200)
            self.assertEqual(answer.events()[-1][0], "done", sent)
        for sent in ("٤-0", "1000000000-0", "0x1-0", "-0", "1e3-0"):
            answer = await self.api.call(
                "GET",
                self.events_of(request),
                headers={"Last-Event-ID": sent.encode().decode("latin1")},
            )
            self.assertEqual(answer.status, 400, sent)

    def end(self, request: LLMRequest) -> None:
        """End the turn without a message, as where its answer could not be stored."""
        change_row(
            request, completion_status="complete", settled_at=timezone.now() + timedelta(seconds=1)
        )
        self.assertEqual(count_of(TurnEventBatch), 1)
