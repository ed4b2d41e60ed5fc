"""The events of one background turn: for readers in this process as they come, and stored in
batches for those in others; what is stored is deleted here when nobody needs it any more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
from django.db.models.functions import Now

from accounts.tenancy.context import call_as_tenant, platform_context
from agents.runtime.events import Event, ModelCall, TextDelta, ToolCall, ToolResult
from salient.database import storable
from sessions_app.models import LLMRequest, TurnCancellation, TurnEventBatch

logger = logging.getLogger(__name__)
# Events are stored at most once in this time, however many there are.
STORE_SECONDS = 0.25
# Turns of one account are stored together where they wait for a connection.
_BATCH_KEY = "turn events"
# For so long the events of a background turn are read again as they came; no turn lasts longer.
# Later, its answer is one event.
EVENTS_KEPT = timedelta(hours=1)
MOST_AT_ONCE = 10_000


class EventLog:
    """The events of one turn, in order; a model call is none, since no reader is told of it."""

    def __init__(self, account_id: UUID, request_id: UUID) -> None:
        self._account_id, self._request_id = account_id, request_id
        self._events: list[Event] = []
        # So many are stored; the next batch ends here, where its fate is not known.
        self._stored = self._tried = 0
        self._writing = asyncio.Lock()
        self._storing: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self.is_ended = False
        self._problem: Exception | None = None

    async def recorded(self, events: AsyncGenerator[Event]) -> AsyncGenerator[Event]:
        """Pass the events on, and keep them; all are stored when this ends, however it ends."""
        try:
            async with aclosing(events):
                async for event in events:
                    self._add(event)
                    yield event
        finally:
            await asyncio.shield(self._store_rest())

    def _add(self, event: Event) -> None:
        if isinstance(event, ModelCall):
            return
        self._events.append(event)
        if self._storing is None or self._storing.done():
            self._storing = asyncio.get_running_loop().create_task(self._store_soon())
        self._tell()

    def end(self, problem: Exception | None) -> None:
        """Say that the turn is settled; `problem` is how it failed."""
        self.is_ended, self._problem = True, problem
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def follow(self) -> AsyncGenerator[Event]:
        """Give all events from the first on, and those to come; raises how the turn failed."""
        number = 0
        while True:
            while number < len(self._events):
                yield self._events[number]
                number += 1
            if self.is_ended:
                break
            await self._news.wait()
        if self._problem is not None:
            raise self._problem

    async def _store_soon(self) -> None:
        while self._stored < len(self._events):
            await asyncio.sleep(STORE_SECONDS)
            # A batch that is being written is written to its end.
            await asyncio.shield(self._store())

    async def _store_rest(self) -> None:
        if self._storing is not None:
            self._storing.cancel()
            await asyncio.wait([self._storing])
        # One more where a batch before it was not known to be stored.
        while self._stored < len(self._events) and await self._store():
            pass

    async def _store(self) -> bool:
        """Store what is new; return whether the database did. Where it refuses, readers elsewhere
        get the whole answer when the turn is settled.
        """
        async with self._writing:
            first = self._stored
            # A batch whose answer was lost may be stored: it is sent again as it was.
            is_again = self._tried > first
            last = self._tried if is_again else len(self._events)
            if first == last:
                return True
            self._tried = last
            try:
                await self._send(first, self._events[first:last])
            except Exception as error:
                level = logging.DEBUG if is_again else logging.WARNING
                logger.log(level, "Events of turn %s are not stored: %s", self._request_id, error)
                return False
            self._stored = last
            return True

    async def _send(self, first: int, events: list[Event]) -> None:
        batch = {
            "request_id": self._request_id,
            "first_number": first,
            "events": list(encoded(events)),
        }
        await call_as_tenant(
            self._account_id,
            "app_store_turn_events",
            msgspec.json.encode(storable(batch)).decode(),
            batch_key=_BATCH_KEY,
        )


def encoded(events: Iterable[Event]) -> Iterator[Any]:
    """Return events as they are stored: of a call of the agent's own tools only its name."""
    for event in events:
        match event:
            case TextDelta(text):
                yield text
            case ToolCall(call_id, name, arguments, is_client=True):
                yield {"call": call_id, "name": name, "arguments": arguments}
            case ToolCall(call_id, name):
                yield {"call": call_id, "name": name}
            case ToolResult(call_id, name, _, is_error):
                yield {"result": call_id, "name": name, "is_error": is_error}


def decoded(stored: Iterable[Any]) -> Iterator[Event]:
    """Read stored events."""
    for each in stored:
        match each:
            case str(text):
                yield TextDelta(text)
            case {"call": call_id, "name": name, "arguments": arguments}:
                yield ToolCall(call_id, name, arguments, is_client=True)
            case {"call": call_id, "name": name}:
                yield ToolCall(call_id, name, "")
            case {"result": call_id, "name": name, "is_error": is_error}:
                yield ToolResult(call_id, name, "", is_error)


def forget_turn_events() -> int:
    """Delete the events older than EVENTS_KEPT; return how many batches they were."""
    running = LLMRequest.objects.running
    with platform_context():
        ended = TurnCancellation.objects.exclude(llm_request_id__in=running().values("pk"))
        ended.delete()
        old = TurnEventBatch.objects.filter(created_at__lt=Now() - EVENTS_KEPT)
        some = old.order_by("created_at").values("pk")[:MOST_AT_ONCE]
        return TurnEventBatch.objects.filter(pk__in=some).delete()[0]
