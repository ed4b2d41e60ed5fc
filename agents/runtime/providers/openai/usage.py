"""Reads the token counts and the cost that a server reports, field by field."""

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import msgspec

from agents.runtime.providers.base import Usage

# A larger number is no count or price of one call: it would only falsify the sums.
MOST_TOKENS, MOST_DOLLARS = 40_000_000, 400
TICKS_PER_DOLLAR = 10_000_000_000
# The length of `null`.
SHORTEST = 4
NOTHING = msgspec.Raw(b"")
# So many are read at once: a server that splits its usage does so over a few chunks.
FIRST_READ = 8

# What a field counts. Servers write OpenAI's names, Anthropic's, Google's or Bedrock's.
INPUT, OUTPUT, TOTAL, THINKING = "input", "output", "total", "thinking"
CACHE_READ, CACHE_WRITE = "cache_read", "cache_write"
FIELDS = MappingProxyType(
    {
        **dict.fromkeys(("prompt_tokens", "input_tokens"), INPUT),
        **dict.fromkeys(("promptTokenCount", "inputTokens", "input_token_count"), INPUT),
        **dict.fromkeys(("completion_tokens", "output_tokens"), OUTPUT),
        **dict.fromkeys(("candidatesTokenCount", "outputTokens"), OUTPUT),
        **dict.fromkeys(("generated_token_count", "generated_tokens"), OUTPUT),
        **dict.fromkeys(("total_tokens", "totalTokenCount", "totalTokens"), TOTAL),
        **dict.fromkeys(("cached_tokens", "cached_prompt_tokens"), CACHE_READ),
        **dict.fromkeys(("prompt_cache_hit_tokens", "cachedContentTokenCount"), CACHE_READ),
        **dict.fromkeys(("cache_read_input_tokens", "cacheReadInputTokens"), CACHE_READ),
        **dict.fromkeys(("cache_creation_input_tokens", "cacheWriteInputTokens"), CACHE_WRITE),
        **dict.fromkeys(("reasoning_tokens", "thoughtsTokenCount"), THINKING),
    }
)
DETAILS = {"prompt_tokens_details", "input_tokens_details"}
DETAILS |= {"completion_tokens_details", "output_tokens_details"}
DETAIL_FIELDS = MappingProxyType(
    {
        **dict.fromkeys(("cached_tokens", "cache_read_tokens"), CACHE_READ),
        **dict.fromkeys(("cache_write_tokens", "cache_creation_tokens"), CACHE_WRITE),
        "reasoning_tokens": THINKING,
    }
)
# What `_cost` reads; most servers send none of it.
COSTS = frozenset({"cost", "cost_details", "cost_in_usd_ticks", "estimated_cost", "is_byok"})
# Who names the input and the cache like this counts the cached tokens beside the input.
BESIDE = (("input_tokens", "inputTokens"), ("cache_read_input_tokens", "cacheReadInputTokens"))


