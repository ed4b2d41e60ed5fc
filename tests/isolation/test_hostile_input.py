"""No text in an address, a header, a body or a form causes a server error."""

from __future__ import annotations

import json
import logging
import random
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from http import HTTPStatus
from operator import itemgetter
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from asgiref.sync import async_to_sync
from django.conf import settings
from django.forms import BaseForm
from django.http.response import HttpResponseBase
from django.test import Client

from tests.support.api_client import Answer, ApiClient, Call, connections_stay_open
from tests.support.factories import write_config
from tests.support.isolation.accounts import rolled_back
from tests.support.isolation.cases import MatrixTestCase, PagesTestCase, pages
from tests.support.isolation.route_table import BODIES, QUERIES
from tests.support.isolation.routes import Route, routes

# Quoted, as in an address.
TEXTS = (
    "%00",
    "a%00b",
    "%ff",
    "%c0%af",
    "%ed%a0%80",
    "%F0%9F%92%A5",
    "%0d%0aSet-Cookie:%20x=1",
    "..%2f..%2fetc%2fpasswd",
    "9" * 40,
    "-1",
    "1e999999",
    "NaN",
    "infinity",
    "0000-00-00",
    "10000-01-01",
    "0001-01-01T00:00:00%2B23:59",
    "9999-12-31T23:59:59-23:59",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "%7B00000000000000000000000000000000%7D",
    "2026-01-01T00:00:00Z~00000000-0000-7000-8000-000000000000",
    "9999-12-31T23:59:59-23:59~00000000-0000-7000-8000-000000000000",
    "'%22%3E%3Cscript%3E",
    "x" * 300,
    "",
)
QUERIES_WHOLE = (
    "&" * 1001,
    "sal_" + "&" * 1001,
    "&".join(f"f{n}=1" for n in range(1001)),
    "a[]=1&a[]=2",
    "=",
    "%",
    "%%%",
    "%u0000=1",
    "%00=%00",
    "session_id=1&session_id=2",
    "page=99999999999999999999",
    "format=exe",
    "x=" + "y" * 7000,
)
# Python's JSON, which also has values that standard JSON lacks.
VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    10**400,
    1.5e308,
    float("nan"),
    float("inf"),
    "",
    "\x00",
    "\ud800",
    "1e999999",
    "Infinity",
    "9" * 5000,
    "0000-00-00",
    "K\u0131\u0130@\u212aexample.com",
    "a@" + "b" * 300 + ".com",
    [],
    [None],
    {},
    {"a": {"b": "\x00"}},
    [[[[[[]]]]]],
)
BODIES_WHOLE = (
    b"",
    b"null",
    b"[]",
    b"1e999999",
    b'"\\ud800"',
    b'{"message": "\\ud800"}',
    b'{"message": "\xff"}',
    b"\xef\xbb\xbf{}",
    b"\xff\xfe{\x00}\x00",
    b"[" * 60_000,
    b'{"a":' * 20_000,
    b"{" + b'"a":1,' * 20_000 + b'"b":2}',
    b'{"message": "x", "message": "y"}',
    b"{",
    b"\x00" * 100,
)
HEADERS = (
    ("cookie", "\xff\xfe=\x01; sessionid=\xe9; csrftoken"),
    ("cookie", "sessionid=" + "a" * 5000),
    ("cookie", "messages=W1siX19qc29uX21lc3NhZ2UiLDAsMjUsIngiXV0:1:x; sessionid=\x7f"),
    ("cookie", ";" * 3000),
    ("authorization", "Bearer"),
    ("authorization", "Bearer \xff\xfe"),
    ("authorization", "Bearer sal_sk_\xe9\x01"),
    ("authorization", "Bearer sal_vt_" + "." * 500),
    ("authorization", "Bearer sal_pt_" + "A" * 4000),
    ("authorization", "Basic \xff"),
    ("content-type", "application/json; charset=nonsense"),
    ("content-type", "application/json; charset=\xff"),
    ("content-type", "text/html; charset=idna"),
    ("content-type", "multipart/form-data; boundary=\xff"),
    ("content-type", "multipart/form-data"),
    ("content-type", "application/x-www-form-urlencoded; charset=utf-7"),
    ("content-length", "9" * 30),
    ("content-encoding", "gzip"),
    ("accept", "application/json"),
    ("accept", "\xff/\xfe;q=NaN"),
    ("accept-language", "xx-\xff,*;q=9e999,de-" + "a" * 600),
    ("accept-encoding", "gzip;q=\xff"),
    ("origin", "http://[::1"),
    ("origin", "\xff"),
    ("referer", "http://[" + "x" * 500),
    ("range", "bytes=9-1,-99999999999999999999"),
    ("if-none-match", '"\xff'),
    ("if-modified-since", "Thu, 99 Foo 99999 99:99:99 GMT"),
    ("upgrade", "websocket"),
    ("idempotency-key", "\xff\x00"),
    ("last-event-id", "9" * 400),
    ("x-forwarded-for", "::ffff:999.1.1.1, \xff,,,"),
    ("x-forwarded-proto", "\xff"),
    ("sec-fetch-site", "\xff"),
)
# Pages take longer, so fewer values are sent, each once to each kind of place.
SEED = 11
PAGE_TEXTS = (
    *("%00", "%ff", "%ed%a0%80", "9" * 40, "-1", "1e999999", "NaN", "infinity", "0000-00-00"),
    *("10000-01-01", "9999-12-31T23:59:59-23:59~ffffffff-ffff-ffff-ffff-ffffffffffff", "..%2f.."),
)
# Parameters that Django's lists read, and similar ones.
UNKNOWN = ("next", "page", "format", "days", "a[]", "id__in", "pk__exact", "id__isnull")
PLACES = (
    *("q", "o", "p", "e", "all", "_popup", "_to_field", "_changelist_filters", "before", "after"),
    *UNKNOWN,
)
FORM_VALUES = (
    *("\x00", "9" * 40, "1e999999", "-1e-999999", "NaN", "-Infinity", "0000-00-00", "\ufdd0"),
    *("10000-01-01", "x" * 3000, "\u0130@\u212a.example", "[" * 5000),
)
LIST_DEPTH = 3
# All routes read these parts of their paths by the same code, and so most headers.
READ_BY_ALL = {"account", "instance"}
READ_BY_VIEWS = {"idempotency-key", "last-event-id", "if-none-match"}
METHODS = ("TRACE", "PROPFIND", "get", "CONNECT", "X" * 40)


