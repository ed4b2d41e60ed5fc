"""What a stored response was made of: the messages and calls of its conversation before it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress

import msgspec

from accounts.auth.caller import Caller
from accounts.tenancy.context import tenant_context
from agents.models import AgentInstance
from agents.runtime.events import ToolCall, ToolResult
from salient.api.problems import Invalid
from sessions_app.inputs.exchanges import CALL, SPOKEN, Exchange, request_id_of
from sessions_app.models import Message, Role
from sessions_app.protocols.openai.responses import encoding, ids
from sessions_app.protocols.openai.responses.schemas import InputItemsIn
from sessions_app.protocols.openai.responses.stored import MOST_MESSAGES, find_response
from sessions_app.protocols.openai.responses.types import (
    InputItem,
    InputItemsOut,
    OutputOfCall,
    UserMessage,
)


def read_items(
    caller: Caller, instance: AgentInstance, response_id: str, page: InputItemsIn
) -> InputItemsOut:
    """Return a page of the items; raises NotFound, and Invalid for an `after` that is none of them.

    They are those of the newest MOST_MESSAGES messages before the answer, its own input included.
    """
    with tenant_context(caller.account_id):
        request = find_response(caller, instance, response_id)
        spoken = Message.objects.filter(
            session_id=request.session_id, agent_instance_id=instance.pk, role__in=SPOKEN
        ).newest_first()
        asked = spoken.filter(llm_request_id=request.pk).exclude(role=Role.ASSISTANT).first()
        before = [] if asked is None else [*spoken.before(asked)[: MOST_MESSAGES - 1]]
    rows = [] if asked is None else [asked, *before]
    stored = [(row, _exchange_of(row)) for row in reversed(rows)]
    theirs = {call.id for _, exchange in stored for call in _calls_of(exchange) if call.is_client}
    items = [item for row, exchange in stored for item in _items_of(row, exchange, theirs)]
    if page.order == "desc":
        items.reverse()
    if page.after is not None:
        items = items[_place_of(items, page.after) + 1 :]
    shown = items[: page.limit]
    return {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": len(items) > len(shown),
    }


def _place_of(items: list[InputItem], item_id: str) -> int:
    for place, item in enumerate(items):
        if item["id"] == item_id:
            return place
    raise Invalid.field("after", "it is not the id of one of the items")


def _exchange_of(message: Message) -> Exchange:
    with suppress(msgspec.ValidationError):
        return msgspec.convert((message.meta or {}).get("tools") or {}, Exchange)
    return Exchange()


def _calls_of(exchange: Exchange) -> Iterator[ToolCall]:
    for made in exchange.rounds:
        yield from made.calls


def _items_of(message: Message, exchange: Exchange, theirs: Collection[str]) -> Iterator[InputItem]:
    """Yield what a message holds; the agent's own calls are not the caller's to see.

    `theirs` are the calls of the caller's tools: the copied messages that begin a branch have the
    results of the agent's own calls as well.
    """
    for result in exchange.results:
        if result.id in theirs or request_id_of(result.id) is not None:
            yield _output_of(result)
    item_id = ids.message_id(message.pk)
    if message.content and message.role == Role.HUMAN:
        yield _said(item_id, message.content)
    if message.content and message.role == Role.ASSISTANT:
        yield encoding.message_of(item_id, [encoding.part_of(message.content)], "completed")
    yield from (encoding.call_of(call) for call in _calls_of(exchange) if call.is_client)


def _said(item_id: str, text: str) -> UserMessage:
    return {
        "type": "message",
        "id": item_id,
        "status": "completed",
        "role": "user",
        "content": [{"type": "input_text", "text": text}],
    }


def _output_of(result: ToolResult) -> OutputOfCall:
    return {
        "type": "function_call_output",
        "id": f"{ids.CALL_OUTPUT}{result.id.removeprefix(CALL)}",
        "status": "completed",
        "call_id": result.id,
        "output": result.content,
    }
