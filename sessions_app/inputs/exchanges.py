"""Calls of client tools, which take several turns: stored with messages, and found again.

The assistant's message of a turn that ended with such calls keeps {"rounds": [...]} in its meta
data, with the agent's own calls and results of that turn; the message that brought results keeps
{"results": [...]}.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Literal
from uuid import UUID

import msgspec
from msgspec.structs import replace

from accounts.auth.caller import Caller
from accounts.tenancy.context import tenant_context
from agents.models import AgentInstance
from agents.runtime.events import ToolCall, ToolResult
from agents.runtime.providers.base import ChatMessage, ToolRound
from agents.runtime.run import Run
from salient.database import in_database, storable
from salient.ids import parse_uuid
from sessions_app.conversations.history import own_turns
from sessions_app.inputs.turn_input import TurnInput, result_message
from sessions_app.models import Message, Role
from sessions_app.turns.problems import UnknownCall

CALL = "call_"
_ID_END = len(CALL) + 32
# Bytes of what a provider added to the calls of one answer.
LARGEST_KEPT = 64 * 1024
_SPEAKERS: dict[str, Literal["user", "assistant"]] = {
    Role.HUMAN.value: "user",
    Role.ASSISTANT.value: "assistant",
}


# Whose messages a model reads.
SPOKEN = (Role.HUMAN, Role.ASSISTANT, Role.TOOL)


class StoredMessage(msgspec.Struct, array_like=True):
    """A message as app_open_turns returns it."""

    role: str
    content: str
    tools: Any = None


class Exchange(msgspec.Struct):
    """What a message keeps of tools."""

    rounds: tuple[ToolRound, ...] = ()
    results: tuple[ToolResult, ...] = ()


def call_prefix(request_id: UUID) -> str:
    """Return how the ids of a turn's client calls begin; OpenAI takes ids of 40 characters."""
    return f"{CALL}{request_id.hex}"


def request_id_of(call_id: str) -> UUID | None:
    """Return the turn that made the call; None for an id that is none of ours."""
    if not call_id.startswith(CALL) or not call_id[_ID_END:].isdecimal():
        return None
    return parse_uuid(call_id[len(CALL) : _ID_END])


def kept_answer(run: Run) -> str | None:
    """Return the text of the answer's message; None where there is no message.

    Calls of client tools are kept with a message, also where nothing was said.
    """
    text: str = storable(run.text)
    return text if text or run.client_calls else None


def kept_rounds(run: Run) -> dict[str, Any] | None:
    """Return what the answer's message keeps of a run that ended with client calls."""
    if not run.client_calls:
        return None
    kept: dict[str, Any] = msgspec.to_builtins({"rounds": list(map(_kept_round, run.rounds))})
    return kept


def _kept_round(each: ToolRound) -> ToolRound:
    """Keep what the provider wants back with its calls, but for what is large or no JSON.

    Without it some refuse the results: Gemini its signatures, DeepSeek its reasoning.
    """
    added = [each.provider_data, *(call.extra for call in each.calls)]
    is_json = each.provider_data is None or isinstance(each.provider_data, dict)
    if is_json and len(msgspec.json.encode(added)) <= LARGEST_KEPT:
        return each
    calls = tuple(replace(call, extra={}) for call in each.calls)
    return replace(each, calls=calls, provider="", provider_data=None)


def kept_results(asked: TurnInput) -> dict[str, Any] | None:
    """Return what the user's message keeps of results."""
    return msgspec.to_builtins({"results": asked.results}) if asked.results else None


def conversation_of(stored: Iterable[StoredMessage]) -> tuple[ChatMessage, ...]:
    """Return stored messages, oldest first, as a model is sent them."""
    return tuple(message for each in stored for message in _messages(each))


def stored_messages(newest_first: Sequence[Message]) -> Iterator[StoredMessage]:
    """Yield the rows as app_open_turns returns them, the oldest first."""
    for message in reversed(newest_first):
        yield StoredMessage(message.role, message.content, (message.meta or {}).get("tools"))


