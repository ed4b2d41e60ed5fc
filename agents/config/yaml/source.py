"""Reads untrusted YAML as plain values, with the line of each key.

The document is built from the parser's events, so a tag never constructs anything and deep nesting
never recurses. Plain words follow the YAML 1.2 core schema (`no` and `12:30` stay text), but all
numbers are decimal. Lines end as in YAML 1.1, whose parser PyYAML is.
Only the building is ours: PyYAML's compose() and ruamel.yaml recurse before a limit of depth
applies, resolve aliases, and do not report each duplicate key with both of its lines.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from agents.config.errors import KeyPath, legible

MAX_BYTES = 64 * 1024
MAX_DEPTH = 20

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INT = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_HINTS = {
    "mapping values are not allowed in this context": 'put a value that holds ": " in quotes',
    "found character that cannot start any token": "indent with spaces and put @, ` or % in quotes",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that YAML or our rules for it forbid."""

    message: str
    line: int | None = None
    path: KeyPath = ()


@dataclass(slots=True)
class Document:
    """What a file says, the line of each key, and what is wrong with it.

    `ends` has the last line of each key's value; of a block text, with the empty lines below it.
    """

    content: dict[str, Any] = field(default_factory=dict)
    lines: dict[KeyPath, int] = field(default_factory=dict)
    ends: dict[KeyPath, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


class Unreadable(Exception):
    """The text cannot be read any further."""

    def __init__(self, message: str, line: int | None = None) -> None:
        self.fault = Fault(message, line)
        super().__init__(message)


def parse(source: str | bytes) -> Document:
    """Read one YAML mapping; every fault is in the document, nothing is raised."""
    document = Document()
    try:
        text = decode(source)
        _Builder(text, document).build()
    except Unreadable as error:
        document.faults.append(error.fault)
    return document


def decode(source: str | bytes) -> str:
    """Return the text of a small UTF-8 file, or raise Unreadable."""
    raw = source.encode("utf-8", "surrogatepass") if isinstance(source, str) else source
    if len(raw) > MAX_BYTES:
        raise Unreadable(f"is larger than {MAX_BYTES // 1024} KB")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable("is not valid UTF-8", raw[: error.start].count(b"\n") + 1) from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise Unreadable("holds a NUL character", line)
    return text


class _Builder:
    def __init__(self, text: str, document: Document) -> None:
        self.text = text
        self.document = document
        self.events = self._events()
        # The last line of what was read, without what stands below a value: comments.
        self.last_line = 0

    def build(self) -> None:
        next(self.events)
        start = next(self.events)
        if isinstance(start, yaml.StreamEndEvent):
            return
        if start.tags:
            self._fault("a %TAG directive is not allowed", start)
        self._top(next(self.events))
        next(self.events)
        if not isinstance(next(self.events), yaml.StreamEndEvent):
            self.document.faults.append(Fault("holds more than one YAML document"))

    def _top(self, event: Any) -> None:
        if isinstance(event, yaml.ScalarEvent) and event.implicit[0] and not event.value:
            return
        value = self._value(event, (), 1)
        if isinstance(value, dict):
            self.document.content = value
        elif not self.document.faults:
            self._fault("must be a mapping of keys to values", event)

    def _events(self) -> Iterator[Any]:
        try:
            event: Any
            for event in yaml.parse(self.text, Loader=_Loader):
                # The end of a block has no signs of its own: it lies where the next key begins.
                if event.end_mark.index > event.start_mark.index:
                    self.last_line = event.end_mark.line + (event.end_mark.column > 0)
                yield event
        except yaml.YAMLError as error:
            raise self._unreadable(error) from None
        # The parser in pure Python lets odd escapes (\UFFFFFFFF) through as these.
        except (ValueError, OverflowError):
            raise Unreadable("YAML: holds a character that does not exist") from None

    def _unreadable(self, error: yaml.YAMLError) -> Unreadable:
        if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
            problem = error.problem or "cannot be understood"
            context = f" {error.context}" if error.context else ""
            hint = f" ({_HINTS[problem]})" if problem in _HINTS else ""
            last = max(1, self.text.rstrip("\n").count("\n") + 1)
            return Unreadable(
                f"YAML: {problem}{context}{hint}", min(error.problem_mark.line + 1, last)
            )
        line = self.text[: getattr(error, "position", 0)].count("\n") + 1
        return Unreadable("YAML: holds a control character", line)

    def _fault(self, message: str, event: Any, path: KeyPath = ()) -> None:
        self.document.faults.append(Fault(message, event.start_mark.line + 1, path))

    def _value(self, event: Any, path: KeyPath, depth: int) -> Any:
        if isinstance(event, yaml.AliasEvent):
            self._fault(
                f"the alias *{event.anchor} is not allowed: write the value out", event, path
            )
            return None
        self._refuse_markers(event, path)
        if isinstance(event, yaml.ScalarEvent):
            return plain(event.value) if event.implicit[0] else event.value
        if depth > MAX_DEPTH:
            raise Unreadable(f"is nested deeper than {MAX_DEPTH} levels", event.start_mark.line + 1)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(path, depth)
        return self._mapping(path, depth)

    def _refuse_markers(self, event: Any, path: KeyPath) -> None:
        if event.anchor:
            self._fault(f"the anchor &{event.anchor} is not allowed", event, path)
        if event.tag:
            self._fault(f"the tag {legible(event.tag)} is not allowed", event, path)

    def _list(self, path: KeyPath, depth: int) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            here = (*path, len(items))
            self.document.lines[here] = event.start_mark.line + 1
            items.append(self._value(event, here, depth + 1))
        return items

    def _mapping(self, path: KeyPath, depth: int) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self._key(event, path, depth)
            here = (*path, key)
            if key in mapping:
                first = self.document.lines[here]
                self._fault(f"is already set on line {first}", event, here)
            self.document.lines.setdefault(here, event.start_mark.line + 1)
            mapping[key] = self._value(next(self.events), here, depth + 1)
            self.document.ends[here] = self.last_line
        return mapping

    def _key(self, event: Any, path: KeyPath, depth: int) -> str:
        if isinstance(event, yaml.ScalarEvent):
            self._refuse_markers(event, (*path, event.value))
            return str(event.value)
        here = (*path, "?")
        self._fault("a key must be a plain word", event, here)
        self._value(event, here, depth + 1)
        return "?"


def plain(word: str) -> Any:
    """Return what a word without quotes is."""
    if word in _WORDS:
        return _WORDS[word]
    if _INT.fullmatch(word):
        return int(word)
    if _FLOAT.fullmatch(word) or word.lower() in {".nan", ".inf", "-.inf"}:
        return float(word.lower().replace(".nan", "nan").replace(".inf", "inf"))
    return word
