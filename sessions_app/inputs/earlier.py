"""Stores the conversation that a caller sends as the beginning of its session."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import msgspec
from django.db import Error

from accounts.auth.caller import Caller
from accounts.tenancy.context import tenant_context
from agents.runtime.events import ToolResult
from agents.runtime.providers.base import ChatMessage, ToolRound
from salient.database import in_database, storable
from sessions_app.inputs.turn_input import kept_text
from sessions_app.models import Message, Role
from sessions_app.turns.store import OpenTurn

logger = logging.getLogger(__name__)
_STEP = timedelta(microseconds=1)
_ROLES = {"user": Role.HUMAN, "assistant": Role.ASSISTANT, "tool": Role.TOOL}


async def keep(caller: Caller, row: OpenTurn, conversation: tuple[ChatMessage, ...]) -> None:
    """Store the messages before the one with which the turn began its session."""
    try:
        await in_database(_keep, caller, row, conversation)
    except Error:
        # The turn is open already, and can be answered.
        logger.warning("An earlier conversation could not be stored", exc_info=True)


def _keep(caller: Caller, row: OpenTurn, conversation: tuple[ChatMessage, ...]) -> None:
    with tenant_context(caller.account_id):
        first = Message.objects.get(pk=row.message_id)
        count = len(conversation)
        Message.objects.bulk_create(
            Message(
                account_id=row.account_id,
                agent_instance_id=row.agent_instance_id,
                session_id=first.session_id,
                created_at=first.created_at - (count - number) * _STEP,
                **fields,
            )
            for number, fields in enumerate(_fields(conversation))
        )


def _fields(conversation: Iterable[ChatMessage]) -> Iterable[dict[str, Any]]:
    """Yield what a row has of each message; exchanges.conversation_of reads it again."""
    for message in conversation:
        tools: Any = None
        if message.calls:
            made = ToolRound(
                message.content,
                message.calls,
                (),
                provider=message.provider,
                provider_data=message.provider_data,
            )
            tools = {"rounds": [made]}
        elif message.role == "tool":
            result = ToolResult(message.call_id, "", message.content, message.is_error)
            tools = {"results": [result]}
        yield {
            "role": _ROLES[message.role],
            "content": storable(kept_text(message.content, message.attachments)),
            "meta": None if tools is None else {"tools": storable(msgspec.to_builtins(tools))},
        }
