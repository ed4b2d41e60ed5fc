"""Chats and streams, histories, feedback and usage."""

from __future__ import annotations

from http import HTTPStatus

from django.http import HttpResponse, StreamingHttpResponse
from django.urls import reverse

from accounts.auth.decorators import ApiRequest, api_view, by_method
from accounts.limits.call_rates import count_call
from accounts.limits.registry import Rates
from accounts.models import Scope
from agents.api.decorators import instance_view
from agents.models import AgentInstance
from salient.api.operations import Text
from salient.api.problems import Invalid
from salient.api.schemas import path_uuid
from salient.database import in_database
from sessions_app.api.dry_run_schemas import DryRunOut
from sessions_app.api.schemas import (
    ChatIn,
    ChatOut,
    FeedbackIn,
    FeedbackOut,
    HistoryIn,
    HistoryOut,
    TurnOut,
)
from sessions_app.api.turn_views import TURN_EVENTS, turn_events
from sessions_app.api.usage_schemas import AccountUsageOut, UsageFormat, UsageIn
from sessions_app.background.running import begin_in_background, events_of
from sessions_app.background.stored_turns import read_turn
from sessions_app.conversations import feedback, history
from sessions_app.operations.lifecycle.holds import Held
from sessions_app.turns import sse
from sessions_app.turns import turn as turns
from sessions_app.turns.dry_run import dry_run
from sessions_app.turns.idempotency import Replay, key_of, with_headers
from sessions_app.turns.problems import TURN_PROBLEMS, TurnInProgress
from sessions_app.usage.report import usage_csv, usage_of


@instance_view(
    "POST",
    scope=Scope.CHAT,
    rate=Rates.TURN,
    body=ChatIn,
    answer=ChatOut | DryRunOut,
    also={HTTPStatus.ACCEPTED: TurnOut},
    problems=TURN_PROBLEMS,
    headers=("Idempotency-Key",),
    answer_headers=("Location",),
)
async def chat(request: ApiRequest, instance: AgentInstance, *, body: ChatIn) -> HttpResponse:
    """Answer one message; with `background`, answer at once and let the turn continue."""
    if body.background:
        return await _begun(request, instance, body)
    asked = body.as_input()
    if body.dry_run:
        if "Idempotency-Key" in request.headers:
            raise Invalid.field("Idempotency-Key", "a dry run has no answer to give again")
        tried = await dry_run(request.caller, instance, asked)
        return with_headers(DryRunOut.of(tried).as_response(), tried.headers)
    key = key_of(request, instance, asked)
    turn = await turns.begin(request.caller, instance, asked, stream=False, key=key)
    if isinstance(turn, Replay):
        return turn.as_response()
    await turns.finish(turn)
    return with_headers(turn.answer_out().as_response(), turn.reservation.headers)


async def _begun(request: ApiRequest, instance: AgentInstance, message: ChatIn) -> HttpResponse:
    """Answer with the turn as it is now; the same Idempotency-Key gets the same turn."""
    caller = request.caller
    try:
        turn = await _begin_in_background(request, instance, message, stream=False)
    except TurnInProgress as problem:
        if problem.request_id is None:
            raise
        request_id, headers = problem.request_id, dict[str, str]()
    else:
        if isinstance(turn, Replay):
            return turn.as_response()
        request_id, headers = turn.request_id, turn.reservation.headers
    begun = await in_database(read_turn, caller, instance, request_id)
    where = reverse("sessions:turn", args=[caller.account_slug, instance.instance_slug, request_id])
    return with_headers(begun.as_response(HTTPStatus.ACCEPTED), headers | {"Location": where})


async def _begin_in_background(
    request: ApiRequest, instance: AgentInstance, message: ChatIn, *, stream: bool
) -> turns.Turn | Replay:
    asked = message.as_input()
    key = key_of(request, instance, asked)
    return await begin_in_background(
        request.caller, instance, asked, stream=stream, key=key, path=request.path
    )


@instance_view(
    "POST",
    scope=Scope.CHAT,
    rate=Rates.TURN,
    body=ChatIn,
    answer=TURN_EVENTS,
    problems=TURN_PROBLEMS,
    headers=("Idempotency-Key",),
    answer_headers=(sse.TURN_HEADER,),
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
    answer_headers=(sse.TURN_HEADER,),
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
    if message.dry_run:
        raise Invalid.field("dry_run", "a stream has no dry run: send it to …/chat")
    is_named = request.method == "GET"
    if message.background:
        return await _stream_in_background(request, instance, message, named=is_named)
    asked = message.as_input()
    key = key_of(request, instance, asked)
    turn = await turns.begin(request.caller, instance, asked, stream=True, key=key)
    if isinstance(turn, Replay):
        return sse.replay(turn)
    return sse.stream(turn, turns.answer(turn), request.path, named=is_named)


async def _stream_in_background(
    request: ApiRequest, instance: AgentInstance, message: ChatIn, *, named: bool
) -> StreamingHttpResponse:
    try:
        turn = await _begin_in_background(request, instance, message, stream=True)
    except TurnInProgress as problem:
        if problem.request_id is None:
            raise
        return turn_events(request, instance, problem.request_id, sse.BEGINNING)
    if isinstance(turn, Replay):
        return sse.replay(turn)
    return sse.stream(turn, events_of(turn), request.path, named=named)


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
    problems=(Held,),
)
async def message_feedback(
    request: ApiRequest, instance: AgentInstance, message_id: str, *, body: FeedbackIn
) -> FeedbackOut:
    """Store, change or remove the caller's rating of an answer."""
    wanted = path_uuid(message_id, "message")
    return await in_database(feedback.give, request.caller, instance, wanted, body)


@api_view(
    "GET",
    scope=Scope.USAGE_READ,
    query=UsageIn,
    answer=(AccountUsageOut, Text("text/csv")),
    answer_headers=("Content-Disposition",),
)
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
