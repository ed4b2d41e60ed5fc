"""`responses`, at the address of one agent and at that of an account."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.http import HttpResponse, StreamingHttpResponse

from accounts.auth.caller import CallerKind
from accounts.auth.decorators import ApiRequest, api_view, by_method
from accounts.limits.registry import Rates
from accounts.models import Scope
from agents.api.decorators import find_instance, instance_view
from agents.models import AgentInstance
from salient.api.operations import EventStream
from salient.api.problems import Invalid, NotFound
from salient.database import in_database
from sessions_app.background import stored_turns
from sessions_app.background.running import begin_in_background, events_of
from sessions_app.inputs.turn_input import TurnInput
from sessions_app.operations.lifecycle.holds import Held
from sessions_app.protocols.openai.conversion import UnsupportedParameter
from sessions_app.protocols.openai.encoding import Frame, encoded
from sessions_app.protocols.openai.responses import conversion, encoding, ids, stored
from sessions_app.protocols.openai.responses import schemas as wire
from sessions_app.protocols.openai.responses.events import Events
from sessions_app.protocols.openai.responses.input_items import read_items
from sessions_app.protocols.openai.responses.problems import PreviousResponseNotFound, named_as_sent
from sessions_app.protocols.openai.responses.schemas import (
    InputItemsIn,
    ReadResponseIn,
    ResponseIn,
)
from sessions_app.protocols.openai.responses.types import (
    EVENTS,
    DeletedResponse,
    InputItemsOut,
    ResponseOut,
)
from sessions_app.protocols.openai.serving import ModelNotFound, as_json, find_model
from sessions_app.protocols.streams import Begun, BegunStream, begun, replayed, stream
from sessions_app.turns import turn as turns
from sessions_app.turns.idempotency import Key, Replay, key_of
from sessions_app.turns.problems import OPENAI_PROBLEMS, TurnInProgress
from sessions_app.turns.sse import event_stream

PROBLEMS = (*OPENAI_PROBLEMS, PreviousResponseNotFound, UnsupportedParameter)
RESPONSE = (ResponseOut, EventStream(EVENTS))


@instance_view(
    "POST",
    scope=Scope.CHAT,
    rate=Rates.TURN,
    body=ResponseIn,
    answer=RESPONSE,
    problems=PROBLEMS,
    headers=("Idempotency-Key",),
)
async def agent_create(
    request: ApiRequest, instance: AgentInstance, *, body: ResponseIn
) -> HttpResponse | StreamingHttpResponse:
    """Answer as OpenAI's Responses API does; `model` may be anything."""
    return await _create(request, instance, body)


@api_view(
    "POST",
    scope=Scope.CHAT,
    rate=Rates.TURN,
    body=ResponseIn,
    answer=RESPONSE,
    problems=(*PROBLEMS, ModelNotFound),
    headers=("Idempotency-Key",),
)
async def account_create(
    request: ApiRequest, *, body: ResponseIn
) -> HttpResponse | StreamingHttpResponse:
    """Answer as OpenAI's Responses API does; `model` is the slug of an agent."""
    return await _create(request, await find_model(request.caller, body.model), body)


@instance_view("GET", scope=Scope.HISTORY_READ, query=ReadResponseIn, answer=RESPONSE)
async def agent_read(
    request: ApiRequest, instance: AgentInstance, response_id: str, *, query: ReadResponseIn
) -> HttpResponse | StreamingHttpResponse:
    """Return a stored response; for a background response also its events."""
    return await _read(request, instance, response_id, query)


@api_view("GET", scope=Scope.HISTORY_READ, query=ReadResponseIn, answer=RESPONSE)
async def account_read(
    request: ApiRequest, response_id: str, *, query: ReadResponseIn
) -> HttpResponse | StreamingHttpResponse:
    """Return a stored response of any of the account's agents."""
    return await _read(request, await _agent_of(request, response_id), response_id, query)


@instance_view("POST", scope=Scope.CHAT, answer=ResponseOut)
async def agent_cancel(
    request: ApiRequest, instance: AgentInstance, response_id: str
) -> HttpResponse:
    """Cancel the response if it is running, and return it as it ended."""
    return await _cancel(request, instance, response_id)


@api_view("POST", scope=Scope.CHAT, answer=ResponseOut)
async def account_cancel(request: ApiRequest, response_id: str) -> HttpResponse:
    """Cancel a running response of any of the account's agents."""
    return await _cancel(request, await _agent_of(request, response_id), response_id)