@contextmanager
def no_server_error(test: Any) -> Iterator[list[str]]:
    """Collect wrong answers; fail with them and with every error in the log."""
    wrong: list[str] = []
    heard = logging.Handler(logging.ERROR)
    heard.emit = lambda record: wrong.append(record.getMessage())  # type: ignore[method-assign]
    # A request that Django refuses as suspicious is a 400 and one line in the log.
    heard.addFilter(lambda record: not record.name.startswith("django.security"))
    loggers = [logging.getLogger(), logging.getLogger("django")]
    for logger in loggers:
        logger.addHandler(heard)
    try:
        yield wrong
    finally:
        for logger in loggers:
            logger.removeHandler(heard)
    test.assertEqual(wrong[:40], [])


class ApiTests(MatrixTestCase):
    """Each place of each API route."""

    def send(self, route: Route, method: str, **more: Any) -> int:
        return self.answer(route, method, **more).status

    def answer(self, route: Route, method: str, **more: Any) -> Answer:
        """Send a valid call changed by `path`, `query`, `raw` and `headers`."""
        place = (route.short, method)
        defaults = {k: v.format(**self.of_key) for k, v in QUERIES.get(place, {}).items()}
        body = json.dumps(BODIES.get(place, {})).encode()
        call = Call(
            self.principals["key"].client,
            method,
            as_server_decodes(more.get("path") or route.path(self.of_key)),
            raw=more.get("raw", body if method in {"POST", "PATCH"} else b""),
            headers=more.get("headers"),
        )
        query = more.get("query", "&".join(f"{k}={quote(v)}" for k, v in defaults.items()))
        call.scope["query_string"] = query.encode()
        with nullcontext() if method == "GET" else rolled_back():
            self.run_call(call.run())
        return call.answer()

    def setUp(self) -> None:
        super().setUp()
        model = "model: scripted:echo?delay_ms=0&first_ms=0\n"
        write_config(settings.AGENT_CONFIG_DIR, "acme", "bot", model)
        self.of_key = self.values(self.principals["key"])
        self.routes = [route for route in routes() if route.is_api()]

    def each(self) -> Iterator[tuple[Route, str]]:
        for route in self.routes:
            for method in route.methods or ("GET",):
                yield route, method

    def test_in_each_part_of_each_path(self) -> None:
        with no_server_error(self) as wrong:
            for turn, (route, method) in enumerate(self.each()):
                for number, name in enumerate(route.parameters, turn):
                    for text in part_of(TEXTS, number, 12 if name in READ_BY_ALL else 3):
                        path = route.path(self.of_key | {name: text})
                        status = self.send(route, method, path=path)
                        if status >= 500:
                            wrong.append(f"{method} {path}: {status}")

    def test_in_each_field_of_each_query(self) -> None:
        with no_server_error(self) as wrong:
            for turn, route in enumerate(self.routes):
                if "GET" not in (route.methods or ("GET",)):
                    continue
                fields = self.fields_of(route, "GET")
                queries = [
                    f"{field}={text}"
                    for number, field in enumerate(fields)
                    for text in part_of(TEXTS, number, 3)
                ]
                for query in (*queries, *part_of(QUERIES_WHOLE, turn, 3)):
                    status = self.send(route, "GET", query=query)
                    if status >= 500:
                        wrong.append(f"{route.short}?{query[:60]}: {status}")

    def test_in_each_field_of_each_body(self) -> None:
        sent = set[Any]()
        with no_server_error(self) as wrong:
            for turn, (route, method) in enumerate(self.each()):
                if method not in {"POST", "PATCH"}:
                    continue
                usual = BODIES.get((route.short, method), {})
                body = route.operations[method].body
                # OpenAI's API is at two addresses, which read a body by the same code.
                fields = [] if route.is_openai() and body in sent else self.fields_of(route, method)
                sent.add(body)
                bodies = [
                    json.dumps(usual | {field: value}).encode()
                    for number, field in enumerate(fields)
                    # PostgreSQL refuses a NUL in every text, so it is tried in every field.
                    for value in (*part_of(VALUES, number, 3), "a\x00b")
                ]
                for raw in (*bodies, *part_of(BODIES_WHOLE, turn, 4)):
                    status = self.send(route, method, raw=raw)
                    if status >= 500:
                        wrong.append(f"{method} {route.short} {raw[:60]!r}: {status}")

    def fields_of(self, route: Route, method: str) -> list[str]:
        """Return the fields that a call declares, and one that no call knows."""
        operation = route.operations[method]
        read = operation.query if method == "GET" else operation.body
        fields = read.model_fields if read else {}
        return [*(field.alias or name for name, field in fields.items()), "unknown"]

    def test_in_each_header_and_as_a_method(self) -> None:
        with no_server_error(self) as wrong:
            for number, (route, method) in enumerate(self.each()):
                for name, value in headers_of(number):
                    status = self.send(route, method, headers={name: value})
                    if status >= 500:
                        wrong.append(f"{method} {route.short} {name}: {value!r}: {status}")
                for unknown in part_of(METHODS, number, 5):
                    status = self.send(route, unknown)
                    if status >= 500:
                        wrong.append(f"{unknown} {route.short}: {status}")


