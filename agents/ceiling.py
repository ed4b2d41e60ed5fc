"""The most that a run may cost, before it starts; and what a run counts, after it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache

from django.conf import settings

from agents import pricing
from agents.pricing import SMALLEST, ZERO
from agents.runtime.events import ModelCall
from agents.runtime.run import RunRequest
from agents.runtime.tools import TOOLS

# Generous: texts of any language have fewer tokens than half their bytes.
BYTES_A_TOKEN = 2
TOKENS_A_MESSAGE = 8
TOKENS_A_TOOL_RESULT = 2_000
# A run that uses its tools more often than this may cost more than was set aside.
MOST_ROUNDS = 5
# Prices are asked for in steps of input, so that they are found again.
INPUT_STEP = 256
STORABLE = Decimal(9_999)


def ceiling(request: RunRequest) -> Decimal:
    """Return the most dollars that the run may cost; the dearest of its models decides.

    Every call reads what was read and written before it, and writes all that it may.
    """
    written = request.max_tokens or settings.DEFAULT_OUTPUT_TOKENS
    rounds = min(request.max_tool_rounds, MOST_ROUNDS) if request.tools else 0
    grown = sum(number * (written + TOKENS_A_TOOL_RESULT) for number in range(rounds + 1))
    read = (rounds + 1) * input_tokens(request) + grown
    read += -read % INPUT_STEP
    dearest = max(_dollars(model, read, written * (rounds + 1)) for model in request.models)
    return min(dearest, STORABLE)


def input_tokens(request: RunRequest) -> int:
    """Return a number of tokens that the model's input does not reach."""
    texts = [request.system_prompt, *(message.content for message in request.messages)]
    texts += [_tool_text(name) for name in request.tools]
    size = sum(len(text.encode()) for text in texts)
    return size // BYTES_A_TOKEN + TOKENS_A_MESSAGE * len(texts)


def charge(calls: Iterable[ModelCall]) -> Decimal:
    """Return what the calls count against budgets: what they cost, else what is assumed."""
    return sum((_charge(call) for call in calls), ZERO)


def _charge(call: ModelCall) -> Decimal:
    cost = pricing.price(call).total_cost
    return assumed(call.input_tokens + call.output_tokens) if cost is None else cost


def assumed(tokens: int) -> Decimal:
    """Return what so many tokens of a model without a known price are taken to cost."""
    cost: Decimal = settings.UNKNOWN_PRICE_PER_MTOK * tokens / 1_000_000
    return cost.quantize(SMALLEST)


def _dollars(model: str, read: int, written: int) -> Decimal:
    cost = _listed(model, read, written)
    return assumed(read + written) if cost is None else cost


@lru_cache(maxsize=4096)
def _listed(model: str, read: int, written: int) -> Decimal | None:
    provider, _, name = model.partition(":")
    return pricing.price(ModelCall(provider, name, read, written)).total_cost


@lru_cache(maxsize=64)
def _tool_text(name: str) -> str:
    spec = TOOLS[name].spec
    return f"{spec.name}{spec.description}{json.dumps(spec.parameters)}"
