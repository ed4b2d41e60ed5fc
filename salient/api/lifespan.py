"""Start and stop of a server process (ASGI lifespan), and its background tasks."""

import asyncio
import gc
import threading
from collections.abc import Awaitable, Callable, Coroutine
from importlib import import_module
from typing import Any

from django.conf import settings

from salient.observability import context
from salient.security import checks

type Opener = Callable[[], object]
type Closer = Callable[[], Awaitable[None]]
type Ender = Callable[[], None]

_openers: list[Opener] = []
_enders: list[Ender] = []
_closers: list[Closer] = []
_background: set[asyncio.Task[Any]] = set()
_rounds: set[asyncio.Task[None]] = set()
_is_stopping = threading.Event()
# How long a stopping server waits for its background tasks.
BACKGROUND_SECONDS = 5
# How long it waits for the requests that it cut to answer their clients.
DRAIN_SECONDS = 2.5


class InFlight:
    """The number of requests being answered; each of them enters this context."""

    def __init__(self) -> None:
        self.number = 0

    def __enter__(self) -> None:
        self.number += 1

    def __exit__(self, *_: object) -> None:
        self.number -= 1

    async def drain(self) -> None:
        """Wait until none is left, at most DRAIN_SECONDS."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + DRAIN_SECONDS
        while self.number and loop.time() < deadline:  # noqa: ASYNC110 - requests only count
            await asyncio.sleep(0.02)


in_flight = InFlight()


def on_start(opener: Opener) -> Opener:
    """Register work that a server does before its first request, which would wait for it."""
    _openers.append(opener)
    return opener


def warm_up() -> None:
    """Load what requests need, and freeze it for the garbage collector.

    It lives as long as the process. Scanning it in each collection would stop the event loop for
    milliseconds.
    """
    import_module(settings.ROOT_URLCONF)
    for opener in _openers:
        opener()
    gc.collect()
    gc.freeze()


def take_no_turns() -> None:
    """Refuse new turns from now on, also on open connections; may be called from any thread."""
    _is_stopping.set()


def takes_no_turns() -> bool:
    return _is_stopping.is_set()


def when_stopping(ender: Ender) -> Ender:
    """Register what ends the running requests of a server that stops."""
    _enders.append(ender)
    return ender


def on_stop(closer: Closer) -> Closer:
    """Register what closes a resource when the server stops."""
    _closers.append(closer)
    return closer


def begun_task[T](work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Return a task that has begun at once: a plain one waits for another round of the loop."""
    return asyncio.Task(work, loop=asyncio.get_running_loop(), eager_start=True)


def in_background[Result](work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
    """Run the coroutine as a background task; a stopping server waits BACKGROUND_SECONDS for it."""
    task = asyncio.get_running_loop().create_task(work)
    # The event loop holds only weak references to tasks.
    _background.add(task)
    task.add_done_callback(_background.discard)
    return task


async def finish_background() -> None:
    """Wait for the background tasks of this event loop and those that they begin, at most
    BACKGROUND_SECONDS.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + BACKGROUND_SECONDS
    while mine := [task for task in _background if task.get_loop() is loop]:
        _, left = await asyncio.wait(mine, timeout=max(0, deadline - loop.time()))
        if left:
            return


def in_rounds(work: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
    """Run what looks again and again until nobody needs it; it ends with the server at the latest.

    It belongs to no request, although one has started it.
    """

    async def apart() -> None:
        context.leave()
        await work()

    task = asyncio.get_running_loop().create_task(apart())
    _rounds.add(task)
    task.add_done_callback(_rounds.discard)
    return task


async def end_rounds() -> None:
    """End them in this event loop: they may be waiting for their next look."""
    loop = asyncio.get_running_loop()
    mine = [task for task in _rounds if task.get_loop() is loop]
    for task in mine:
        task.cancel()
    await asyncio.gather(*mine, return_exceptions=True)


async def run(
    receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
) -> None:
    """Serve the ASGI lifespan protocol."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            if lines := checks.faults():
                await send({"type": "lifespan.startup.failed", "message": " ".join(lines)})
                return
            warm_up()
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            for ender in _enders:
                ender()
            await in_flight.drain()
            await finish_background()
            await end_rounds()
            for closer in reversed(_closers):
                await closer()
            await send({"type": "lifespan.shutdown.complete"})
            return