class PageTests(PagesTestCase):
    """Each place of each page, as a superuser, who may open all of them."""

    def setUp(self) -> None:
        super().setUp()
        boss = self.principals["root"]
        self.browser = Client(headers=dict(boss.client.headers), raise_request_exception=False)
        # Stored values are no input.
        self.pages = [page for page in pages() if "autocomplete" not in page.pattern]

    def get(self, wrong: list[str], address: str, **headers: Any) -> HttpResponseBase:
        answer = self.browser.get(address, secure=True, **headers)
        if answer.status_code >= 500:
            wrong.append(f"{address[:150]}: {answer.status_code}")
        return answer

    def test_a_nul_is_refused_in_every_query(self) -> None:
        for page in self.pages:
            address = page.path(self.values(page))
            for query in ("q=%00", "kind__exact=a%00b", "%00=1"):
                answer = self.browser.get(f"{address}?{query}", secure=True)
                self.assertEqual(answer.status_code, HTTPStatus.BAD_REQUEST, (address, query))

    def test_in_each_part_of_each_path(self) -> None:
        places = (
            (page, name)
            for page in self.pages
            for name in sorted({*page.parameters} - {"app_label", "url"})
        )
        with no_server_error(self) as wrong:
            for (page, name), text in spread(list(places), PAGE_TEXTS, kind=itemgetter(1)):
                self.get(wrong, page.path(self.values(page) | {name: text}))

    def test_in_each_field_of_each_query(self) -> None:
        pairs = [(page.path(self.values(page)), page) for page in self.pages]
        lists = [
            address
            for address, page in pairs
            if page.model is not None and page.pattern.count("/") == LIST_DEPTH
        ]
        fields = [
            (address, name) for address in lists for name in (*PLACES, *self.filters_of(address))
        ]
        with no_server_error(self) as wrong:
            for (address, name), text in spread(fields, PAGE_TEXTS, kind=kind_of_field):
                self.get(wrong, f"{address}?{name}={text}")
            for (address, _), query in spread(pairs, QUERIES_WHOLE, kind=kind_of_page):
                self.get(wrong, f"{address}?{query}")

    def filters_of(self, address: str) -> list[str]:
        """Read the names of a list's filters off its page."""
        if not address.startswith("/admin/"):
            return []
        page = getattr(self.browser.get(address, secure=True), "content", b"").decode()
        fields = set(re.findall(r'<(?:input|select)[^>]* name="([\w-]+)"', page))
        return sorted((fields | set(re.findall(r"[?&;]([\w]+)=", page))) - {"csrfmiddlewaretoken"})

    def test_in_each_field_of_each_form(self) -> None:
        with no_server_error(self) as wrong:
            fields = [
                (page.path(self.values(page)), form, name, kind)
                for page in self.pages
                for form, kinds in self.forms_of(page.path(self.values(page)))
                for name, kind in kinds.items()
            ]
            for place, value in spread(fields, FORM_VALUES, kind=itemgetter(3)):
                address, form, name, _ = place
                with rolled_back():
                    answer = self.browser.post(address, form | {name: value}, secure=True)
                if answer.status_code >= 500:
                    wrong.append(f"{address} {name}={value!r}: {answer.status_code}")

    def forms_of(self, address: str) -> list[tuple[dict[str, Any], dict[str, str]]]:
        """Read a page's forms: what a browser would send, and the kind of each field."""
        answer: Any = self.browser.get(address, secure=True)
        if answer.status_code != HTTPStatus.OK or answer.context is None:
            return []
        found = [answer.context.get("form"), getattr(answer.context.get("adminform"), "form", None)]
        return [
            (
                {name: text_of(form[name].value()) for name in form.fields},
                {name: type(field).__name__ for name, field in form.fields.items()},
            )
            for form in found
            if isinstance(form, BaseForm)
        ]

    def test_in_each_header(self) -> None:
        with no_server_error(self) as wrong:
            addresses = ("/admin/", "/login/", "/accounts/acme/agents/bot/", "/admin/login/")
            headers = [each for each in HEADERS if each[0] not in {"content-length", "cookie"}]
            for address, (name, value) in spread(addresses, headers, kind=len):
                self.get(wrong, address, headers={name: value})