@instance_view(
    "DELETE", scope=Scope.HISTORY_DELETE, answer=DeletedResponse, problems=(TurnInProgress, Held)
)
async def agent_delete(
    request: ApiRequest, instance: AgentInstance, response_id: str
) -> HttpResponse:
    """Delete the texts of a stored response; its figures stay."""
    return await _delete(request, instance, response_id)


@api_view(
    "DELETE", scope=Scope.HISTORY_DELETE, answer=DeletedResponse, problems=(TurnInProgress, Held)
)
async def account_delete(request: ApiRequest, response_id: str) -> HttpResponse:
    """Delete the texts of a stored response of any of the account's agents."""
    return await _delete(request, await _agent_of(request, response_id), response_id)


@instance_view("GET", scope=Scope.HISTORY_READ, query=InputItemsIn, answer=InputItemsOut)
async def agent_items(
    request: ApiRequest, instance: AgentInstance, response_id: str, *, query: InputItemsIn
) -> HttpResponse:
    """List the input items of a stored response: the messages and calls before it."""
    return await _items(request, instance, response_id, query)


@api_view("GET", scope=Scope.HISTORY_READ, query=InputItemsIn, answer=InputItemsOut)
async def account_items(
    request: ApiRequest, response_id: str, *, query: InputItemsIn
) -> HttpResponse:
    """List the input items of a stored response of any of the account's agents."""
    return await _items(request, await _agent_of(request, response_id), response_id, query)


agent_response = by_method(agent_read, agent_delete)
account_response = by_method(account_read, account_delete)


async def _agent_of(request: ApiRequest, response_id: str) -> AgentInstance:
    caller = request.caller
    slug = await in_database(stored.slug_of, caller.account_id, response_id)
    try:
        return await find_instance(caller, slug)
    except NotFound:
        # As if there were none: this one is of an agent that the caller may not use.
        raise NotFound("response") from None


async def _read(
    request: ApiRequest,
    instance: AgentInstance,
    response_id: str,
    wanted: ReadResponseIn,
    *,
    scope: Scope = Scope.HISTORY_READ,
) -> HttpResponse | StreamingHttpResponse:
    caller = request.caller
    if not wanted.stream:
        found = await in_database(stored.read, caller, instance, response_id)
        return as_json(encoded(found), {})
    after = -1 if wanted.starting_after is None else wanted.starting_after
    turn_id, written = await in_database(
        stored.written_events, caller, instance, response_id, after=after
    )
    happening, outcome = stored_turns.happening(caller, instance, turn_id, scope)
    frames = stream(written, Begun(happening), outcome, request.path)
    return event_stream(frames, {})


async def _cancel(request: ApiRequest, instance: AgentInstance, response_id: str) -> HttpResponse:
    caller = request.caller
    turn_id = await in_database(stored.own_turn_of, caller, instance, response_id)
    await stored_turns.cancel_turn(caller, instance, turn_id)
    found = await in_database(stored.read, caller, instance, response_id)
    return as_json(encoded(found), {})


async def _delete(request: ApiRequest, instance: AgentInstance, response_id: str) -> HttpResponse:
    await in_database(stored.delete, request.caller, instance, response_id)
    deleted: DeletedResponse = {"id": response_id, "object": "response", "deleted": True}
    return as_json(encoded(deleted), {})


async def _items(
    request: ApiRequest, instance: AgentInstance, response_id: str, page: InputItemsIn
) -> HttpResponse:
    found = await in_database(read_items, request.caller, instance, response_id, page)
    return as_json(encoded(found), {})


async def _create(
    request: ApiRequest, instance: AgentInstance, wanted: ResponseIn
) -> HttpResponse | StreamingHttpResponse:
    is_stream = bool(wanted.stream)
    try:
        with named_as_sent():
            turn, asked = await _begin(request, instance, wanted)
    except TurnInProgress as problem:
        if not wanted.background or problem.request_id is None:
            raise
        # The same Idempotency-Key gets the same response, as it is now.
        same, whole = ids.response_id(problem.request_id), ReadResponseIn(stream=is_stream)
        return await _read(request, instance, same, whole, scope=Scope.CHAT)
    if isinstance(turn, Replay):
        return _replay(request, turn, instance, wanted)
    response = encoding.begun(
        turn.request_id,
        instance.instance_slug,
        turn.session_id,
        asked.kept,
        asked.metadata,
        store=asked.store,
    )
    headers = turn.reservation.headers
    if not is_stream:
        return as_json(encoded(await _answered(turn, response)), headers)
    written = Events(response, turn.answer_id)
    if turn.log is not None:
        first = Begun(events_of(turn))
        frames = stream(written, first, turn.outcome, request.path)
        return event_stream(frames, headers)
    happening = turns.answer(turn)
    # As in chat completions: a failure before the first word has its own status.
    waits = asked.output_format is None
    first = await begun(turn, happening) if waits else Begun(happening)
    frames = stream(written, first, turn.outcome, request.path)
    return event_stream(BegunStream(turn, frames, happening), headers)


