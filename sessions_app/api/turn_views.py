"""Turns as resources: read, followed, cancelled, and emptied of their texts."""

from __future__ import annotations

from http import HTTPStatus
from uuid import UUID

from django.http import StreamingHttpResponse

from accounts.auth.decorators import ApiRequest, by_method
from accounts.models import Scope
from agents.api.decorators import instance_view
from agents.models import AgentInstance
from salient.api.operations import EventStream
from salient.api.problems import Invalid, Problem
from salient.api.schemas import path_uuid
from salient.database import in_database
from sessions_app.api.schemas import DoneOut, ToolOut, TurnOut
from sessions_app.background import stored_turns
from sessions_app.operations.lifecycle.holds import Held
from sessions_app.turns import sse
from sessions_app.turns.problems import TURN_ENDINGS, TurnInProgress

TURN_EVENTS = EventStream({"message": str, "tool": ToolOut, "error": Problem, "done": DoneOut})


@instance_view("GET", scope=Scope.HISTORY_READ, answer=TurnOut)
async def read(request: ApiRequest, instance: AgentInstance, turn_id: str) -> TurnOut:
    """Read a turn, running or ended."""
    return await in_database(
        stored_turns.read_turn, request.caller, instance, path_uuid(turn_id, "turn")
    )


@instance_view("DELETE", scope=Scope.HISTORY_DELETE, status=204, problems=(TurnInProgress, Held))
async def delete(request: ApiRequest, instance: AgentInstance, turn_id: str) -> None:
    """Delete the texts of a turn that has ended; its figures stay."""
    await in_database(
        stored_turns.delete_turn, request.caller, instance, path_uuid(turn_id, "turn")
    )


turn = by_method(read, delete)


@instance_view("POST", scope=Scope.CHAT, answer=TurnOut)
async def cancel(request: ApiRequest, instance: AgentInstance, turn_id: str) -> TurnOut:
    """Cancel a running turn, on any server; a turn that has ended does not change."""
    return await stored_turns.cancel_turn(request.caller, instance, path_uuid(turn_id, "turn"))


@instance_view(
    "GET",
    scope=Scope.CHAT,
    answer=TURN_EVENTS,
    also={HTTPStatus.NO_CONTENT: None},
    problems=TURN_ENDINGS,
    headers=("Last-Event-ID",),
    answer_headers=(sse.TURN_HEADER,),
)
async def read_events(
    request: ApiRequest, instance: AgentInstance, turn_id: str
) -> StreamingHttpResponse | None:
    """Stream the events of a turn: past ones, then new ones.

    With `Last-Event-ID` only those after that event; 204 when it was the last one, so that an
    EventSource does not connect again. Who may not read conversations (history:read) follows, and
    cancels, the turns that it began itself.
    """
    sent = request.headers.get("Last-Event-ID") or str(sse.BEGINNING)
    after = None if sent == sse.DONE_ID else _place(sent)
    caller, key = request.caller, path_uuid(turn_id, "turn")
    await in_database(stored_turns.require_turn, caller, instance, key)
    return None if after is None else turn_events(request, instance, key, after)


def _place(last_event_id: str) -> sse.Place:
    place = sse.read_place(last_event_id)
    if place is None:
        raise Invalid.field("Last-Event-ID", "send the id of an event of this turn")
    return place


def turn_events(
    request: ApiRequest, instance: AgentInstance, turn_id: UUID, after: sse.Place
) -> StreamingHttpResponse:
    """Stream the events after that place, from this process or from the database."""
    events, outcome = stored_turns.happening(request.caller, instance, turn_id, Scope.CHAT)
    frames = sse.encode(events, outcome, request.path, after=after)
    return sse.event_stream(frames, {sse.TURN_HEADER: str(turn_id)})
