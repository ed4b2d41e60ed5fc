"""Holds an answer against the format that the caller asked for.

The schema comes from a caller: it is bounded, refers to nothing outside of itself, and its patterns
are matched with a limit on their work.
"""

import json
from collections.abc import Mapping
from typing import Any

import jsonschema_rs
import msgspec

from agents.runtime.events import TextDelta
from agents.runtime.providers.base import ChatMessage, OutputFormat
from agents.runtime.tools.prepare import DEEPEST, unfenced

LARGEST_SCHEMA = 64 * 1024
# What the model is told of its first answer.
LONGEST_PROBLEM, LONGEST_REFUSED = 1_000, 16_000
_PATTERNS = jsonschema_rs.FancyRegexOptions(backtrack_limit=10_000)


class InvalidSchema(ValueError):
    """A schema that cannot be used; the message says why and is for the caller."""


class OutputCheck:
    """The check of one run: the first answer that fails it is asked for again, the second ends it.

    No text is shown before it has passed: a caller who reads a stream cannot take it back.
    """

    def __init__(self, wanted: OutputFormat) -> None:
        self._wanted = wanted
        self._validator = validator(wanted.schema) if wanted.schema is not None else None
        self.followup: tuple[ChatMessage, ...] = ()

    @property
    def was_refused(self) -> bool:
        return bool(self.followup)

    def accepted(self, text: str) -> TextDelta | None:
        """Return the answer without fences around it, None where it is not as it must be."""
        text = unfenced(text)
        problem = self._problem(text)
        if problem is None:
            return TextDelta(text)
        said = text[:LONGEST_REFUSED]
        self.followup = (
            ChatMessage("assistant", said),
            ChatMessage("user", f"That is not valid. {problem} {self._wanted.instruction}"),
        )
        return None

    def _problem(self, text: str) -> str | None:
        try:
            value = json.loads(text, parse_constant=_refuse)
            # Half of a surrogate pair can be neither sent nor stored.
            text.encode()
        except (ValueError, RecursionError) as error:
            return f"It is no JSON: {error}."[:LONGEST_PROBLEM]
        if self._validator is None:
            return None if isinstance(value, dict) else "It is no JSON object."
        fault = next(iter(self._validator.iter_errors(value)), None)
        if fault is None:
            return None
        place = ".".join(str(part) for part in fault.instance_path) or "the whole"
        return f"At {place}: {fault.message}."[:LONGEST_PROBLEM]


def validator(schema: Mapping[str, Any]) -> Any:
    """Return what checks values against the schema; raises InvalidSchema."""
    if len(msgspec.json.encode(schema)) > LARGEST_SCHEMA:
        raise InvalidSchema(f"the schema is larger than {LARGEST_SCHEMA} bytes")
    if _is_deeper(schema, DEEPEST):
        raise InvalidSchema(f"the schema is nested deeper than {DEEPEST} levels")
    try:
        return jsonschema_rs.validator_for(
            dict(schema), retriever=_nothing, pattern_options=_PATTERNS
        )
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        said = str(getattr(error, "message", error)).splitlines()[0]
        raise InvalidSchema(f"this is no usable JSON schema: {said[:200]}") from None


def _nothing(uri: str) -> Any:
    raise ValueError("the schema refers to something outside of itself")


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _is_deeper(value: Any, most: int) -> bool:
    level = [value]
    for _ in range(most):
        level = [
            inner
            for outer in level
            if isinstance(outer, Mapping | list)
            for inner in (outer.values() if isinstance(outer, Mapping) else outer)
        ]
        if not level:
            return False
    return True
