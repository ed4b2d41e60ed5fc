"""Makes a model's tool calls safe to run and valid to send back."""

import json
import re
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any

from msgspec.structs import replace

from agents.runtime.conversation import call_id
from agents.runtime.events import ToolCall

EMPTY = "{}"
# JSON within JSON text, or within fences, is unwrapped so many times.
MOST_WRAPPINGS = 3
DEEPEST = 64
LONGEST_NAME = 64
# After these finish reasons the answer, or its last call, may be incomplete.
CUT = frozenset({"length", "content_filter"})
_FENCE = "```"
_NO_NAME = re.compile(r"[^a-zA-Z0-9_-]")
_BYTE_ORDER_MARK = "\ufeff"


class UnreadableArguments(ValueError):
    """The arguments are no JSON object; the text is for the model."""


def prepared(calls: Iterable[ToolCall], *, before: int, finish_reason: str) -> list[ToolCall]:
    """Give each call our own id, a valid name and arguments that are a JSON object.

    `before` is the number of calls that the turn has made so far. A call that must not run has a
    `problem`, which the model reads, and the arguments `{}`.
    """
    numbers = count(before + 1)
    return [_prepared(call, next(numbers), was_cut=finish_reason in CUT) for call in calls]


def _prepared(call: ToolCall, number: int, *, was_cut: bool) -> ToolCall:
    name, problem = _name(call.name)
    try:
        arguments = read_arguments(call.arguments)
    except UnreadableArguments as error:
        arguments, problem = EMPTY, problem or f"These arguments are not valid. {error}"
    if was_cut and arguments == EMPTY:
        # Which arguments are missing is unknown.
        problem = "The call was cut off before its arguments were complete. It was not run."
    return replace(call, id=call_id(number), name=name, arguments=arguments, problem=problem)


def read_arguments(text: str) -> str:
    """Return the text's JSON object if it is unambiguous; raises UnreadableArguments.

    Nothing at all, `null` and an empty list mean an object without members. An object is returned
    as it was written.
    """
    for _ in range(MOST_WRAPPINGS):
        text = unfenced(text)
        if not text:
            return EMPTY
        value = _parse(text)
        if value is None or value == []:
            return EMPTY
        if isinstance(value, dict):
            if is_too_deep(value):
                raise UnreadableArguments("They are nested too deep.")
            return text if value else EMPTY
        if not isinstance(value, str):
            kind = "a list" if isinstance(value, list) else "a single value"
            raise UnreadableArguments(f"Write one JSON object, not {kind}.")
        text = value
    raise UnreadableArguments("Write one JSON object, not a text that holds one.")


def unfenced(text: str) -> str:
    """Return what stands within the fence around a text, if there is one."""
    text = text.strip().strip(_BYTE_ORDER_MARK).strip()
    if len(text) < 2 * len(_FENCE) or not (text.startswith(_FENCE) and text.endswith(_FENCE)):
        return text
    inner = text.removeprefix(_FENCE).removesuffix(_FENCE)
    return (inner[len("json") :] if inner[: len("json")].lower() == "json" else inner).strip()


def _parse(text: str) -> Any:
    try:
        value = json.loads(
            text,
            object_pairs_hook=_members,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
        # Also the JSON as written may hold half of a surrogate pair, which cannot be sent.
        json.dumps(value, ensure_ascii=False).encode()
        text.encode()
    except UnreadableArguments:
        raise
    except json.JSONDecodeError as error:
        raise UnreadableArguments(_syntax(error)) from None
    except UnicodeEncodeError:
        raise UnreadableArguments("They hold half of a surrogate pair.") from None
    except RecursionError:
        raise UnreadableArguments("They are nested too deep.") from None
    except ValueError:
        # Python reads no number of more than 4,300 digits.
        raise UnreadableArguments("They hold a number that is too large.") from None
    return value


def _syntax(error: json.JSONDecodeError) -> str:
    if error.msg.startswith("Extra data"):
        return f"After the JSON there is more, from character {error.pos + 1} on: write one object."
    return f"They are no JSON, or are cut off: {error.msg} at character {error.pos + 1}."


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise UnreadableArguments("One object has the same name twice.")
    return members


def _no_constant(name: str) -> Any:
    raise UnreadableArguments(f"{name} is no JSON.")


def _finite(text: str) -> float:
    number = float(text)
    if number in {float("inf"), float("-inf")}:
        raise UnreadableArguments("They hold a number that is too large.")
    return number


def is_too_deep(value: Any) -> bool:
    """Whether a JSON value is nested deeper than DEEPEST levels."""
    level = [value]
    for _ in range(DEEPEST):
        level = [
            inner
            for outer in level
            if isinstance(outer, Mapping | list)
            for inner in (outer.values() if isinstance(outer, Mapping) else outer)
        ]
        if not level:
            return False
    return True


def _name(name: str) -> tuple[str, str]:
    """Return a name that providers take back, and what is wrong with the one that was sent."""
    sent = name.strip()
    if not sent:
        return "unnamed", "The call does not say which tool it is for."
    valid = _NO_NAME.sub("_", sent)[:LONGEST_NAME]
    return valid, "" if valid == sent else "There is no tool with this name."
