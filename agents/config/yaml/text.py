"""Writes values as YAML that reads back as the same values; sets and removes keys of a text."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

import yaml

from agents.config.errors import KeyPath
from agents.config.yaml.source import Document, parse, plain

# A line without a value.
_COMMENT = re.compile(r"\s*(#|$)")
# Where a comment may begin behind a value.
_BEHIND = re.compile(r"\s+#")


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as they are; quotes where our reader would see something else."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    lines = value.split("\n")
    # Inside a line our reader and YAML see some characters differently.
    whole = all(line.isprintable() for line in lines) and plain(value) == value
    style = '"' if not whole else "|" if len(lines) > 1 else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def dump(content: Mapping[str, Any]) -> str:
    """Write a mapping as block YAML; an empty one is an empty text."""
    if not content:
        return ""
    return yaml.dump(dict(content), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def with_value(text: str, key: str, value: Any) -> str:
    """Set one key of the top level; all else stays as it was typed, comments too.

    Where that can't be done line by line, the text is written anew. The text must be without fault.
    """
    document = parse(text)
    wanted = document.content | {key: value}
    lines = text.splitlines(keepends=True)
    first, end = _span(lines, document, (key,)) if key in document.content else (len(lines),) * 2
    if first and not lines[first - 1].endswith("\n"):
        lines[first - 1] += "\n"
    new = dump({key: value}).splitlines(keepends=True)
    if end == first + 1:
        new[0] = new[0].rstrip("\n") + _comment_of(lines[first]) + "\n"
    for below in (lines[end:], _outdented(lines[end:])):
        changed = "".join(lines[:first] + new + below)
        read = parse(changed)
        if not read.faults and read.content == wanted:
            return changed
    return dump(wanted)


def _outdented(lines: list[str]) -> list[str]:
    """Return the lines with the comments that begin them at the margin: no text takes them in."""
    number = next((at for at, line in enumerate(lines) if not _COMMENT.match(line)), len(lines))
    return [line.lstrip(" \t") for line in lines[:number]] + lines[number:]


def _comment_of(line: str) -> str:
    """Return the comment behind a value of one line, with the space before it."""
    line = line.rstrip("\r\n")
    value = parse(line).content
    for found in _BEHIND.finditer(line):
        before = parse(line[: found.start()])
        if not before.faults and before.content == value:
            return line[found.start() :]
    return ""


def without(text: str, key: str) -> str:
    """Remove one dotted key from a text; all else stays as it was typed, comments too.

    Where that can't be done line by line, the text is written anew. Raises KeyError when the text
    does not say anything of the key.
    """
    document = parse(text)
    path = tuple(key.split("."))
    wanted, gone = _without(document.content, path)
    lines = text.splitlines(keepends=True)
    first, end = _span(lines, document, gone)
    text_without = "".join(lines[:first] + lines[end:])
    read = parse(text_without)
    return text_without if not read.faults and read.content == wanted else dump(wanted)


def _without(content: Mapping[str, Any], path: KeyPath) -> tuple[dict[str, Any], KeyPath]:
    """Return the content without the key, and what was removed, emptied mappings too."""
    wanted = copy.deepcopy(dict(content))
    above: Any = wanted
    for part in path[:-1]:
        above = above[part] if isinstance(above, dict) else {}
    if not isinstance(above, dict):
        raise KeyError(path[-1])
    del above[path[-1]]
    if not above and len(path) > 1:
        return _without(content, path[:-1])
    return wanted, path


def _span(lines: list[str], document: Document, path: KeyPath) -> tuple[int, int]:
    """Return the place of a key's first line, and that of the line after its value.

    What is written below the value is about the next key, or about the whole text.
    """
    first, end = document.lines[path] - 1, document.ends[path]
    while end > first + 1 and not lines[end - 1].strip():
        end -= 1
    return first, end
