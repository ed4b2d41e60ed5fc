"""What calls cost in US dollars: as reported, else by own prices, else by public lists."""

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache

import msgspec
from genai_prices import Usage, calc_price

from agents.costs.own_prices import NO_PRICES, ModelPrice, OwnPrices
from agents.runtime.events import ModelCall
from salient.api.lifespan import on_start
from salient.database.storable import MOST_DECIMAL

SMALLEST = Decimal("0.00000001")
ZERO = Decimal(0).quantize(SMALLEST)
FREE_PROVIDERS = frozenset({"local", "scripted"})
# Servers of one's own: what they cost is not in any list, and a list may know a namesake.
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
    """Dollars with eight places. None is "unknown", which is not zero."""

    prompt_cost: Decimal | None
    completion_cost: Decimal | None
    total_cost: Decimal | None
    source: CostSource


UNKNOWN = Price(None, None, None, CostSource.UNKNOWN)
FREE = Price(ZERO, ZERO, ZERO, CostSource.FREE)


# Seconds for which a price is kept: some depend on the time of day. A day has a whole number.
MOMENT_SECONDS = 300


def moment() -> int:
    """Return what prices are kept by."""
    return int(time.time() // MOMENT_SECONDS)


def price(call: ModelCall, own: OwnPrices = NO_PRICES) -> Price:
    """What one call costs, with the account's own prices; a reported cost has no parts."""
    return _price(call, own, moment())


@lru_cache(maxsize=1024)
def _price(call: ModelCall, own: OwnPrices, moment: int) -> Price:
    """Kept, for what settles a turn asks several times."""
    reported = call.reported_cost
    # What is no amount is not reported: a cost below nothing would give a budget something back.
    if reported is not None and reported.is_finite() and reported >= 0:
        return Price(None, None, _dollars(reported), CostSource.REPORTED)
    if _was_refused(call):
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
    """Read the price lists, which takes a quarter of a second, before the first turn would."""
    price(ModelCall("openai", "gpt-4o-mini", 1, 1))


def total(calls: Iterable[ModelCall], own: OwnPrices = NO_PRICES) -> Price:
    """What the calls of one turn cost together; unknown as soon as one part of it is."""
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


def _configured(call: ModelCall, own: ModelPrice) -> Price:
    cached = min(call.cached_tokens, call.input_tokens)
    prompt = _dollars(own.prompt_cost(call.input_tokens, cached))
    completion = _dollars(own.completion_cost(call.output_tokens))
    return Price(prompt, completion, prompt + completion, CostSource.CONFIGURED)


def _listed(call: ModelCall) -> Price:
    usage = Usage(
        input_tokens=call.input_tokens,
        output_tokens=call.output_tokens,
        # A provider that counts more from its cache than it read at all is not to be believed.
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
    """The provider did no work: not an estimate, but a certain zero."""
    return bool(call.error) and not (call.estimated or call.input_tokens or call.output_tokens)


def _source(sources: set[CostSource]) -> CostSource:
    if CostSource.UNKNOWN in sources:
        return CostSource.UNKNOWN
    # What is free changes neither the sum nor where it comes from.
    paid = sources - {CostSource.FREE}
    if len(paid) > 1:
        return CostSource.MIXED
    return paid.pop() if paid else CostSource.FREE


def _sum(costs: Iterable[Decimal | None]) -> Decimal | None:
    """A sum over nothing is zero; one over anything unknown is unknown."""
    result = ZERO
    for cost in costs:
        if cost is None:
            return None
        result += cost
    return result


def _dollars(amount: Decimal) -> Decimal:
    return min(amount, MOST_DECIMAL).quantize(SMALLEST)
