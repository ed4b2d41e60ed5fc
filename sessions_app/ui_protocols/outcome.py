"""What an interface is told of a turn besides its text: the one place that says who sees what."""

from __future__ import annotations

from typing import NotRequired, TypedDict, cast

from accounts.auth.caller import Caller
from sessions_app.api.schemas import DoneOut
from sessions_app.openai.encoding import SEES_COSTS
from sessions_app.openai.types import Cost


class Tokens(TypedDict):
    """Tokens of the turn, summed over its model calls; `estimated` when a count is missing."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    cached_tokens: int
    requests: int
    estimated: bool


class Outcome(TypedDict):
    """How a turn ended, as in every stream; visitors and end users see no model and no cost."""

    status: str
    session_id: str
    message_id: str | None
    llm_request_id: str
    model: NotRequired[str]
    finish_reason: str | None
    usage: Tokens
    cost: NotRequired[Cost]
    config_version: str
    latency_ms: int
    time_to_first_token_ms: int | None


def outcome_of(done: DoneOut, caller: Caller) -> Outcome:
    hidden = {"response"} if caller.kind in SEES_COSTS else {"response", "model", "cost"}
    return cast(Outcome, done.model_dump(mode="json", exclude=hidden))