async def _answered(turn: turns.Turn, response: ResponseOut) -> ResponseOut:
    """Return the response when the turn has ended; of a background one as it is now."""
    if turn.log is not None:
        return response
    await turns.finish(turn)
    answer = turn.answer_out()
    frame, calls = Frame(answer, response["model"]), turn.run.client_calls
    return encoding.ended(response, frame, turn.answer_id, answer.response, calls)


async def _begin(
    request: ApiRequest, instance: AgentInstance, wanted: ResponseIn
) -> tuple[turns.Turn | Replay, TurnInput]:
    asked = await _asked(request, instance, wanted)
    key = _key(request, instance, wanted)
    begin = partial(begin_in_background, path=request.path) if wanted.background else turns.begin
    caller, is_stream = request.caller, bool(wanted.stream)
    try:
        return await begin(caller, instance, asked, stream=is_stream, key=key), asked
    except TurnInProgress:
        # Another turn goes on from the same response at this moment: this one branches off.
        if wanted.previous_response_id is None or asked.session_id is None:
            raise
        asked = await _asked(request, instance, wanted)
        return await begin(caller, instance, asked, stream=is_stream, key=key), asked


def _key(request: ApiRequest, instance: AgentInstance, wanted: ResponseIn) -> Key | None:
    """Read the Idempotency-Key; where the turn goes on may be another when it is sent again."""
    if "Idempotency-Key" not in request.headers:
        return None
    sent = wanted.model_dump(mode="json", exclude={"stream"})
    return key_of(request, instance, TurnInput(kept=sent, store=wanted.store is not False))


async def _asked(request: ApiRequest, instance: AgentInstance, wanted: ResponseIn) -> TurnInput:
    """Return the turn, with what is stored of the conversation that it goes on with."""
    caller, previous = request.caller, wanted.previous_response_id
    items = conversion.items_of(wanted)
    goes_on = previous is not None or wanted.conversation is not None
    if goes_on:
        items = conversion.without_known(items)
    elif references := [item.id for item in items if isinstance(item, wire.ItemReference)]:
        found = await in_database(stored.referenced, caller, instance, references)
        items = [found[i.id] if isinstance(i, wire.ItemReference) else i for i in items]
    said = conversion.said_of(items, goes_on=goes_on)
    chain = None
    if previous is not None:
        chain = await in_database(
            stored.chain_of, caller, instance, previous, with_messages=bool(said.before)
        )
    end_user = wanted.user or wanted.safety_identifier
    return conversion.turn_input(
        wanted,
        said,
        chain=chain,
        session_id=_session_of(wanted),
        end_user=end_user if caller.kind is CallerKind.SECRET_KEY else None,
    )


def _session_of(wanted: ResponseIn) -> Any:
    if wanted.conversation is None:
        return None
    named = wanted.conversation
    found = ids.read_conversation(named if isinstance(named, str) else named.id)
    if found is None:
        raise Invalid.field("conversation", "send the id of a session")
    return found


def _replay(
    request: ApiRequest, earlier: Replay, instance: AgentInstance, wanted: ResponseIn
) -> HttpResponse | StreamingHttpResponse:
    if earlier.problem is not None:
        raise earlier.problem
    answer, calls = earlier.answer, earlier.client_calls
    headers = earlier.headers
    response = encoding.begun(
        answer.llm_request_id,
        instance.instance_slug,
        answer.session_id,
        earlier.request_body["response"],
        earlier.request_body.get("metadata", {}),
    )
    if wanted.stream:
        written = Events(response, answer.message_id or answer.llm_request_id)
        return event_stream(replayed(written, answer, calls), headers)
    frame = Frame(answer, instance.instance_slug)
    whole = encoding.ended(response, frame, answer.message_id, answer.response, calls)
    return as_json(encoded(whole), headers)
