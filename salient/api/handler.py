"""Serves the API over ASGI with no middleware, no signals and no thread per request.

Django's own handler opens a thread-sensitive context: one executor thread for each request, which
lives as long as the stream. Its signals cross to a thread twice. The API needs neither.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager, suppress
from http import HTTPStatus
from io import BytesIO
from typing import Any, Protocol, Self

from django.conf import settings
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIRequest, get_script_prefix
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.urls import ResolverMatch, set_script_prefix

from salient.api.cors import Crossing
from salient.api.lifespan import in_flight
from salient.api.limits import (
    BodyReader,
    LastPart,
    Message,
    Receive,
    Scope,
    Send,
    Sender,
    api_headers,
    read_body,
    require_known_host,
)
from salient.api.problems import PRIVATE, InternalError, Problem, UnknownRoute
from salient.api.routing import nearest_route, route_of

logger = logging.getLogger(__name__)
HEARTBEAT = b": still here\n\n"


class ApiHandler:
    """Has no middleware: each view's one door does what middleware would do."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("root_path") or settings.FORCE_SCRIPT_NAME:
            set_script_prefix(get_script_prefix(scope))
        send = Sender(send, api_headers(), scope)
        try:
            require_known_host(scope)
            body = await read_body(BodyReader(scope, receive, settings.MAX_BODY_BYTES))
        except RequestAborted:
            return
        except Problem as problem:
            await self.refuse(scope, problem, send)
            return
        answering = self.answer(ASGIRequest(scope, BytesIO(body)), receive, send)
        # It may be long, and the answer too.
        del body
        with in_flight:
            await answering

    async def refuse(self, scope: Scope, problem: Problem, send: Send) -> None:
        """Answer without having read the body; the page that sent it may read why."""
        request = ASGIRequest(scope, BytesIO())
        match = route_of(request.path_info)
        response: HttpResponseBase = problem.as_response()
        if match is not None and (crossing := crossing_of(request, match)) is not None:
            await crossing.dress(response, caller_is_known=False)
        with suppress(RequestAborted):
            await send_whole(response, send)

    async def answer(self, request: ASGIRequest, receive: Receive, send: Send) -> None:
        """Run the view and send what it gives; stop both when the client leaves."""
        with Leaving(receive) as leaving, suppress(RequestAborted):
            response = await respond(request)
            # While a model thinks, a thousand streams hold nothing that they need no more.
            del request
            if not response.streaming:
                await send_whole(response, send)
                return
            # Closed whatever happens, also when the client left before the first of them.
            async with aclosing(parts_of(response)) as parts:
                await send(start_message(response))
                del response
                await send_parts(parts, send, leaving)


