"""Limits on the size and time of requests and responses, security headers and the Host check."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Mapping
from contextlib import suppress
from functools import lru_cache, partial
from http import HTTPStatus
from types import coroutine
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestAborted
from django.http.request import split_domain_port, validate_host
from django.template.loader import render_to_string

from salient.api.problems import (
    BodyTooLarge,
    Forbidden,
    InternalError,
    Invalid,
    MethodNotAllowed,
    NotFound,
    Problem,
    Unavailable,
    UnknownRoute,
)
from salient.api.routing import HEALTH, METRICS, nearest_route, route_of
from salient.database.upgrades.pending import MigrationPending, migrations
from salient.observability import context

logger = logging.getLogger(__name__)

# Load balancers and Prometheus name a process by its address.
ANY_HOST = HEALTH | {METRICS}

type Scope = dict[str, Any]
type Message = Mapping[str, Any]
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Coroutine[Any, Any, None]]
type Application = Callable[[Scope, Receive, Send], Awaitable[None]]
type Headers = Iterable[tuple[bytes, bytes]]

API_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
PAGE_HEADERS = (
    (
        b"permissions-policy",
        b"accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), "
        b"magnetometer=(), microphone=(), midi=(), payment=(), usb=()",
    ),
    (b"x-content-type-options", b"nosniff"),
)
# No middleware adds its own to these pages.
REFUSAL_HEADERS = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-security-policy", b"default-src 'self'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)


LONGEST_HOST = 100
HOST_NAME = re.compile(r"[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")


class FinalChunk(bytes):
    """The last chunk of a stream: it is sent together with the end of the body."""

    __slots__ = ()


class BodyTooSlow(Problem):
    """The body did not arrive in time."""

    status = HTTPStatus.REQUEST_TIMEOUT
    code = "body_too_slow"

    def __init__(self) -> None:
        super().__init__(
            "The request body did not arrive in time.", headers={"Connection": "close"}
        )


class UnknownHost(Problem):
    """The `Host` header is not one of `ALLOWED_HOSTS`."""

    code = "unknown_host"
    detail = "This service is not known by that host name."


class SlowReader(RequestAborted):
    """The client does not read what is sent; the response ends as if it had disconnected."""


class BodyReader:
    """`receive` with limits on the size of the body and on the time until it is whole."""

    def __init__(self, scope: Scope, receive: Receive, limit: int) -> None:
        self._receive, self._limit = receive, limit
        self._announced = announced_length(scope)
        self._size = 0
        self._whole = False
        self._deadline = asyncio.get_running_loop().time() + settings.BODY_TIMEOUT_SECONDS

    async def __call__(self) -> Message:
        """Return the next message; raises BodyTooSlow, and BodyTooLarge before it reads much."""
        if self._whole:
            return await self._receive()
        if self._announced > self._limit:
            raise BodyTooLarge(self._limit)
        message = await self._next()
        self._size += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._size > self._limit:
            raise BodyTooLarge(self._limit)
        return message

    async def _next(self) -> Message:
        receiving = self._receive()
        if not isinstance(receiving, Coroutine):
            return await self._in_time(receiving)
        # Most bodies are there already; only those that are waited for pay for a timeout.
        try:
            waiting = receiving.send(None)
        except StopIteration as received:
            message: Message = received.value
            return message
        return await self._in_time(_resume(receiving, waiting))

    async def _in_time(self, receiving: Awaitable[Message]) -> Message:
        try:
            async with asyncio.timeout_at(self._deadline):
                return await receiving
        except TimeoutError as error:
            raise BodyTooSlow from error


class Sender:
    """`send` that adds the headers of every response and limits how long the client may take."""

    def __init__(self, send: Send, headers: Headers, scope: Scope) -> None:
        self._context = context.current()
        request_id = (b"x-request-id", context.request_id().encode())
        self._send, self._headers = send, (*headers, request_id)
        self._omits_body = scope["method"] == "HEAD"

    async def __call__(self, message: Message) -> None:
        """Send; raises SlowReader when the client has not read it in time."""
        if message["type"] == "http.response.start":
            if self._context is not None:
                self._context.status = message["status"]
            message = {**message, "headers": with_defaults(message["headers"], self._headers)}
        elif self._omits_body:
            message = {**message, "body": b""}
        sending = self._send(message)
        # Most sends finish at once; only those that must wait pay for a timeout.
        try:
            waiting = sending.send(None)
        except StopIteration:
            return
        try:
            async with asyncio.timeout(settings.SEND_TIMEOUT_SECONDS):
                await _resume(sending, waiting)
        except TimeoutError as error:
            raise SlowReader from error


@coroutine
def _resume[T](begun: Coroutine[Any, Any, T], waiting: Any) -> Generator[Any, Any, T]:
    """Resume a coroutine that has already been started and waits; returns what it returns."""
    while True:
        try:
            value = yield waiting
        except BaseException as error:
            step = partial(begun.throw, error)
        else:
            step = partial(begun.send, value)
        try:
            waiting = step()
        except StopIteration as ended:
            result: T = ended.value
            return result


def with_defaults(headers: Headers, defaults: Headers) -> list[tuple[bytes, bytes]]:
    """Add the default headers that are missing."""
    present = list(headers)
    names = {name.lower() for name, _ in present}
    return present + [(name, value) for name, value in defaults if name not in names]


def announced_length(scope: Scope) -> int:
    """Return the Content-Length, or 0 when it is absent or not a number."""
    for name, value in scope.get("headers", ()):
        if name == b"content-length" and value.isdigit():
            return int(value[:20])
    return 0


def api_headers() -> Headers:
    """Return the security headers of API responses; pages get theirs from Django's middleware."""
    return _api_headers(settings.SECURE_HSTS_SECONDS)


