"""What a server process does when it starts and when it stops, and what it does on the side."""

import asyncio
import gc
import threading
from collections.abc import Awaitable, Callable, Coroutine
from importlib import import_module
from typing import Any

from django.conf import settings

from salient.security import checks

type Opener = Callable[[], object]
type Closer = Callable[[], Awaitable[None]]
type Ender = Callable[[], None]

_openers: list[Opener] = []
_enders: list[Ender] = []
_closers: list[Closer] = []
_aside: set[asyncio.Task[None]] = set()
_is_leaving = threading.Event()
# How long a server that stops waits for what is done on the side.
PATIENCE_SECONDS = 5
# How long it waits for the requests that it ended to tell their clients so.
LAST_WORDS_SECONDS = 2.5


class InFlight:
    """How many requests are being answered; entered by each of them."""

    def __init__(self) -> None:
        self.number = 0

    def __enter__(self) -> None:
        self.number += 1

    def __exit__(self, *_: object) -> None:
        self.number -= 1

    async def land(self) -> None:
        """Wait until none is left, but not for ever."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + LAST_WORDS_SECONDS
        while self.number and loop.time() < deadline:  # noqa: ASYNC110 - requests only count
            await asyncio.sleep(0.02)


in_flight = InFlight()


def on_start(opener: Opener) -> Opener:
    """Have opener called before a server takes requests: what the first of them would wait for."""
    _openers.append(opener)
    return opener


def warm_up() -> None:
    """Load what requests need, and keep it out of the garbage collector's rounds.

    What was loaded by now stays for as long as the process; looking through it again and again
    would stop the event loop for milliseconds.
    """
    import_module(settings.ROOT_URLCONF)
    for opener in _openers:
        opener()
    gc.collect()
    gc.freeze()


def take_no_turns() -> None:
    """Refuse new turns from now on, also of connections that stay open; any thread may call it."""
    _is_leaving.set()


def takes_no_turns() -> bool:
    return _is_leaving.is_set()


def when_stopping(ender: Ender) -> Ender:
    """Have ender called when a server has waited long enough: it ends what would run on."""
    _enders.append(ender)
    return ender


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
            warm_up()
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            for ender in _enders:
                ender()
            await in_flight.land()
            await finish_background()
            for closer in reversed(_closers):
                await closer()
            await send({"type": "lifespan.shutdown.complete"})
            return
