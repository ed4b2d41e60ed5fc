"""What a chat interface is told about a turn besides its text: its end, and the tool calls.

It is told their names and how they ended, without arguments and results. Their ids say that a call
is the agent's, so that it is known when a client sends it back with the rest of its conversation.
"""

from __future__ import annotations

import re
from typing import Any, TypedDict, cast
from uuid import UUID

import msgspec

from agents.runtime.events import ToolResult
from sessions_app.api.schemas import DoneOut
from sessions_app.protocols.openai.types import Cost

# Instead of the arguments, which clients parse.
NO_ARGUMENTS = "{}"
_TOOL_ID = re.compile(r"tool_([0-9a-f]{32})_")


class Tokens(TypedDict):
    """Tokens of the turn, summed over its model calls; `estimated` when a count is missing."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    requests: int
    estimated: bool


class Outcome(TypedDict):
    """How a turn ended, as in every stream; what the caller is not shown is null."""

    status: str
    session_id: str
    message_id: str | None
    llm_request_id: str
    model: str | None
    finish_reason: str | None
    usage: Tokens | None
    cost: Cost | None
    config_version: str
    latency_ms: int
    time_to_first_token_ms: int | None


def outcome_of(done: DoneOut) -> Outcome:
    outcome: dict[str, Any] = msgspec.to_builtins(done)
    outcome.pop("response", None)
    return cast(Outcome, outcome)


def shown_id(request_id: UUID, call_id: str) -> str:
    """Return the id of a call, which is unique in its turn, as one that is unique for ever."""
    return f"tool_{request_id.hex}_{call_id}"


def agent_turn(shown: str) -> UUID | None:
    """Return the turn in which the agent made this call; None for a call of a client's tool."""
    found = _TOOL_ID.match(shown)
    return UUID(found[1]) if found else None


def status_of(result: ToolResult) -> str:
    return "failed" if result.is_error else "done"