def _decimal(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except ArithmeticError:
        return None


# Prices are read as they are written, without a float in between.
_decode = msgspec.json.Decoder(float_hook=_decimal).decode


def _decode_leniently(raw: msgspec.Raw) -> object:
    """Read JSON with a number that msgspec refuses; the other numbers stay."""
    try:
        return json.loads(bytes(raw), parse_float=_decimal, parse_int=_decimal)
    except (ValueError, RecursionError):
        return None


class UsageReading:
    """The usage of one answer, sent at its end or with every chunk.

    Of each count the largest is right: counts grow while an answer goes on, and some servers end
    with zeros.
    """

    __slots__ = ("_beside", "_cost", "_counts", "_latest", "_read")

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._cost: Decimal | None = None
        self._beside = False
        self._read = 0
        self._latest = NOTHING

    @property
    def is_empty(self) -> bool:
        """Whether the server has counted nothing so far: zeros are no count."""
        self._fold_latest()
        return not any(self._counts.values()) and not self._cost

    def add(self, raw: msgspec.Raw) -> None:
        """Take the usage of one chunk.

        After the first few only the latest is read, because counts grow; and one that a shorter one
        follows.
        """
        if len(raw) <= SHORTEST:
            return
        if self._read < FIRST_READ or len(raw) < len(self._latest):
            self._fold(self._latest)
        self._latest = raw

    def _fold_latest(self) -> None:
        """Read it once: it adds nothing a second time."""
        if self._latest is not NOTHING:
            self._fold(self._latest)
            self._latest = NOTHING

    def _fold(self, raw: msgspec.Raw) -> None:
        """Read the fields that are readable; the others are passed over."""
        if not len(raw):
            return
        self._read += 1
        try:
            usage = _decode(raw)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            usage = _decode_leniently(raw)
        if not isinstance(usage, dict):
            return
        for counted, value in _counts(usage):
            self._counts[counted] = max(value, self._counts.get(counted, 0))
        self._beside = self._beside or _counts_cache_beside(usage)
        if (cost := _cost(usage)) is not None:
            self._cost = cost if self._cost is None else max(cost, self._cost)

    def result(self, header_cost: str | None = None) -> Usage | None:
        """What was counted; None when the server did not say or what it says makes no sense.

        `header_cost` came before the answer: its zero is a price that was not known yet.
        """
        self._fold_latest()
        cost = self._cost if self._cost is not None else _dollars(header_cost) or None
        if not any(self._counts.values()):
            # A server that counted nothing knows no price either, unless it names one.
            cost = cost or None
        if not self._counts and cost is None:
            return None
        beside = self._cached_beside()
        read = self._counts.get(INPUT)
        return Usage(
            # Every request has an input: a zero is a count that was not made.
            input_tokens=None if read is None else (read + beside) or None,
            output_tokens=self._output(beside),
            cached_tokens=self._counts.get(CACHE_READ, 0),
            reasoning_tokens=self._counts.get(THINKING, 0),
            reported_cost=cost,
        )

    def _cached_beside(self) -> int:
        """How many cached tokens the input's count leaves out."""
        read, written = self._counts.get(CACHE_READ, 0), self._counts.get(CACHE_WRITE, 0)
        cached, thinking = read + written, self._counts.get(THINKING, 0)
        if self._beside or cached > self._counts.get(INPUT, 0):
            return cached
        unexplained = self._unexplained()
        if unexplained == thinking:
            return 0
        for beside in (cached, read):
            if beside and unexplained in {beside, beside + thinking}:
                return beside
        return 0

    def _unexplained(self) -> int:
        """How much more the total is than the input and the output."""
        counts = self._counts
        if TOTAL not in counts:
            return 0
        return counts[TOTAL] - counts.get(INPUT, 0) - counts.get(OUTPUT, 0)

    def _output(self, beside: int) -> int | None:
        """Some servers (xAI, Google) leave thinking out of the output but not out of the total."""
        output, counts = self._counts.get(OUTPUT), self._counts
        if TOTAL not in counts or INPUT not in counts:
            return output
        return max(output or 0, counts[TOTAL] - counts[INPUT] - beside)


def _counts(usage: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for name, value in usage.items():
        if (counted := FIELDS.get(name)) and (count := _count(value)) is not None:
            yield counted, count
        elif name in DETAILS and isinstance(value, dict):
            for detail, part in value.items():
                if (counted := DETAIL_FIELDS.get(detail)) and (count := _count(part)) is not None:
                    yield counted, count


def _counts_cache_beside(usage: Mapping[str, Any]) -> bool:
    inputs, caches = BESIDE
    named = any(usage.get(name) for name in inputs) and any(usage.get(name) for name in caches)
    return named and usage.get("prompt_tokens") is None


def _count(value: object) -> int | None:
    # Nearly all counts are whole numbers; a bool is none.
    number = value if type(value) is int else _number(value)
    return int(number) if number is not None and 0 <= number <= MOST_TOKENS else None


def _cost(usage: Mapping[str, Any]) -> Decimal | None:
    """The first that is reported: an explicit zero is a price."""
    if COSTS.isdisjoint(usage):
        return None
    ticks = _number(usage.get("cost_in_usd_ticks"))  # xAI
    for price in (
        _whole_cost(usage),
        _dollars(usage.get("estimated_cost")),  # DeepInfra
        None if ticks is None else _dollars(ticks / TICKS_PER_DOLLAR),
    ):
        if price is not None:
            return price
    return None


def _whole_cost(usage: Mapping[str, Any]) -> Decimal | None:
    """All that the account pays for the call.

    With a customer's own key (`is_byok`) a router's cost is its fee alone, and the upstream
    provider's bill comes on top. Without it the cost includes what the upstream provider gets.
    """
    cost = usage.get("cost")
    if isinstance(cost, dict):  # Perplexity and others
        if str(cost.get("currency") or "USD").upper() != "USD":
            return None
        cost = cost.get("total_cost", cost.get("total"))
    price = _dollars(cost)
    if str(usage.get("is_byok")).strip().lower() not in {"true", "1"}:
        return price
    upstream = _upstream_cost(usage.get("cost_details"))
    # Without the upstream provider's part the price list is closer.
    return None if upstream is None else _dollars(upstream + (price or 0))


def _upstream_cost(details: object) -> Decimal | None:
    if not isinstance(details, dict):
        return None
    if (whole := _dollars(details.get("upstream_inference_cost"))) is not None:
        return whole
    parts = [
        _dollars(details.get(f"upstream_inference_{part}_cost"))
        for part in ("prompt", "completions")
    ]
    known = [part for part in parts if part is not None]
    return sum(known, Decimal(0)) if len(known) == len(parts) else None


def _dollars(value: object) -> Decimal | None:
    price = _number(value)
    return price if price is not None and 0 <= price <= MOST_DOLLARS else None


def _number(value: object) -> Decimal | None:
    """A finite number, however it is written."""
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        return None
    try:
        number = Decimal(value.strip() if isinstance(value, str) else value)
    except ArithmeticError:
        return None
    return number if number.is_finite() else None
