"""Says what differs between two configurations: value by value, and line by line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher, unified_diff
from itertools import zip_longest
from typing import Any

from agents.config.effective import EffectiveConfig
from agents.config.layers import leaves

type Numbered = list[tuple[int, str]]
# How many unchanged lines are shown around a change.
CONTEXT = 3
MOST_EXACT = 1_000


@dataclass(frozen=True, slots=True)
class Change:
    """A key that has another value, or the same value from another place."""

    key: str
    old: str
    new: str
    old_origin: str = ""
    new_origin: str = ""

    @property
    def same_value(self) -> bool:
        return self.old == self.new

    @property
    def lines(self) -> list[Line]:
        """The change line by line, for texts of several lines."""
        long = "\n" in self.old or "\n" in self.new
        return [] if self.same_value or not long else side_by_side(self.old, self.new)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of two texts beside each other; a number of None: there is no such line there."""

    kind: str
    old_number: int | None = None
    old: str = ""
    new_number: int | None = None
    new: str = ""


def changes(old: EffectiveConfig | None, new: EffectiveConfig) -> list[Change]:
    """List what changes when the new one takes the place of the old one, or of nothing."""
    before, origins = (old.content, old.origins) if old else ({}, {})
    found = content_changes(before, new.content)
    by_key = {change.key: change for change in found}
    keys = dict.fromkeys([*(key for key, _ in leaves(new.content)), *by_key])
    return list(_with_origins(keys, by_key, new, origins))


def _with_origins(
    keys: Mapping[str, None],
    by_key: Mapping[str, Change],
    new: EffectiveConfig,
    origins: Mapping[str, str],
) -> Iterator[Change]:
    values = {key: shown(value) for key, value in leaves(new.content)}
    for key in keys:
        was, now = origins.get(key, ""), new.origins.get(key, "")
        if key in by_key:
            yield Change(key, by_key[key].old, by_key[key].new, was, now)
        elif was != now:
            yield Change(key, values[key], values[key], was, now)


def content_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """List the keys whose values differ, as texts."""
    before = {key: shown(value) for key, value in leaves(old)}
    after = {key: shown(value) for key, value in leaves(new)}
    return [
        Change(key, before.get(key, ""), after.get(key, ""))
        for key in dict.fromkeys([*after, *before])
        if before.get(key) != after.get(key)
    ]


def shown(value: object) -> str:
    """Write a value as people read it; nothing when it is not set."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return ", ".join(map(shown, value))
    return json.dumps(value, ensure_ascii=False)


def unified(old: str, new: str, *, names: tuple[str, str] = ("before", "after")) -> str:
    """Return the difference as `diff -u` writes it; nothing when there is none."""
    lines = unified_diff(old.splitlines(), new.splitlines(), *names, lineterm="")
    return "".join(f"{line}\n" for line in lines)


def side_by_side(old: str, new: str) -> list[Line]:
    """Put two texts beside each other; what is far from every change is one line `skip`."""
    before, after = _numbered(old), _numbered(new)
    # Of very long texts with few different lines the exact way takes minutes.
    is_long = max(len(before), len(after)) > MOST_EXACT
    matcher = SequenceMatcher(None, old.splitlines(), new.splitlines(), autojunk=is_long)
    lines: list[Line] = []
    done = 0
    for group in matcher.get_grouped_opcodes(CONTEXT):
        if group[0][1] > done:
            lines.append(Line("skip"))
        for kind, a, b, c, d in group:
            lines += _pairs(kind, before[a:b], after[c:d])
        done = group[-1][2]
    if lines and done < len(before):
        lines.append(Line("skip"))
    return lines


def _numbered(text: str) -> Numbered:
    return list(enumerate(text.splitlines(), 1))


def _pairs(kind: str, before: Numbered, after: Numbered) -> Iterator[Line]:
    for (old_number, old), (number, new) in zip_longest(before, after, fillvalue=(None, "")):
        yield Line(kind, old_number, old, number, new)
