"""Input is read strictly: a 400 names each unknown, repeated or mistyped field."""

# ruff: noqa: RUF001 - digits that look like letters are what is tested
from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from http import HTTPStatus
from typing import Any, Literal, TypeAliasType, get_args, get_origin
from uuid import UUID

from django.test import RequestFactory, SimpleTestCase
from pydantic import SecretStr

from salient.api.problems import Invalid
from salient.api.schemas import In, OlderPageIn
from sessions_app.api.schemas import ChatIn
from sessions_app.protocols.openai.schemas import Known
from tests.support.api_client import Answer
from tests.support.isolation.api_shapes import all_shapes
from tests.support.isolation.cases import MatrixTestCase
from tests.support.isolation.route_table import BODIES
from tests.support.isolation.routes import ACCOUNTS_OWN, Route, routes

AGENT = "agents/<str:instance>"
# Texts that are no valid number, day, id or choice.
WRONG_TEXTS: dict[str, tuple[str, ...]] = {
    "integer": ("", " 5", "5 ", "5.0", "+5", "1_0", "5e0", "0x5", "٥", "true", "9" * 5000),
    "date": (
        *("", "0", "86400", "1767225600", "1700000000000", "20260102", "2026-1-2", "2026-01-02Z"),
        *("2026-01-02T00:00:00", "2026-01-02T00:00:00Z", " 2026-01-02", "2026-02-30", "٢٠٢٦-٠١-٠٢"),
    ),
    "uuid": ("", "1", "g" * 32, "\0"),
    "enum": ("", "nonsense", "\0"),
}
KINDS: dict[Any, set[str]] = {
    bool: {"boolean"},
    int: {"integer"},
    str: {"string"},
    SecretStr: {"string"},
    date: {"string", "date"},
    UUID: {"string", "uuid"},
    type(None): {"null"},
    datetime: {"string"},
    Decimal: {"string", "integer", "number"},
}
SAMPLES: dict[str, Any] = {
    "string": "1",
    "integer": 1,
    "number": 1.5,
    "boolean": True,
    "array": [],
    "object": {},
    "null": None,
}
UNSEEN = (
    "\u200b",
    "\ufeff\u2060",
    "\u00ad \u3164",
    "\u2800",
    "\u115f\u180e",
    "\U000e0041",
    "\x85\x1f",
)


def api_routes() -> Iterator[Route]:
    return (
        route for route in routes() if route.is_api() and route.pattern.startswith(ACCOUNTS_OWN)
    )


@cache
def bodies() -> dict[tuple[str, str], type[In]]:
    """Return the shape of each body that a route reads, but for those of others' clients.

    These may have fields that we do not know.
    """
    return {
        (route.short, method): operation.body
        for route in api_routes()
        for method, operation in route.operations.items()
        if operation.body and not route.takes_unknown_fields()
    }


@cache
def queries() -> dict[str, type[In]]:
    """Return the shape of each query that a route reads, likewise."""
    return {
        route.short: operation.query
        for route in api_routes()
        for method, operation in route.operations.items()
        if operation.query and method not in foreign_queries(route)
    }


def kinds(annotation: Any) -> set[str]:
    """Return the types of JSON that a field takes, with “date”, “uuid” and “enum” for texts."""
    if isinstance(annotation, TypeAliasType):
        return kinds(annotation.__value__)
    if get_origin(annotation) is list:
        return {"array"}
    if get_origin(annotation) is Literal:
        return {"string", "enum"}
    if get_origin(annotation) is dict:
        return {"object"}
    if inspect.isclass(annotation) and issubclass(annotation, Enum):
        return {"string", "enum"}
    return set().union(*map(kinds, get_args(annotation))) | KINDS.get(annotation, set())


def fields_of(shape: type[In] | None) -> dict[str, set[str]]:
    fields = shape.model_fields if shape else {}
    return {field.alias or name: kinds(field.annotation) for name, field in fields.items()}


def foreign_queries(route: Route) -> set[str]:
    """Return the methods whose query others' clients write, with fields that we do not know."""
    return {
        method
        for method, operation in route.operations.items()
        if operation.query is not None and issubclass(operation.query, Known)
    }


