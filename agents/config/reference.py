"""What each key of a configuration takes, from the schema, for the page with the YAML editor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agents.config import AgentConfig, read_if_valid
from agents.config.layers import leaves
from agents.config.versions.diff import shown
from agents.models import AgentInstance

_TYPES = {
    "string": "text",
    "number": "number",
    "integer": "whole number",
    "array": "list",
    "null": "null",
}


@dataclass(frozen=True, slots=True)
class Key:
    """A key, what it takes in words, and what holds when nothing is published."""

    name: str
    takes: str
    value: str
    origin: str


def reference(instance: AgentInstance) -> list[Key]:
    """List every key there is, with what the files alone say."""
    files = read_if_valid(*instance.folder)
    values = {key: shown(value) for key, value in leaves(files.content)} if files else {}
    origins = files.origins if files else {}
    schema = AgentConfig.model_json_schema()
    return [
        Key(name, takes, values.get(name, ""), origins.get(name, ""))
        for name, takes in _keys(schema["properties"], schema["$defs"])
    ]


def _keys(
    properties: Mapping[str, Any], parts: Mapping[str, Any], above: str = ""
) -> Iterator[tuple[str, str]]:
    for name, schema in properties.items():
        part = parts.get(schema.get("$ref", "").rpartition("/")[2], schema)
        if "properties" in part:
            yield from _keys(part["properties"], parts, f"{above}{name}.")
        else:
            yield f"{above}{name}", _takes(part, parts)


def _takes(schema: Mapping[str, Any], parts: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_takes(each, parts) for each in schema["anyOf"])
    schema = parts.get(schema.get("$ref", "").rpartition("/")[2], schema)
    words = _TYPES.get(schema.get("type", ""), "text")
    return f"{words}{_bounds(schema)}"


def _bounds(schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f" from {low:,} to {high:,}"
    if high is not None:
        return f" above {schema.get('exclusiveMinimum', 0):,}, at most {high:,}"
    for name, unit in (("maxLength", "characters"), ("maxItems", "items")):
        if name in schema:
            return f" of at most {schema[name]:,} {unit}"
    return ""
