"""The most that a run may cost, before it starts; and what a run counts, after it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise

from django.conf import settings

from agents.costs import pricing
from agents.costs.own_prices import NO_PRICES, OwnPrices
from agents.costs.pricing import SMALLEST, ZERO
from agents.runtime.events import ModelCall
from agents.runtime.providers.base import ChatMessage
from agents.runtime.run import RunRequest
from agents.runtime.tools import TOOLS
from salient.database.storable import MOST_DECIMAL

# Generous: texts of any language have fewer tokens than half their bytes.
BYTES_A_TOKEN = 2
TOKENS_A_MESSAGE = 8
TOKENS_A_TOOL_RESULT = 2_000
# A run that uses its tools more often than this may cost more than was set aside.
MOST_ROUNDS = 5
# How much longer than its fixed part the input may get, in tokens: each a tenth more than the last.
LENGTHS = tuple(round(1_000 * 1.1**number) for number in range(82))


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """The most dollars that a run may cost: so much, and more for each byte and message it reads.

    The database adds the history, which nobody else has read yet (app_open_turn).
    """

    cost: Decimal
    per_byte: Decimal
    per_message: Decimal

    def of(self, messages: Iterable[ChatMessage]) -> Decimal:
        """Return the dollars for a run that reads these messages."""
        cost = self.cost
        for message in messages:
            cost += self.per_byte * len(message.content.encode()) + self.per_message
        return min(cost, MOST_DECIMAL).quantize(SMALLEST)


def cost_estimate(request: RunRequest, own: OwnPrices = NO_PRICES) -> CostEstimate:
    """Say what the run may cost before its messages are known; the dearest of its models decides.

    Every call reads what was read and written before it, and writes all that it may.
    """
    return _ceiling(
        request.models,
        request.system_prompt,
        request.tools,
        request.max_tokens or settings.DEFAULT_OUTPUT_TOKENS,
        min(request.max_tool_rounds, MOST_ROUNDS) if request.tools else 0,
        own,
        settings.UNKNOWN_PRICE_PER_MTOK,
        pricing.moment(),
    )


@lru_cache(maxsize=1024)
def _ceiling(
    models: tuple[str, ...],
    system_prompt: str,
    tools: tuple[str, ...],
    written: int,
    rounds: int,
    own: OwnPrices,
    _assumed_price: Decimal,
    _moment: int,
) -> CostEstimate:
    fixed = _fixed_tokens(system_prompt, tools)
    each = [_of_model(model, fixed, written, rounds, own) for model in models]
    per_token = max(per_token for _, per_token in each)
    cost = max(cost for cost, _ in each)
    return CostEstimate(cost, per_token / BYTES_A_TOKEN, per_token * TOKENS_A_MESSAGE)


def _of_model(
    model: str, fixed: int, written: int, rounds: int, own: OwnPrices
) -> tuple[Decimal, Decimal]:
    """Return what a model's run may cost without its messages, and for each token of them.

    Where nobody knows its price, the first call alone is set aside: rounds would multiply what is
    only assumed, and refuse a budget that is a thousand times what the call will count.
    """
    calls = 1 if is_unpriced(model, own) else rounds + 1
    grown = sum(number * (written + TOKENS_A_TOOL_RESULT) for number in range(calls))
    read, written = calls * fixed + grown, calls * written
    # What a call costs beside its tokens is in the first part once.
    cost = _dollars(model, read, written, own) + (calls - 1) * _dollars(model, 0, 0, own)
    return cost, _per_token(model, read, written, own) * calls


def unpriced(request: RunRequest, own: OwnPrices = NO_PRICES) -> list[str]:
    """Return those of the run's models whose price nobody knows."""
    return [model for model in request.models if is_unpriced(model, own)]


def is_unpriced(model: str, own: OwnPrices) -> bool:
    return _known(model, 1, 1, own) is None


def _fixed_tokens(system_prompt: str, tools: tuple[str, ...]) -> int:
    texts = [system_prompt, *map(_tool_text, tools)]
    size = sum(len(text.encode()) for text in texts)
    return size // BYTES_A_TOKEN + TOKENS_A_MESSAGE * len(texts)


def _per_token(model: str, read: int, written: int, own: OwnPrices) -> Decimal:
    """Return what a token more costs where it costs most: some prices rise with the length.

    Each length pays what the next one costs, for a price may rise anywhere between them.
    """
    least = _dollars(model, read, written, own)
    return max(
        (_dollars(model, read + longer, written, own) - least) / length
        for length, longer in pairwise((1_000, *LENGTHS))
    )


def billable_cost(calls: Iterable[ModelCall], own: OwnPrices = NO_PRICES) -> Decimal:
    """Return what the calls count against budgets: what they cost, else what is assumed."""
    return sum((_charge(call, own) for call in calls), ZERO)


def _charge(call: ModelCall, own: OwnPrices) -> Decimal:
    cost = pricing.price(call, own).total_cost
    return assumed(call.input_tokens + call.output_tokens) if cost is None else cost


def assumed(tokens: int) -> Decimal:
    """Return what so many tokens of a model without a known price are taken to cost."""
    cost: Decimal = settings.UNKNOWN_PRICE_PER_MTOK * tokens / 1_000_000
    return min(cost, MOST_DECIMAL).quantize(SMALLEST)


def _dollars(model: str, read: int, written: int, own: OwnPrices) -> Decimal:
    cost = _known(model, read, written, own)
    return assumed(read + written) if cost is None else cost


def _known(model: str, read: int, written: int, own: OwnPrices) -> Decimal | None:
    provider, _, name = model.partition(":")
    return pricing.price(ModelCall(provider, name, read, written), own).total_cost


@lru_cache(maxsize=64)
def _tool_text(name: str) -> str:
    spec = TOOLS[name].spec
    return f"{spec.name}{spec.description}{json.dumps(spec.parameters)}"
