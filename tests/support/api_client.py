"""Calls the real ASGI application in this process: its router, its handlers, its streams."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self
from unittest import mock
from urllib.parse import urlencode

from asgiref.sync import async_to_sync, sync_to_async
from django.core.signals import request_finished, request_started
from django.db import close_old_connections

from salient.asgi import application
from salient.database import executor
from sessions_app.isolation_check import check
from sessions_app.isolation_check.check import IsolationCheck


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    # Two answers that are alike but for this one are equal.
    request_id: str = field(default="", compare=False)

    def json(self) -> Any:
        return json.loads(self.body)

    def events(self) -> list[tuple[str, str]]:
        """Return the stream's events as (name, data); comments are passed over."""
        return [
            parse_event(block) for block in self.body.decode().split("\n\n") if "event:" in block
        ]


def parse_event(block: str) -> tuple[str, str]:
    fields = [line.partition(": ") for line in block.splitlines() if not line.startswith(":")]
    name = next(value for key, _, value in fields if key == "event")
    return name, "\n".join(value for key, _, value in fields if key == "data")


@dataclass
class ApiClient:
    """A caller with a key, with cookies, or with neither."""

    key: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    async def get(self, path: str, **query: Any) -> Answer:
        return await self.call("GET", path, query=query)

    async def post(self, path: str, body: Any = None, **options: Any) -> Answer:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.call("POST", path, raw=raw, **options)

    async def call(self, method: str, path: str, **options: Any) -> Answer:
        call = Call(self, method, path, **options)
        async with asyncio.timeout(30):
            await call.run()
        return call.answer()


class Call:
    """One request, of a client that can disconnect before it is answered."""

    running: asyncio.Task[None]

    def __init__(
        self,
        client: ApiClient,
        method: str,
        path: str,
        *,
        raw: bytes = b"",
        query: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        all_headers = {"host": "localhost", "content-type": "application/json"}
        if client.key is not None:
            all_headers["authorization"] = f"Bearer {client.key}"
        all_headers |= client.headers | (headers or {})
        self.scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": urlencode(query or {}, doseq=True).encode(),
            "headers": [(k.lower().encode(), v.encode("latin1")) for k, v in all_headers.items()],
            "client": ("127.0.0.1", 50000),
            "server": ("localhost", 8000),
            "scheme": "http",
        }
        self._to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._to_app.put_nowait({"type": "http.request", "body": raw, "more_body": False})
        self._parts: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._start: dict[str, Any] = {}
        self._body = b""

    async def run(self) -> None:
        try:
            await application(self.scope, self._to_app.get, self._receive)
        finally:
            self._parts.put_nowait(None)

    async def _receive(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self._start = dict(message)
        else:
            self._body += message.get("body", b"")
            self._parts.put_nowait(message.get("body", b""))

    def begin(self) -> Self:
        """Let it run beside the test."""
        self.running = asyncio.create_task(self.run())
        return self

    async def end(self) -> None:
        """Disconnect the client, and wait until the application is done with its call."""
        self.leave()
        await asyncio.gather(self.running, return_exceptions=True)

    def leave(self) -> None:
        self._to_app.put_nowait({"type": "http.disconnect"})

    async def parts(self) -> AsyncIterator[bytes]:
        while (part := await self._parts.get()) is not None:
            yield part

    def answer(self) -> Answer:
        headers = {k.decode().lower(): v.decode("latin1") for k, v in self._start["headers"]}
        request_id = headers.pop("x-request-id", "")
        return Answer(self._start["status"], headers, self._body, request_id)


type RunCall = staticmethod[[Coroutine[Any, Any, Any]], Any]


@contextmanager
def in_this_thread() -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """Give a function that runs calls of the API with their database work in this thread.

    Elsewhere the event loop has a thread of its own, and each piece of database work is handed from
    it to the test's thread and back: that takes longer than many an answer. Pages need the threads.
    """

    async def work(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if asyncio.get_running_loop() is not runner.get_loop():
            return await sync_to_async(func, thread_sensitive=True)(*args, **kwargs)
        # Django refuses sync work where a loop runs.
        asyncio._set_running_loop(None)
        try:
            return copy_context().run(func, *args, **kwargs)
        finally:
            asyncio._set_running_loop(runner.get_loop())

    def run(call: Coroutine[Any, Any, Any]) -> Any:
        try:
            return runner.run(call, context=copy_context())
        finally:
            end_tasks()

    def end_tasks() -> None:
        if left := asyncio.all_tasks(runner.get_loop()):
            for task in left:
                task.cancel()
            runner.run(asyncio.wait(left))

    def in_work(func: Callable[..., Any], **_options: bool) -> Callable[..., Any]:
        return partial(work, func)

    with (
        asyncio.Runner() as runner,
        mock.patch.object(executor, "sync_to_async", in_work),
    ):
        yield run


@contextmanager
def isolation_check_in_this_thread() -> Iterator[None]:
    """Let `isolation_check` make its thousands of calls so; pages of the admin need the threads."""
    with in_this_thread() as run:

        def as_sync(func: Callable[..., Any]) -> Callable[..., Any]:
            if func.__name__ == IsolationCheck.try_admin.__name__:
                return async_to_sync(func)
            return lambda *args, **kwargs: run(func(*args, **kwargs))

        with mock.patch.object(check, "async_to_sync", as_sync):
            yield


@contextmanager
def connections_stay_open() -> Iterator[None]:
    """Keep pages from closing a TestCase's connection when they end, as Django's client does."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    try:
        yield
    finally:
        for signal in (request_started, request_finished):
            signal.connect(close_old_connections)
