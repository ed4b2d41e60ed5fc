"""The calls of models and tools in a turn, as a request's row stores them for staff to read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from agents.costs import pricing
from agents.costs.own_prices import NO_PRICES, OwnPrices
from agents.runtime.events import ModelCall
from agents.runtime.providers.base import ToolRound
from agents.runtime.run import Run

# Characters: a tool's result may be long, and the row stores its beginning.
LONGEST_RECORDED = 4_000
MOST_RECORDED = 50


def response_body(run: Run, own: OwnPrices, *, kept: bool = True) -> dict[str, Any]:
    """Return what the row keeps: the model's calls, and the tools' where texts are kept."""
    body: dict[str, Any] = {"calls": [recorded_model_call(call, own) for call in run.calls]}
    if not kept:
        return body
    if run.rounds:
        body["tools"] = recorded_tool_calls(run.rounds)
    if run.client_calls:
        body["client_calls"] = [
            {"id": call.id, "name": call.name, "arguments": call.arguments}
            for call in run.client_calls
        ]
    return body


def recorded_model_call(call: ModelCall, own: OwnPrices = NO_PRICES) -> dict[str, Any]:
    """Return a model's call as an entry of `response_body["calls"]`."""
    price = pricing.price(call, own)
    cost = None if price.total_cost is None else str(price.total_cost)
    found: dict[str, Any] = msgspec.to_builtins(call)
    return found | {"total_cost": cost, "cost_source": price.source}


def time_to_first_token_ms(calls: Iterable[ModelCall]) -> int | None:
    """Return the time from the start of the first call; None where no call wrote a token."""
    before = 0
    for call in calls:
        if call.time_to_first_token_ms is not None:
            return before + call.time_to_first_token_ms
        before += call.latency_ms
    return None


def recorded_tool_calls(rounds: Iterable[ToolRound]) -> list[dict[str, Any]]:
    """Return the tool calls for `response_body["tools"]`, in the order in which they were made."""
    found: list[dict[str, Any]] = []
    for each in rounds:
        results = {result.id: result for result in each.results}
        for call in each.calls:
            result = results.get(call.id)
            found.append(
                {
                    "name": call.name,
                    "arguments": shortened(call.arguments),
                    "content": shortened(result.content) if result else "",
                    "is_error": result.is_error if result else not call.is_client,
                }
            )
    return found[:MOST_RECORDED]


def shortened(text: str) -> str:
    """Return the beginning of a text, as it is stored."""
    return text if len(text) <= LONGEST_RECORDED else text[:LONGEST_RECORDED] + " …"
