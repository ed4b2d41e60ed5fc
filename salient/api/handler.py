"""Serves the API over ASGI with no middleware, no signals and no thread per request.

Django's own handler opens a thread-sensitive context: one executor thread for each request, which
lives as long as the stream. Its signals cross to a thread twice. The API needs neither.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager, nullcontext, suppress
from http import HTTPStatus
from io import BytesIO
from typing import Any, Protocol, Self

from django.conf import settings
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIRequest, get_script_prefix
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import ResolverMatch, set_script_prefix

from salient.api.cors import CrossOriginRequest
from salient.api.lifespan import begun_task, in_flight
from salient.api.limits import (
    BodyReader,
    FinalChunk,
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
from salient.api.problems.openai import in_openai_form, is_openai
from salient.api.routing import names_in, nearest_route, route_of
from salient.database.upgrades.pending import migrations

logger = logging.getLogger(__name__)
KEEP_ALIVE_COMMENT = b": still here\n\n"
# How the routes end, besides those of OpenAI's clients, to which whole conversations are sent.
TAKE_FILES = ("/ag-ui", "/ui-messages")

# Gets a refused call, the names in its path, and the problem.
type Listener = Callable[[HttpRequest, Mapping[str, str], Problem], None]
_listeners: list[Listener] = []


def on_refusal(listener: Listener) -> Listener:
    """Register who is told of calls that are refused before any view sees them."""
    _listeners.append(listener)
    return listener


def tell_of_refusal(request: ASGIRequest, problem: Problem) -> None:
    """Tell of a refusal that is the caller's fault, where the path names an account."""
    names = names_in(request.path_info)
    if "account" in names and problem.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        for listener in _listeners:
            listener(request, names, problem)


class ApiHandler:
    """Has no middleware: the decorator of each view does what middleware would do."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("root_path") or settings.FORCE_SCRIPT_NAME:
            set_script_prefix(get_script_prefix(scope))
        send = Sender(send, api_headers(), scope)
        try:
            require_known_host(scope)
            migrations.require(scope["path"])
            body = await read_body(BodyReader(scope, receive, largest_body(scope["path"])))
        except RequestAborted:
            return
        except Problem as problem:
            await self.refuse(scope, problem, send)
            return
        answer = self.answer(WholeRequest(scope, body), receive, send)
        # A body may be large, and a stream runs for minutes.
        del body
        with in_flight:
            await answer

    async def refuse(self, scope: Scope, problem: Problem, send: Send) -> None:
        """Answer without having read the body; a page of an allowed origin may read the reason."""
        request = WholeRequest(scope, b"")
        tell_of_refusal(request, problem)
        match = route_of(request.path_info)
        response: HttpResponseBase = problem.as_response()
        if match is not None and (cross_origin := cross_origin_of(request, match)) is not None:
            await cross_origin.add_headers(response, caller_is_known=False)
        with suppress(RequestAborted):
            await send_whole(in_openai_form(response, request.path_info), send)

    async def answer(self, request: ASGIRequest, receive: Receive, send: Send) -> None:
        """Run the view and send its response; stop both when the client disconnects."""
        with DisconnectGuard(receive) as guard, suppress(RequestAborted):
            response = await respond(request)
            # While a model thinks, a thousand streams hold only what they still need.
            del request
            if not response.streaming:
                await send_whole(response, send)
                return
            # Closed whatever happens, also when the client left before the first chunk.
            async with aclosing(chunks_of(response)) as chunks:
                await send(start_message(response))
                # A comment belongs into server-sent events and into no other stream.
                has_comments = response.headers["Content-Type"].startswith("text/event-stream")
                del response
                await send_chunks(chunks, send, guard if has_comments else None)


class WholeRequest(ASGIRequest):
    """A request with its whole body, whose size the route has limited: Django's own limit, which is
    for pages, does not apply.
    """

    def __init__(self, scope: Scope, body: bytes) -> None:
        super().__init__(scope, BytesIO())
        self._body = body


class DisconnectGuard:
    """Cancels the block as soon as the client disconnects; the block then ends without an error.

    Own, for Django's handler does this only inside its thread for each request.
    """

    __slots__ = ("_disconnected", "_listener", "_receive", "_task")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._disconnected = False

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        self._listener = begun_task(self._listen())
        return self

    async def _listen(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.disconnect()

    def disconnect(self) -> None:
        if self._task is not None and not self._disconnected:
            self._disconnected = True
            self._task.cancel()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        task, self._task = self._task, None
        self._listener.cancel()
        # As in asyncio.timeout(): a cancellation that came from elsewhere is passed on.
        ours = self._disconnected and task is not None and task.uncancel() == 0
        return ours and kind is not None and issubclass(kind, asyncio.CancelledError)


def largest_body(path: str) -> int:
    """Return how many bytes a route reads: some take images, files and whole conversations."""
    takes_files = path.endswith(TAKE_FILES) or is_openai(path)
    return int(settings.MAX_FILES_BODY_BYTES if takes_files else settings.MAX_BODY_BYTES)


async def respond(request: ASGIRequest) -> HttpResponseBase:
    path = request.path_info
    match = route_of(path)
    if match is None:
        problem = UnknownRoute(nearest_route(path))
        tell_of_refusal(request, problem)
        return in_openai_form(problem.as_response(), path)
    cross_origin = cross_origin_of(request, match)
    if cross_origin is not None and is_preflight(request):
        return cross_origin.preflight()
    response = await view_response(request, match)
    if cross_origin is not None:
        await cross_origin.add_headers(response, caller_is_known=hasattr(request, "caller"))
    return in_openai_form(response, path)


def is_preflight(request: ASGIRequest) -> bool:
    return request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers


async def view_response(request: ASGIRequest, match: ResolverMatch) -> HttpResponseBase:
    request.resolver_match = match
    allowed = allowed_methods(match.func)
    if request.method == "OPTIONS" and allowed:
        return HttpResponse(status=204, headers={"Allow": ", ".join(allowed), **PRIVATE})
    if request.method == "HEAD" and "HEAD" in allowed:
        # The Sender leaves the body out.
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
    """Return the methods of a view, HEAD and OPTIONS included; none where it declares none."""
    methods: tuple[str, ...] = getattr(view, "methods", ())
    head = ("HEAD",) if "GET" in methods and getattr(view, "get_is_safe", True) else ()
    return (*methods, *head, "OPTIONS") if methods else ()


def cross_origin_of(request: ASGIRequest, match: ResolverMatch) -> CrossOriginRequest | None:
    """Return a request from a page of another origin; None for others and for closed routes."""
    # Not request.headers: that parses all of them.
    origin = request.META.get("HTTP_ORIGIN")
    cross_origin = CrossOriginRequest(origin, match) if origin else None
    return cross_origin if cross_origin is not None and cross_origin.is_open else None


def start_message(response: HttpResponseBase) -> Message:
    # Not response.items(): that looks each header up again, which takes four times as long.
    headers = [
        (name.encode("ascii"), value.encode("latin1"))
        for name, value in response.headers._store.values()
    ]
    headers += [
        (b"Set-Cookie", cookie.OutputString().encode("ascii"))
        for cookie in response.cookies.values()
    ]
    return {"type": "http.response.start", "status": response.status_code, "headers": headers}


async def send_whole(response: Any, send: Send) -> None:
    body: bytes = response.content
    # Without it the server would send a chunked body; it omits the header where HTTP forbids it.
    response.headers.setdefault("Content-Length", str(len(body)))
    await send(start_message(response))
    await send({"type": "http.response.body", "body": body})


class Chunks(Protocol):
    """The chunks of a streamed answer; they are closed in the end."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def aclose(self) -> None: ...