def _messages(stored: StoredMessage) -> Iterator[ChatMessage]:
    if stored.tools is None:
        if stored.role in _SPEAKERS:
            yield ChatMessage(_SPEAKERS[stored.role], stored.content)
        return
    exchange = Exchange()
    with suppress(msgspec.ValidationError):
        exchange = msgspec.convert(stored.tools, Exchange)
    if exchange.rounds:
        yield from messages_of_rounds(exchange.rounds)
        return
    for result in exchange.results:
        yield result_message(result)
    if stored.role in _SPEAKERS:
        yield ChatMessage(_SPEAKERS[stored.role], stored.content)


def messages_of_rounds(rounds: Iterable[ToolRound]) -> Iterator[ChatMessage]:
    """Write rounds as messages; the results of client tools are still to come."""
    for each in rounds:
        yield ChatMessage(
            "assistant",
            each.text,
            calls=each.calls,
            provider=each.provider,
            provider_data=each.provider_data,
        )
        for result in each.results:
            yield result_message(result)


class Made(msgspec.Struct, frozen=True):
    """A stored turn that ended with client calls."""

    session_id: UUID
    rounds: tuple[ToolRound, ...]

    def has(self, call_id: str) -> bool:
        return any(call.id == call_id for each in self.rounds for call in each.calls)

    def call(self, call_id: str) -> ToolCall:
        return next(call for each in self.rounds for call in each.calls if call.id == call_id)


async def continued(caller: Caller, instance: AgentInstance, asked: TurnInput) -> TurnInput:
    """Return a turn that goes on where an earlier one ended with client calls.

    What the caller sends is completed by what only we know: the agent's own calls of that turn.
    The turn is stored in the same session, or in the one that the caller names. Raises UnknownCall.
    """
    ids = [result.id for result in asked.results]
    conversation = asked.conversation
    ids += [call.id for message in conversation or () for call in message.calls]
    requests = {found for each in ids if (found := request_id_of(each)) is not None}
    made = await in_database(find_made, caller, instance, requests) if requests else {}
    # The turn whose calls the results are for.
    last = made.get(request_id_of(asked.results[-1].id)) if asked.results else None
    if conversation is not None:
        conversation = tuple(_completed(conversation, made))
        # A named session takes also what the caller has copied into it.
        if last is None or asked.session_key is not None:
            return replace(asked, conversation=conversation)
        return replace(asked, conversation=conversation, session_id=last.session_id)
    for result in asked.results:
        turn = made.get(request_id_of(result.id))
        if (
            turn is None
            or not turn.has(result.id)
            or asked.session_id not in {None, turn.session_id}
        ):
            raise UnknownCall(result.id)
    results = tuple(_named(result, made) for result in asked.results)
    session_id = last.session_id if last else asked.session_id
    return replace(asked, results=results, session_id=session_id)


def _named(result: ToolResult, made: dict[UUID | None, Made]) -> ToolResult:
    """Return the result with the name of its tool, which not every client sends."""
    if result.name:
        return result
    return replace(result, name=made[request_id_of(result.id)].call(result.id).name)


def find_made(
    caller: Caller, instance: AgentInstance, requests: set[UUID]
) -> dict[UUID | None, Made]:
    """Return those of the turns whose sessions the caller may see."""
    with tenant_context(caller.account_id):
        rows = Message.objects.filter(
            own_turns(caller, instance),
            llm_request_id__in=requests,
            agent_instance_id=instance.pk,
            role=Role.ASSISTANT,
            meta__has_key="tools",
        ).values_list("llm_request_id", "session_id", "meta")
        return {
            request_id: Made(session_id, msgspec.convert(meta["tools"], Exchange).rounds)
            for request_id, session_id, meta in rows
            if meta is not None
        }


def _completed(
    conversation: tuple[ChatMessage, ...], made: dict[UUID | None, Made]
) -> Iterator[ChatMessage]:
    """Put the whole rounds of a turn in the place of the calls that the caller knows of.

    Once for each turn: a caller may send its calls in several messages.
    """
    placed: set[UUID | None] = set()
    for message in conversation:
        request_id = request_id_of(message.calls[0].id) if message.calls else None
        turn = made.get(request_id)
        if turn is None or not all(turn.has(call.id) for call in message.calls):
            yield message
        elif request_id not in placed:
            placed.add(request_id)
            yield from messages_of_rounds(turn.rounds)
