"""What a server process does when it starts and when it stops, and what it does on the side."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from salient import checks

type Closer = Callable[[], Awaitable[None]]

_closers: list[Closer] = []
_aside: set[asyncio.Task[None]] = set()
# How long a server that stops waits for what is done on the side.
PATIENCE_SECONDS = 5


def on_stop(closer: Closer) -> Closer:
    """Have closer awaited when the server stops: rooms register what they keep open."""
    _closers.append(closer)
    return closer


def in_background(work: Coroutine[Any, Any, None]) -> None:
    """Do the work without anybody waiting for it; a server that stops gives it a moment."""
    task = asyncio.get_running_loop().create_task(work)
    # The loop itself holds tasks weakly.
    _aside.add(task)
    task.add_done_callback(_aside.discard)


async def finish_background() -> None:
    """Wait for what is done on the side in this event loop, but not for ever."""
    loop = asyncio.get_running_loop()
    if mine := [task for task in _aside if task.get_loop() is loop]:
        await asyncio.wait(mine, timeout=PATIENCE_SECONDS)


async def run(
    receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
) -> None:
    """Speak the ASGI lifespan protocol."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            if lines := checks.faults():
                await send({"type": "lifespan.startup.failed", "message": " ".join(lines)})
                return
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await finish_background()
            for closer in reversed(_closers):
                await closer()
            await send({"type": "lifespan.shutdown.complete"})
            return
