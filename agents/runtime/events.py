"""What happens while an agent answers, in the order in which it happens."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec


class TextDelta(msgspec.Struct, frozen=True):
    text: str


class ToolCall(msgspec.Struct, frozen=True):
    """The model asks for a tool.

    From a provider, `id`, `name` and `arguments` are as they came. What the run makes of it has an
    id of our own, the arguments are a JSON object, and `problem` says why the tool must not run.
    `extra` is what else the provider sent with the call, such as a thought signature. It goes
    back to the same provider unchanged, within the turn, and is shown to nobody. A call with
    `is_client` is for a tool of the caller's: it ends the run, and its id is unique for ever.
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

    Tokens are an estimate where `estimated` says so. `reported_cost` is what the provider
    itself reported as the call's cost, in US dollars. `time_to_first_token_ms` is None for
    an answer that came in one piece or not at all.
    """

    provider: str
    model: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    reported_cost: Decimal | None = None
    estimated: bool = False
    latency_ms: int = 0
    time_to_first_token_ms: int | None = None
    finish_reason: str = ""
    error: str = ""


type Event = TextDelta | ToolCall | ToolResult | ModelCall
