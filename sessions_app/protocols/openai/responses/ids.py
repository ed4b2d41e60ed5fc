"""Ids of responses and their items: our own ids with the prefixes that clients look for."""

from __future__ import annotations

from uuid import UUID

from salient.ids import parse_uuid
from sessions_app.inputs.exchanges import CALL

RESPONSE, MESSAGE, CONVERSATION = "resp_", "msg_", "conv_"
FUNCTION_CALL, CALL_OUTPUT = "fc_", "fco_"


def response_id(request_id: UUID) -> str:
    return f"{RESPONSE}{request_id.hex}"


def message_id(answer_id: UUID) -> str:
    return f"{MESSAGE}{answer_id.hex}"


def conversation_id(session_id: UUID) -> str:
    return f"{CONVERSATION}{session_id.hex}"


def item_id_of(call_id: str) -> str:
    """Return the id of the item that holds the call."""
    return f"{FUNCTION_CALL}{call_id.removeprefix(CALL)}"


def call_id_of(item_id: str) -> str:
    """Return the call that an item holds."""
    return f"{CALL}{item_id.removeprefix(FUNCTION_CALL)}"


def read(text: str, prefix: str) -> UUID | None:
    """Return the id behind a prefix; None for what is none of ours."""
    return parse_uuid(text.removeprefix(prefix)) if text.startswith(prefix) else None


def read_conversation(text: str) -> UUID | None:
    """Return the session that is named, with the prefix or without."""
    return parse_uuid(text.removeprefix(CONVERSATION))
