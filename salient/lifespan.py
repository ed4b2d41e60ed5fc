"""What a server process does when it starts and when it stops."""

from collections.abc import Awaitable, Callable
from typing import Any

from salient import checks

type Closer = Callable[[], Awaitable[None]]

_closers: list[Closer] = []


def on_stop(closer: Closer) -> Closer:
    """Have closer awaited when the server stops: rooms register what they keep open."""
    _closers.append(closer)
    return closer


async def run(
    receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
) -> None:
    """Speak the ASGI lifespan protocol."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            if lines := checks.refusals():
                await send({"type": "lifespan.startup.failed", "message": " ".join(lines)})
                return
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            for closer in reversed(_closers):
                await closer()
            await send({"type": "lifespan.shutdown.complete"})
            return
