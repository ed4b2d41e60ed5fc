"""Salient as production serves it, with a clock beside it that writes how late the loop is.

Every 10 ms a sleeper looks how much later than that it was woken: for so long the event loop did
something else. The file of LAG_FILE gets one number (ms) a line.
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
        # The loop holds tasks weakly.
        _sleeper.append(asyncio.create_task(watch(Path(os.environ["LAG_FILE"]))))
    await salient(scope, receive, send)


async def watch(path: Path) -> None:
    """Write in batches, so that the writing is no lag of its own."""
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
