"""The values of a draft that a form shows, and what was changed in the form written into its YAML.

Both are sent together. A value that was left as it was shown is not written, so that the text keeps
its comments and its order.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from agents.config import read_if_valid
from agents.config.yaml.source import parse, plain
from agents.config.yaml.text import with_value, without
from agents.models import AgentInstance
from agents.runtime.tools import tool_names

KEYS: Final = ("model", "system_prompt", "temperature", "tools")
# What the text says of a key that it does not have.
UNSET: Final = object()


@dataclass(frozen=True, slots=True)
class FormValues:
    """What the form shows: each key's value as typed; `shown` is sent back with it.

    A key whose value is of another kind than the form can show is in `others`.
    """

    values: Mapping[str, Any]
    shown: Mapping[str, list[str]]
    others: frozenset[str]

    @property
    def tools(self) -> list[str]:
        """Every tool there is, and those that the text names."""
        return list(dict.fromkeys([*tool_names(), *self.values["tools"]]))


def form_values(instance: AgentInstance, text: str) -> FormValues | None:
    """Return what the form shows for a text over the files; None for a text that is no YAML."""
    document = parse(text)
    if document.faults:
        return None
    files = read_if_valid(*instance.folder)
    content = (files.content if files else {}) | document.content
    others = frozenset(key for key in KEYS if not _fits(key, content.get(key)))
    values = {key: _typed(key, None if key in others else content.get(key)) for key in KEYS}
    shown = {key: [_digest(values[key]), _digest(document.content.get(key, UNSET))] for key in KEYS}
    return FormValues(values, shown, others)


class ChangedTwice(Exception):
    """Keys were changed in the form and in the text, each in another way."""

    def __init__(self, keys: list[str]) -> None:
        self.keys = keys
        names = ", ".join(f"“{key}”" for key in keys)
        super().__init__(f"{names} was changed in the form and in the YAML.")


@dataclass(frozen=True, slots=True)
class Merged:
    """The text with what was changed in the form; `waits`: a broken text could not take it."""

    text: str
    waits: bool = False


def merged(text: str, typed: Mapping[str, Any], shown: Mapping[str, Any]) -> Merged:
    """Write into a text what was typed in a form that showed `shown`.

    An empty value takes the key out: the files decide it. A text that is no YAML stays as it is.
    Raises ChangedTwice.
    """
    conflicts = []
    for key in KEYS:
        if key not in typed or key not in shown or _digest(typed[key]) == shown[key][0]:
            continue
        document = parse(text)
        if document.faults:
            return Merged(text, waits=True)
        wanted, now = _wanted(key, typed[key], document.content), document.content.get(key, UNSET)
        if wanted == now and type(wanted) is type(now):
            continue
        if _digest(now) != shown[key][1]:
            conflicts.append(key)
        elif wanted is not UNSET:
            text = with_value(text, key, wanted)
        elif now is not UNSET:
            text = without(text, key)
    if conflicts:
        raise ChangedTwice(conflicts)
    return Merged(text)


def _fits(key: str, value: Any) -> bool:
    if key == "tools":
        is_list = isinstance(value, list | tuple)
        return value is None or (is_list and all(isinstance(each, str) for each in value))
    if key == "temperature":
        return value is None or isinstance(value, str | int | float)
    return value is None or isinstance(value, str)


def _typed(key: str, value: Any) -> Any:
    """Return the value as the form has it: a text, or the list of tools."""
    if key == "tools":
        return list(value or [])
    return "" if value is None else str(value)


def _wanted(key: str, typed: Any, content: Mapping[str, Any]) -> Any:
    """Return what the text is to say; UNSET for nothing."""
    if key == "tools":
        # Those that stay keep their order.
        before = content.get("tools")
        kept = [each for each in before or [] if each in typed] if _fits(key, before) else []
        return kept + [each for each in typed if each not in kept]
    if not typed.strip():
        return UNSET
    if key == "temperature":
        return plain(typed.strip())
    return typed if key == "system_prompt" else typed.strip()


def _digest(value: Any) -> str:
    if value is UNSET:
        return ""
    if isinstance(value, list):
        # The order of boxes says nothing.
        value = sorted(value, key=str)
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
