"""Serves the API over ASGI with no middleware, no signals and no thread per request.

Django's own handler opens a thread-sensitive context: one executor thread for each request, which
lives as long as the stream. Its signals cross to a thread twice. The API needs neither.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, closing
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from django.conf import settings
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, ASGIRequest, get_script_prefix
from django.http.response import HttpResponseBase
from django.urls import Resolver404, resolve, set_script_prefix

from salient.problems import BodyTooLarge, InternalError, NotFound, Problem

type Scope = dict[str, Any]
type Message = Mapping[str, Any]
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]

logger = logging.getLogger(__name__)
HEARTBEAT = b": still here\n\n"


class ResponseSent(Exception):
    """Ends the task group that waits for the client to leave."""


class ApiHandler(ASGIHandler):
    def load_middleware(self, is_async: bool = False) -> None:  # noqa: FBT001, FBT002
        """Load none: each view's one door does what middleware would do."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        set_script_prefix(get_script_prefix(scope))
        try:
            body = await self.read_body(receive, scope)
        except RequestAborted:
            return
        except Problem as problem:
            await self.send_response(problem.as_response(), send)
            return
        with closing(body):
            await self.answer(ASGIRequest(scope, body), receive, send)

    async def answer(self, request: ASGIRequest, receive: Receive, send: Send) -> None:
        """Run the view and send what it gives; stop both when the client leaves."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.listen_for_disconnect(receive))
                response = await respond(request)
                if response.streaming:
                    await send_stream(response, send, tasks)
                else:
                    await self.send_response(response, send)
                raise ResponseSent  # noqa: TRY301 - only an error ends the task that waits
        except* (ResponseSent, RequestAborted):
            pass

    async def read_body(self, receive: Receive, scope: Scope | None = None) -> IO[bytes]:
        """Read the body; refuse a large one before it is read whole."""
        limit = settings.MAX_BODY_BYTES
        if announced_length(scope or {}) > limit:
            raise BodyTooLarge(limit)
        body = SpooledTemporaryFile(max_size=limit)  # noqa: SIM115 - closed by the caller
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                body.close()
                raise RequestAborted
            size += body.write(message.get("body", b""))
            if size > limit:
                body.close()
                raise BodyTooLarge(limit)
            if not message.get("more_body", False):
                body.seek(0)
                return body


def announced_length(scope: Scope) -> int:
    """Return the Content-Length, or 0 when it is absent or no number."""
    for name, value in scope.get("headers", ()):
        if name == b"content-length" and value.isdigit():
            return int(value[:20])
    return 0


async def respond(request: ASGIRequest) -> HttpResponseBase:
    try:
        match = resolve(request.path_info)
    except Resolver404:
        return NotFound().as_response()
    request.resolver_match = match
    try:
        response: HttpResponseBase = await match.func(request, *match.args, **match.kwargs)
    except Exception:
        logger.exception("Unexpected error at %s", request.path)
        return InternalError().as_response()
    return response


def start_message(response: HttpResponseBase) -> Message:
    headers = [
        (name.encode("ascii"), str(value).encode("latin1")) for name, value in response.items()
    ]
    headers += [
        (b"Set-Cookie", cookie.OutputString().encode("ascii"))
        for cookie in response.cookies.values()
    ]
    return {"type": "http.response.start", "status": response.status_code, "headers": headers}


async def send_stream(response: Any, send: Send, tasks: asyncio.TaskGroup) -> None:
    """Send the parts as they come, and a comment when none has come for a while."""
    await send(start_message(response))
    clock = Clock()
    heart = tasks.create_task(beat(send, clock))
    try:
        async with aclosing(aiter(response)) as parts:
            await send_parts(parts, send, clock)
    finally:
        heart.cancel()
    await send({"type": "http.response.body", "body": b""})


async def send_parts(parts: AsyncIterator[bytes], send: Send, clock: "Clock") -> None:
    async for part in parts:
        clock.sent_at = time.monotonic()
        await send({"type": "http.response.body", "body": part, "more_body": True})


class Clock:
    """When the stream last carried something."""

    def __init__(self) -> None:
        self.sent_at = time.monotonic()


async def beat(send: Send, clock: Clock) -> None:
    """Keep proxies from closing a quiet stream: between whole events a comment fits."""
    pause = settings.STREAM_HEARTBEAT_SECONDS
    while True:
        await asyncio.sleep(max(0.01, clock.sent_at + pause - time.monotonic()))
        if time.monotonic() - clock.sent_at >= pause:
            clock.sent_at = time.monotonic()
            await send({"type": "http.response.body", "body": HEARTBEAT, "more_body": True})
