"""A server that takes webhooks as a consumer does: it keeps what it got, and answers as told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web
from standardwebhooks import Webhook


@dataclass(frozen=True, slots=True)
class Received:
    """One request, as it arrived."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def message_id(self) -> str:
        return self.headers["webhook-id"]

    def verified(self, secret: str) -> Any:
        """Check the signature as consumers do, and return the content; raises where it is wrong."""
        return Webhook(secret).verify(self.body, dict(self.headers))


def _named(request: web.Request) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}


@dataclass
class Receiver:
    """Listens in a thread of its own; `answers` are used one after another, the last for ever."""

    answers: list[int] = field(default_factory=lambda: [204])
    headers: dict[str, str] = field(default_factory=dict)
    # Requests wait here before they are answered.
    gate: threading.Event = field(default_factory=threading.Event)
    body: bytes = b""
    received: list[Received] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.gate.set()
        self._loop = asyncio.new_event_loop()
        listening = threading.Event()
        self._thread = threading.Thread(target=self._run, args=[listening], daemon=True)
        self._thread.start()
        listening.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self.gate.set()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    def _run(self, listening: threading.Event) -> None:
        self._loop.run_until_complete(self._listen())
        listening.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._runner.cleanup())

    async def _listen(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/hook", self._take)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        server: Any = site._server
        self.port = server.sockets[0].getsockname()[1]

    async def _take(self, request: web.Request) -> web.Response:
        self.received.append(Received(_named(request), await request.read()))
        while not self.gate.is_set():  # noqa: ASYNC110 - set by another thread
            await asyncio.sleep(0.02)
        status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return web.Response(status=status, headers=self.headers, body=self.body)
