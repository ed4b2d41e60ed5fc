"""Stored responses: found by their ids, gone on from, read again and deleted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from accounts.auth.caller import Caller
from accounts.tenancy.context import tenant_context
from agents.models import AgentInstance
from agents.runtime.providers.base import ChatMessage
from salient.api.problems import Invalid, NotFound
from sessions_app.background.following import stored_events, text_in
from sessions_app.background.stored_turns import own_turn
from sessions_app.conversations.history import own_sessions
from sessions_app.conversations.sessions import forget_turn
from sessions_app.inputs.exchanges import (
    SPOKEN,
    conversation_of,
    find_made,
    request_id_of,
    stored_messages,
)
from sessions_app.models import CompletionStatus, LLMRequest, Message, Role
from sessions_app.operations.lifecycle.holds import await_placing
from sessions_app.protocols.openai.encoding import Frame
from sessions_app.protocols.openai.responses import encoding, ids
from sessions_app.protocols.openai.responses import schemas as wire
from sessions_app.protocols.openai.responses.conversion import INPUT, Chain
from sessions_app.protocols.openai.responses.events import Events
from sessions_app.protocols.openai.responses.problems import PreviousResponseNotFound
from sessions_app.protocols.openai.responses.types import ResponseOut
from sessions_app.turns.idempotency import answer_of, client_calls_of, problem_of
from sessions_app.turns.problems import TurnInProgress

# Of an earlier conversation; how many of them a model is sent, limits say.
MOST_MESSAGES = 200


def slug_of(account_id: UUID, response_id: str) -> str:
    """Return the agent that made the response; raises NotFound."""
    with tenant_context(account_id):
        rows = LLMRequest.objects.filter(pk=_request_id(response_id))
        slug = rows.values_list("agent_instance_slug", flat=True).first()
    if slug is None:
        raise NotFound("response")
    return str(slug)


def _request_id(response_id: str) -> UUID:
    found = ids.read(response_id, ids.RESPONSE)
    if found is None:
        raise NotFound("response")
    return found


def find_response(caller: Caller, instance: AgentInstance, response_id: str) -> LLMRequest:
    """Return the turn of a stored response that the caller may see; raises NotFound."""
    found: LLMRequest | None = (
        LLMRequest.objects.select_related("config_version")
        .filter(
            pk=_request_id(response_id),
            agent_instance_id=instance.pk,
            request_body__has_key="response",
            session_id__in=own_sessions(caller, instance).values("pk"),
        )
        .first()
    )
    if found is None:
        raise NotFound("response")
    return found


def chain_of(
    caller: Caller, instance: AgentInstance, response_id: str, *, with_messages: bool
) -> Chain:
    """Return where the response left off.

    Raises PreviousResponseNotFound, and TurnInProgress while it is being made.
    """
    with tenant_context(caller.account_id):
        try:
            request = find_response(caller, instance, response_id)
        except NotFound:
            raise PreviousResponseNotFound from None
        if request.completion_status == CompletionStatus.RUNNING:
            raise TurnInProgress
        spoken = Message.objects.filter(
            session_id=request.session_id, agent_instance_id=instance.pk, role__in=SPOKEN
        ).newest_first()
        own = spoken.filter(llm_request_id=request.pk).first()
        newest = spoken.first()
        if own is None or newest is None:
            raise PreviousResponseNotFound
        is_newest = newest.pk == own.pk
        conversation: tuple[ChatMessage, ...] = ()
        if with_messages or not is_newest:
            read = [own, *spoken.before(own)[: MOST_MESSAGES - 1]]
            conversation = conversation_of(stored_messages(read))
        body = request.request_body or {}
        return Chain(
            session_id=request.session_id,
            is_newest=is_newest,
            instructions=body["response"].get("among_input", ""),
            end_user=own_sessions(caller, instance).get(pk=request.session_id).end_user,
            conversation=conversation,
        )


def read(caller: Caller, instance: AgentInstance, response_id: str) -> ResponseOut:
    """Rebuild a response from its rows, as it was answered; raises NotFound."""
    with tenant_context(caller.account_id):
        request = find_response(caller, instance, response_id)
        answer = answer_of(caller, instance, request)
    is_running = request.completion_status == CompletionStatus.RUNNING
    return encoding.ended(
        _begun(request),
        Frame(answer, instance.instance_slug),
        answer.message_id,
        answer.response,
        client_calls_of(request),
        None if is_running else problem_of(request, {}),
    )


def _begun(request: LLMRequest) -> ResponseOut:
    body = request.request_body or {}
    return encoding.begun(
        request.pk,
        request.agent_instance_slug,
        request.session_id,
        body["response"],
        body.get("metadata", {}),
    )


def own_turn_of(caller: Caller, instance: AgentInstance, response_id: str) -> UUID:
    """Return the turn of a response, which the caller may cancel; raises NotFound."""
    with tenant_context(caller.account_id):
        request = find_response(caller, instance, response_id)
        try:
            return own_turn(caller, instance, request.pk).pk
        except NotFound:
            # It is another caller's, whose turns this one may not end.
            raise NotFound("response") from None


def written_events(
    caller: Caller, instance: AgentInstance, response_id: str, *, after: int
) -> tuple[UUID, Events]:
    """Return the turn of a background response, and what writes its events after that number.

    Raises NotFound, and Invalid for a response whose events are not, or no longer, stored.
    """
    with tenant_context(caller.account_id):
        request = find_response(caller, instance, response_id)
        kept = (request.request_body or {})["response"]
        if not kept.get("background"):
            raise Invalid.field("stream", "only a response made with background has a stream")
        if request.completion_status != CompletionStatus.RUNNING:
            said = text_in(stored_events(request.account_id, request.pk))
            if said != answer_of(caller, instance, request).response:
                raise Invalid.field(
                    "stream", "its events are no longer stored; read the response without stream"
                )
    return request.pk, Events(_begun(request), UUID(kept["answer_id"]), after=after)


def delete(caller: Caller, instance: AgentInstance, response_id: str) -> None:
    """Delete the response's texts, and keep its figures; raises NotFound and TurnInProgress."""
    with tenant_context(caller.account_id):
        request = find_response(caller, instance, response_id)
        await_placing(caller.account_id)
        sessions = own_sessions(caller, instance).filter(pk=request.session_id)
        session = sessions.select_for_update(no_key=True).first()
        if session is None:
            raise NotFound("response")
        forget_turn(session, request)


