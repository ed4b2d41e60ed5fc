"""Answers as clients of OpenAI's chat API read them."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict


class Cost(TypedDict):
    """US dollars as exact decimals; null and source “unknown” when the price is not known."""

    currency: Literal["USD"]
    input: str | None
    output: str | None
    total: str | None
    source: str


class Extra(TypedDict):
    """What OpenAI's API has no field for; visitors and end users see a cost if it is shown."""

    cost: NotRequired[Cost]
    session_id: str
    config_version: str


class CalledFunction(TypedDict):
    name: str
    arguments: str


class Call(TypedDict):
    id: str
    type: Literal["function"]
    function: CalledFunction


class CallDelta(Call):
    index: int


class PromptDetails(TypedDict):
    cached_tokens: int
    audio_tokens: int


class CompletionDetails(TypedDict):
    reasoning_tokens: int
    audio_tokens: int
    accepted_prediction_tokens: int
    rejected_prediction_tokens: int


class Usage(TypedDict):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails
    completion_tokens_details: CompletionDetails


class CompletionMessage(TypedDict):
    role: Literal["assistant"]
    content: str | None
    refusal: None
    tool_calls: NotRequired[list[Call]]


class Choice(TypedDict):
    index: int
    message: CompletionMessage
    logprobs: None
    finish_reason: str


class Head(TypedDict):
    """What begins each object: the same for all chunks of a stream, and for a replay."""

    id: str
    created: int
    model: str


class CompletionOut(Head):
    object: Literal["chat.completion"]
    choices: list[Choice]
    # Left out for visitors and end users, unless the agent shows it.
    usage: NotRequired[Usage]
    salient: Extra


class Delta(TypedDict, total=False):
    """A piece of the answer; the first has the role."""

    role: Literal["assistant"]
    content: str
    refusal: None
    tool_calls: list[CallDelta]


class ChunkChoice(TypedDict):
    index: int
    delta: Delta
    logprobs: None
    finish_reason: str | None


class ChunkOut(Head):
    """One chunk; the last one with a choice says why the answer ended."""

    object: Literal["chat.completion.chunk"]
    choices: list[ChunkChoice]
    usage: NotRequired[Usage | None]
    salient: NotRequired[Extra]


class ErrorBody(TypedDict):
    """The error of a stream that failed; nothing follows it."""

    error: dict[str, Any]


class ModelOut(TypedDict):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelsOut(TypedDict):
    object: Literal["list"]
    data: list[ModelOut]
