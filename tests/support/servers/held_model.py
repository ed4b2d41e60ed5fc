"""A model server that writes a part of its answer and waits, and a client that reads the stream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
from aiohttp import web

from tests.support.api_client import parse_event
from tests.support.servers.mock_openai import MockOpenAI, Received, Reply

SHORT, LONG, QUICK = "short", "long", "quick"


SPOKEN = "one two three"


WHOLE = f"{SPOKEN} four five"


class HeldModel(MockOpenAI):
    """Says three words and waits: with `short` until it is released, with `long` for ever.

    With `quick` it does not wait.
    """

    def __init__(self) -> None:
        super().__init__()
        self.released = asyncio.Event()

    async def _send(
        self, request: web.Request, received: Received, reply: Reply
    ) -> web.StreamResponse:
        asked = received.body["messages"][-1]["content"]
        if not received.body.get("stream"):
            await self._hold(request, asked)
            return await super()._send(request, received, reply)
        pieces = Reply(WHOLE).pieces("test-model")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for piece in pieces[:4]:
            await response.write(piece)
        await self._hold(request, asked)
        for piece in pieces[4:]:
            await response.write(piece)
        await response.write_eof()
        return response

    async def _hold(self, request: web.Request, asked: str) -> None:
        while asked == LONG or not (asked == QUICK or self.released.is_set()):
            await self._pause(request, 0.05)


class Stream:
    """One turn as its client sees it."""

    def __init__(self, message: str) -> None:
        self.message = message
        self.spoke = asyncio.Event()
        self.events: list[tuple[str, str]] = []
        self.turn_id = ""

    async def follow(self, client: aiohttp.ClientSession, path: str) -> None:
        """Read to the end, which is the server's to choose."""
        async with client.post(path, json={"message": self.message}) as answer:
            assert answer.status == 200, await answer.text()
            self.turn_id = answer.headers["Salient-Turn"]
            async for block in _blocks(answer.content):
                self.events.append(parse_event(block))
                if self.text == SPOKEN:
                    self.spoke.set()

    @property
    def text(self) -> str:
        return "".join(data for name, data in self.events if name == "message")

    @property
    def end(self) -> Any:
        """The last event, which says how it went."""
        name, data = self.events[-1]
        return json.loads(data) if name == "done" else None

    @property
    def error(self) -> str | None:
        found = [json.loads(data)["code"] for name, data in self.events if name == "error"]
        return found[0] if found else None


async def ask(client: aiohttp.ClientSession, path: str, message: str) -> tuple[int, Any]:
    async with client.post(path, json={"message": message}) as answer:
        return answer.status, await answer.json(content_type=None)


async def _blocks(content: aiohttp.StreamReader) -> AsyncIterator[str]:
    block = b""
    async for line in content:
        block += line
        if not line.strip():
            if b"event:" in block:
                yield block.decode()
            block = b""
