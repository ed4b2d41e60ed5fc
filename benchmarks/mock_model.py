"""A model server that costs nearly nothing: OpenAI's chat API from prebuilt bytes.

The message says how it answers, so that one server and one model's name serve every scenario:
`chunks-20` sends 20 chunks one after the other, `paced-20` sends one every 2 ms, and `wait-10s`
waits 10 s before the first one. GET /waiting says how many calls waited at once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from functools import cache
from typing import Any, cast

import uvloop

PACE_SECONDS = 0.002
PLAIN_CHUNKS = 20
_BEHAVIOUR = re.compile(rb"(chunks|paced|wait)-(\d+)")
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_STREAM = re.compile(rb'"stream": ?true')
_HEAD: dict[str, Any] = {"id": "chatcmpl-mock", "created": 1_700_000_000, "model": "gpt-4o-mini"}
_STREAM_START = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)


def word(number: int) -> str:
    return f" word{number:03d}"


def usage(chunks: int) -> dict[str, int]:
    return {"prompt_tokens": 10, "completion_tokens": chunks, "total_tokens": 10 + chunks}


@cache
def whole_answer(chunks: int) -> bytes:
    """The answer as JSON, with its HTTP head."""
    text = "".join(word(number) for number in range(chunks))
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    answer = {**_HEAD, "object": "chat.completion", "choices": [choice], "usage": usage(chunks)}
    return json_answer(answer)


def json_answer(answer: object) -> bytes:
    body = json.dumps(answer, separators=(",", ":")).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return f"{head}\r\n\r\n".encode() + body


@cache
def stream_pieces(chunks: int) -> tuple[bytes, ...]:
    """The pieces of a stream as HTTP chunks; the last one has everything after the text."""
    deltas = [{"content": word(number)} for number in range(chunks)]
    deltas[0] = {"role": "assistant", **deltas[0]}
    texts = [_event([{"index": 0, "delta": delta, "finish_reason": None}]) for delta in deltas]
    end = _event([{"index": 0, "delta": {}, "finish_reason": "stop"}])
    end += _event([], usage=usage(chunks)) + b"data: [DONE]\n\n"
    return (*map(_http_chunk, texts), _http_chunk(end) + b"0\r\n\r\n")


def _event(choices: list[dict[str, Any]], **more: object) -> bytes:
    event = {**_HEAD, "object": "chat.completion.chunk", "choices": choices, **more}
    return b"data: " + json.dumps(event, separators=(",", ":")).encode() + b"\n\n"


def _http_chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


class Waiting:
    """How many calls wait for their first token now, and the most at once."""

    def __init__(self) -> None:
        self.now = self.most = 0

    def enter(self) -> None:
        self.now += 1
        self.most = max(self.most, self.now)

    def leave(self) -> None:
        self.now -= 1

    def report(self) -> bytes:
        """Return the numbers as JSON and reset the most."""
        answer = json_answer({"now": self.now, "most": self.most})
        self.most = self.now
        return answer


class MockModel(asyncio.Protocol):
    """One kept connection, which sends a call only after the answer to the one before."""

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting
        self._loop = asyncio.get_running_loop()
        self._buffer = b""
        self._next: asyncio.Handle | None = None
        self._is_waiting = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no asyncio.Transport by inheritance.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self._next is not None:
            self._next.cancel()
        self._end_wait()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if found and len(body) >= (int(length[1]) if length else 0):
            self._buffer = b""
            self._take(head, body)

    def _take(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET /waiting"):
            self._transport.write(self._waiting.report())
            return
        kind, number = b"chunks", PLAIN_CHUNKS
        # The newest message decides; those before it are history.
        for found in _BEHAVIOUR.finditer(body):
            kind, number = found[1], int(found[2])
        self._answer(kind, number, stream=_STREAM.search(body) is not None)

    def _answer(self, kind: bytes, number: int, *, stream: bool) -> None:
        waits = kind == b"wait"
        chunks = PLAIN_CHUNKS if waits else number
        pace = PACE_SECONDS if kind == b"paced" else 0.0
        if waits:
            self._waiting.enter()
            self._is_waiting = True
        if stream:
            self._transport.write(_STREAM_START)
            self._later(number if waits else 0, self._send, stream_pieces(chunks), 0, pace)
        else:
            self._later(number if waits else 0, self._send, (whole_answer(chunks),), 0, pace)

    def _send(self, pieces: tuple[bytes, ...], at: int, pace: float) -> None:
        """Send one piece now and the next one in a later turn of the loop, as tokens arrive."""
        self._end_wait()
        self._transport.write(pieces[at])
        self._next = None
        if at + 1 < len(pieces):
            self._later(pace, self._send, pieces, at + 1, pace)

    def _later(self, seconds: float, call: Any, *values: Any) -> None:
        if seconds:
            self._next = self._loop.call_later(seconds, call, *values)
        else:
            self._next = self._loop.call_soon(call, *values)

    def _end_wait(self) -> None:
        if self._is_waiting:
            self._is_waiting = False
            self._waiting.leave()


async def serve(host: str, port: int) -> asyncio.Server:
    """Listen; the caller closes the server."""
    waiting, loop = Waiting(), asyncio.get_running_loop()
    return await loop.create_server(lambda: MockModel(waiting), host, port, backlog=4096)


async def _serve_for_ever(port: int) -> None:
    server = await serve("127.0.0.1", port)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    uvloop.run(_serve_for_ever(parser.parse_args().port))


if __name__ == "__main__":
    main()
