"""The types of all routes as JSON Schema, each under its name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from types import UnionType
from typing import Any, Literal, get_args

import msgspec
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

from salient.api.limits import BodyTooSlow, UnknownHost
from salient.api.openapi.routes import ApiOperation, api_operations
from salient.api.operations import EventStream, Operation, Text
from salient.api.problems import BodyTooLarge, Problem
from salient.api.problems.server_refusals import REFUSALS
from salient.database.upgrades.pending import MigrationPending

type Schema = dict[str, Any]
# Which way a type goes: what is read may be less than what is written.
type Direction = Literal["in", "out"]

REF = "#/components/schemas/"
_MODES: dict[Direction, JsonSchemaMode] = {"in": "validation", "out": "serialization"}


# What is answered to any request before a view sees it, by the server or by the handler.
BEFORE_ANY_VIEW: tuple[type[Problem], ...] = (
    UnknownHost,
    MigrationPending,
    BodyTooSlow,
    BodyTooLarge,
    *REFUSALS.values(),
)


class Generator(GenerateJsonSchema):
    """Writes no titles, which repeat the names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


# Pydantic leaves bounds as they are when a function stands before the type.
_BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}


def with_bounds(node: Any) -> Any:
    if isinstance(node, list):
        return [with_bounds(each) for each in node]
    if not isinstance(node, dict):
        return node
    return {
        _BOUNDS.get(name, name) if isinstance(value, int) else name: with_bounds(value)
        for name, value in node.items()
    }


class Components:
    """The schemas of all types of these operations; `schemas` are the named ones."""

    def __init__(self, operations: Iterable[ApiOperation]) -> None:
        wanted = {
            (part, direction)
            for each in operations
            for kind, direction in types_of(each.operation)
            for part in _parts(kind)
        }
        described = sorted(wanted, key=lambda pair: (str(pair[0]), pair[1]))
        structs = [kind for kind, _ in described if _is_struct(kind)]
        others = [pair for pair in described if not _is_struct(pair[0])]
        found, definitions = TypeAdapter.json_schemas(
            [(pair, _MODES[pair[1]], TypeAdapter(pair[0])) for pair in others],
            ref_template=REF + "{model}",
            schema_generator=Generator,
        )
        self._found: dict[Any, Schema] = {
            pair: with_bounds(schema) for (pair, _), schema in found.items()
        }
        self.schemas: dict[str, Schema] = {
            "Problem": PROBLEM,
            **with_bounds(definitions.get("$defs", {})),
        }
        schemas, more = msgspec.json.schema_components(structs, ref_template=REF + "{name}")
        for kind, schema in zip(structs, schemas, strict=True):
            self._found[kind, "in"] = self._found[kind, "out"] = schema
        self.schemas |= more

    def schema(self, kind: Any, direction: Direction) -> Schema:
        """Return the type's schema: a reference when the type has a name."""
        schemas = [self._found[part, direction] for part in _parts(kind)]
        return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}

    def resolved(self, kind: Any, direction: Direction) -> Schema:
        """Return the schema itself, also of a type with a name."""
        schema = self.schema(kind, direction)
        return self.schemas[schema["$ref"].removeprefix(REF)] if "$ref" in schema else schema


@cache
def all_components() -> Components:
    """Return the schemas of all types of the API.

    To make them takes longer than all else in a document, which takes what it uses of them.
    """
    return Components(api_operations())


PROBLEM: Schema = {
    "type": "object",
    "description": "What went wrong (RFC 9457). `code` is stable, `detail` is for people.",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
    },
}


def answers_of(operation: Operation) -> Iterator[tuple[int, Any]]:
    """Yield each answer that is no error, with its status."""
    many = operation.answer if isinstance(operation.answer, tuple) else (operation.answer,)
    for answer in many:
        yield operation.status, answer
    yield from operation.also.items()


def problems_of(operation: Operation) -> Iterator[type[Problem]]:
    """Yield every problem that may be answered instead of the operation's answer."""
    yield from operation.problems
    yield from BEFORE_ANY_VIEW


def types_of(operation: Operation) -> Iterator[tuple[Any, Direction]]:
    """Yield all types that the operation names."""
    yield from ((kind, "in") for kind in (operation.query, operation.body) if kind is not None)
    for _, answer in answers_of(operation):
        if isinstance(answer, EventStream):
            events = answer.events.values()
            yield from ((kind, "out") for kind in events if kind not in {str, Problem})
        elif answer is not None and not isinstance(answer, Text):
            yield answer, "out"
    for problem in problems_of(operation):
        yield from ((kind, "out") for kind in problem.extensions.values())


def _parts(kind: Any) -> tuple[Any, ...]:
    """Return the types of a union with structs, which Pydantic does not describe; else the type."""
    parts = get_args(kind) if isinstance(kind, UnionType) else ()
    return parts if any(map(_is_struct, parts)) else (kind,)


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def used(schemas: dict[str, Schema], root: Any) -> dict[str, Schema]:
    """Return the schemas that are referred to, also by one another."""
    found: dict[str, Schema] = {}
    waiting = [*_references(root)]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = schemas[name]
            waiting.extend(_references(schemas[name]))
    return dict(sorted(found.items()))


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref" and isinstance(value, str):
                if value.startswith(REF):
                    yield value.removeprefix(REF)
            else:
                yield from _references(value)
    elif isinstance(node, list):
        for each in node:
            yield from _references(each)