@lru_cache(maxsize=16)
def _api_headers(hsts_seconds: int) -> Headers:
    if not hsts_seconds:
        return API_HEADERS
    hsts = f"max-age={hsts_seconds}; includeSubDomains; preload"
    return (*API_HEADERS, (b"strict-transport-security", hsts.encode()))


def require_known_host(scope: Scope) -> None:
    """Raise UnknownHost, and log one line, unless the Host header is one of ALLOWED_HOSTS."""
    named = header(scope, b"host")
    if scope["path"] in ANY_HOST or _is_allowed(named, tuple(settings.ALLOWED_HOSTS)):
        return
    # Anything else is not logged: it may be a secret that was sent in the wrong header.
    shown = named[:LONGEST_HOST] if HOST_NAME.fullmatch(named) else "(not a host name)"
    logger.warning("A request for the unknown host %s was refused.", shown)
    raise UnknownHost


@lru_cache(maxsize=256)
def _is_allowed(host: str, allowed: tuple[str, ...]) -> bool:
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, allowed)


def header(scope: Scope, name: bytes) -> str:
    """Return a header's value; one that comes several times is joined, as Django does it."""
    values = (value for key, value in scope.get("headers", ()) if key == name)
    return b",".join(values).decode("latin-1")


async def read_body(receive: Receive) -> bytes:
    """Read the whole body, which a BodyReader keeps small; raises RequestAborted."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RequestAborted
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def with_request_limits(application: Application) -> Application:
    """Wrap Django's own handler, which would read a body of any length."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        reader = BodyReader(scope, receive, settings.MAX_PAGE_BODY_BYTES)
        sender = Sender(send, PAGE_HEADERS, scope)
        with suppress(RequestAborted):
            try:
                require_known_host(scope)
                migrations.require(scope["path"])
                body = await read_body(reader)
            except Problem as problem:
                await send_refusal(problem, scope, sender)
            else:
                answer = ErrorsAsProblems(scope, sender) if wants_json(scope) else sender
                await application(scope, replayed(body, reader), answer)

    return serve


async def send_refusal(problem: Problem, scope: Scope, send: Send) -> None:
    """Send a page to a browser, and a problem to a program."""
    if "text/html" not in header(scope, b"accept"):
        await send_problem(problem, send)
        return
    facts = {"detail": problem.detail, **problem.members}
    page = render_to_string(REFUSAL_PAGES.get(type(problem), "refused.html"), facts)
    headers = [*REFUSAL_HEADERS, (b"content-length", b"%d" % len(page.encode()))]
    headers += [(name.encode(), value.encode()) for name, value in problem.headers.items()]
    await send({"type": "http.response.start", "status": int(problem.status), "headers": headers})
    await send({"type": "http.response.body", "body": page.encode()})


# Refusals whose page says more than what is wrong.
REFUSAL_PAGES: Mapping[type[Problem], str] = {
    BodyTooLarge: "too_large.html",
    MigrationPending: "migration_pending.html",
}
# The problems that replace error pages, by status.
PAGE_PROBLEMS = {
    int(problem.status): problem
    for problem in (
        Invalid("The request cannot be read."),
        Forbidden("This page is not for this caller."),
        NotFound(),
        InternalError(),
        Unavailable("The service does not answer now; try again."),
    )
}


def wants_json(scope: Scope) -> bool:
    """Whether the client is a program that sends or accepts JSON, and not a browser."""
    accepted = header(scope, b"accept")
    takes = "json" in accepted or "json" in header(scope, b"content-type")
    return takes and "text/html" not in accepted


class ErrorsAsProblems:
    """`send` that replaces an error page with a problem document."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope, self._send = scope, send
        self._is_replaced = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = {name.lower(): value for name, value in message["headers"]}
            problem = self._problem(message["status"], headers)
            if problem is not None and headers.get(b"content-type", b"").startswith(b"text/html"):
                self._is_replaced = True
                await send_problem(problem, self._send, headers)
        if not self._is_replaced:
            await self._send(message)

    def _problem(self, status: int, headers: Mapping[bytes, bytes]) -> Problem | None:
        path = self._scope["path"]
        if status == HTTPStatus.NOT_FOUND and route_of(path) is None:
            return UnknownRoute(nearest_route(path))
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = headers.get(b"allow", b"").decode("latin-1").split(", ")
            return MethodNotAllowed(self._scope["method"], allowed)
        return PAGE_PROBLEMS.get(status)


def replayed(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives a body again that was already read, then what follows it."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay


async def send_problem(
    problem: Problem, send: Send, more: Mapping[bytes, bytes] | None = None
) -> None:
    """Send a problem, with `more` headers: those of the page that it replaces."""
    response = problem.as_response()
    headers = {k.lower().encode("ascii"): v.encode("latin1") for k, v in response.items()}
    headers = {**(more or {}), **headers, b"content-length": b"%d" % len(response.content)}
    start = {"type": "http.response.start", "status": response.status_code}
    await send({**start, "headers": list(headers.items())})
    await send({"type": "http.response.body", "body": response.content})
