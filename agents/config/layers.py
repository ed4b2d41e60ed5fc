"""One layer of a configuration: read, validated by the schema, merged over the layers below."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from agents.config.errors import ConfigError, ConfigProblem, KeyPath, closest, dotted, legible
from agents.config.schema import COMPLETE, AgentConfig, Callers, Timeouts, Visitors
from agents.config.yaml import source as yaml_source

PUBLISHED = "published here"
# What people call our keys elsewhere.
_OTHER_NAMES = {
    "greeting": "opening_message",
    "instructions": "system_prompt",
    "max_output_tokens": "max_tokens",
    "name": "display_name",
    "prompt": "system_prompt",
    "type": "agent_type",
    "welcome_message": "opening_message",
}
# The schema of a file, and those of the mappings in it; items of a list have the list's.
type Sections = Mapping[KeyPath, type[BaseModel]]
_SECTIONS: Sections = {
    (): AgentConfig,
    ("timeouts",): Timeouts,
    ("callers",): Callers,
    ("visitors",): Visitors,
}
_EXPECTED = {
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "tuple_type": "must be a list",
    "float_type": "must be a number",
    "int_type": "must be a whole number",
    "string_type": "must be text",
}


@dataclass(frozen=True, slots=True)
class Layer:
    """Part of a configuration: `origin` names it among the layers, `file` names it to people."""

    origin: str
    file: str
    content: Mapping[str, Any]
    lines: Mapping[KeyPath, int] = field(default_factory=dict)

    def problem(
        self, message: str, path: KeyPath = (), suggestion: str | None = None
    ) -> ConfigProblem:
        """Say what is wrong at a key of this layer."""
        return ConfigProblem(self.file, message, self.line(path), dotted(path), suggestion)

    def line(self, path: KeyPath) -> int | None:
        """Return the line of a key, or of the nearest key around it."""
        while path:
            if path in self.lines:
                return self.lines[path]
            path = path[:-1]
        return None


def parse_layer(
    source: str | bytes, origin: str, *, file: str | None = None, sections: Sections = _SECTIONS
) -> Layer:
    """Read and validate one layer of YAML; raise ConfigError with everything that is wrong in it.

    A layer of a configuration may leave out any key, required ones too: only all layers together
    must be whole. A file with other sections is read by itself.
    """
    document = yaml_source.parse(source)
    layer = Layer(origin, file or origin, document.content, document.lines)
    broken = {fault.path for fault in document.faults}
    problems = [
        ConfigProblem(layer.file, fault.message, fault.line, dotted(fault.path))
        for fault in document.faults
    ]
    if () not in broken:
        problems += [found for path, found in _problems(layer, sections) if path not in broken]
    if problems:
        raise ConfigError(sorted(problems, key=lambda problem: problem.line or 0))
    return layer


def mapping_layer(content: Mapping[str, Any], origin: str = PUBLISHED) -> Layer:
    """Validate a layer that does not come from a file, such as an override from the database."""
    layer = Layer(origin, origin, content)
    if problems := [problem for _, problem in _problems(layer)]:
        raise ConfigError(problems)
    return layer


def prompt_layer(source: bytes, origin: str, *, file: str) -> Layer:
    """Read a prompt file: all of its text is the value of system_prompt."""
    try:
        text = yaml_source.decode(source)
    except yaml_source.Unreadable as error:
        raise ConfigError([ConfigProblem(file, error.fault.message, error.fault.line)]) from None
    prompt = text.replace("\r\n", "\n").strip()
    layer = Layer(origin, file, {"system_prompt": prompt})
    if problems := [problem for _, problem in _problems(layer)]:
        raise ConfigError(problems)
    return layer


def overlay(layers: Iterable[Layer]) -> tuple[dict[str, Any], dict[str, str]]:
    """Merge each layer into those before it: mappings merge by key, all else is replaced.

    Returns the content and, for each leaf's dotted key, the origin of its value.
    """
    content: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for layer in layers:
        _lay_over(content, layer.content, origins, layer.origin)
    return content, origins


def leaves(content: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Walk through the values by dotted key."""
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _lay_over(
    below: dict[str, Any], above: Mapping[str, Any], origins: dict[str, str], origin: str
) -> None:
    for key, value in above.items():
        if isinstance(value, Mapping):
            below[key] = {**below.get(key, {}), **value}
            origins.update({f"{key}.{part}": origin for part in value})
        else:
            below[key] = value
            origins[key] = origin


def _problems(
    layer: Layer, sections: Sections = _SECTIONS
) -> Iterator[tuple[KeyPath, ConfigProblem]]:
    try:
        sections[()].model_validate(layer.content)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            if details["type"] != "missing" or sections is not _SECTIONS:
                path = details["loc"]
                suggestion = _suggestion(details, sections)
                yield path, layer.problem(_message(details), path, suggestion)


def _message(details: ErrorDetails) -> str:
    kind, limits = details["type"], details.get("ctx", {})
    if kind == "extra_forbidden":
        return "unknown key"
    if kind == "missing":
        return "must be given"
    if kind in {"too_long", "string_too_long"}:
        unit = "characters" if isinstance(details["input"], str) else "items"
        return f"must have at most {limits['max_length']} {unit}"
    if kind == COMPLETE:
        return details["msg"]
    expected = _EXPECTED.get(kind) or details["msg"].replace("Input should be", "must be", 1)
    return f"{expected}, not {_shown(details['input'])}"


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, str):
        return json.dumps(legible(value), ensure_ascii=False)
    return legible(json.dumps(value, default=repr))


def _suggestion(details: ErrorDetails, sections: Sections) -> str | None:
    if details["type"] != "extra_forbidden":
        return details.get("ctx", {}).get("suggestion")
    *above, key = details["loc"]
    here = sections[tuple(part for part in above if isinstance(part, str))]
    guess = closest(str(key), (field.alias or name for name, field in here.model_fields.items()))
    other = None
    if sections is _SECTIONS:
        other = f"timeouts.{key}" if key in Timeouts.model_fields else _OTHER_NAMES.get(str(key))
    return other or (dotted((*above, guess)) if guess else None)
