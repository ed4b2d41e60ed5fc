"""A turn, served in the frames of a protocol: begun, streamed, and followed again while it runs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from uuid import UUID

from django.http import StreamingHttpResponse
from msgspec.structs import replace

from accounts.auth.caller import Caller
from accounts.auth.decorators import ApiRequest
from accounts.models import Scope
from agents.models import AgentInstance
from salient.database import in_database
from sessions_app.background import stored_turns
from sessions_app.background.running import begin_in_background, events_of
from sessions_app.inputs.turn_input import TurnInput
from sessions_app.protocols.streams import Begun, BegunStream, Frames, begun, replayed, stream
from sessions_app.protocols.ui.threads import Shown, placed, running_turn, thread_key
from sessions_app.turns import turn as turns
from sessions_app.turns.idempotency import Replay, key_of
from sessions_app.turns.sse import event_stream

# Makes the writer for a turn, by the ids of its request and of its answer.
type FramesOf = Callable[[UUID, UUID], Frames]


async def serve(
    request: ApiRequest,
    instance: AgentInstance,
    shown: Shown,
    asked: TurnInput,
    frames_of: FramesOf,
    *,
    background: bool = False,
) -> StreamingHttpResponse:
    """Run the turn in its thread; what fails before the first event is an answer of its own.

    A turn in the background goes on when its client leaves; how it fails is told in its stream.
    """
    caller = request.caller
    asked = replace(asked, session_key=thread_key(caller, instance, shown.thread_id))
    # As it was sent: the thread may have grown when the call is repeated.
    key = key_of(request, instance, asked)
    asked = await placed(caller, instance, shown, asked)
    begin = partial(begin_in_background, path=request.path) if background else turns.begin
    turn = await begin(caller, instance, asked, stream=True, key=key)
    if isinstance(turn, Replay):
        return _replay(turn, frames_of)
    written, headers = frames_of(turn.request_id, turn.answer_id), turn.reservation.headers
    if turn.log is not None:
        frames = stream(written, Begun(events_of(turn)), turn.outcome, request.path)
        return event_stream(frames, headers)
    events = turns.answer(turn)
    first = await begun(turn, events)
    frames = stream(written, first, turn.outcome, request.path)
    return event_stream(BegunStream(turn, frames, events), headers)


async def follow(
    request: ApiRequest,
    instance: AgentInstance,
    thread_id: str,
    frames_of: Callable[[UUID], Frames],
) -> StreamingHttpResponse | None:
    """Stream the turn that runs in the thread from its first event on; None if none runs."""
    caller = request.caller
    turn_id = await in_database(running_turn, caller, instance, thread_id)
    if turn_id is None:
        return None
    events, outcome = stored_turns.happening(caller, instance, turn_id, Scope.CHAT)
    frames = stream(frames_of(turn_id), Begun(events), outcome, request.path)
    return event_stream(frames, {})


async def stop(caller: Caller, instance: AgentInstance, thread_id: str) -> None:
    """End the turn that runs in the thread, whichever process runs it."""
    turn_id = await in_database(running_turn, caller, instance, thread_id)
    if turn_id is not None:
        await stored_turns.cancel_turn(caller, instance, turn_id)


def _replay(earlier: Replay, frames_of: FramesOf) -> StreamingHttpResponse:
    if earlier.problem is not None:
        raise earlier.problem
    answer = earlier.answer
    written = frames_of(answer.llm_request_id, answer.message_id or answer.llm_request_id)
    return event_stream(replayed(written, answer, earlier.client_calls), earlier.headers)
