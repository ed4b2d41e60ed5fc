"""Talking to an agent, and reading what was said."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django.http import HttpResponse, StreamingHttpResponse

from accounts.auth import ApiRequest
from accounts.models import Scope
from agents.access import instance_view
from agents.models import AgentInstance
from salient.database import in_database
from salient.problems import NotFound
from sessions_app import conversations, history, sse, turns
from sessions_app.idempotency import Replay, key_of, with_headers
from sessions_app.schemas import ChatIn, HistoryIn, SessionsIn, query


@instance_view("POST", scope=Scope.CHAT)
async def chat(request: ApiRequest, instance: AgentInstance) -> HttpResponse:
    """Answer one message."""
    message = ChatIn.model_validate_json(request.body)
    key = key_of(request, instance, message)
    turn = await turns.begin(request.caller, instance, message, stream=False, key=key)
    if isinstance(turn, Replay):
        return turn.as_response()
    await turns.finish(turn)
    return with_headers(turn.answer_out().as_response(), turn.taken.headers)


@instance_view("POST", "GET", scope=Scope.CHAT)
async def stream(request: ApiRequest, instance: AgentInstance) -> StreamingHttpResponse:
    """Answer one message as server-sent events; GET is for EventSource clients."""
    if request.method == "GET":
        message = query(ChatIn, request.GET)
    else:
        message = ChatIn.model_validate_json(request.body)
    key = key_of(request, instance, message)
    turn = await turns.begin(request.caller, instance, message, stream=True, key=key)
    if isinstance(turn, Replay):
        return sse.replay(turn)
    return sse.stream(turn, turns.answer(turn), request.path)


# A GET that costs a turn has no HEAD.
cast(Any, stream).get_is_safe = False


@instance_view("GET", scope=Scope.HISTORY_READ)
async def messages(request: ApiRequest, instance: AgentInstance) -> HttpResponse:
    """Give a page of the conversation, oldest first."""
    page = query(HistoryIn, request.GET)
    found = await in_database(history.read, request.caller, instance, page)
    return found.as_response()


@instance_view("GET", scope=Scope.HISTORY_READ)
async def sessions(request: ApiRequest, instance: AgentInstance) -> HttpResponse:
    """List the caller's conversations, the latest first."""
    page = query(SessionsIn, request.GET)
    found = await in_database(conversations.conversations, request.caller, instance, page)
    return found.as_response()


@instance_view("DELETE", scope=Scope.HISTORY_DELETE)
async def session_delete(
    request: ApiRequest, instance: AgentInstance, session_id: str
) -> HttpResponse:
    """Delete one conversation."""
    try:
        wanted = UUID(session_id)
    except ValueError:
        raise NotFound from None
    await in_database(conversations.delete, request.caller, instance, wanted)
    return HttpResponse(status=204)
