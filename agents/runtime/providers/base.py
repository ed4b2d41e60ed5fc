"""The one interface between a run and a provider: a request in, a stream of events out."""

import math
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, Protocol

import msgspec

from agents.runtime.events import TextDelta, ToolCall, ToolResult


class ChatMessage(msgspec.Struct, frozen=True):
    role: Literal["user", "assistant"]
    content: str


class ToolRound(msgspec.Struct, frozen=True):
    """One answer of the model with tool calls within the turn, and their results.

    `provider_data` is the `Finished.provider_data` of the answer that held the calls. It goes back
    unchanged to the provider named by `provider`, and to no other.
    """

    text: str
    calls: tuple[ToolCall, ...]
    results: tuple[ToolResult, ...]
    provider: str = ""
    provider_data: Any = None


class ToolSpec(msgspec.Struct, frozen=True):
    """A tool as it is described to the model; `parameters` is a JSON schema."""

    name: str
    description: str
    parameters: Mapping[str, Any]


class ModelRequest(msgspec.Struct, frozen=True):
    """One call of one model; `model` is the name without its provider."""

    model: str
    system_prompt: str
    messages: tuple[ChatMessage, ...]
    rounds: tuple[ToolRound, ...] = ()
    temperature: float | None = None
    max_tokens: int | None = None
    tools: tuple[ToolSpec, ...] = ()
    connect_timeout: float = 5.0


class Usage(msgspec.Struct, frozen=True):
    """The provider's own counts; None where it reports none."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int = 0
    reported_cost: Decimal | None = None


class Progress(msgspec.Struct, frozen=True):
    """The model is at work without new text: it thinks, or it writes a tool call."""


class Finished(msgspec.Struct, frozen=True):
    """The last event of a call that went well.

    `provider_data` is what the provider wants back with the tool calls of this answer, in the
    form that its own adapter reads: reasoning texts, thinking blocks with their signatures. It is
    never shown, stored or counted as text.
    """

    reason: str
    usage: Usage | None = None
    provider_data: Any = None


PROGRESS = Progress()
# Of one answer.
MOST_TOOL_CALLS = 128
# The providers' words for why an answer ended; words that are not listed stay as they are.
FINISH_REASONS = {
    **dict.fromkeys(
        ("stop", "end_turn", "stop_sequence", "eos", "eos_token", "complete", "completed"), "stop"
    ),
    **dict.fromkeys(
        ("length", "max_tokens", "max_output_tokens", "model_length", "token_limit"), "length"
    ),
    **dict.fromkeys(("model_context_window_exceeded", "context_length"), "length"),
    **dict.fromkeys(("content_filter", "content_filtered", "refusal", "safety"), "content_filter"),
    **dict.fromkeys(("prohibited_content", "blocklist", "recitation", "spii"), "content_filter"),
    **dict.fromkeys(
        ("guardrail_intervened", "image_safety", "moderation", "sensitive"), "content_filter"
    ),
    **dict.fromkeys(("tool_calls", "tool_call", "tool_use", "function_call"), "tool_calls"),
}

_WORD = re.compile(r"[\w-]{1,40}", re.ASCII)

# A Usage event holds the counts so far, of an answer that may not come to its end.
type ModelEvent = TextDelta | ToolCall | Progress | Usage | Finished


class Provider(Protocol):
    """A model server. Its stream raises only RunError; closing the stream ends the call."""

    supports_tools: bool

    @property
    def least_first_token_timeout(self) -> float:
        """Seconds: a model, or the library that calls it, may have to be loaded first."""
        ...

    def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredProvider:
    """One entry of a module's `PROVIDERS`, found by the name that models have before the colon.

    The functions get the model's name without its provider. `problem` says in one sentence why the
    model cannot be used on this machine; None means that it can. `exists` says whether a
    configuration may name the model at all, also one that is written for another machine.
    `describe` says what the model is good for, in a sentence that anybody may read. One of the
    `key_variables` of the environment holds the key. `model_prefixes` serve the hint for a model
    that is written without its provider. Calls of a provider with `is_free` cost nothing. `close`
    closes the connections of the running event loop.
    """

    name: str
    make: Callable[[], Provider]
    problem: Callable[[str], str | None]
    exists: Callable[[str], bool] = lambda _: True
    describe: Callable[[str], str] | None = None
    key_variables: tuple[str, ...] = ()
    model_prefixes: tuple[str, ...] = ()
    is_free: bool = False
    close: Callable[[], Awaitable[None]] | None = None


def finish_reason(word: str) -> str:
    """Return why the answer ended, in one word for what providers write in several ways.

    "" where it is unknown. Other words stay as they are; anything that is no word becomes "other".
    """
    known = FINISH_REASONS.get(word.lower().replace("-", "_"))
    return known or (word if not word or _WORD.fullmatch(word) else "other")


def estimate_tokens(text: str) -> int:
    """Estimate a text's tokens at four bytes each, where the model's own count is unknown."""
    return math.ceil(len(text.encode(errors="surrogatepass")) / 4)
