"""Prices of calls in US dollars: as reported, else by own prices, else by public lists."""

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

import msgspec
from genai_prices import Usage, calc_price

from agents.costs.own_prices import NO_PRICES, ModelPrice, OwnPrices
from agents.runtime.events import ModelCall
from agents.runtime.providers.registry import registered_providers
from salient.api.lifespan import on_start
from salient.database.storable import MOST_DECIMAL

SMALLEST = Decimal("0.00000001")
ZERO = Decimal(0).quantize(SMALLEST)
FREE_PROVIDERS = frozenset(each.name for each in registered_providers() if each.is_free)
# Self-hosted servers: no list has their prices, but a list may have a model of the same name.
OWN_SERVERS = frozenset({"ollama", "lmstudio", "vllm", "llamacpp"})
# Where our name differs from the one in the price lists.
LISTED_AS = {"xai": "x-ai", "bedrock": "aws", "google-cloud": "google"}


class CostSource(StrEnum):
    REPORTED = "reported"
    GENAI_PRICES = "genai-prices"
    FREE = "free"
    CONFIGURED = "configured"
    MIXED = "mixed"
    UNKNOWN = "unknown"


class Price(msgspec.Struct, frozen=True):
    """Dollars with eight decimal places; None is unknown, which is not zero."""

    prompt_cost: Decimal | None
    completion_cost: Decimal | None
    total_cost: Decimal | None
    source: CostSource


UNKNOWN = Price(None, None, None, CostSource.UNKNOWN)
FREE = Price(ZERO, ZERO, ZERO, CostSource.FREE)


# Seconds for which a price is cached: some depend on the time of day. It divides a day evenly.
MOMENT_SECONDS = 300


def moment() -> int:
    """Return the part of the cache's key that changes with the time."""
    return int(time.time() // MOMENT_SECONDS)


def price(call: ModelCall, own: OwnPrices = NO_PRICES) -> Price:
    """Return what one call costs by these prices; a reported cost has no parts."""
    priced = _Priced(
        call.provider, call.model, call.input_tokens, call.output_tokens, call.cached_tokens
    )
    return _price(priced, call.reported_cost, own, moment(), was_refused=_was_refused(call))


class _Priced(NamedTuple):
    """What a listed or a configured price depends on."""

    provider: str
    model: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int


@lru_cache(maxsize=1024)
def _price(
    call: _Priced, reported: Decimal | None, own: OwnPrices, moment: int, *, was_refused: bool
) -> Price:
    """Cached, because settling a turn asks for it several times."""
    # Only amounts count as reported: a negative cost would add to what is left of a budget.
    if reported is not None and reported.is_finite() and reported >= 0:
        return Price(None, None, _dollars(reported), CostSource.REPORTED)
    if was_refused:
        return FREE
    day = datetime.fromtimestamp(moment * MOMENT_SECONDS, UTC).date()
    if (configured := own.of(f"{call.provider}:{call.model}", day)) is not None:
        return _configured(call, configured)
    if call.provider in FREE_PROVIDERS:
        return FREE
    if call.provider in OWN_SERVERS:
        return UNKNOWN
    return _listed(call)


@on_start
def load_lists() -> None:
    """Load the price lists before the first turn; it takes a quarter of a second."""
    price(ModelCall("openai", "gpt-4o-mini", 1, 1))


def total(calls: Iterable[ModelCall], own: OwnPrices = NO_PRICES) -> Price:
    """Return what the calls of one turn cost together; unknown when one of them is."""
    prices = [price(call, own) for call in calls]
    if len(prices) == 1:
        return prices[0]
    source = _source({each.source for each in prices})
    return Price(
        _sum(each.prompt_cost for each in prices),
        _sum(each.completion_cost for each in prices),
        _sum(each.total_cost for each in prices),
        source,
    )


def _configured(call: _Priced, own: ModelPrice) -> Price:
    cached = min(call.cached_tokens, call.input_tokens)
    prompt = _dollars(own.prompt_cost(call.input_tokens, cached))
    completion = _dollars(own.completion_cost(call.output_tokens))
    return Price(prompt, completion, prompt + completion, CostSource.CONFIGURED)


def _listed(call: _Priced) -> Price:
    usage = Usage(
        input_tokens=call.input_tokens,
        output_tokens=call.output_tokens,
        # A provider may report more cached tokens than input tokens.
        cache_read_tokens=min(call.cached_tokens, call.input_tokens),
    )
    provider = LISTED_AS.get(call.provider, call.provider)
    try:
        found = calc_price(usage, call.model, provider_id=provider)
    except (LookupError, ValueError):
        return UNKNOWN
    prompt, completion = _dollars(found.input_price), _dollars(found.output_price)
    return Price(prompt, completion, _dollars(found.total_price), CostSource.GENAI_PRICES)


def _was_refused(call: ModelCall) -> bool:
    """Whether the provider refused the call and did no work, so that it costs nothing."""
    return bool(call.error) and not (call.estimated or call.input_tokens or call.output_tokens)


def _source(sources: set[CostSource]) -> CostSource:
    if CostSource.UNKNOWN in sources:
        return CostSource.UNKNOWN
    # A free call changes neither the sum nor its source.
    paid = sources - {CostSource.FREE}
    if len(paid) > 1:
        return CostSource.MIXED
    return paid.pop() if paid else CostSource.FREE


def _sum(costs: Iterable[Decimal | None]) -> Decimal | None:
    """Return the sum, zero for no costs; None when one of them is unknown."""
    result = ZERO
    for cost in costs:
        if cost is None:
            return None
        result += cost
    return result


def _dollars(amount: Decimal) -> Decimal:
    return min(amount, MOST_DECIMAL).quantize(SMALLEST)