def chunks_of(response: Any) -> Chunks:
    """Not aiter(response): that wraps the chunks in a generator which leaves them open."""
    chunks: Chunks = response._iterator
    return chunks


async def send_chunks(chunks: Chunks, send: Send, guard: DisconnectGuard | None) -> None:
    """Send the chunks of a stream as they come.

    With a guard, a comment is sent when none has come for a while.
    """
    final = b""
    with kept_alive(KeepAlive(send, guard)) if guard else nullcontext() as keep_alive:
        async for chunk in chunks:
            if isinstance(chunk, FinalChunk):
                # Nothing may follow it, not even a comment.
                final = chunk
                break
            if keep_alive is not None:
                keep_alive.sent_at = keep_alive.now()
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": final})


class KeepAlive:
    """Keeps proxies from closing a quiet stream, by a comment between two events."""

    __slots__ = ("_guard", "_send", "_sending", "now", "sent_at")

    def __init__(self, send: Send, guard: DisconnectGuard) -> None:
        self._send, self._guard = send, guard
        self._sending: asyncio.Task[None] | None = None
        self.now = asyncio.get_running_loop().time
        self.sent_at = self.now()

    def send_comment(self) -> None:
        self.sent_at = self.now()
        self._sending = asyncio.create_task(self._comment())

    async def _comment(self) -> None:
        comment = {"type": "http.response.body", "body": KEEP_ALIVE_COMMENT, "more_body": True}
        try:
            await self._send(comment)
        except RequestAborted:
            self._guard.disconnect()

    def stop(self) -> None:
        if self._sending is not None:
            self._sending.cancel()


class KeepAliveTimer:
    """One timer for all streams of an event loop: thousands of timers would cost more."""

    def __init__(self) -> None:
        self.streams: set[KeepAlive] = set()
        self._loop = asyncio.get_running_loop()
        self.timer = self._next()

    def _next(self) -> asyncio.TimerHandle:
        return self._loop.call_later(settings.STREAM_KEEP_ALIVE_SECONDS / 4, self._check)

    def _check(self) -> None:
        quiet_since = self._loop.time() - settings.STREAM_KEEP_ALIVE_SECONDS
        for stream in self.streams:
            if stream.sent_at <= quiet_since:
                stream.send_comment()
        self.timer = self._next()


_timers: dict[asyncio.AbstractEventLoop, KeepAliveTimer] = {}


def running_streams() -> int:
    """How many streams of events this process sends now."""
    return sum(len(timer.streams) for timer in list(_timers.values()))


@contextmanager
def kept_alive(stream: KeepAlive) -> Iterator[KeepAlive]:
    loop = asyncio.get_running_loop()
    timer = _timers.get(loop)
    if timer is None:
        timer = _timers[loop] = KeepAliveTimer()
    timer.streams.add(stream)
    try:
        yield stream
    finally:
        stream.stop()
        timer.streams.discard(stream)
        if not timer.streams:
            timer.timer.cancel()
            del _timers[loop]
