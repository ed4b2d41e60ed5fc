"""Checks an answer against the format that the caller asked for.

The schema comes from a caller: it is bounded and refers to nothing outside of itself. What is not
plainly cheap is checked in a process of its own, so that no schema holds up the event loop.
"""

import asyncio
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import msgspec

from agents.runtime.events import TextDelta
from agents.runtime.providers.base import ChatMessage, OutputFormat
from agents.runtime.schema_work import (
    InvalidSchema,
    TooMuchWork,
    fault,
    fault_apart,
    is_cheap,
)
from agents.runtime.tools.prepare import DEEPEST, is_too_deep, unfenced

__all__ = ["InvalidSchema", "OutputCheck", "require_usable"]

LARGEST_SCHEMA = 64 * 1024
# Characters of the problem and of the refused answer, as the model reads them again.
LONGEST_PROBLEM, LONGEST_REFUSED = 1_000, 16_000
# So many processes check at once, of all callers together.
_processes = ThreadPoolExecutor(max_workers=2, thread_name_prefix="schemas")


class OutputCheck:
    """The check of one run: the first answer that fails it is asked for again, the second ends it.

    No text is shown before it has passed: a caller who reads a stream cannot take it back.
    """

    def __init__(self, wanted: OutputFormat) -> None:
        self._wanted = wanted
        self.followup: tuple[ChatMessage, ...] = ()

    @property
    def was_refused(self) -> bool:
        return bool(self.followup)

    async def accepted(self, text: str) -> TextDelta | None:
        """Return the answer without fences around it, None where it is not as it must be."""
        text = unfenced(text)
        problem = await self._problem(text)
        if problem is None:
            return TextDelta(text)
        self.followup = (
            ChatMessage("assistant", text[:LONGEST_REFUSED]),
            ChatMessage("user", f"That is not valid. {problem} {self._wanted.instruction}"),
        )
        return None

    async def _problem(self, text: str) -> str | None:
        try:
            value = json.loads(text, parse_constant=_refuse)
            # Half of a surrogate pair can be neither sent nor stored.
            text.encode()
        except (ValueError, RecursionError) as error:
            return f"It is no JSON: {error}."[:LONGEST_PROBLEM]
        if self._wanted.schema is None:
            return None if isinstance(value, dict) else "It is no JSON object."
        try:
            found = await _checked(self._wanted.schema, len(text), value)
        except TooMuchWork:
            return "Checking it against the schema takes too much work."
        return found and found[:LONGEST_PROBLEM]


async def require_usable(schema: Mapping[str, Any]) -> None:
    """Raise InvalidSchema for a schema that cannot be used."""
    if len(msgspec.json.encode(schema)) > LARGEST_SCHEMA:
        raise InvalidSchema(f"the schema is larger than {LARGEST_SCHEMA} bytes")
    if is_too_deep(schema):
        raise InvalidSchema(f"the schema is nested deeper than {DEEPEST} levels")
    try:
        await _checked(schema, 0, has_value=False)
    except TooMuchWork:
        raise InvalidSchema("the schema takes too much work") from None


async def _checked(
    schema: Mapping[str, Any], size: int, value: Any = None, *, has_value: bool = True
) -> str | None:
    if is_cheap(schema, size):
        return fault(schema, value, has_value=has_value)
    check = partial(fault_apart, schema, value, has_value=has_value)
    return await asyncio.get_running_loop().run_in_executor(_processes, check)


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
