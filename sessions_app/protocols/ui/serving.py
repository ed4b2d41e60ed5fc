"""A turn, served in the frames of a protocol: begun, streamed, settled when its client leaves."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from django.http import StreamingHttpResponse
from msgspec.structs import replace

from accounts.auth.decorators import ApiRequest
from agents.models import AgentInstance
from sessions_app.inputs.turn_input import TurnInput
from sessions_app.protocols.streams import BegunStream, Frames, begun, replayed, stream
from sessions_app.protocols.ui.threads import Shown, placed, thread_key
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
    written = frames_of(turn.request_id, turn.answer_id)
    frames = stream(written, first, turn.outcome, request.path)
    return event_stream(BegunStream(turn, frames, events), turn.reservation.headers)


def _replay(earlier: Replay, frames_of: FramesOf) -> StreamingHttpResponse:
    if earlier.problem is not None:
        raise earlier.problem
    answer = earlier.answer
    written = frames_of(answer.llm_request_id, answer.message_id or answer.llm_request_id)
    return event_stream(replayed(written, answer, earlier.client_calls), earlier.headers)
