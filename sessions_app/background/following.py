"""Reads the events of a turn that another process runs, or that has ended, from the database.

Each event loop has one follower. It reads for all its readers together, a few times a second.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterable, Mapping
from itertools import batched
from uuid import UUID

from django.db import InterfaceError, OperationalError
from django.db.models import Q

from accounts.tenancy.context import platform_context
from agents.runtime.events import Event, TextDelta
from salient.api.lifespan import in_rounds
from salient.database import in_database
from sessions_app.background.cancellation import TurnKey
from sessions_app.background.event_log import STORE_SECONDS, decoded
from sessions_app.models import LLMRequest, TurnEventBatch

logger = logging.getLogger(__name__)
# So many turns are named in one statement.
MOST_AT_ONCE = 200


class News:
    """What has happened in a turn since it was last looked at."""

    def __init__(self, events: list[Event], *, is_running: bool) -> None:
        self.events, self.is_running = events, is_running


class _Follower:
    """The readers of one event loop, and the task that reads for them while there are any."""

    def __init__(self) -> None:
        self.waiting: dict[asyncio.Future[News], tuple[TurnKey, int]] = {}
        self.task = in_rounds(self._run)

    async def _run(self) -> None:
        while True:
            try:
                await self._look()
            except (OperationalError, InterfaceError) as error:
                logger.debug("The database did not say what has happened in turns: %s", error)
            except Exception:
                logger.exception("Unexpected error while following turns")
            await asyncio.sleep(STORE_SECONDS)

    async def _look(self) -> None:
        waiting = dict(self.waiting)
        if not waiting:
            return
        found = await in_database(_news, set(waiting.values()))
        for future, wanted in waiting.items():
            news = found[wanted]
            if (news.events or not news.is_running) and not future.done():
                future.set_result(news)


_followers: dict[asyncio.AbstractEventLoop, _Follower] = {}


async def news_of(key: TurnKey, number: int) -> News:
    """Wait for the events of the turn from this number on, or for its end."""
    loop = asyncio.get_running_loop()
    follower = _followers.get(loop)
    if follower is None:
        follower = _followers[loop] = _Follower()
    future: asyncio.Future[News] = loop.create_future()
    follower.waiting[future] = key, number
    try:
        return await future
    finally:
        del follower.waiting[future]
        if not follower.waiting:
            follower.task.cancel()
            del _followers[loop]


async def shared_events(key: TurnKey) -> AsyncGenerator[Event]:
    """Give all events that the turn's process has stored, and those to come; ends with the turn."""
    number, is_running = 0, True
    while is_running:
        news = await news_of(key, number)
        for event in news.events:
            yield event
        number, is_running = number + len(news.events), news.is_running


def stored_events(account_id: UUID, request_id: UUID) -> list[Event]:
    """Return the events that are stored now; call it inside the account's context."""
    batches = TurnEventBatch.objects.filter(account_id=account_id, llm_request_id=request_id)
    return _in_order(batches.values_list("first_number", "events"), 0)


def text_in(events: Iterable[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def _news(wanted: Iterable[tuple[TurnKey, int]]) -> Mapping[tuple[TurnKey, int], News]:
    wanted = list(wanted)
    batches: dict[TurnKey, list[tuple[int, list[object]]]] = defaultdict(list)
    with platform_context():
        # First who still runs: of one that does not, all events are stored.
        ids = {turn_id for (_, turn_id), _ in wanted}
        running = LLMRequest.objects.running().filter(pk__in=ids)
        is_running = set(running.values_list("account_id", "pk"))
        for some in batched(wanted, MOST_AT_ONCE, strict=False):
            which = Q()
            for (account_id, turn_id), number in some:
                which |= Q(account_id=account_id, llm_request_id=turn_id, first_number__gte=number)
            rows = TurnEventBatch.objects.filter(which)
            for account_id, turn_id, first, events in rows.values_list(
                "account_id", "llm_request_id", "first_number", "events"
            ):
                batches[account_id, turn_id].append((first, events))
    return {
        (key, number): News(_in_order(batches[key], number), is_running=key in is_running)
        for key, number in wanted
    }


def _in_order(batches: Iterable[tuple[int, list[object]]], number: int) -> list[Event]:
    """Return the events from this number on, as far as none is missing."""
    found: list[Event] = []
    for first, events in sorted(batches, key=lambda batch: batch[0]):
        if first == number + len(found):
            found += decoded(events)
    return found
