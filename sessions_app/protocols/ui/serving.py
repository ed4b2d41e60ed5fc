"""A turn, served in the frames of a protocol: begun, streamed, settled when its client leaves."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import Protocol
from uuid import UUID

from django.http import StreamingHttpResponse
from msgspec.structs import replace

from accounts.auth.decorators import ApiRequest, as_problem
from agents.models import AgentInstance
from agents.runtime.events import Event, TextDelta
from salient.api.problems import Problem
from sessions_app.inputs.turn_input import TurnInput
from sessions_app.protocols.openai.encoding import Begun
from sessions_app.protocols.openai.serving import BegunStream, begun
from sessions_app.protocols.ui.outcome import Outcome, outcome_of
from sessions_app.protocols.ui.threads import Shown, placed, thread_key
from sessions_app.turns import turn as turns
from sessions_app.turns.idempotency import Replay, key_of
from sessions_app.turns.sse import event_stream


class Frames(Protocol):
    """Writes the frames of one stream; the last one of `finish` and `fail` is a FinalChunk."""

    def begin(self) -> Iterator[bytes]: ...

    def of(self, event: Event) -> Iterator[bytes]: ...

    def finish(self, outcome: Outcome) -> Iterator[bytes]: ...

    def fail(self, problem: Problem, outcome: Outcome) -> Iterator[bytes]: ...


# Makes the writer for a turn, by the ids of its request and of its answer.
type FramesOf = Callable[[UUID, UUID], Frames]


async def serve(
    request: ApiRequest,
    instance: AgentInstance,
    shown: Shown,
    asked: TurnInput,
    frames_of: FramesOf,
) -> StreamingHttpResponse:
    """Run the turn in its thread; what fails before the first event is an answer of its own."""
    caller = request.caller
    asked = replace(asked, session_key=thread_key(caller, instance, shown.thread_id))
    # As it was sent: the thread may have grown when the call is repeated.
    key = key_of(request, instance, asked)
    asked = await placed(caller, instance, shown, asked)
    turn = await turns.begin(caller, instance, asked, stream=True, key=key)
    if isinstance(turn, Replay):
        return _replay(turn, frames_of)
    events = turns.answer(turn)
    first = await begun(turn, events)
    frames = _frames(turn, first, frames_of(turn.request_id, turn.answer_id), request.path)
    return event_stream(BegunStream(turn, frames, events), turn.reservation.headers)


async def _frames(
    turn: turns.Turn, begun: Begun, written: Frames, path: str
) -> AsyncGenerator[bytes]:
    for frame in written.begin():
        yield frame
    try:
        async with aclosing(begun.events) as events:
            if begun.first is not None:
                for frame in written.of(begun.first):
                    yield frame
            async for event in events:
                for frame in written.of(event):
                    yield frame
    except Exception as error:
        last = written.fail(as_problem(error, path), outcome_of(turn.outcome()))
    else:
        last = written.finish(outcome_of(turn.outcome()))
    for frame in last:
        yield frame


def _replay(earlier: Replay, frames_of: FramesOf) -> StreamingHttpResponse:
    if earlier.problem is not None:
        raise earlier.problem
    answer = earlier.answer
    written = frames_of(answer.llm_request_id, answer.message_id or answer.llm_request_id)
    return event_stream(_replayed(earlier, written), earlier.headers)


async def _replayed(earlier: Replay, written: Frames) -> AsyncIterator[bytes]:
    """Write an earlier answer again: its text, and its calls of the caller's tools."""
    for frame in written.begin():
        yield frame
    events: list[Event] = [*earlier.client_calls]
    if earlier.answer.response:
        events.insert(0, TextDelta(earlier.answer.response))
    for event in events:
        for frame in written.of(event):
            yield frame
    for frame in written.finish(outcome_of(earlier.answer)):
        yield frame
