"""A model server that answers with exactly these bytes, for what no HTTP library would send.

async with raw_model(head() + chunk(b"data: [DONE]\\n\\n") + b"zz\\r\\n", RESET) as model:
    ...  # call it: it gives every request the same answer
"""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from unittest import mock

from agents.runtime.providers import close_clients

LAST_CHUNK = b"0\r\n\r\n"
# Ends the connection as a crash does; without it, as a server does that closes it.
RESET = b""


def head(
    status: int = 200, kind: str = "text/event-stream", length: int | None = None, **more: str
) -> bytes:
    """The head of an answer in chunks, or of one with a length; a length of -1 gives neither."""
    framing = {None: "Transfer-Encoding: chunked", -1: "Connection: close"}
    lines = [
        f"HTTP/1.1 {status} Any",
        f"Content-Type: {kind}",
        framing.get(length, f"Content-Length: {length}"),
        *(f"{name.replace('_', '-')}: {value}" for name, value in more.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


@asynccontextmanager
async def raw_model(*pieces: bytes, pause: float = 0.0) -> AsyncGenerator[str]:
    """Yield the model's name; `pause` is before each piece but the first, in seconds."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            request = await reader.readuntil(b"\r\n\r\n")
            length = int(request.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
            await reader.readexactly(length)
            for number, piece in enumerate(pieces):
                if number and pause:
                    await asyncio.sleep(pause)
                writer.write(piece)
                await writer.drain()
        if pieces[-1] == RESET:
            writer.transport.abort()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    variables = {"RAW_BASE_URL": f"http://127.0.0.1:{port}/v1", "RAW_API_KEY": "sk-raw"}
    with mock.patch.dict(os.environ, variables):
        try:
            yield "raw:model"
        finally:
            await close_clients()
            server.close()
            await server.wait_closed()
