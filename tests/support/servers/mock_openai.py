"""A real server on a loopback port that speaks OpenAI's chat API as a test tells it to.

    async with MockOpenAI() as server:
        server.replies.append(Reply("Hello", usage=usage(10, 5)))
        ...  # call the model server.model, "mock:test-model"
        server.requests[0].body["temperature"]

While it runs, the provider that it plays (`MockOpenAI(provider="openai")`) is found through the
environment. Leaving the block closes the runtime's clients of this event loop too.
"""

import asyncio
import json
import os
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self
from unittest import mock

from aiohttp import web

from agents.runtime.providers import close_clients

KEY = "sk-mock-0123456789"


def usage(input_tokens: int, output_tokens: int, **more: object) -> dict[str, Any]:
    return {
        "prompt_tokens": input_tokens,
        "completion_tokens": output_tokens,
        "total_tokens": input_tokens + output_tokens,
        **more,
    }


@dataclass
class Reply:
    """One answer: `text` in words, or `tool_calls`, as JSON or as a stream, as it is asked for.

    `body` is sent instead, as it is; a list of bytes is sent piece by piece. `cut_after`
    breaks the connection after so many pieces. Delays are in seconds; `after` is waited for first.
    """

    text: str = "Hello from the mock."
    usage: Mapping[str, Any] | None = field(default_factory=lambda: usage(10, 5))
    tool_calls: Sequence[tuple[str, str]] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | list[bytes] | None = None
    delay: float = 0.0
    after: asyncio.Event | None = None
    chunk_delay: float = 0.0
    cut_after: int | None = None

    def whole(self, model: str) -> bytes:
        message: dict[str, Any] = {"role": "assistant", "content": self.text or None}
        if self.tool_calls:
            message["tool_calls"] = [_tool_call(*call) for call in enumerate(self.tool_calls)]
        choice = {"index": 0, "message": message, "finish_reason": self._reason}
        answer = {"id": "chatcmpl-mock", "object": "chat.completion", "model": model}
        return json.dumps({**answer, "choices": [choice], "usage": self.usage}).encode()

    def pieces(self, model: str) -> list[bytes]:
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        deltas += [{"content": word} for word in self.text.split(" ") if word]
        for delta in deltas[2:]:
            delta["content"] = " " + delta["content"]
        for index, call in enumerate(self.tool_calls):
            deltas += _tool_call_deltas(index, call)
        head = {"id": "chatcmpl-mock", "object": "chat.completion.chunk", "model": model}
        chunks: list[dict[str, Any]] = [
            {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
            for delta in deltas
        ]
        chunks.append(
            {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": self._reason}]}
        )
        if self.usage is not None:
            chunks.append({**head, "choices": [], "usage": self.usage})
        return [*(sse(chunk) for chunk in chunks), b"data: [DONE]\n\n"]

    @property
    def _reason(self) -> str:
        return "tool_calls" if self.tool_calls else "stop"


def error(status: int, message: str = "mock error", **headers: str) -> Reply:
    """A refusal as OpenAI words it; `Retry_After="1"` is a header."""
    return Reply(
        status=status,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        body=json.dumps({"error": {"message": message, "type": "mock", "code": None}}).encode(),
    )


def stream(*events: object) -> Reply:
    """A stream of exactly these: bytes as they are, anything else as the data of one event."""
    return Reply(body=[event if isinstance(event, bytes) else sse(event) for event in events])


def sse(data: object) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()


def delta(text: str, finish_reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish_reason}]}


@dataclass
class Received:
    """A request; `closed` is set when it is over, `cut` says that the caller ended it early."""

    body: dict[str, Any]
    headers: Mapping[str, str]
    path: str
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    cut: bool = False
    connection: int = 0


class MockOpenAI:
    """Answers with `replies` in their order, then with `Reply()`; keeps all `requests`."""

    def __init__(self, provider: str = "mock", key: str = KEY, port: int = 0) -> None:
        self.provider = provider
        self.port = port
        self.key = key
        self.replies: deque[Reply] = deque()
        self.requests: list[Received] = []
        # Set by the first request.
        self.called = asyncio.Event()
        self.base_url = ""

    @property
    def model(self) -> str:
        return f"{self.provider}:test-model"

    async def __aenter__(self) -> Self:
        application = web.Application(client_max_size=16 * 1024 * 1024)
        application.router.add_post("/v1/chat/completions", self._answer)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
        name = self.provider.upper().replace("-", "_")
        self._environment = mock.patch.dict(
            os.environ, {f"{name}_BASE_URL": self.base_url, f"{name}_API_KEY": self.key}
        )
        self._environment.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._environment.stop()
        await close_clients()
        await self.stop()

    async def stop(self) -> None:
        """Be a server that is down: its port refuses."""
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        received = Received(
            body=await request.json(),
            headers=dict(request.headers),
            path=request.path,
            connection=id(request.transport),
        )
        self.requests.append(received)
        self.called.set()
        reply = self.replies.popleft() if self.replies else Reply()
        try:
            return await self._send(request, received, reply)
        except (asyncio.CancelledError, ConnectionError):
            received.cut = True
            raise
        finally:
            received.closed.set()

    async def _send(
        self, request: web.Request, received: Received, reply: Reply
    ) -> web.StreamResponse:
        if reply.after is not None:
            await reply.after.wait()
        await self._pause(request, reply.delay)
        wants_stream = received.body.get("stream") is True
        body = reply.body
        if body is None:
            model = str(received.body.get("model"))
            body = reply.pieces(model) if wants_stream else reply.whole(model)
        kind = "text/event-stream" if isinstance(body, list) else "application/json"
        response = web.StreamResponse(
            status=reply.status, headers={"Content-Type": kind, **reply.headers}
        )
        await response.prepare(request)
        for number, piece in enumerate(body if isinstance(body, list) else [body]):
            await self._pause(request, reply.chunk_delay)
            if number == reply.cut_after:
                break
            await response.write(piece)
        if reply.cut_after is not None and request.transport is not None:
            request.transport.abort()
            return response
        await response.write_eof()
        return response

    async def _pause(self, request: web.Request, seconds: float) -> None:
        """Wait, but notice when the caller hangs up meanwhile."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while (left := end - loop.time()) > 0:
            if request.transport is None or request.transport.is_closing():
                raise ConnectionResetError
            with suppress(TimeoutError):
                await asyncio.sleep(min(left, 0.02))


def _tool_call(index: int, call: tuple[str, str]) -> dict[str, Any]:
    name, arguments = call
    function = {"name": name, "arguments": arguments}
    return {"id": f"call_{index}", "type": "function", "function": function}


def _tool_call_deltas(index: int, call: tuple[str, str]) -> list[dict[str, Any]]:
    """The name first, then the arguments in pieces of three characters."""
    name, arguments = call
    first = {**_tool_call(index, (name, "")), "index": index}
    pieces = [arguments[at : at + 3] for at in range(0, len(arguments), 3)]
    rest = [{"index": index, "function": {"arguments": piece}} for piece in pieces]
    return [{"tool_calls": [part]} for part in (first, *rest)]
