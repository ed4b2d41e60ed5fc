"""`chat/completions` and `models`, at the address of one agent and at that of an account."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.http import HttpResponse, StreamingHttpResponse
from msgspec.structs import replace

from accounts.auth.caller import Caller, CallerKind
from accounts.auth.decorators import ApiRequest, api_view
from accounts.limits.registry import Rates
from accounts.models import Scope
from agents.api.decorators import instance_view
from agents.instances.services import active_instances
from agents.models import AgentInstance
from salient.api.operations import EventStream
from salient.api.problems import Invalid
from salient.database import in_database
from salient.ids import parse_uuid
from sessions_app.conversations.sessions import latest_session_of
from sessions_app.inputs.turn_input import TurnInput
from sessions_app.protocols.openai import encoding
from sessions_app.protocols.openai.conversion import UnsupportedParameter, turn_input
from sessions_app.protocols.openai.schemas import ChatCompletionIn
from sessions_app.protocols.openai.serving import ModelNotFound, as_json, find_model
from sessions_app.protocols.openai.types import (
    ChunkOut,
    CompletionOut,
    ErrorBody,
    ModelOut,
    ModelsOut,
)
from sessions_app.protocols.streams import Begun, BegunStream, begun
from sessions_app.turns import turn as turns
from sessions_app.turns.idempotency import Replay, key_of
from sessions_app.turns.problems import OPENAI_PROBLEMS
from sessions_app.turns.sse import event_stream

SESSION_HEADER = "Salient-Session"
COMPLETION = (CompletionOut, EventStream({"": ChunkOut | ErrorBody}))


@instance_view(
    "POST",
    scope=Scope.CHAT,
    rate=Rates.TURN,
    body=ChatCompletionIn,
    answer=COMPLETION,
    problems=(*OPENAI_PROBLEMS, UnsupportedParameter),
    headers=(SESSION_HEADER, "Idempotency-Key"),
)
async def agent_completions(
    request: ApiRequest, instance: AgentInstance, *, body: ChatCompletionIn
) -> HttpResponse | StreamingHttpResponse:
    """Answer a conversation as OpenAI's chat API does; `model` may be anything."""
    return await _complete(request, instance, body)


@api_view(
    "POST",
    scope=Scope.CHAT,
    rate=Rates.TURN,
    body=ChatCompletionIn,
    answer=COMPLETION,
    problems=(*OPENAI_PROBLEMS, UnsupportedParameter, ModelNotFound),
    headers=(SESSION_HEADER, "Idempotency-Key"),
)
async def account_completions(
    request: ApiRequest, *, body: ChatCompletionIn
) -> HttpResponse | StreamingHttpResponse:
    """Answer a conversation as OpenAI's chat API does; `model` is the slug of an agent."""
    return await _complete(request, await find_model(request.caller, body.model), body)


async def _complete(
    request: ApiRequest, instance: AgentInstance, wanted: ChatCompletionIn
) -> HttpResponse | StreamingHttpResponse:
    caller, model = request.caller, instance.instance_slug
    asked = await _asked(request, instance, wanted)
    # As it was sent: which session a `user` continues is another one when the call is repeated.
    key = key_of(request, instance, replace(asked, session_id=_session_of(request)))
    is_stream = bool(wanted.stream)
    options = wanted.stream_options
    with_usage = is_stream and options is not None and bool(options.include_usage)
    turn = await turns.begin(caller, instance, asked, stream=is_stream, key=key)
    if isinstance(turn, Replay):
        return _replay(turn, caller, model, is_stream=is_stream, with_usage=with_usage)
    headers = turn.reservation.headers
    if not is_stream:
        await turns.finish(turn)
        answer = turn.answer_out()
        frame = encoding.Frame(answer, model)
        return as_json(encoding.completion(frame, answer, turn.run.client_calls), headers)
    events = turns.answer(turn)
    # A text that is checked first would keep the connection silent until it is whole.
    waits = asked.output_format is None
    first = await begun(turn, events) if waits else Begun(events)
    chunks = encoding.chunks(turn, first, model, request.path, with_usage=with_usage)
    return event_stream(BegunStream(turn, chunks, events), headers)


async def _asked(
    request: ApiRequest, instance: AgentInstance, wanted: ChatCompletionIn
) -> TurnInput:
    """Return the turn; `user` or a header continues a stored session instead of what is sent."""
    caller = request.caller
    session_id = _session_of(request)
    end_user = wanted.user if caller.kind is CallerKind.SECRET_KEY else None
    asked = turn_input(wanted, session_id=session_id, end_user=end_user or None)
    if session_id is None and end_user:
        session_id = await in_database(latest_session_of, caller, instance, end_user)
        asked = replace(asked, session_id=session_id)
    return asked


def _session_of(request: ApiRequest) -> UUID | None:
    # Not request.headers: that parses all of them.
    text = request.META.get("HTTP_SALIENT_SESSION")
    if text is None:
        return None
    session_id = parse_uuid(text)
    if session_id is None:
        raise Invalid.field(SESSION_HEADER, "send the id of a session")
    return session_id


def _replay(
    earlier: Replay, caller: Caller, model: str, *, is_stream: bool, with_usage: bool
) -> HttpResponse | StreamingHttpResponse:
    if earlier.problem is not None:
        raise earlier.problem
    frame = encoding.Frame(earlier.answer, model)
    headers, calls = earlier.headers, earlier.client_calls
    if not is_stream:
        return as_json(encoding.completion(frame, earlier.answer, calls), headers)
    chunks = encoding.replayed(frame, earlier.answer, calls, with_usage=with_usage)
    return event_stream(chunks, headers)


@instance_view("GET", scope=Scope.CHAT, answer=ModelsOut)
async def agent_models(request: ApiRequest, instance: AgentInstance) -> HttpResponse:
    """List the agent as the only model of its address."""
    return _models(request.caller, [instance])


@api_view("GET", scope=Scope.CHAT, answer=ModelsOut)
async def account_models(request: ApiRequest) -> HttpResponse:
    """List the agents that the key may use as models."""
    caller = request.caller
    found = await in_database(active_instances, caller.account_id, caller.instance_ids)
    return _models(caller, found)


@api_view("GET", scope=Scope.CHAT, answer=ModelOut, problems=(ModelNotFound,))
async def account_model(request: ApiRequest, model: str) -> HttpResponse:
    """Describe one agent as a model."""
    instance = await find_model(request.caller, model)
    return as_json(encoding.encoded(_model(request.caller, instance)), {})


@instance_view("GET", scope=Scope.CHAT, answer=ModelOut)
async def agent_model(request: ApiRequest, instance: AgentInstance, model: str) -> HttpResponse:
    """Describe the agent as a model, under any name."""
    del model
    return as_json(encoding.encoded(_model(request.caller, instance)), {})


def _models(caller: Caller, instances: Iterable[AgentInstance]) -> HttpResponse:
    data = [_model(caller, instance) for instance in instances]
    return as_json(encoding.encoded(ModelsOut(object="list", data=data)), {})


def _model(caller: Caller, instance: AgentInstance) -> ModelOut:
    return {
        "id": instance.instance_slug,
        "object": "model",
        "created": int(instance.created_at.timestamp()),
        "owned_by": caller.account_slug,
    }