def referenced(
    caller: Caller, instance: AgentInstance, references: Iterable[str]
) -> dict[str, Any]:
    """Return the items of earlier responses by their ids; raises Invalid for an unknown one."""
    wanted = set(references)
    calls = {each: ids.call_id_of(each) for each in wanted if each.startswith(ids.FUNCTION_CALL)}
    made = find_made(
        caller,
        instance,
        {found for call_id in calls.values() if (found := request_id_of(call_id)) is not None},
    )
    items = _messages(caller, instance, wanted)
    for item_id, call_id in calls.items():
        turn = made.get(request_id_of(call_id))
        if turn is not None and turn.has(call_id):
            call = turn.call(call_id)
            items[item_id] = wire.FunctionCallItem(
                type="function_call", call_id=call_id, name=call.name, arguments=call.arguments
            )
    for unknown in wanted - set(items):
        raise Invalid.field(INPUT, f"there is no stored item {unknown[:64]} here")
    return items


def _messages(caller: Caller, instance: AgentInstance, wanted: set[str]) -> dict[str, Any]:
    by_id = {found: each for each in wanted if (found := ids.read(each, ids.MESSAGE)) is not None}
    with tenant_context(caller.account_id):
        rows = Message.objects.filter(
            pk__in=by_id,
            agent_instance_id=instance.pk,
            role=Role.ASSISTANT,
            session_id__in=own_sessions(caller, instance).values("pk"),
        ).values_list("pk", "content")
        return {
            by_id[pk]: wire.MessageItem(role="assistant", content=content) for pk, content in rows
        }
