"""What happens while an agent answers, in the order in which it happens."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec


class TextDelta(msgspec.Struct, frozen=True):
    text: str


class ToolCall(msgspec.Struct, frozen=True):
    """The model asks for a tool.

    From a provider, `id`, `name` and `arguments` are as they came. The run replaces the id by one
    of our own and the arguments by a JSON object; `problem` says why the tool must not run.
    `extra` holds other data that the provider sent with the call, such as a thought signature. It
    goes back to the same provider unchanged, and is never shown. A call with `is_client` is for a
    tool of the caller's: it ends the run, and its id is unique for ever.
    """

    id: str
    name: str
    arguments: str
    extra: Mapping[str, Any] = {}
    problem: str = ""
    is_client: bool = False


class ToolResult(msgspec.Struct, frozen=True):
    """The result of the call with the same id, as the model reads it."""

    id: str
    name: str
    content: str
    is_error: bool = False


class ModelCall(msgspec.Struct, frozen=True):
    """One call of a model, finished or cut; `error` is a code, "" when it went well.

    The tokens are an estimate where `estimated` is true. `reported_cost` is the cost that the
    provider reported, in US dollars. `time_to_first_token_ms` is None for
    an answer that came in one piece or not at all.
    """

    provider: str
    model: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    reported_cost: Decimal | None = None
    estimated: bool = False
    latency_ms: int = 0
    time_to_first_token_ms: int | None = None
    finish_reason: str = ""
    error: str = ""


type Event = TextDelta | ToolCall | ToolResult | ModelCall
