"""The gauges of a process, written every few seconds so that any process can report them."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections

from salient.api import lifespan
from salient.database import circuit, pipeline
from salient.observability import metrics

if TYPE_CHECKING:
    from salient.observability.recorder import Recorder

logger = logging.getLogger(__name__)

SNAPSHOT_SECONDS: Final = 2.0


def start() -> None:
    """Begin in the running event loop; for server processes."""
    if metrics.recorder is not None:
        metrics.recorder.is_batched = True
        lifespan.in_rounds(_rounds)


async def stop() -> None:
    """Write what was counted last, once no request is under way."""
    if metrics.recorder is not None:
        metrics.recorder.flush()
        metrics.recorder.is_batched = False


async def _rounds() -> None:
    while (recorder := metrics.recorder) is not None:
        try:
            take(recorder)
        except Exception:
            # The next one may succeed: a disk that was full, a pool that was closed.
            logger.exception("The figures of this process were not written")
        await asyncio.sleep(SNAPSHOT_SECONDS)


def take(recorder: Recorder) -> None:
    """Write the counts; note what is under way now, and the connections to the database."""
    from salient.api.handler import running_streams  # noqa: PLC0415 - it imports this

    recorder.flush()
    recorder.running_requests.set(lifespan.in_flight.number)
    recorder.running_streams.set(running_streams())
    recorder.is_circuit_open.set(circuit.is_open)
    _take_pool(recorder)
    state = pipeline.state()
    recorder.pool_size.labels("pipeline").set(settings.DATABASE_API_CONNECTIONS)
    recorder.connections.labels("pipeline", "used").set(state.open - state.idle)
    recorder.connections.labels("pipeline", "idle").set(state.idle)
    recorder.waiting.labels("pipeline").set(state.waiting)


def _take_pool(recorder: Recorder) -> None:
    """The pool of pages, of the API's threads, and of the pipeline, which keeps what it takes."""
    default: Any = connections[DEFAULT_DB_ALIAS]
    known = default._connection_pools.get(DEFAULT_DB_ALIAS)
    stats = {} if known is None else known.get_stats()
    size, idle = stats.get("pool_size", 0), stats.get("pool_available", 0)
    recorder.pool_size.labels("all").set(settings.DATABASE_POOL_SIZE)
    recorder.connections.labels("all", "used").set(size - idle)
    recorder.connections.labels("all", "idle").set(idle)
    recorder.waiting.labels("all").set(stats.get("requests_waiting", 0))
