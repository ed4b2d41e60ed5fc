"""Runtime events as text/event-stream.

The stream is our own because closing it, even unread, must settle the turn.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import NamedTuple, Self

import msgspec
from django.http import StreamingHttpResponse

from accounts.auth.decorators import as_problem
from agents.runtime.events import Event, TextDelta, ToolCall, ToolResult
from salient.api.limits import FinalChunk
from salient.api.problems import Problem
from sessions_app.api.schemas import DoneOut
from sessions_app.turns.idempotency import Replay
from sessions_app.turns.turn import Turn, leave

CONTENT_TYPE = "text/event-stream; charset=utf-8"
HEADERS = {"X-Accel-Buffering": "no"}
TURN_HEADER = "Salient-Turn"
# The ids of the events that have no place in the answer: an error, and the end.
ERROR_ID, DONE_ID = "error", "done"
_ID = re.compile(r"(\d{1,9})-(\d{1,9})", re.ASCII)


class Place(NamedTuple):
    """How far a reader has come in an answer: so many characters, so many other events.

    It is the id of the event after which it stands, written “420-2”. It names the same place in the
    stored text, however that was cut into events when it was streamed.
    """

    characters: int
    events: int

    def __str__(self) -> str:
        return f"{self.characters}-{self.events}"


BEGINNING = Place(0, 0)
# Of these only the last event is missing.
AFTER_ERROR = Place(10**9, 10**9)
# Sent first, so that a client that loses the connection before any event has an id to send back.
BEGIN = b"id: %s\n\n" % str(BEGINNING).encode()


def read_place(last_event_id: str) -> Place | None:
    """Read the id that a reader sends back; None for one that no stream has sent."""
    if last_event_id == ERROR_ID:
        return AFTER_ERROR
    found = _ID.fullmatch(last_event_id)
    return Place(*map(int, found.groups())) if found else None


def stream(
    turn: Turn, events: AsyncGenerator[Event], path: str, *, named: bool
) -> StreamingHttpResponse:
    """Stream the turn; `named` is for clients that connect again and send the last id."""
    frames = encode(events, turn.outcome, path, begin=BEGIN if named else b"")
    return event_stream(
        # A background turn goes on when its reader leaves.
        frames if turn.log is not None else TurnStream(turn, frames),
        turn.reservation.headers | {TURN_HEADER: str(turn.request_id)},
    )


def event_stream(frames: AsyncIterator[bytes], headers: dict[str, str]) -> StreamingHttpResponse:
    return StreamingHttpResponse(frames, content_type=CONTENT_TYPE, headers=HEADERS | headers)


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
    named = {TURN_HEADER: str(earlier.answer.llm_request_id)}
    return event_stream(encode_replay(earlier), earlier.headers | named)


async def encode(
    events: AsyncGenerator[Event],
    outcome: Callable[[], DoneOut | None],
    path: str,
    *,
    begin: bytes = b"",
    after: Place = BEGINNING,
) -> AsyncGenerator[bytes]:
    """Write each event after that place as a frame; also after an error, the last one is `done`.

    `outcome` is called when the events have ended; it is None where only this reader is cut off.
    """
    characters = others = 0
    if begin:
        yield begin
    try:
        async with aclosing(events):
            async for event in events:
                if isinstance(event, TextDelta):
                    text, at = event.text, characters
                    # As it is stored: without NULs.
                    characters += len(text) - text.count("\x00")
                    if characters <= after.characters:
                        continue
                    if at < after.characters:
                        text = text.replace("\x00", "")[after.characters - at :]
                    yield frame(f"{characters}-{others}", "message", text)
                elif (data := data_of(event)) is not None:
                    others += 1
                    if others > after.events:
                        yield frame(f"{characters}-{others}", *data)
        done = outcome()
    except Exception as error:
        problem, done = as_problem(error, path), outcome()
        if done is None or after != AFTER_ERROR:
            event_id = str(Place(characters, others)) if done is None else ERROR_ID
            yield frame(event_id, "error", _error(problem))
    if done is not None:
        yield frame(DONE_ID, "done", msgspec.json.encode(done).decode())


async def encode_replay(earlier: Replay) -> AsyncIterator[bytes]:
    if text := earlier.answer.response:
        yield frame(str(Place(len(text), 0)), "message", text)
    if earlier.problem is not None:
        yield frame(ERROR_ID, "error", _error(earlier.problem))
    yield frame(DONE_ID, "done", msgspec.json.encode(earlier.answer.done).decode())


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


def frame(event_id: str, name: str, data: str) -> bytes:
    """Write one event, with a `data` field for each line as the standard requires."""
    if "\n" in data or "\r" in data:
        data = "\ndata: ".join(data.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    event = f"id: {event_id}\nevent: {name}\ndata: {data}\n\n".encode()
    return FinalChunk(event) if name == "done" else event
