"""A turn as a stream of another protocol's frames: begun, written, ended, and written again."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from accounts.auth.decorators import as_problem
from agents.runtime.events import Event, TextDelta, ToolCall
from salient.api.problems import Problem
from sessions_app.api.schemas import ChatOut, DoneOut
from sessions_app.turns import sse
from sessions_app.turns import turn as turns


class Frames(Protocol):
    """Writes the frames of one stream; the last one of `finish` and `fail` is a FinalChunk.

    `of` writes nothing for an event that is not the caller's to see.
    """

    def begin(self) -> Iterator[bytes]: ...

    def of(self, event: Event) -> Iterator[bytes]: ...

    def finish(self, done: DoneOut) -> Iterator[bytes]: ...

    def fail(self, done: DoneOut, problem: Problem) -> Iterator[bytes]: ...


@dataclass(slots=True)
class Begun:
    """The events of a turn, of which the first may have come already."""

    events: AsyncGenerator[Event]
    first: Event | None = None


async def begun(turn: turns.Turn, events: AsyncGenerator[Event]) -> Begun:
    """Wait for the first event: what fails before it is an answer with its own status."""
    try:
        return Begun(events, await anext(events, None))
    except BaseException:
        await events.aclose()
        await turns.leave(turn)
        raise


class BegunStream(sse.TurnStream):
    """The frames of a turn that has begun already: closing them unread ends its events too."""

    def __init__(
        self, turn: turns.Turn, frames: AsyncGenerator[bytes], events: AsyncGenerator[Event]
    ) -> None:
        super().__init__(turn, frames)
        self._events = events

    async def aclose(self) -> None:
        await super().aclose()
        await self._events.aclose()


async def stream(
    written: Frames, happening: Begun, outcome: Callable[[], DoneOut | None], path: str
) -> AsyncGenerator[bytes]:
    """Write the events as they come, and how the turn has ended.

    `outcome` is called when the events have ended; it is None where only this reader is cut off.
    """
    last: Iterable[bytes] = ()
    for frame in written.begin():
        yield frame
    try:
        async with aclosing(happening.events) as coming:
            if happening.first is not None:
                for frame in written.of(happening.first):
                    yield frame
            async for event in coming:
                for frame in written.of(event):
                    yield frame
        if (done := outcome()) is not None:
            last = written.finish(done)
    except Exception as error:
        if (done := outcome()) is not None:
            last = written.fail(done, as_problem(error, path))
    for frame in last:
        yield frame


async def replayed(
    written: Frames, answer: ChatOut, calls: Iterable[ToolCall]
) -> AsyncIterator[bytes]:
    """Write an earlier answer again: its text, and its calls of the caller's tools."""
    for frame in written.begin():
        yield frame
    events: list[Event] = [TextDelta(answer.response)] if answer.response else []
    for event in (*events, *calls):
        for frame in written.of(event):
            yield frame
    for frame in written.finish(answer):
        yield frame
