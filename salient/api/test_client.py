"""Calls the ASGI application in this process, without a network."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.conf import settings

from salient.asgi import application

SECONDS = 60


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: bytes
    body: bytes

    def holds(self, text: str) -> bool:
        """Whether the text is anywhere in the headers or the body."""
        return text.encode() in self.headers + b"\n" + self.body


async def call(
    method: str,
    path: str,
    *,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> Answer:
    """Send one request and wait for the whole response, also when it is a stream."""
    to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    to_app.put_nowait({"type": "http.request", "body": body, "more_body": False})
    sent: list[Mapping[str, Any]] = []

    async def take(message: Mapping[str, Any]) -> None:
        sent.append(message)

    async with asyncio.timeout(SECONDS):
        await application(_scope(method, path, headers or {}, query or {}), to_app.get, take)
    start = sent[0]
    lines = [name + b": " + value for name, value in start.get("headers", ())]
    parts = b"".join(message.get("body", b"") for message in sent[1:])
    return Answer(start["status"], b"\n".join(lines), parts)


def _scope(
    method: str, path: str, headers: Mapping[str, str], query: Mapping[str, str]
) -> dict[str, Any]:
    everything = {"host": _host(), "content-type": "application/json", **headers}
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": urlencode(query).encode(),
        "headers": [(k.lower().encode(), v.encode("latin1")) for k, v in everything.items()],
        "client": ("127.0.0.1", 1),
        "server": (_host(), 443),
        "scheme": "https" if settings.HTTPS else "http",
    }


def _host() -> str:
    """Return a host of ALLOWED_HOSTS."""
    named: list[str] = [host.removeprefix(".") for host in settings.ALLOWED_HOSTS if host != "*"]
    return named[0] if named else "localhost"
