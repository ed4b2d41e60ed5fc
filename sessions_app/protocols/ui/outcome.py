"""What a chat interface is told about a turn besides its text."""

from __future__ import annotations

from typing import Any, TypedDict, cast

import msgspec

from sessions_app.api.schemas import DoneOut
from sessions_app.protocols.openai.types import Cost


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