class Leaving:
    """Cancels what is done inside as soon as the client has left; it ends without an error."""

    __slots__ = ("_has_left", "_inside", "_listening", "_receive")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._has_left = False

    def __enter__(self) -> Self:
        self._inside = asyncio.current_task()
        self._listening = asyncio.create_task(self._listen())
        return self

    async def _listen(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.has_left()

    def has_left(self) -> None:
        if self._inside is not None and not self._has_left:
            self._has_left = True
            self._inside.cancel()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        inside, self._inside = self._inside, None
        self._listening.cancel()
        # As asyncio.timeout() does: another's cancellation is not ours to swallow.
        ours = self._has_left and inside is not None and inside.uncancel() == 0
        return ours and kind is not None and issubclass(kind, asyncio.CancelledError)


async def respond(request: ASGIRequest) -> HttpResponseBase:
    match = route_of(request.path_info)
    if match is None:
        return UnknownRoute(nearest_route(request.path_info)).as_response()
    crossing = crossing_of(request, match)
    if crossing is None:
        return await view_response(request, match)
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        return crossing.preflight()
    response = await view_response(request, match)
    await crossing.dress(response, caller_is_known=hasattr(request, "caller"))
    return response


async def view_response(request: ASGIRequest, match: ResolverMatch) -> HttpResponseBase:
    request.resolver_match = match
    allowed = allowed_methods(match.func)
    if request.method == "OPTIONS" and allowed:
        return HttpResponse(status=204, headers={"Allow": ", ".join(allowed), **PRIVATE})
    if request.method == "HEAD" and "HEAD" in allowed:
        # The body is left out when it is sent.
        request.method = "GET"
    try:
        response: HttpResponseBase = await match.func(request, *match.args, **match.kwargs)
    except Exception:
        logger.exception("Unexpected error at %s", request.path)
        return InternalError().as_response()
    if response.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        response.headers["Allow"] = ", ".join(allowed)
    return response


def allowed_methods(view: Any) -> tuple[str, ...]:
    """Return what a view takes, also as HEAD and OPTIONS; nothing where it does not say."""
    methods: tuple[str, ...] = getattr(view, "methods", ())
    head = ("HEAD",) if "GET" in methods and getattr(view, "get_is_safe", True) else ()
    return (*methods, *head, "OPTIONS") if methods else ()


def crossing_of(request: ASGIRequest, match: ResolverMatch) -> Crossing | None:
    """Return the question of a page elsewhere; None for other callers and for closed routes."""
    # Not request.headers: that reads all of them.
    origin = request.META.get("HTTP_ORIGIN")
    crossing = Crossing(origin, match) if origin else None
    return crossing if crossing is not None and crossing.is_open else None


def start_message(response: HttpResponseBase) -> Message:
    headers = [
        (name.encode("ascii"), str(value).encode("latin1")) for name, value in response.items()
    ]
    headers += [
        (b"Set-Cookie", cookie.OutputString().encode("ascii"))
        for cookie in response.cookies.values()
    ]
    return {"type": "http.response.start", "status": response.status_code, "headers": headers}


async def send_whole(response: Any, send: Send) -> None:
    body: bytes = response.content
    # Said before, it saves the framing in chunks; the server leaves it out where it must not be.
    response.headers.setdefault("Content-Length", str(len(body)))
    await send(start_message(response))
    await send({"type": "http.response.body", "body": body})


class Parts(Protocol):
    """The parts of a streamed answer, which are closed in the end."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def aclose(self) -> None: ...


def parts_of(response: Any) -> Parts:
    """Not aiter(response): that wraps the parts in a generator which leaves them open."""
    parts: Parts = response._iterator
    return parts


async def send_parts(parts: Parts, send: Send, leaving: Leaving) -> None:
    """Send the parts of a stream as they come, and a comment when none has come for a while."""
    last = b""
    with beating(Heart(send, leaving)) as heart:
        async for part in parts:
            if isinstance(part, LastPart):
                # After it not even a comment may come.
                last = part
                break
            heart.sent_at = heart.now()
            await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": last})


class Heart:
    """Keeps proxies from closing a quiet stream: between whole events a comment fits."""

    __slots__ = ("_beating", "_leaving", "_send", "now", "sent_at")

    def __init__(self, send: Send, leaving: Leaving) -> None:
        self._send, self._leaving = send, leaving
        self._beating: asyncio.Task[None] | None = None
        self.now = asyncio.get_running_loop().time
        self.sent_at = self.now()

    def beat(self) -> None:
        self.sent_at = self.now()
        self._beating = asyncio.create_task(self._comment())

    async def _comment(self) -> None:
        try:
            await self._send({"type": "http.response.body", "body": HEARTBEAT, "more_body": True})
        except RequestAborted:
            self._leaving.has_left()

    def stop(self) -> None:
        if self._beating is not None:
            self._beating.cancel()


class Ward:
    """The hearts of one event loop, and the timer that looks at all of them: one, not thousands."""

    def __init__(self) -> None:
        self.hearts: set[Heart] = set()
        self._loop = asyncio.get_running_loop()
        self.timer = self._next()

    def _next(self) -> asyncio.TimerHandle:
        return self._loop.call_later(settings.STREAM_KEEP_ALIVE_SECONDS / 4, self._look)

    def _look(self) -> None:
        quiet_since = self._loop.time() - settings.STREAM_KEEP_ALIVE_SECONDS
        for heart in self.hearts:
            if heart.sent_at <= quiet_since:
                heart.beat()
        self.timer = self._next()


_wards: dict[asyncio.AbstractEventLoop, Ward] = {}


@contextmanager
def beating(heart: Heart) -> Iterator[Heart]:
    loop = asyncio.get_running_loop()
    ward = _wards.get(loop)
    if ward is None:
        ward = _wards[loop] = Ward()
    ward.hearts.add(heart)
    try:
        yield heart
    finally:
        heart.stop()
        ward.hearts.discard(heart)
        if not ward.hearts:
            ward.timer.cancel()
            del _wards[loop]
