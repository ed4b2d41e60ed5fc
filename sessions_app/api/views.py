"""Chats and streams, histories, feedback and usage."""

from __future__ import annotations

from http import HTTPStatus

from django.http import HttpResponse, StreamingHttpResponse

from accounts.auth.decorators import ApiRequest, api_view, by_method
from accounts.limits.call_rates import count_call
from accounts.limits.registry import Rates
from accounts.models import Scope
from agents.api.decorators import instance_view
from agents.models import AgentInstance
from salient.api.operations import EventStream, Text
from salient.api.problems import Problem
from salient.api.schemas import path_uuid
from salient.database import in_database
from sessions_app.api.schemas import (
    ChatIn,
    ChatOut,
    DoneOut,
    FeedbackIn,
    FeedbackOut,
    HistoryIn,
    HistoryOut,
    ToolOut,
)
from sessions_app.api.usage_schemas import AccountUsageOut, UsageFormat, UsageIn
from sessions_app.conversations import feedback, history
from sessions_app.turns import sse
from sessions_app.turns import turn as turns
from sessions_app.turns.idempotency import Replay, key_of, with_headers
from sessions_app.turns.problems import TURN_PROBLEMS
from sessions_app.usage.report import usage_csv, usage_of

TURN_EVENTS = EventStream({"message": str, "tool": ToolOut, "error": Problem, "done": DoneOut})


@instance_view(
    "POST",
    scope=Scope.CHAT,
    rate=Rates.TURN,
    body=ChatIn,
    answer=ChatOut,
    problems=TURN_PROBLEMS,
    headers=("Idempotency-Key",),
)
async def chat(request: ApiRequest, instance: AgentInstance, *, body: ChatIn) -> HttpResponse:
    """Answer one message."""
    asked = body.as_input()
    key = key_of(request, instance, asked)
    turn = await turns.begin(request.caller, instance, asked, stream=False, key=key)
    if isinstance(turn, Replay):
        return turn.as_response()
    await turns.finish(turn)
    return with_headers(turn.answer_out().as_response(), turn.reservation.headers)


@instance_view(
    "POST",
    scope=Scope.CHAT,
    rate=Rates.TURN,
    body=ChatIn,
    answer=TURN_EVENTS,
    problems=TURN_PROBLEMS,
    headers=("Idempotency-Key",),
)
async def chat_stream(
    request: ApiRequest, instance: AgentInstance, *, body: ChatIn
) -> StreamingHttpResponse:
    """Answer one message as server-sent events."""
    return await _stream(request, instance, body)


# A GET that runs a turn has no HEAD.
@instance_view(
    "GET",
    scope=Scope.CHAT,
    rate=Rates.TURN,
    query=ChatIn,
    answer=TURN_EVENTS,
    also={HTTPStatus.NO_CONTENT: None},
    problems=TURN_PROBLEMS,
    headers=("Idempotency-Key", "Last-Event-ID"),
    get_is_safe=False,
)
async def chat_event_source(
    request: ApiRequest, instance: AgentInstance, *, query: ChatIn
) -> StreamingHttpResponse | None:
    """Answer one message as server-sent events, for EventSource clients.

    Such a client connects again when a stream ends, and names the last event that it received. Its
    message has been answered already, so 204 tells it to stop, as the standard has it.
    """
    if request.headers.get("Last-Event-ID"):
        return None
    return await _stream(request, instance, query)


async def _stream(
    request: ApiRequest, instance: AgentInstance, message: ChatIn
) -> StreamingHttpResponse:
    asked = message.as_input()
    key = key_of(request, instance, asked)
    turn = await turns.begin(request.caller, instance, asked, stream=True, key=key)
    if isinstance(turn, Replay):
        return sse.replay(turn)
    named = request.method == "GET"
    return sse.stream(turn, turns.answer(turn), request.path, named=named)


stream = by_method(chat_stream, chat_event_source)


@instance_view("GET", scope=Scope.HISTORY_READ, query=HistoryIn, answer=HistoryOut)
async def messages(request: ApiRequest, instance: AgentInstance, *, query: HistoryIn) -> HistoryOut:
    """Return a page of the conversation, oldest message first."""
    return await in_database(history.read, request.caller, instance, query)


@instance_view(
    "POST",
    scope=Scope.CHAT,
    body=FeedbackIn,
    answer=FeedbackOut,
)
async def message_feedback(
    request: ApiRequest, instance: AgentInstance, message_id: str, *, body: FeedbackIn
) -> FeedbackOut:
    """Store, change or remove the caller's rating of an answer."""
    wanted = path_uuid(message_id, "message")
    return await in_database(feedback.give, request.caller, instance, wanted, body)


@api_view("GET", scope=Scope.USAGE_READ, query=UsageIn, answer=(AccountUsageOut, Text("text/csv")))
async def usage(request: ApiRequest, *, query: UsageIn) -> HttpResponse | AccountUsageOut:
    """Sum what the caller's agents used, by day, model, agent, API key, end user or tag."""
    preferred = request.get_preferred_type(["application/json", "text/csv"])
    if query.format is UsageFormat.CSV or (query.format is None and preferred == "text/csv"):
        headers = await count_call(request.caller, Rates.HEAVY)
        name = f"usage-{query.days().first}-{query.days().last}.csv"
        return HttpResponse(
            await in_database(usage_csv, request.caller, query),
            content_type="text/csv; charset=utf-8",
            headers=headers | {"Content-Disposition": f'attachment; filename="{name}"'},
        )
    return await in_database(usage_of, request.caller, query)
