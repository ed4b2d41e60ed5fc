"""Chats and streams, histories, feedback and usage."""

from __future__ import annotations

from typing import Any, cast

from django.http import HttpResponse, StreamingHttpResponse

from accounts.auth.decorators import ApiRequest, api_view
from accounts.models import Scope
from agents.api.decorators import instance_view
from agents.models import AgentInstance
from salient.api.schemas import path_uuid
from salient.database import in_database
from sessions_app.api.schemas import ChatIn, FeedbackIn, HistoryIn
from sessions_app.api.usage_schemas import UsageIn
from sessions_app.conversations import feedback, history
from sessions_app.turns import sse
from sessions_app.turns import turn as turns
from sessions_app.turns.idempotency import Replay, key_of, with_headers
from sessions_app.usage.report import usage_of


@instance_view("POST", scope=Scope.CHAT)
async def chat(request: ApiRequest, instance: AgentInstance) -> HttpResponse:
    """Answer one message."""
    message = ChatIn.of_body(request)
    key = key_of(request, instance, message)
    turn = await turns.begin(request.caller, instance, message, stream=False, key=key)
    if isinstance(turn, Replay):
        return turn.as_response()
    await turns.finish(turn)
    return with_headers(turn.answer_out().as_response(), turn.reservation.headers)


@instance_view("POST", "GET", scope=Scope.CHAT, query=ChatIn)
async def stream(
    request: ApiRequest, instance: AgentInstance
) -> HttpResponse | StreamingHttpResponse:
    """Answer one message as server-sent events; GET is for EventSource clients.

    Such a client connects again when a stream ends, and names the last event that it received. Its
    message has been answered already, so 204 tells it to stop, as the standard has it.
    """
    if request.method == "GET" and request.headers.get("Last-Event-ID"):
        return HttpResponse(status=204)
    read = ChatIn.of_query if request.method == "GET" else ChatIn.of_body
    message = read(request)
    key = key_of(request, instance, message)
    turn = await turns.begin(request.caller, instance, message, stream=True, key=key)
    if isinstance(turn, Replay):
        return sse.replay(turn)
    named = request.method == "GET"
    return sse.stream(turn, turns.answer(turn), request.path, named=named)


# A GET that runs a turn has no HEAD.
cast(Any, stream).get_is_safe = False


@instance_view("GET", scope=Scope.HISTORY_READ, query=HistoryIn)
async def messages(request: ApiRequest, instance: AgentInstance) -> HttpResponse:
    """Return a page of the conversation, oldest message first."""
    page = HistoryIn.of_query(request)
    found = await in_database(history.read, request.caller, instance, page)
    return found.as_response()


@instance_view("POST", scope=Scope.CHAT)
async def message_feedback(
    request: ApiRequest, instance: AgentInstance, message_id: str
) -> HttpResponse:
    """Store, change or remove the caller's rating of an answer."""
    wanted = path_uuid(message_id, "message")
    given = FeedbackIn.of_body(request)
    stored, headers = await in_database(feedback.give, request.caller, instance, wanted, given)
    return with_headers(stored.as_response(), headers)


@api_view("GET", scope=Scope.USAGE_READ, query=UsageIn)
async def usage(request: ApiRequest) -> HttpResponse:
    """Sum what the caller's agents used, by day, model or agent."""
    wanted = UsageIn.of_query(request)
    found = await in_database(usage_of, request.caller, wanted)
    return HttpResponse(found.model_dump_json(by_alias=True), content_type="application/json")
