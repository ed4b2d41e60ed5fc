"""Statements straight from the event loop: no thread, no cursor, one round trip.

This pool is our own because of its cost. For the two statements of a turn psycopg's AsyncConnection
with pipeline() takes 0.7 ms of CPU, a thread 0.6 ms, and this pool 0.08 ms (measured side by side):
the difference is as much as the rest of a turn. Only the two statements of a turn go through here;
everything else uses `in_database`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from typing import Any

import psycopg
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections

from salient.database import executor
from salient.database.circuit_breaker import (
    SUSPECT_SECONDS,
    ReplyTimeout,
    Unanswered,
    circuit,
    is_over,
)
from salient.database.pipeline.batches import Answer, Batch, PendingCall, Statement
from salient.database.pipeline.connection import (
    PipelineConnection,
    close_connection,
    close_unclaimed,
    open_connection,
)

# A larger batch would keep its first call waiting for the last one, and rows locked for longer.
MAX_BATCH = 16
# How long calls of one batch key are sent alone after a batch of them has failed.
BACKOFF_SECONDS = 1.0
# How long a batch may keep others of its context waiting.
CONTEXT_WAIT_SECONDS = 0.1
# How often the pool checks for how long batches have been under way.
CHECK_SECONDS = 0.5


class PipelinePool:
    """The connections of one event loop; calls beyond their number wait in queues.

    A queue holds the calls of one batch key and sends one batch after the other, so that it cannot
    take all connections. Queues take turns. Those of one context send one after the other, too:
    their transactions would wait for each other's row locks, while here more calls are coalesced.
    But none waits for longer than CONTEXT_WAIT_SECONDS: another batch may be waiting for a lock.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._loop = asyncio.get_running_loop()
        self._is_closed = self._is_scheduled = False
        self._opening = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections: set[PipelineConnection] = set()
        self._idle: list[PipelineConnection] = []
        self._queues: dict[Hashable, deque[PendingCall]] = {}
        self._busy_queues: set[Hashable] = set()
        # The last batch of each context, and the timer after which the next one may be sent.
        self._busy_contexts: dict[Hashable, tuple[Batch, asyncio.TimerHandle]] = {}
        # Until when the calls of a queue are sent alone.
        self._backoff: dict[Hashable, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def submit(self, call: PendingCall) -> None:
        """Send it now or in its turn; it is executed even if its caller no longer waits."""
        key = call.queue_key
        if (waiting := self._queues.get(key)) is None:
            self._queues[key] = deque((call,))
        else:
            waiting.append(call)
        self._schedule_send()

    def _schedule_send(self) -> None:
        """Send at the end of this round of the event loop, with the other calls of the round."""
        if self._queues and not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._send)

    def _send(self) -> None:
        self._is_scheduled = False
        while (key := self._next_queue()) is not None:
            if not self._idle:
                if len(self._connections) + self._opening < self._size:
                    self._opening += 1
                    task = asyncio.create_task(self._open())
                    # The event loop keeps only weak references to tasks.
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
                return
            batch = self._next_batch(key)
            self._busy_queues.add(key)
            if batch.context is not None:
                timer = self._loop.call_later(CONTEXT_WAIT_SECONDS, self._free_context, batch)
                self._busy_contexts[batch.context] = batch, timer
            self._idle.pop().send(batch)
            self._schedule_check()

    def _schedule_check(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(CHECK_SECONDS, self._check, context=Context())

    def _check(self) -> None:
        """End connections whose batch takes too long; check again while any is under way.

        Time is counted in checks, so that no call times out while the event loop itself is blocked.
        """
        self._timer = None
        for connection in list(self._connections):
            waited = connection.count_check() * CHECK_SECONDS
            if is_over(waited):
                connection.end(ReplyTimeout())
            elif waited >= SUSPECT_SECONDS:
                circuit.suspect()
        if self._busy_queues and not self._is_closed:
            self._schedule_check()

    def circuit_has_changed(self) -> None:
        """Fail the waiting calls, or replace the connections from before the silence."""
        if circuit.is_open:
            self._fail_waiting(Unanswered())
            self._check()
            return
        for connection in list(self._idle):
            connection.end(psycopg.OperationalError("the server did not answer for a while"))

    def _next_queue(self) -> Hashable | None:
        for key, waiting in self._queues.items():
            context = waiting[0].exclusive_context
            if key not in self._busy_queues and context not in self._busy_contexts:
                return key
        return None

    def _next_batch(self, key: Hashable) -> Batch:
        """Take a batch out of the queue; the rest of the queue goes behind all others."""
        waiting = self._queues.pop(key)
        is_in_backoff = self._backoff.get(key, 0.0) > self._loop.time()
        most = 1 if waiting[0].is_alone or is_in_backoff else MAX_BATCH
        calls = [waiting.popleft() for _ in range(min(len(waiting), most))]
        if waiting:
            self._queues[key] = waiting
        calls.sort(key=attrgetter("order"))
        first = calls[0]
        return Batch(key, first.exclusive_context, calls, is_coalesced=first.batch_key is not None)

    def _free_context(self, batch: Batch) -> None:
        """Let the context's next batch be sent."""
        last, timer = self._busy_contexts.get(batch.context, (None, None))
        if last is batch and timer is not None:
            timer.cancel()
            del self._busy_contexts[batch.context]
            self._schedule_send()

    async def _open(self) -> None:
        try:
            opened = await executor.in_database(open_connection)
            try:
                connection = PipelineConnection(opened, self)
            except BaseException:
                close_connection(opened)
                raise
        except Exception as error:
            if not self._connections and self._opening == 1:
                # No other connection will serve the waiting calls.
                self._fail_waiting(error)
            return
        finally:
            self._opening -= 1
        if self._is_closed:
            connection.close()
            return
        self._connections.add(connection)
        self.add_idle(connection)

    def _fail_waiting(self, error: Exception) -> None:
        queues, self._queues = self._queues, {}
        for call in chain.from_iterable(queues.values()):
            call.fail(error)

    def add_idle(self, connection: PipelineConnection) -> None:
        self._idle.append(connection)
        self._schedule_send()

    def finish(self, batch: Batch, error: Exception | None) -> None:
        """Let the queue go on; the calls of a batch that failed are sent again, each alone."""
        self._busy_queues.discard(batch.queue_key)
        self._free_context(batch)
        if error is None:
            return
        if len(batch.calls) == 1:
            batch.fail(error)
            return
        now = self._loop.time()
        self._backoff = {key: until for key, until in self._backoff.items() if until > now}
        self._backoff[batch.queue_key] = now + BACKOFF_SECONDS
        for call in batch.calls:
            call.is_alone = True
            self._queues.setdefault(call.queue_key, deque()).append(call)

    def remove(self, connection: PipelineConnection) -> None:
        self._connections.discard(connection)
        with suppress(ValueError):
            self._idle.remove(connection)
        if not self._is_closed:
            self._send()

    def close(self) -> None:
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        closed = psycopg.OperationalError("the connections are closed")
        if not self._loop.is_closed():
            self._fail_waiting(closed)
        for connection in list(self._connections):
            connection.end(closed)

    @property
    def state(self) -> State:
        return State(
            open=len(self._connections),
            idle=len(self._idle),
            waiting=sum(map(len, self._queues.values())),
        )


@dataclass(frozen=True, slots=True)
class State:
    """The connections of a pool, and the calls that wait for one."""

    open: int
    idle: int
    waiting: int


_pools: dict[asyncio.AbstractEventLoop, PipelinePool] = {}


def state() -> State:
    """Return the state of the running event loop's pool."""
    pool = _pools.get(asyncio.get_running_loop())
    return State(0, 0, 0) if pool is None else pool.state


async def execute(*statements: Statement) -> str:
    """Run statements as one transaction and return the value that the last of them returns.

    They are pipelined: one round trip, and one implicit transaction that ends with the last. In a
    statement `$1` stands for its first value; values are no part of the text, which the server logs
    when something fails. Raises Django's database errors.
    """
    circuit.refuse()
    loop = asyncio.get_running_loop()
    call = PendingCall(statements, loop.create_future())
    _pool(loop).submit(call)
    answer: str = await call.answer
    return answer


def call_batched(
    *statements: Statement, batch_key: Hashable, order: str = ""
) -> asyncio.Future[Answer]:
    """Run statements whose last value is an element of a JSON array; the last one returns Answers.

    Calls with equal `batch_key` that wait for a connection are sent as one transaction, with all
    their elements in the array; when that fails, each is sent alone. So they may differ in that
    element only. Batches of one context are sent one after the other.
    A batch is sorted by `order`, so that two transactions lock the same rows in one order.
    """
    circuit.refuse()
    *earlier, (text, values) = statements
    before = tuple([(text, *values) for text, values in earlier])
    loop = asyncio.get_running_loop()
    call = PendingCall(
        statements,
        loop.create_future(),
        batch_key=(batch_key, text, *values[:-1], before),
        context=before or None,
        order=order,
    )
    _pool(loop).submit(call)
    return call.answer


def _pool(loop: asyncio.AbstractEventLoop) -> PipelinePool:
    """Return the pool of the running event loop."""
    pool = _pools.get(loop)
    if pool is None:
        for ended in [other for other in _pools if other.is_closed()]:
            _pools.pop(ended).close()
        pool = _pools[loop] = PipelinePool(settings.DATABASE_API_CONNECTIONS)
    return pool


@circuit.listen
def _circuit_has_changed() -> None:
    for loop, pool in list(_pools.items()):
        # An event loop that has ended meanwhile has no waiting calls.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(pool.circuit_has_changed)


def shut_down() -> None:
    """End the threads and close all connections of this process; the next call makes new ones."""
    for loop in list(_pools):
        _pools.pop(loop).close()
    executor.end_threads()
    close_unclaimed()
    default: Any = connections[DEFAULT_DB_ALIAS]
    default.close_pool()
