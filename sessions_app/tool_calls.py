"""What the tools of a turn were asked and said, as a request's row keeps it for staff to read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from agents.runtime.providers.base import ToolRound

# A tool may answer with pages; the row keeps their beginnings.
LONGEST_KEPT = 4_000
MOST_KEPT = 50


def kept(rounds: Iterable[ToolRound]) -> list[dict[str, Any]]:
    """Return the calls for `response_body["tools"]`, in the order in which they were made."""
    found: list[dict[str, Any]] = []
    for each in rounds:
        results = {result.id: result for result in each.results}
        for call in each.calls:
            result = results.get(call.id)
            found.append(
                {
                    "name": call.name,
                    "arguments": cut(call.arguments),
                    "content": cut(result.content) if result else "",
                    "is_error": result.is_error if result else True,
                }
            )
    return found[:MOST_KEPT]


def cut(text: str) -> str:
    """Return what is kept of a text."""
    return text if len(text) <= LONGEST_KEPT else text[:LONGEST_KEPT] + " …"