class EdgeTests(MatrixTestCase):
    """The whole ASGI application, called as a server calls it."""

    def test_pages_are_read_whatever_their_address_and_headers_are(self) -> None:
        with no_server_error(self) as wrong:
            for path in (
                "/admin/login/",
                "/login/",
                "/static/x.css",
                "/",
                "/nothing",
                "/v1/models",
            ):
                calls = [(path, {name: value}, "GET") for name, value in HEADERS]
                calls += [(path, {}, method) for method in METHODS]
                calls += [(f"{path}{as_server_decodes(text)}", {}, "GET") for text in TEXTS]
                for where, headers, method in calls:
                    call = Call(ApiClient(), method, where, headers=headers)
                    call.scope["scheme"] = "https"
                    with connections_stay_open():
                        async_to_sync(call.run)()
                    if call.answer().status >= 500:
                        wrong.append(f"{method} {where!r} {headers}: {call.answer().status}")


def spread[P, V](
    places: Sequence[P], values: Sequence[V], *, kind: Callable[[P], object]
) -> Iterator[tuple[P, V]]:
    """Give each value to one place of each kind, chosen by the seed."""
    chance = random.Random(SEED)  # noqa: S311 - no secret, and the same each time
    kinds: dict[object, list[P]] = {}
    for place in places:
        kinds.setdefault(kind(place), []).append(place)
    for same_kind in kinds.values():
        chance.shuffle(same_kind)
        for turn, value in enumerate(chance.sample(values, len(values))):
            yield same_kind[turn % len(same_kind)], value


def kind_of_field(place: tuple[str, str]) -> str:
    """Return the kind of a parameter: one of every list's, or the column of a filter."""
    if place[1] in UNKNOWN:
        return ""
    return place[1] if place[1] in PLACES else place[1].rpartition("__")[2]


def kind_of_page(place: tuple[str, Route]) -> bool:
    """Return the kind of a page: all lists read their query alike, other pages read none."""
    return place[1].name.endswith("_changelist")


def part_of[T](values: Sequence[T], number: int, parts: int) -> Sequence[T]:
    """Return a part of the values for a place, so that each value is tried in many places."""
    return values[number % parts :: parts]


def headers_of(number: int) -> Iterator[tuple[str, str]]:
    """Yield the headers that are sent to a route: each is sent to every route that is alike."""
    of_views = [header for header in HEADERS if header[0] in READ_BY_VIEWS]
    yield from part_of(of_views, number, 2)
    yield from part_of([header for header in HEADERS if header not in of_views], number, 10)


def as_server_decodes(path: str) -> str:
    """Decode a path as gunicorn does."""
    return unquote_to_bytes(path).decode("utf-8", "replace")


def text_of(value: Any) -> Any:
    if value is None or value is False:
        return ""
    return value if isinstance(value, list) else str(value)
