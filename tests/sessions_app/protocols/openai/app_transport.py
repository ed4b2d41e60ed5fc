"""Lets a client library of httpx2 call the ASGI application in this process, streams included."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx2

from tests.support.api_client import ApiClient, Call


class AppTransport(httpx2.AsyncBaseTransport):
    """Keeps the `requests` that were made, each try of a client that repeats them."""

    def __init__(self) -> None:
        self.requests: list[httpx2.Request] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        raw = await request.aread()
        headers = dict(request.headers) | {"host": "localhost"}
        query = dict(request.url.params.multi_items())
        call = Call(
            ApiClient(), request.method, request.url.path, raw=raw, headers=headers, query=query
        )
        running = asyncio.create_task(call.run())
        parts = call.parts()
        first = await anext(parts, b"")
        answer = call.answer()
        answered = answer.headers | {"x-request-id": answer.request_id}
        return httpx2.Response(
            answer.status, headers=answered, stream=_Stream(first, parts, call, running)
        )


class _Stream(httpx2.AsyncByteStream):
    def __init__(
        self, first: bytes, parts: AsyncIterator[bytes], call: Call, running: asyncio.Task[None]
    ) -> None:
        self._first, self._parts = first, parts
        self._call, self._running = call, running

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._first
        async for part in self._parts:
            yield part

    async def aclose(self) -> None:
        self._call.leave()
        await self._running
