"""Builds the document: paths, answers, problems and parameters of the API's operations."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from salient.api.openapi.components import (
    REF,
    Components,
    Schema,
    all_components,
    answers_of,
    problems_of,
    used,
)
from salient.api.openapi.headers import ANSWER_HEADERS, PARAMETERS, REQUEST_HEADERS
from salient.api.openapi.routes import ApiOperation
from salient.api.operations import EventStream, Operation, Text
from salient.api.problems import Problem
from salient.api.problems.openai import RATE_HEADERS, is_openai, may_retry

VERSION = "0.1.0"
DESCRIPTION = """\
Errors are problem documents (RFC 9457) with a stable `code`. Input is read strictly: an unknown, \
repeated or mistyped field is a 400 that names it. Whatever the caller may not see is the same 404 \
as what does not exist. Each answer has an `X-Request-Id`. A method that a route does not have is \
a 405 `method_not_allowed`, and a path that no route has is a 404 `unknown_route`."""

# The headers that an answer with this status has, or may have, besides.
HEADERS_OF: dict[int, tuple[str, ...]] = {
    HTTPStatus.PERMANENT_REDIRECT: ("Location",),
    HTTPStatus.UNAUTHORIZED: ("WWW-Authenticate",),
    HTTPStatus.CONFLICT: ("Retry-After",),
    HTTPStatus.PRECONDITION_FAILED: ("ETag",),
    HTTPStatus.TOO_MANY_REQUESTS: ("Retry-After",),
    HTTPStatus.BAD_GATEWAY: ("Retry-After",),
    HTTPStatus.SERVICE_UNAVAILABLE: ("Retry-After",),
}
JSON, PROBLEM_JSON = "application/json", "application/problem+json"


@dataclass(frozen=True)
class Security:
    """How callers prove who they are: the schemes, and which of them an operation takes."""

    schemes: dict[str, Any] = field(default_factory=dict)
    required: Callable[[Operation], list[dict[str, list[str]]]] = lambda _operation: []


def build(
    operations: Iterable[ApiOperation], security: Security, *, server: str, prefix: str = ""
) -> dict[str, Any]:
    """Return the document of these operations; `prefix` is the part of paths that `server` has."""
    chosen = list(operations)
    writer = _Writer(all_components(), security, prefix)
    paths: dict[str, Any] = {}
    for each in chosen:
        path = each.path.removeprefix(prefix)
        item = paths.setdefault(path, {}) if path else paths.setdefault(*_root(server, prefix))
        item[each.method.lower()] = writer.operation(each)
    components = {
        "schemas": {},
        "responses": dict(sorted(writer.responses.items())),
        "parameters": REQUEST_HEADERS,
        "headers": ANSWER_HEADERS,
        "securitySchemes": security.schemes,
    }
    components["schemas"] = used(writer.components.schemas, [paths, components])
    return {
        "openapi": "3.1.1",
        "info": {"title": "Salient", "version": VERSION, "description": DESCRIPTION},
        "servers": [{"url": server}],
        "tags": _tags(chosen),
        "paths": paths,
        "components": components,
    }


def _root(server: str, prefix: str) -> tuple[str, dict[str, Any]]:
    """Return the path of the prefix itself, and its path item: a path cannot be empty."""
    above, _, slug = server.rpartition("/")
    path = prefix[prefix.rindex("/") :]
    account = path_parameter(path.strip("/{}"))
    account["schema"]["enum"] = [slug]
    return path, {"servers": [{"url": above}], "parameters": [account]}


def by_status(problems: Iterable[type[Problem]]) -> dict[int, list[type[Problem]]]:
    found: dict[int, list[type[Problem]]] = defaultdict(list)
    for each in problems:
        if each not in found[int(each.status)]:
            found[int(each.status)].append(each)
    return dict(sorted(found.items()))


def codes_of(problems: Iterable[type[Problem]]) -> list[str]:
    return list(dict.fromkeys(code for each in problems for code in each.meanings()))


class _Writer:
    def __init__(self, components: Components, security: Security, prefix: str) -> None:
        self.components, self._security, self._prefix = components, security, prefix
        # The error responses that operations share, by name.
        self.responses: dict[str, Any] = {}

    def operation(self, each: ApiOperation) -> dict[str, Any]:
        operation = each.operation
        written: dict[str, Any] = {
            "operationId": each.id,
            "summary": each.summary,
            "description": each.description,
            "tags": [each.tag],
            "security": self._security.required(operation),
            "parameters": [*self._parameters(each)],
        }
        if operation.body is not None and each.reads_body:
            written["requestBody"] = {
                "required": not operation.body_is_optional,
                "content": {JSON: {"schema": self.components.schema(operation.body, "in")}},
            }
        written["responses"] = self._responses(operation, as_openai=is_openai(each.path))
        return {name: value for name, value in written.items() if value or name == "security"}

    def _parameters(self, each: ApiOperation) -> Iterator[dict[str, Any]]:
        for name in each.parameters:
            if f"{{{name}}}" not in self._prefix:
                yield path_parameter(name)
        for name in each.operation.headers:
            yield {"$ref": f"#/components/parameters/{REQUEST_HEADERS[name]['name']}"}
        if each.operation.query is None or each.reads_body:
            return
        shape = self.components.resolved(each.operation.query, "in")
        for name, schema in shape["properties"].items():
            described = without_null(schema)
            yield {
                "name": name,
                "in": "query",
                "required": name in shape.get("required", ()),
                "schema": described,
            }

    def _answers(self, operation: Operation, *, as_openai: bool) -> dict[str, Any]:
        found: dict[str, Any] = {}
        own = [
            *operation.answer_headers,
            *(["Idempotency-Replayed"] if "Idempotency-Key" in operation.headers else []),
        ]
        for status, answer in answers_of(operation):
            headers = _headers(operation.problems, status=status, as_openai=as_openai)
            response = found.setdefault(
                str(int(status)),
                {"description": HTTPStatus(status).phrase, "headers": _described(headers + own)},
            )
            if answer is not None:
                media_type, content = self._content(operation, answer)
                response.setdefault("content", {})[media_type] = content
        return found

    def _content(self, operation: Operation, answer: Any) -> tuple[str, Any]:
        if isinstance(answer, Text):
            return answer.media_type, {"schema": {"type": "string"}}
        if isinstance(answer, EventStream):
            return answer.media_type, {"schema": self._stream(operation, answer)}
        return JSON, {"schema": self.components.schema(answer, "out")}

    def _stream(self, operation: Operation, stream: EventStream) -> Schema:
        """Describe server-sent events: OpenAPI 3.1 has no words of its own for them."""
        events = {name: self._event(operation, kind) for name, kind in stream.events.items()}
        named = ", ".join(f"`{name}`" for name in events)
        return {
            "type": "string",
            "description": f"Server-sent events: {named}; `x-events` has the type of their data.",
            "x-events": events,
        }

    def _event(self, operation: Operation, kind: Any) -> Schema:
        if kind is str:
            return {"type": "string"}
        if kind is Problem:
            return self.problem_schema([*operation.problems], {"message": {"type": "string"}})
        return self.components.schema(kind, "out")

    def _responses(self, operation: Operation, *, as_openai: bool) -> dict[str, Any]:
        found = self._answers(operation, as_openai=as_openai)
        for status, problems in by_status(problems_of(operation)).items():
            name = self._shared(status, problems, as_openai=as_openai)
            own = found.setdefault(str(status), {"$ref": f"#/components/responses/{name}"})
            if "content" in own:
                # An answer with the status of an error, as the one of a health check.
                own["content"] |= self.responses[name]["content"]
        return found

    def _shared(self, status: int, problems: list[type[Problem]], *, as_openai: bool) -> str:
        """Name the response by its codes, so that it keeps its name while they stay the same."""
        name = ".".join([*(["openai"] if as_openai else []), str(status), *codes_of(problems)])
        if name not in self.responses:
            about = {"status": {"const": status}}
            content = (
                {JSON: {"schema": self.openai_error_schema(problems)}}
                if as_openai
                else {PROBLEM_JSON: {"schema": self.problem_schema(problems, about)}}
            )
            meanings = {code: text for each in problems for code, text in each.meanings().items()}
            self.responses[name] = {
                "description": "\n".join(f"- `{code}`: {text}" for code, text in meanings.items()),
                "headers": _described(_headers(problems, status=status, as_openai=as_openai)),
                "content": content,
            }
        return name

    def openai_error_schema(self, problems: list[type[Problem]]) -> Schema:
        """Describe a problem as `salient.api.problems.openai` writes it."""
        properties = self._members(problems) | {
            "message": {"type": "string"},
            "type": {"type": "string"},
            "param": {"type": ["string", "null"]},
        }
        error = {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": properties,
        }
        return {"type": "object", "required": ["error"], "properties": {"error": error}}

    def problem_schema(self, problems: list[type[Problem]], more: dict[str, Schema]) -> Schema:
        own = {"type": "object", "properties": more | self._members(problems)}
        return {"allOf": [{"$ref": f"{REF}Problem"}, own]}

    def _members(self, problems: list[type[Problem]]) -> dict[str, Schema]:
        """Return the code of these problems, and what they say besides."""
        members: dict[str, list[Schema]] = defaultdict(list)
        for each in problems:
            for name, kind in each.extensions.items():
                schema = self.components.schema(kind, "out")
                if schema not in members[name]:
                    members[name].append(schema)
        return {
            "code": {"enum": codes_of(problems)},
            **{name: one[0] if len(one) == 1 else {"anyOf": one} for name, one in members.items()},
        }


def path_parameter(name: str) -> dict[str, Any]:
    known = PARAMETERS.get(name, {})
    is_id = name.endswith("_id")
    schema = {"type": "string", **({"format": "uuid"} if is_id else {}), **known.get("schema", {})}
    described = {"description": known["description"]} if "description" in known else {}
    return {"name": name, "in": "path", "required": True, **described, "schema": schema}


def without_null(schema: Schema) -> Schema:
    """Return the schema of a query parameter: none can be null, it can only be left out."""
    given = {**schema}
    if given.get("default", "") is None:
        del given["default"]
    kinds = [each for each in given.pop("anyOf", []) if each != {"type": "null"}]
    if len(kinds) == 1:
        return {**kinds[0], **given}
    return {**given, "anyOf": kinds} if kinds else given


def _headers(problems: Sequence[type[Problem]], *, status: int, as_openai: bool) -> list[str]:
    """Return the names of an answer's headers; those of limits come where there are limits.

    A problem that routes share has them too: it may come before or after the call is counted, and
    again for the same key.
    """
    codes, names = codes_of(problems), ["X-Request-Id", *HEADERS_OF.get(status, ())]
    is_error = status >= HTTPStatus.BAD_REQUEST
    if is_error or "rate_limited" in codes:
        names += ["RateLimit", "RateLimit-Policy", *(RATE_HEADERS if as_openai else ())]
    if is_error:
        names.append("Idempotency-Replayed")
        retried = (may_retry({"status": status, "code": code}) for code in codes)
        names += ["x-should-retry"] if as_openai and not all(retried) else []
    return names


def _described(headers: Iterable[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in headers}


def _tags(operations: Iterable[ApiOperation]) -> list[dict[str, str]]:
    found: dict[str, str] = {}
    for each in operations:
        found.setdefault(each.tag, re.split(r"(?<=\.)\s", each.tag_description)[0])
    return [{"name": name, "description": text} for name, text in found.items()]
