"""Background turns: each runs to its end in the process that began it, even if nobody reads it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import cast
from uuid import UUID

from accounts.auth.caller import Caller
from accounts.auth.decorators import as_problem
from agents.models import AgentInstance
from agents.runtime.events import Event
from salient.api.lifespan import in_background
from salient.api.problems import Problem
from sessions_app.background.cancellation import TurnKey
from sessions_app.background.event_log import EventLog
from sessions_app.inputs.turn_input import TurnInput
from sessions_app.turns.idempotency import Key, Replay
from sessions_app.turns.turn import Turn, begin, finish

_running: dict[TurnKey, Turn] = {}


async def begin_in_background(
    caller: Caller,
    instance: AgentInstance,
    asked: TurnInput,
    *,
    stream: bool,
    key: Key | None,
    path: str,
) -> Turn | Replay:
    """Begin a turn, as `begin` does, that goes on to its end however early its client leaves.

    A server that stops ends it as it ends every turn.
    """

    async def begin_and_run() -> Turn | Replay:
        turn = await begin(caller, instance, asked, stream=stream, key=key)
        if isinstance(turn, Turn):
            turn.log = EventLog(caller.account_id, turn.request_id)
            _running[caller.account_id, turn.request_id] = turn
            in_background(_run(turn, turn.log, path))
        return turn

    beginning = in_background(begin_and_run())
    # Where no client waits any more, nobody else asks for its error.
    beginning.add_done_callback(lambda task: task.cancelled() or task.exception())
    return await asyncio.shield(beginning)


async def _run(turn: Turn, log: EventLog, path: str) -> None:
    problem: Problem | None = None
    try:
        await finish(turn)
    except Exception as error:
        problem = as_problem(error, path)
    finally:
        del _running[turn.caller.account_id, turn.request_id]
        log.end(problem)


def events_of(turn: Turn) -> AsyncGenerator[Event]:
    """Give the events of a background turn from the first on; raises how it failed."""
    return cast(EventLog, turn.log).follow()


def running_here(account_id: UUID, request_id: UUID) -> Turn | None:
    """Return the background turn, if this process runs it."""
    return _running.get((account_id, request_id))
