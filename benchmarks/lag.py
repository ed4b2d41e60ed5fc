"""Salient as production serves it, with a task that measures how late the event loop is.

The task sleeps for 10 ms and measures how much later it is woken: for that long the event loop was
busy. The file LAG_FILE gets one number (ms) a line.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from time import perf_counter
from typing import Any

from salient.asgi import application as salient

EVERY = 0.01
LINES_AT_ONCE = 100
_sleeper: list[asyncio.Task[None]] = []


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        # The loop keeps only weak references to tasks.
        _sleeper.append(asyncio.create_task(watch(Path(os.environ["LAG_FILE"]))))
    await salient(scope, receive, send)


async def watch(path: Path) -> None:
    """Write in batches, so that writing causes no lag itself."""
    late: list[float] = []
    with path.open("a") as file:
        while True:
            before = perf_counter()
            await asyncio.sleep(EVERY)
            late.append(max(0.0, perf_counter() - before - EVERY))
            if len(late) == LINES_AT_ONCE:
                file.write("".join(f"{seconds * 1000:.3f}\n" for seconds in late))
                file.flush()
                late.clear()
