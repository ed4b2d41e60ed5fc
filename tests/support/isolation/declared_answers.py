"""Compares each answer of the API that a test gets with what the OpenAPI document declares."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import cache, lru_cache
from http import HTTPStatus
from typing import Any

import jsonschema_rs

from accounts.api.openapi.security import SECURITY
from salient.api.handler import ApiHandler
from salient.api.openapi.components import BEFORE_ANY_VIEW
from salient.api.openapi.document import build, by_status, codes_of
from salient.api.openapi.routes import api_operations
from salient.api.routing import route_of
from tests.support.api_client import parse_event

type Message = Mapping[str, Any]
type Send = Callable[[Any], Awaitable[None]]
_faults: list[str] = []
# The name of all schemas together.
_RESOURCE = "urn:answers"
_PROBLEM = "application/problem+json"
_HEALTH = ("healthz", "readyz", "metrics")
# Headers of HTTP, CORS and the browser's security, which OpenAPI documents leave out.
_GENERAL = {
    "allow",
    "cache-control",
    "connection",
    "content-length",
    "content-security-policy",
    "content-type",
    "cross-origin-resource-policy",
    "referrer-policy",
    "set-cookie",
    "strict-transport-security",
    "vary",
    "x-accel-buffering",
    "x-content-type-options",
}


def watch() -> None:
    """Look at every answer that the handler of the API gives in this process."""
    original = ApiHandler.__call__

    async def watched(self: ApiHandler, scope: dict[str, Any], receive: Any, send: Send) -> None:
        start: dict[str, Any] = {}
        body: list[bytes] = []

        async def recorded(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            else:
                body.append(message.get("body", b""))
            await send(message)

        try:
            await original(self, scope, receive, recorded)
        finally:
            if start:
                answer = b"".join(body)
                _faults.extend(faults_of(scope["method"], scope["path"], start, answer))

    ApiHandler.__call__ = watched  # type: ignore[method-assign]


def pop_faults() -> list[str]:
    found = [*_faults]
    _faults.clear()
    return found


def faults_of(method: str, path: str, start: Message, body: bytes) -> Iterator[str]:
    """Yield what the document does not say of an answer."""
    status = start["status"]
    headers = {name.lower(): value.decode("latin-1") for name, value in start["headers"]}
    media_type = headers.get(b"content-type", "").partition(";")[0]
    about = f"{method} {path} → {status}"
    if not headers.get(b"x-request-id"):
        yield f"{about} has no X-Request-Id"
    match = route_of(path)
    template = _template(match.route) if match else ""
    operation = _as_get(method, template)
    if (template, operation) in responses():
        place = (template, operation)
        for fault in _faults_at(place, status, media_type, body, is_head=method == "HEAD"):
            yield f"{about}: {fault}"
        for name in {name.decode() for name in headers} - _GENERAL:
            known = declared_headers()[template, operation].get(str(status))
            if known is not None and name not in known and not name.startswith("access-control-"):
                yield f"{about}: the header {name} is not declared"
    elif method == "OPTIONS" and status == HTTPStatus.NO_CONTENT:
        return
    elif not match or template in document()["paths"]:
        yield from (
            f"{about}: {fault}"
            for fault in _undocumented(match, status, body, is_head=method == "HEAD")
        )


@cache
def _template(route: str) -> str:
    """Write a route as the document does."""
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", f"/{route}")


def _as_get(method: str, template: str) -> str:
    any_method = template.strip("/") in _HEALTH
    return "get" if method == "HEAD" or any_method else method.lower()


@lru_cache(2048)
def _faults_at(
    place: tuple[str, str], status: int, media_type: str, body: bytes, *, is_head: bool
) -> tuple[str, ...]:
    """Compare an answer with its operation; thousands of refusals are byte for byte the same."""
    return tuple(_declared(responses()[place], status, media_type, body, is_head=is_head))


def _declared(
    declared: Mapping[str, Any], status: int, media_type: str, body: bytes, *, is_head: bool
) -> Iterator[str]:
    if status == HTTPStatus.METHOD_NOT_ALLOWED and is_head:
        # A GET that is not safe.
        return
    if str(status) not in declared:
        yield f"the status is not declared: {body[:300]!r}"
        return
    content = declared[str(status)]
    if is_head or (not content and not body):
        return
    if media_type not in content:
        yield f"{media_type or 'a body'} is not declared"
    elif media_type == "text/event-stream":
        yield from _event_faults(content[media_type], body)
    elif media_type.endswith("json"):
        yield from _faults_in(content[media_type], json.loads(body))


def _undocumented(match: Any, status: int, body: bytes, *, is_head: bool) -> Iterator[str]:
    """Yield what is wrong with an answer to a method or a path that there is not."""
    if is_head:
        return
    problem = json.loads(body)
    code = problem.get("error", problem)["code"]
    expected = "method_not_allowed" if match else "unknown_route"
    early = codes_of(by_status(BEFORE_ANY_VIEW).get(status, []))
    if code not in {expected, *early, "internal_error"}:
        yield f"{code} is not declared"


def _event_faults(events: Mapping[str, Any], body: bytes) -> Iterator[str]:
    # What follows the last blank line was cut off.
    for block in body.decode().split("\n\n")[:-1]:
        if "event:" not in block:
            continue
        name, data = parse_event(block)
        if name not in events:
            yield f"the event {name} is not declared"
        elif events[name] is not None:
            yield from (f"{name}: {fault}" for fault in _faults_in(events[name], json.loads(data)))


def _faults_in(schema: Any, value: Any) -> Iterator[str]:
    for error in _validator(id(schema)).iter_errors(value):
        yield f"{'.'.join(map(str, error.instance_path))}: {error.message[:300]}"


@cache
def _validator(key: int) -> jsonschema_rs.Draft202012Validator:
    """Return the validator of one of `_schemas`."""
    reference = {"$ref": f"{_RESOURCE}#/answers/{key}"}
    return jsonschema_rs.Draft202012Validator(
        reference, validate_formats=True, registry=_registry()
    )


@cache
def _registry() -> jsonschema_rs.Registry:
    """Return all schemas of answers and what they refer to, which is read once."""
    answers = {
        str(key): {**schema, **({"unevaluatedProperties": False} if "allOf" in schema else {})}
        for key, schema in _schemas().items()
    }
    whole = {"components": {"schemas": _closed_schemas()}, "answers": answers}
    return jsonschema_rs.Registry([(_RESOURCE, whole)])


@cache
def _schemas() -> dict[int, Any]:
    """Return the schemas of all answers and events, by their identity."""
    found: dict[int, Any] = {}
    for declared in responses().values():
        for media_type, content in (each for c in declared.values() for each in c.items()):
            events = content.values() if media_type == "text/event-stream" else [content]
            found |= {id(schema): schema for schema in events if schema is not None}
    return found


@cache
def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(build(api_operations(), SECURITY, server="/")))
    return found


@cache
def _closed_schemas() -> dict[str, Any]:
    """Return all schemas with no further members, but the one that others extend."""
    found = {}
    for name, schema in document()["components"]["schemas"].items():
        is_open = name == "Problem" or "properties" not in schema
        found[name] = schema if is_open else {"unevaluatedProperties": False, **schema}
    return found


@cache
def responses() -> dict[tuple[str, str], dict[str, dict[str, Any]]]:
    """Return by path and method: each status with the schema of each media type.

    The schema of a stream is those of its events; None stands for a text.
    """
    shared = document()["components"]["responses"]
    return {
        (path, method): {
            status: _content(shared, response)
            for status, response in operation["responses"].items()
        }
        for path, item in document()["paths"].items()
        for method, operation in item.items()
    }


@cache
def declared_headers() -> dict[tuple[str, str], dict[str, set[str]]]:
    """Return by path and method: each status with the names of its headers in lower case."""
    shared = document()["components"]["responses"]
    return {
        (path, method): {
            status: {name.lower() for name in _whole(shared, response).get("headers", ())}
            for status, response in operation["responses"].items()
        }
        for path, item in document()["paths"].items()
        for method, operation in item.items()
    }


def _whole(shared: Mapping[str, Any], response: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = response
    if "$ref" in response:
        found = shared[response["$ref"].rpartition("/")[2]]
    return found


def _content(shared: Mapping[str, Any], response: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for media_type, content in _whole(shared, response).get("content", {}).items():
        events = content["schema"].get("x-events")
        found[media_type] = (
            content["schema"]
            if events is None
            else {
                name: None if schema == {"type": "string"} else schema
                for name, schema in events.items()
            }
        )
    return found
