"""What a server counted and what it says that the call costs, read from an answer's usage."""

from decimal import Decimal
from typing import Any

import msgspec

from agents.runtime.providers.base import Usage

# More than this in one call is no count and no price, but an attempt to break the books.
MOST_TOKENS, MOST_DOLLARS = 40_000_000, 400
TICKS_PER_DOLLAR = 10_000_000_000
NOTHING = {b"", b"null"}


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


_decode_usage = msgspec.json.Decoder(WireUsage, strict=False).decode


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
