"""OpenAI's chat API on the wire: what a request looks like, and what usage and errors mean."""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from agents.runtime.events import ToolCall
from agents.runtime.providers.base import ModelRequest, ToolRound, Usage
from agents.runtime.providers.endpoints import Endpoint


class TokenDetails(msgspec.Struct):
    cached_tokens: int | None = None


class WireUsage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: TokenDetails | None = None
    prompt_cache_hit_tokens: int | None = None  # DeepSeek
    cached_tokens: int | None = None  # Moonshot
    cost: Decimal | dict[str, Any] | None = None  # OpenRouter; Perplexity: an object
    estimated_cost: Decimal | None = None  # DeepInfra
    cost_in_usd_ticks: int | None = None  # xAI


class WireError(msgspec.Struct):
    code: int | str | None = None


# More than this in one call is no count and no price, but an attempt to break the books.
MOST_TOKENS, MOST_DOLLARS = 40_000_000, 400
_REASON = re.compile(r"[\w-]{1,40}", re.ASCII)
TICKS_PER_DOLLAR = 10_000_000_000
NOTHING = {b"", b"null"}

_decode_usage = msgspec.json.Decoder(WireUsage, strict=False).decode
_decode_error = msgspec.json.Decoder(WireError, strict=False).decode
encode = msgspec.json.encode


def request_body(request: ModelRequest, endpoint: Endpoint) -> bytes:
    is_streamed = request.stream and endpoint.streams
    body: dict[str, Any] = {
        "model": request.model,
        "messages": list(_messages(request)),
        "stream": is_streamed,
    }
    if is_streamed:
        body["stream_options"] = {"include_usage": True}
    if endpoint.ask_for_cost:
        body["usage"] = {"include": True}
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.max_tokens is not None:
        body[endpoint.max_tokens_field] = request.max_tokens
    if request.tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.parameters,
                },
            }
            for tool in request.tools
        ]
    return encode(body)


def read_usage(raw: msgspec.Raw, header_cost: str | None = None) -> Usage | None:
    """What was counted; None when the server did not say or what it says makes no sense."""
    if bytes(raw) in NOTHING:
        return None
    try:
        usage = _decode_usage(raw)
    except msgspec.MsgspecError:
        return None
    return Usage(
        input_tokens=_count(usage.prompt_tokens),
        output_tokens=_output_tokens(usage),
        cached_tokens=_cached_tokens(usage),
        reported_cost=_cost(usage, header_cost),
    )


def plain_reason(text: str) -> str:
    """Why the answer ended, in the server's word; what is no word is not kept."""
    return text if not text or _REASON.fullmatch(text) else "other"


def error_status(raw: msgspec.Raw) -> int:
    """The HTTP status that an error inside of a 200 stands for; 500 when it does not say."""
    try:
        code = _decode_error(raw).code
    except msgspec.MsgspecError:
        return 500
    if isinstance(code, int) and 400 <= code < 600:  # noqa: PLR2004 - HTTP's errors
        return code
    named = {"rate_limit_exceeded": 429, "insufficient_quota": 429, "invalid_api_key": 401}
    named["context_length_exceeded"] = 400
    return named.get(str(code), 500)


def _messages(request: ModelRequest) -> Iterator[dict[str, Any]]:
    if request.system_prompt:
        yield {"role": "system", "content": request.system_prompt}
    for message in request.messages:
        yield {"role": message.role, "content": message.content}
    for tool_round in request.rounds:
        yield _asked(tool_round)
        for result in tool_round.results:
            yield {"role": "tool", "tool_call_id": result.id, "content": result.content}


def _asked(tool_round: ToolRound) -> dict[str, Any]:
    """What the model asked for, with what its provider sent along and wants back unchanged."""
    kept = tool_round.provider_data
    return {
        **(kept if isinstance(kept, Mapping) else {}),
        "role": "assistant",
        "content": tool_round.text or None,
        "tool_calls": [_call(call) for call in tool_round.calls],
    }


def _call(call: ToolCall) -> dict[str, Any]:
    function = call.extra.get("function")
    return {
        **call.extra,
        "id": call.id,
        "type": "function",
        "function": {
            **(function if isinstance(function, Mapping) else {}),
            "name": call.name,
            "arguments": call.arguments,
        },
    }


def _count(value: int | None) -> int | None:
    return value if value is not None and 0 <= value <= MOST_TOKENS else None


def _output_tokens(usage: WireUsage) -> int | None:
    """Some servers (xAI, Google) leave thinking out of the completion but not out of the total."""
    said, read, total = map(
        _count, (usage.completion_tokens, usage.prompt_tokens, usage.total_tokens)
    )
    if total is None or read is None:
        return said
    return max(said or 0, total - read)


def _cached_tokens(usage: WireUsage) -> int:
    details = usage.prompt_tokens_details
    reported = (
        details.cached_tokens if details else None,
        usage.prompt_cache_hit_tokens,
        usage.cached_tokens,
    )
    return max((_count(count) or 0 for count in reported), default=0)


def _cost(usage: WireUsage, header_cost: str | None) -> Decimal | None:
    """The first that is said: an explicit zero is a price."""
    ticks = usage.cost_in_usd_ticks
    cost = usage.cost.get("total_cost") if isinstance(usage.cost, dict) else usage.cost
    for value in (
        cost,
        usage.estimated_cost,
        None if ticks is None else Decimal(ticks) / TICKS_PER_DOLLAR,
        header_cost,
    ):
        if value is not None and (price := _dollars(value)) is not None:
            return price
    return None


def _dollars(value: object) -> Decimal | None:
    try:
        price = Decimal(str(value))
    except ArithmeticError:
        return None
    return price if price.is_finite() and 0 <= price <= MOST_DOLLARS else None
