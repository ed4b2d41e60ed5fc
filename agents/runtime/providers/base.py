"""The one interface between a run and a provider: a request in, a stream of events out."""

import math
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, Protocol

import msgspec

from agents.runtime.events import TextDelta, ToolCall, ToolResult

# High, for any model; of base64, a token for every four bytes of a file.
TOKENS_AN_IMAGE, CHARACTERS_A_FILE_TOKEN = 2_000, 5


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """An image or a file of a message: as base64 in `data`, or still to be fetched from `url`.

    `detail` is how closely a model looks at an image: "low", "high", "auto", or "" for its default.
    """

    media_type: str = ""
    data: str = ""
    url: str = ""
    name: str = ""
    detail: str = ""

    @property
    def is_image(self) -> bool:
        return self.media_type.startswith("image/")

    @property
    def tokens(self) -> int:
        """A high estimate of what a model reads of it."""
        return TOKENS_AN_IMAGE if self.is_image else len(self.data) // CHARACTERS_A_FILE_TOKEN

    @property
    def data_url(self) -> str:
        return f"data:{self.media_type};base64,{self.data}"


class ChatMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message of a conversation.

    An assistant's message may hold `calls` of tools; each message with the role "tool" is the
    result of the one named `call_id`. Attachments belong to messages of the user. `provider` and
    `provider_data` are those of the ToolRound that the calls come from.
    """

    role: Literal["user", "assistant", "tool"]
    content: str
    attachments: tuple[Attachment, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""
    is_error: bool = False
    provider: str = ""
    provider_data: Any = None

    @property
    def is_of_tools(self) -> bool:
        """Whether it is a call of tools or a result: such a message is joined with no other."""
        return bool(self.calls) or self.role == "tool"


class ToolRound(msgspec.Struct, frozen=True):
    """One answer of the model with tool calls within the turn, and their results.

    `provider_data` is the `Finished.provider_data` of the answer that held the calls. `provider`
    says whose it is: it goes back unchanged to that provider and to no other.
    """

    text: str
    calls: tuple[ToolCall, ...]
    results: tuple[ToolResult, ...]
    provider: str = ""
    provider_data: Any = None


class ToolSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """A tool as it is described to the model; `parameters` is a JSON schema.

    `is_client` says that the caller runs it. `strict` asks the provider to keep to the schema.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    strict: bool | None = None
    is_client: bool = False


class ToolChoice(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether the model must call a tool; `name` is the one that it must call."""

    mode: Literal["auto", "required"] = "auto"
    name: str = ""


class OutputFormat(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the answer must be: one JSON object, and with a `schema` one that matches it."""

    schema: Mapping[str, Any] | None = None
    name: str = "answer"
    description: str = ""
    strict: bool | None = None

    @property
    def instruction(self) -> str:
        """Ask for the format in words, for models whose server does not take it as a field."""
        if self.schema is None:
            return "Answer with one JSON object and nothing else."
        schema = msgspec.json.encode(self.schema).decode()
        return f"Answer with JSON that matches this JSON schema, and with nothing else: {schema}"


class ModelRequest(msgspec.Struct, frozen=True):
    """One call of one model; `model` is the name without its provider.

    `followup` are messages after the rounds: an answer that was refused, and why.
    """

    model: str
    system_prompt: str
    messages: tuple[ChatMessage, ...]
    rounds: tuple[ToolRound, ...] = ()
    temperature: float | None = None
    max_tokens: int | None = None
    tools: tuple[ToolSpec, ...] = ()
    connect_timeout: float = 5.0
    tool_choice: ToolChoice = ToolChoice()
    parallel_tool_calls: bool | None = None
    output_format: OutputFormat | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    followup: tuple[ChatMessage, ...] = ()

    @property
    def has_attachments(self) -> bool:
        return any(message.attachments for message in self.messages)


class Usage(msgspec.Struct, frozen=True):
    """The provider's own counts; None where it reports none.

    `reasoning_tokens` are those of the output in which the model thought; 0 where it says nothing.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    reported_cost: Decimal | None = None


class Progress(msgspec.Struct, frozen=True):
    """The model is at work without new text: it thinks, or it writes a tool call."""


class Finished(msgspec.Struct, frozen=True):
    """The last event of a call that went well.

    `provider_data` is what the provider wants back with the tool calls of this answer, in the
    form that its own adapter reads: reasoning texts, thinking blocks with their signatures. It is
    never shown or counted as text, and stored only with calls that the caller runs.
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
    # Of a server in general: what its model can read, only its answer to a call says.
    supports_attachments: bool

    @property
    def least_first_token_timeout(self) -> float:
        """Seconds: a model, or the library that calls it, may have to be loaded first."""
        ...

    def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredProvider:
    """One entry of a module's `PROVIDERS`, found by the name that models have before the colon.

    The functions get the model's name without its provider. `find` returns the provider, or says in
    one sentence why the model cannot be used on this machine. `exists` says whether a
    configuration may name the model at all, also one that is written for another machine.
    `describe` says what the model is good for, in a sentence that anybody may read. One of the
    `key_variables` of the environment holds the key. `model_prefixes` serve the hint for a model
    that is written without its provider. Calls of a provider with `is_free` cost nothing. `close`
    closes the connections of the running event loop.
    """

    name: str
    find: Callable[[str], Provider | str]
    exists: Callable[[str], bool] = lambda _: True
    describe: Callable[[str], str] | None = None
    key_variables: tuple[str, ...] = ()
    model_prefixes: tuple[str, ...] = ()
    is_free: bool = False
    close: Callable[[], Awaitable[None]] | None = None

    def problem(self, model: str) -> str | None:
        """Return why the model cannot be used on this machine; None where it can."""
        found = self.find(model)
        return found if isinstance(found, str) else None


def finish_reason(word: str) -> str:
    """Return why the answer ended, in one word for what providers write in several ways.

    "" where it is unknown. Other words stay as they are; anything that is no word becomes "other".
    """
    known = FINISH_REASONS.get(word.lower().replace("-", "_"))
    return known or (word if not word or _WORD.fullmatch(word) else "other")


def estimate_tokens(text: str) -> int:
    """Estimate a text's tokens at four bytes each, where the model's own count is unknown."""
    return math.ceil(len(text.encode(errors="surrogatepass")) / 4)
