"""The ceiling: what a turn costs at least, as the best result that can be reached.

A bare ASGI application, served by the same gunicorn worker. It sends the request's body to the
same model server through one kept aiohttp client, relays the answer as it arrives (JSON, or the
bytes of the stream), and stores one row by one INSERT on a pooled connection, in one of four
threads. It has no accounts, keys, limits, sessions, prices or schemas. At /without-model it
does not call the model.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiohttp
from psycopg_pool import ConnectionPool

THREADS = 4
TABLE = "CREATE TABLE turns (id bigserial PRIMARY KEY, request text, answer text, at timestamptz)"
INSERT = "INSERT INTO turns (request, answer, at) VALUES (%s, %s, now())"
JSON = [(b"content-type", b"application/json")]
STREAM = [(b"content-type", b"text/event-stream")]

type Send = Callable[[dict[str, Any]], Awaitable[None]]
type Receive = Callable[[], Awaitable[dict[str, Any]]]


class Ceiling:
    """The application; its client and pool open when the worker starts."""

    def __init__(self) -> None:
        self._model: aiohttp.ClientSession | None = None
        self._pool: ConnectionPool | None = None
        self._threads = ThreadPoolExecutor(THREADS)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        request = await body_of(receive)
        if scope["path"] == "/without-model":
            answer = b"{}"
            await self._store(request, answer)
            await send_whole(send, answer)
        elif b'"stream": true' in request:
            await self._stream(request, send)
        else:
            answer = await self._call_model(request)
            await self._store(request, answer)
            await send_whole(send, answer)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        connector = aiohttp.TCPConnector(limit=0)
        self._model = aiohttp.ClientSession(os.environ["MODEL_URL"], connector=connector)
        self._pool = ConnectionPool(
            os.environ["DATABASE_URL"], min_size=THREADS, max_size=8, kwargs={"autocommit": True}
        )
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._model.close()
        self._pool.close()
        await send({"type": "lifespan.shutdown.complete"})

    def _post(self, request: bytes) -> Any:
        assert self._model is not None  # noqa: S101 - the lifespan made it
        headers = {"Content-Type": "application/json"}
        return self._model.post("/v1/chat/completions", data=request, headers=headers)

    async def _call_model(self, request: bytes) -> bytes:
        async with self._post(request) as response:
            return bytes(await response.read())

    async def _stream(self, request: bytes, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": STREAM})
        answer = []
        async with self._post(request) as response:
            async for part in response.content.iter_any():
                answer.append(part)
                await send({"type": "http.response.body", "body": part, "more_body": True})
        await self._store(request, b"".join(answer))
        await send({"type": "http.response.body", "body": b""})

    async def _store(self, request: bytes, answer: bytes) -> None:
        values = [request.decode(), answer.decode()]
        await asyncio.get_running_loop().run_in_executor(self._threads, self._insert, values)

    def _insert(self, values: list[str]) -> None:
        assert self._pool is not None  # noqa: S101 - the lifespan made it
        with self._pool.connection() as connection:
            connection.execute(INSERT, values)


async def body_of(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def send_whole(send: Send, body: bytes) -> None:
    headers = [*JSON, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


application = Ceiling()
