"""An event loop's clock that stands still while anything happens: no load makes a test late."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock


@contextmanager
def jumping_clock() -> Iterator[None]:
    """Let the running loop's time pass by jumps alone, each to the timer that is next.

    It jumps when nobody has anything to do: both ends of every connection are in this loop. So what
    waits for seconds waits for as many as it says, of no time at all.
    """
    loop: Any = asyncio.get_running_loop()
    select = loop._selector.select
    now: float = loop.time()

    def time() -> float:
        return now

    def jump(timeout: float | None = None) -> Any:
        nonlocal now
        if found := select(0):
            return found
        if timeout is None:
            return select(None)
        now += timeout
        return found

    with mock.patch.object(loop, "time", time), mock.patch.object(loop._selector, "select", jump):
        yield
