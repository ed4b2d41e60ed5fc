"""The cost estimate of a run before it starts, and its billable cost afterwards."""

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

# A high estimate: texts of any language have fewer tokens than half their bytes.
BYTES_A_TOKEN = 2
TOKENS_A_MESSAGE = 8
TOKENS_A_TOOL_RESULT = 2_000
# A run that uses its tools more often than this may cost more than was reserved.
MOST_ROUNDS = 5
# Tokens of input beyond the fixed part, for which prices are compared; each 10 % above the last.
LENGTHS = tuple(round(1_000 * 1.1**number) for number in range(82))


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """The most dollars that a run may cost: a base, and more for each byte and message it reads.

    The database adds the history, which only it has read (app_open_turns).
    """

    cost: Decimal
    per_byte: Decimal
    per_message: Decimal

    def of(self, messages: Iterable[ChatMessage], texts: Iterable[str] = ()) -> Decimal:
        """Return the dollars for a run that reads these messages, and texts of its caller's."""
        cost = self.cost
        for message in messages:
            cost += self.per_byte * len(message.content.encode()) + self.per_message
            if message.calls or message.attachments:
                cost += self.per_byte * _more_bytes(message)
        for text in texts:
            cost += self.per_byte * len(text.encode()) + self.per_message
        return min(cost, MOST_DECIMAL).quantize(SMALLEST)


def _more_bytes(message: ChatMessage) -> int:
    """Return how many bytes of text cost as much as what a message has besides its own."""
    size = sum(len(call.name) + len(call.arguments.encode()) for call in message.calls)
    return size + BYTES_A_TOKEN * sum(each.tokens for each in message.attachments)


def cost_estimate(request: RunRequest, own: OwnPrices = NO_PRICES) -> CostEstimate:
    """Estimate the run before its messages are known; the most expensive of its models decides.

    Every call is assumed to read all that was read and written before, and to write all it may.
    """
    return _cost_estimate(
        request.models,
        request.system_prompt,
        request.tools,
        request.max_tokens or settings.DEFAULT_OUTPUT_TOKENS,
        # A wrong call of the caller's own tools is answered here, and the model called again. An
        # answer in a wrong format is asked for once more.
        (min(request.max_tool_rounds, MOST_ROUNDS) if request.tools or request.client_tools else 0)
        + (request.output_format is not None),
        own,
        settings.UNKNOWN_PRICE_PER_MTOK,
        pricing.moment(),
    )


@lru_cache(maxsize=1024)
def _cost_estimate(
    models: tuple[str, ...],
    system_prompt: str,
    tools: tuple[str, ...],
    written: int,
    rounds: int,
    own: OwnPrices,
    _assumed_price: Decimal,
    _moment: int,
) -> CostEstimate:
    texts = [system_prompt, *map(_tool_text, tools)]
    size = sum(len(text.encode()) for text in texts)
    fixed = size // BYTES_A_TOKEN + TOKENS_A_MESSAGE * len(texts)
    each = [_of_model(model, fixed, written, rounds, own) for model in models]
    per_token = max(per_token for _, per_token in each)
    cost = max(cost for cost, _ in each)
    return CostEstimate(cost, per_token / BYTES_A_TOKEN, per_token * TOKENS_A_MESSAGE)


def _of_model(
    model: str, fixed: int, written: int, rounds: int, own: OwnPrices
) -> tuple[Decimal, Decimal]:
    """Return what a model's run may cost without its messages, and for each token of them.

    Of a model without a known price the first call alone is reserved: rounds would multiply what is
    only assumed, and refuse a budget that is a thousand times the billable cost.
    """
    calls = 1 if is_unpriced(model, own) else rounds + 1
    grown = sum(number * (written + TOKENS_A_TOOL_RESULT) for number in range(calls))
    read, written = calls * fixed + grown, calls * written
    # The first term has the price of a call itself once.
    cost = _dollars(model, read, written, own) + (calls - 1) * _dollars(model, 0, 0, own)
    return cost, _per_token(model, read, written, own) * calls


def unpriced(request: RunRequest, own: OwnPrices = NO_PRICES) -> list[str]:
    """Return those of the run's models that have no known price."""
    return [model for model in request.models if is_unpriced(model, own)]


def is_unpriced(model: str, own: OwnPrices) -> bool:
    return _known(model, 1, 1, own) is None


def _per_token(model: str, read: int, written: int, own: OwnPrices) -> Decimal:
    """Return what one more token costs where it costs most: some prices rise with the length.

    Each length is priced as the next one, because a price may rise anywhere between them.
    """
    least = _dollars(model, read, written, own)
    return max(
        (_dollars(model, read + longer, written, own) - least) / length
        for length, longer in pairwise((1_000, *LENGTHS))
    )


def billable_cost(calls: Iterable[ModelCall], own: OwnPrices = NO_PRICES) -> Decimal:
    """Return what the calls count against budgets: their price, else the assumed one."""
    total = ZERO
    for call in calls:
        cost = pricing.price(call, own).total_cost
        total += assumed(call.input_tokens + call.output_tokens) if cost is None else cost
    return total


def assumed(tokens: int) -> Decimal:
    """Return the dollars for tokens of a model without a known price."""
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