class StrictInputTests(MatrixTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.key = self.principals["key"]

    def assert_names(self, answer: Answer, name: str, case: object) -> None:
        self.assertEqual(answer.status, HTTPStatus.BAD_REQUEST, (case, answer.body))
        problem = answer.json()
        if "error" in problem:
            # OpenAI's form names one field.
            error = problem["error"]
            problem = error | {"errors": [{"field": error["param"], "message": error["message"]}]}
        self.assertEqual(problem["code"], "invalid_request", case)
        self.assertIn(name, [error["field"] for error in problem["errors"]], (case, answer.body))
        self.assertTrue(all(error["message"] for error in problem["errors"]), case)

    def send(self, route: Route, method: str, raw: str) -> Answer:
        return self.send_bytes(route, method, raw=raw.encode())

    def send_bytes(self, route: Route, method: str, **more: Any) -> Answer:
        path = route.path(self.values(self.key))
        answer: Answer = self.run_call(self.key.client.call(method, path, **more))
        return answer

    def test_every_route_names_a_query_parameter_that_it_does_not_know(self) -> None:
        for route in api_routes():
            for method in set(route.methods) - foreign_queries(route):
                for query in ({"colour": "red"}, {"colour": ""}, {"colour": ["a", "b"]}):
                    answer = self.call(self.key, route, method, query=query)
                    self.assert_names(answer, "colour", (method, route.short))

    def test_no_route_reads_a_query_beside_a_body(self) -> None:
        for route in api_routes():
            for method in {"POST", "PATCH", "DELETE"} & {*route.methods}:
                for name in ("message", "session_id", "limit"):
                    answer = self.call(self.key, route, method, query={name: "hello"})
                    self.assert_names(answer, name, (method, route.short))

    def test_every_parameter_is_refused_when_it_stands_twice_or_is_no_utf8(self) -> None:
        for route in api_routes():
            for name in fields_of(queries().get(route.short)):
                twice = self.call(self.key, route, "GET", query={name: ["a", "a"]})
                self.assert_names(twice, name, (route.short, name))
                for broken in (b"\xff", b"a\xed\xa0\x80", b"\xc0\x80"):
                    answer = self.call(self.key, route, "GET", query={name: broken})
                    self.assert_names(answer, name, (route.short, name, broken))

    def test_every_parameter_is_refused_in_another_form(self) -> None:
        for route in api_routes():
            for name, allowed in fields_of(queries().get(route.short)).items():
                for text in (t for kind in allowed for t in WRONG_TEXTS.get(kind, ())):
                    answer = self.call(self.key, route, "GET", query={name: text})
                    self.assert_names(answer, name, (route.short, name, text[:20]))

    def test_every_body_names_a_field_that_it_does_not_know(self) -> None:
        for route in api_routes():
            for method in route.methods:
                if (route.short, method) in bodies():
                    answer = self.call(self.key, route, method, body={"colour": "red"})
                    self.assert_names(answer, "colour", (method, route.short))

    def test_every_field_of_a_body_is_refused_when_it_stands_twice(self) -> None:
        for route in api_routes():
            for method in {method for short, method in bodies() if short == route.short}:
                for name, value in {**BODIES[route.short, method], **self.optional(route)}.items():
                    good = BODIES[route.short, method] | {name: value}
                    pairs = [f"{json.dumps(k)}: {json.dumps(v)}" for k, v in good.items()]
                    again = f"{json.dumps(name)}: {json.dumps(value)}"
                    # Also with an escaped letter.
                    spelt = again.replace(name[0], f"\\u{ord(name[0]):04x}", 1)
                    for last in (again, spelt):
                        answer = self.send(route, method, f"{{{', '.join([*pairs, last])}}}")
                        self.assert_names(answer, name, (route.short, name, last))

    def optional(self, route: Route) -> dict[str, Any]:
        more: dict[str, dict[str, Any]] = {
            "keys/rotate": {"overlap_seconds": 60},
            f"{AGENT}/visitors": {"expires_in": 60},
            f"{AGENT}/chat": {"session_id": None},
        }
        return more.get(route.short, {})

    def test_no_value_of_another_type_is_made_to_fit(self) -> None:
        for route in api_routes():
            for method in {method for short, method in bodies() if short == route.short}:
                for name, allowed in fields_of(bodies()[route.short, method]).items():
                    for kind, value in SAMPLES.items():
                        if kind in allowed:
                            continue
                        answer = self.call(self.key, route, method, body={name: value})
                        self.assert_names(answer, name, (route.short, name, value))

    def test_what_is_no_json_object_is_an_error_of_the_body(self) -> None:
        for route in api_routes():
            for method in {method for short, method in bodies() if short == route.short}:
                for raw in ("[]", "1", "null", "{", '{"a": 1}}', "\ufeff{}", "{}{}", "{'a': 1}"):
                    answer = self.send(route, method, raw)
                    self.assert_names(answer, "body", (route.short, raw))

    def test_a_body_in_another_encoding_is_told_which_one_to_send(self) -> None:
        text = '{"message": "Grüße"}'
        for encoding in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"):
            request = RequestFactory().post("/", text.encode(encoding), "application/json")
            with self.subTest(encoding), self.assertRaises(Invalid) as raised:
                ChatIn.of_body(request)
            self.assertEqual(raised.exception.detail, "body: send UTF-8 without a byte order mark")

    def test_no_body_is_taken_where_none_is_read_or_when_it_is_packed(self) -> None:
        for route in api_routes():
            for method in route.methods:
                if method in {"GET", "DELETE"}:
                    answer = self.send_bytes(route, method, raw=b'{"message": "Hi"}')
                    self.assert_names(answer, "body", (method, route.short))
                    continue
                for coding in ("gzip", "br", "identity, gzip"):
                    headers = {"content-encoding": coding}
                    answer = self.send_bytes(route, method, raw=b"{}", headers=headers)
                    self.assertEqual(answer.status, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, route.short)

    def test_a_message_that_nobody_would_see_is_blank(self) -> None:
        for route in api_routes():
            if route.short not in {f"{AGENT}/chat", f"{AGENT}/stream"}:
                continue
            for message in UNSEEN:
                for method in route.methods:
                    given = {"message": message}
                    more = {"query": given} if method == "GET" else {"body": given}
                    answer = self.call(self.key, route, method, **more)
                    self.assert_names(answer, "message", (method, message))

    def test_the_audit_log_refuses_a_filter_that_can_find_nothing(self) -> None:
        [route] = [route for route in api_routes() if route.short == "audit"]
        for name, value in (
            ("object_type", "api_key"),
            ("object_type", "pg_class"),
            ("actor_id", "nobody"),
            ("actor_id", "visitor:1"),
            ("actor_id", ""),
            ("object_id", "a\0b"),
            ("actor_kind", "robot"),
            ("action", "read"),
            ("before", "yesterday"),
        ):
            answer = self.call(self.key, route, "GET", query={name: value})
            self.assert_names(answer, name, value)
        for name, value in (
            ("object_type", "api_keys"),
            ("actor_id", str(self.target.pk)),
            ("actor_id", f"visitor:{'0' * 32}"),
            ("actor_id", "create_key"),
        ):
            answer = self.call(self.key, route, "GET", query={name: value})
            self.assertEqual(answer.status, HTTPStatus.OK, (name, value, answer.body))


class CompletenessTests(SimpleTestCase):
    def test_every_shape_is_read_by_a_route(self) -> None:
        # What others' clients send may have fields that we do not know.
        foreign = {*all_shapes(Known)} | {Known}
        of_tests = {each for each in all_shapes(In) if each.__module__.startswith("tests.")}
        self.assertEqual(
            {*bodies().values(), *queries().values()},
            {*all_shapes(In)} - {In, OlderPageIn} - foreign - of_tests,
        )

    def test_every_body_has_a_good_one_in_the_table(self) -> None:
        foreign = {(route.short, "POST") for route in api_routes() if route.takes_unknown_fields()}
        wanted = {*bodies()} | foreign
        self.assertEqual(wanted ^ {*BODIES}, set(), "write one into BODIES (route_table.py)")
