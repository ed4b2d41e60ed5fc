"""The fenced blocks of a page: what can be run, what it answers, and what it takes from before.

| fence | |
|---|---|
| `sh`, `python`, `javascript` | is run as it stands; what it prints may stand in the next block |
| `http` | an exchange: the request is sent, and the answer in the same block is compared |
| `json`, `sse` | shown; compared with what the block directly before it has answered |
| `text` | shown |

`…` stands for whatever is left out. An `export NAME=…` is a placeholder: the reader fills it in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

RUN = {"sh", "python", "javascript"}
SHOWN = {"json", "sse", "text"}
LANGUAGES = RUN | SHOWN | {"http"}
ELLIPSIS = "…"
_FENCE = re.compile(r"^```(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_EXPORT = re.compile(r"^export ([A-Z_]+)=(\S*)(?:\s+#\s*(.*))?$")


@dataclass(frozen=True)
class Block:
    """A fenced block; `is_direct` where nothing but an empty line is between it and the last."""

    language: str
    text: str
    line: int
    is_direct: bool

    @property
    def exports(self) -> dict[str, str]:
        """The placeholders that the reader fills in, each with the comment that says how."""
        found = map(_EXPORT.match, self.text.splitlines())
        return {each[1]: each[3] or "" for each in found if each}

    @property
    def code(self) -> str:
        """What is run: all but the placeholders; nothing where only comments are left."""
        lines = [line for line in self.text.splitlines() if not _EXPORT.match(line)]
        return "\n".join(lines) if any(not line.startswith("#") for line in lines) else ""


@dataclass(frozen=True)
class Exchange:
    """A request and, where `status` is not 0, what is answered."""

    method: str
    path: str
    headers: dict[str, str]
    body: str
    status: int = 0
    answer_headers: tuple[tuple[str, str], ...] = ()
    answer: str = ""


def blocks(page: str) -> Iterator[Block]:
    end = 0
    for found in _FENCE.finditer(page):
        between = page[end : found.start()]
        yield Block(found[1], found[2], page.count("\n", 0, found.start()) + 1, not between.strip())
        end = found.end()


def exchanges(text: str) -> Iterator[Exchange]:
    """Read a block of requests, each with its answer or without; parts end with an empty line."""
    parts = [part.strip("\n").split("\n") for part in text.split("\n\n") if part.strip()]
    while parts:
        method, path, headers, body = _message(parts.pop(0))
        if parts and parts[0][0][:3].isdecimal():
            status, _, answer_headers, answer = _message(parts.pop(0))
            given = tuple(answer_headers.items())
            yield Exchange(method, path, headers, body, int(status), given, answer)
        else:
            yield Exchange(method, path, headers, body)


def _message(lines: list[str]) -> tuple[str, str, dict[str, str], str]:
    first, _, rest = lines[0].partition(" ")
    headers = {}
    at = 1
    while at < len(lines) and (found := re.match(r"([A-Za-z-]+): (.*)", lines[at])):
        headers[found[1]] = found[2]
        at += 1
    return first, rest, headers, "\n".join(lines[at:])


def shown_json(text: str) -> Any:
    """Read JSON in which `…` stands for what is left out: a value, or members of an object."""
    written: list[str] = []
    inside: list[str] = []
    for token in re.findall(r'"(?:[^"\\]|\\.)*"|[^"]', text):
        if token != ELLIPSIS:
            if token in "{[":
                inside.append(token)
            elif token in "}]":
                inside.pop()
            written.append(token)
            continue
        before = "".join(written).rstrip()[-1:]
        is_member = inside[-1:] == ["{"] and before != ":"
        written.append('"…": "…",' if is_member else '"…",')
    # A comma that nothing follows, or a second one.
    clean = re.sub(r",(?=\s*[}\],])", "", "".join(written))
    return json.loads(clean.rstrip(",\n "))


def differences(shown: Any, real: Any, where: str = "") -> Iterator[str]:
    """Yield where an answer has other keys than the one that is shown."""
    if shown == ELLIPSIS:
        return
    if isinstance(shown, dict):
        if not isinstance(real, dict):
            yield f"{where or 'it'} is no object"
            return
        named = set(shown) - {ELLIPSIS}
        missing = named - set(real)
        more = set(real) - named if ELLIPSIS not in shown else set()
        yield from (f"{where}.{name} is shown, and not there" for name in sorted(missing))
        yield from (f"{where}.{name} is there, and not shown" for name in sorted(more))
        for name in named & set(real):
            yield from differences(shown[name], real[name], f"{where}.{name}")
    elif isinstance(shown, list):
        if not isinstance(real, list) or (shown and not real):
            yield f"{where or 'it'} is no list, or an empty one"
            return
        for number, (one, other) in enumerate(zip(shown, real, strict=False)):
            yield from differences(one, other, f"{where}[{number}]")
    elif isinstance(real, dict | list):
        yield f"{where or 'it'} is shown as a plain value"


def texts(shown: Any, real: Any) -> Iterator[tuple[str, str]]:
    """Yield the texts of an answer as they are shown, each with what it really was."""
    if isinstance(shown, str) and isinstance(real, str):
        yield shown, real
    elif isinstance(shown, dict) and isinstance(real, dict):
        for name in set(shown) & set(real):
            yield from texts(shown[name], real[name])
    elif isinstance(shown, list) and isinstance(real, list):
        for one, other in zip(shown, real, strict=False):
            yield from texts(one, other)


def event_differences(shown: str, real: str) -> Iterator[str]:
    """Yield which server-sent events are shown and were not sent, or the other way round.

    Data in JSON are compared by their keys, with any event of the name.
    """
    sent = [*_events(real)]
    names, really = ([*dict.fromkeys(name for name, _ in each)] for each in (_events(shown), sent))
    left_out = ELLIPSIS in shown.splitlines()
    if names != [name for name in really if name in names or not left_out]:
        yield f"the events are {really}"
    for name, data in _events(shown):
        if not data.startswith("{"):
            continue
        others = [json.loads(other) for kind, other in sent if kind == name and other[:1] == "{"]
        found = [[*differences(shown_json(data), other, name)] for other in others]
        yield from min(found, key=len, default=[f"there is no event {name}"])


def _events(text: str) -> Iterator[tuple[str, str]]:
    for block in text.split("\n\n"):
        fields = [line.partition(": ") for line in block.splitlines()]
        data = "\n".join(value for field, _, value in fields if field == "data")
        if data:
            yield next((value for field, _, value in fields if field == "event"), ""), data
