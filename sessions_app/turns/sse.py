"""Runtime events as text/event-stream.

The stream is our own because closing it, even unread, must settle the turn.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import aclosing
from typing import Self

from django.http import StreamingHttpResponse

from accounts.auth.decorators import as_problem
from agents.runtime.events import Event, TextDelta, ToolCall, ToolResult
from salient.api.limits import FinalChunk
from salient.api.problems import Problem
from sessions_app.turns.idempotency import Replay
from sessions_app.turns.turn import Turn, leave

CONTENT_TYPE = "text/event-stream; charset=utf-8"
HEADERS = {"X-Accel-Buffering": "no"}
# Sent first, so that a client that loses the connection before any event has an id to send back.
BEGIN = b"id: 0\n\n"


def stream(
    turn: Turn, events: AsyncGenerator[Event], path: str, *, named: bool
) -> StreamingHttpResponse:
    """Stream the turn; `named` is for clients that connect again and send the last id."""
    return StreamingHttpResponse(
        TurnStream(turn, encode(turn, events, path, BEGIN if named else b"")),
        content_type=CONTENT_TYPE,
        headers=HEADERS | turn.reservation.headers,
    )


class TurnStream:
    """The frames of a turn; closing it ends the turn, even when no frame was read."""

    def __init__(self, turn: Turn, frames: AsyncGenerator[bytes]) -> None:
        self._turn, self._frames = turn, frames

    def __aiter__(self) -> Self:
        # Not the frames: the response keeps, and closes, what this returns.
        return self

    def __anext__(self) -> Awaitable[bytes]:
        return self._frames.__anext__()

    async def aclose(self) -> None:
        await self._frames.aclose()
        # A generator that was never entered does not come to its `finally`.
        await leave(self._turn)


def replay(earlier: Replay) -> StreamingHttpResponse:
    """Stream an earlier turn again: its text in one event, its error if it failed, `done`."""
    return StreamingHttpResponse(
        encode_replay(earlier), content_type=CONTENT_TYPE, headers=HEADERS | earlier.headers
    )


async def encode(
    turn: Turn, events: AsyncGenerator[Event], path: str, begin: bytes = b""
) -> AsyncGenerator[bytes]:
    """Write each event as a frame; also after an error, the last one is `done`."""
    number = 0
    if begin:
        yield begin
    try:
        async with aclosing(events):
            async for event in events:
                if (data := data_of(event)) is not None:
                    number += 1
                    yield frame(number, *data)
    except Exception as error:
        number += 1
        yield frame(number, "error", _error(as_problem(error, path)))
    yield frame(number + 1, "done", turn.outcome().model_dump_json())


async def encode_replay(earlier: Replay) -> AsyncIterator[bytes]:
    events = [("message", earlier.answer.response)] if earlier.answer.response else []
    if earlier.problem is not None:
        events.append(("error", _error(earlier.problem)))
    events.append(("done", earlier.answer.model_dump_json(exclude={"response"})))
    for number, event in enumerate(events, start=1):
        yield frame(number, *event)


def _error(problem: Problem) -> str:
    content = problem.as_dict()
    return json.dumps(content | {"message": content["detail"]})


def data_of(event: Event) -> tuple[str, str] | None:
    """Return the event's name and data; a text delta is sent as it is."""
    match event:
        case TextDelta(text):
            return "message", text
        case ToolCall(call_id, name):
            return "tool", json.dumps({"id": call_id, "name": name, "status": "running"})
        case ToolResult(call_id, name, _, is_error):
            status = "failed" if is_error else "done"
            return "tool", json.dumps({"id": call_id, "name": name, "status": status})
    return None


def frame(number: int, name: str, data: str) -> bytes:
    """Write one event, with a `data` field for each line as the standard requires."""
    if "\n" in data or "\r" in data:
        data = "\ndata: ".join(data.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    event = f"id: {number}\nevent: {name}\ndata: {data}\n\n".encode()
    return FinalChunk(event) if name == "done" else event
