"""Statements straight from the event loop: no thread, no cursor, one round trip.

A thread costs a turn more than the statement itself: two hand-overs of the interpreter's lock and
two of the processor. The hot path's two statements go by here; everything else by `in_database`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable
from contextlib import suppress
from itertools import chain
from operator import attrgetter
from typing import Any

import psycopg
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections
from psycopg import errors
from psycopg.pq import ConnStatus, ExecStatus

from salient.database import executor
from salient.database.batches import Answer, Asked, Batch, MaybeDone, Statement
from salient.database.circuit_breaker import (
    SUSPECT_SECONDS,
    ReplyTimeout,
    Unanswered,
    circuit,
    is_over,
)

# More would keep the first of them waiting for the last, and make locks long.
MAX_BATCH = 16
BACKOFF_SECONDS = 1.0
# How long a batch may keep others of its door waiting.
CONTEXT_WAIT_SECONDS = 0.1
# How often it is looked at how long batches have been under way.
LOOK_SECONDS = 0.5


class PipelinePool:
    """The connections of one event loop; statements beyond their number wait in lanes.

    A lane holds what may travel together and sends it one batch after the other: so it cannot take
    all connections. Lanes take turns. Those of one door send one after the other too: their
    transactions would only wait for one another at the rows that they share, while here more of
    them gather. But no lane waits for long: another one's batch may be waiting for a lock.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._loop = asyncio.get_running_loop()
        self._is_closed = self._is_due = False
        self._opening = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._channels: set[PipelineConnection] = set()
        self._free: list[PipelineConnection] = []
        self._lanes: dict[Hashable, deque[Asked]] = {}
        self._under_way: set[Hashable] = set()
        # The batch that has just gone through a door, and when the next one may.
        self._doors: dict[Hashable, tuple[Batch, asyncio.TimerHandle]] = {}
        # What has failed together a moment ago is not tried together again so soon.
        self._wary: dict[Hashable, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def ask(self, asked: Asked) -> None:
        """Send it now or when its turn comes; it is done even if nobody waits for it any more."""
        self._lanes.setdefault(asked.lane(), deque()).append(asked)
        self._go_on_soon()

    def _go_on_soon(self) -> None:
        """Send when this round of the event loop is over: what else it asks goes along."""
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._is_due = False
        while (lane := self._next_lane()) is not None:
            if not self._free:
                if len(self._channels) + self._opening < self._most:
                    self._open_one()
                return
            batch = self._batch(lane)
            self._under_way.add(lane)
            if batch.door is not None:
                timer = self._loop.call_later(CONTEXT_WAIT_SECONDS, self._is_through, batch)
                self._doors[batch.door] = batch, timer
            self._free.pop().send(batch)
            self._look_soon()

    def _look_soon(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(LOOK_SECONDS, self._look)

    def _look(self) -> None:
        """End what has been under way for too long; as long as something is, look again.

        Time is counted in looks: while the event loop itself stands still, nobody waits.
        """
        self._timer = None
        for channel in list(self._channels):
            waited = channel.looked_at() * LOOK_SECONDS
            if is_over(waited):
                channel.end(ReplyTimeout())
            elif waited >= SUSPECT_SECONDS:
                circuit.suspect()
        if self._under_way and not self._is_closed:
            self._look_soon()

    def circuit_has_changed(self) -> None:
        """Refuse those who wait, or replace the connections from before the silence."""
        if circuit.is_open:
            self._fail_line(Unanswered())
            self._look()
            return
        for channel in list(self._free):
            channel.end(psycopg.OperationalError("the server did not answer for a while"))

    def _next_lane(self) -> Hashable | None:
        for lane, waiting in self._lanes.items():
            if lane not in self._under_way and waiting[0].entry() not in self._doors:
                return lane
        return None

    def _is_through(self, batch: Batch) -> None:
        """Let the next one through the door."""
        last, timer = self._doors.get(batch.door, (None, None))
        if last is batch and timer is not None:
            timer.cancel()
            del self._doors[batch.door]
            self._go_on_soon()

    def _batch(self, lane: Hashable) -> Batch:
        """Take a batch out of the lane, whose rest goes to the end of all lanes."""
        waiting = self._lanes.pop(lane)
        is_wary = self._wary.get(lane, 0.0) > self._loop.time()
        most = 1 if waiting[0].alone or is_wary else MAX_BATCH
        taken = [waiting.popleft() for _ in range(min(len(waiting), most))]
        if waiting:
            self._lanes[lane] = waiting
        taken.sort(key=attrgetter("order"))
        return Batch(lane, taken[0].entry(), taken, many=taken[0].batch_key is not None)

    def _open_one(self) -> None:
        self._opening += 1
        task = asyncio.create_task(self._open())
        # The loop itself holds tasks weakly.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _open(self) -> None:
        try:
            channel = self._channel(await executor.in_database(_take_connection))
        except Exception as error:
            if not self._channels and self._opening == 1:
                # Nobody else will serve those who wait.
                self._fail_line(error)
            return
        finally:
            self._opening -= 1
        if self._is_closed:
            channel.close()
            return
        self._channels.add(channel)
        self.is_free(channel)

    def _channel(self, connection: psycopg.Connection[Any]) -> PipelineConnection:
        try:
            return PipelineConnection(connection, self)
        except BaseException:
            _give_back(connection)
            raise

    def _fail_line(self, error: Exception) -> None:
        lanes, self._lanes = self._lanes, {}
        for asked in chain.from_iterable(lanes.values()):
            asked.fail(error)

    def is_free(self, channel: PipelineConnection) -> None:
        self._free.append(channel)
        self._go_on_soon()

    def has_ended(self, batch: Batch, error: Exception | None) -> None:
        """Let its lane go on; after an error that may be one's alone, each goes alone."""
        self._under_way.discard(batch.lane)
        self._is_through(batch)
        if error is None:
            return
        if len(batch.asked) == 1:
            batch.fail(error)
            return
        now = self._loop.time()
        self._wary = {lane: until for lane, until in self._wary.items() if until > now}
        self._wary[batch.lane] = now + BACKOFF_SECONDS
        for asked in batch.asked:
            asked.alone = True
            self._lanes.setdefault(asked.lane(), deque()).append(asked)

    def is_gone(self, channel: PipelineConnection) -> None:
        self._channels.discard(channel)
        with suppress(ValueError):
            self._free.remove(channel)
        if not self._is_closed:
            self._go_on()

    def close(self) -> None:
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        gone = psycopg.OperationalError("the connections are closed")
        if not self._loop.is_closed():
            self._fail_line(gone)
        for channel in list(self._channels):
            channel.end(gone)


class PipelineConnection:
    """One connection of the pool, read by the event loop; it has one statement under way."""

    def __init__(self, connection: psycopg.Connection[Any], channels: PipelinePool) -> None:
        self._connection, self._channels = connection, channels
        _unclaimed.discard(connection)
        self._pgconn = connection.pgconn
        self._pgconn.nonblocking = 1
        self._pgconn.enter_pipeline_mode()
        self._socket = self._pgconn.socket
        self._batch: Batch | None = None
        self._looks = 0
        self._value = ""
        self._error: Exception | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._read)

    def send(self, batch: Batch) -> None:
        self._batch, self._value, self._error = batch, "", None
        self._looks = 0
        try:
            for text, values in batch.statements():
                self._pgconn.send_query_params(text, [value.encode() for value in values])
            self._pgconn.pipeline_sync()
            self._flush()
        except Exception as error:
            self.end(error)

    def looked_at(self) -> int:
        """Count how often the batch under way was looked at; 0 while there is none."""
        self._looks = 0 if self._batch is None else self._looks + 1
        return self._looks

    def _flush(self) -> None:
        """Hand all of it to the kernel; what does not fit is sent when it has room again."""
        if self._pgconn.flush():
            self._loop.add_writer(self._socket, self._go_on)
        else:
            self._loop.remove_writer(self._socket)

    def _go_on(self) -> None:
        try:
            self._flush()
        except Exception as error:
            self.end(error)

    def _read(self) -> None:
        """Take what the server sent: an answer's part, or the news that it has gone."""
        try:
            self._pgconn.consume_input()
            while self._batch is not None and not self._pgconn.is_busy():
                # None stands between the statements.
                if (result := self._pgconn.get_result()) is not None:
                    self._take(result)
        except Exception as error:
            self.end(error)

    def _take(self, result: Any) -> None:
        match result.status:
            case ExecStatus.TUPLES_OK:
                self._value = (result.get_value(0, 0) or b"").decode()
            case ExecStatus.PIPELINE_SYNC:
                self._finish()
            case ExecStatus.FATAL_ERROR:
                self._error = errors.error_from_result(result, "utf-8")
                if self._pgconn.status != ConnStatus.OK:
                    self.end(self._error)

    def _finish(self) -> None:
        batch = self._batch
        if batch is None:
            return
        if self._error is None:
            batch.give(self._value)
        self._batch = None
        self._channels.has_ended(batch, self._error)
        self._channels.is_free(self)

    def end(self, error: Exception) -> None:
        """Close, and tell whoever waits for the statement under way."""
        batch, self._batch = self._batch, None
        if batch is not None:
            self._channels.has_ended(batch, None)
        self.close()
        if batch is not None and not self._loop.is_closed():
            lost = MaybeDone(*error.args)
            lost.__cause__ = error
            batch.fail(lost)

    def close(self) -> None:
        """Give the connection back; what it was in the middle of ends with it."""
        if not self._loop.is_closed():
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
        self._channels.is_gone(self)
        _give_back(self._connection)


_unclaimed: set[psycopg.Connection[Any]] = set()
_channels: dict[asyncio.AbstractEventLoop, PipelinePool] = {}


async def ask(*statements: Statement) -> str:
    """Run statements as one transaction and return the value that the last of them gives.

    They are pipelined: one round trip, and one implicit transaction that ends with the last. In a
    statement `$1` stands for its first value; values are no part of the text, which the server logs
    when something fails. Raises Django's database errors.
    """
    circuit.refuse()
    asked = Asked(statements, asyncio.get_running_loop().create_future())
    _ours().ask(asked)
    answer: str = await asked.answer
    return answer


async def call_batched(*statements: Statement, batch_key: Hashable, order: str = "") -> Answer:
    """Run statements whose last value is an element of a JSON array; the last one gives Answers.

    Calls with equal `batch_key` that wait for a connection are sent as one transaction, with all
    their elements in the array; when that fails, each is sent alone. So they may differ in that
    element only. Batches of one context are sent one after the other.
    A batch is sorted by `order`, so that two transactions lock the same rows in one order.
    """
    circuit.refuse()
    before = tuple((text, *values) for text, values in statements[:-1])
    text, values = statements[-1]
    asked = Asked(
        statements,
        asyncio.get_running_loop().create_future(),
        batch_key=(batch_key, text, *values[:-1], before),
        door=before or None,
        order=order,
    )
    _ours().ask(asked)
    answer: Answer = await asked.answer
    return answer


def _ours() -> PipelinePool:
    """The channels of the running event loop."""
    loop = asyncio.get_running_loop()
    channels = _channels.get(loop)
    if channels is None:
        for ended in [other for other in _channels if other.is_closed()]:
            _channels.pop(ended).close()
        channels = _channels[loop] = PipelinePool(settings.DATABASE_API_CONNECTIONS)
    return channels


@circuit.listen
def _circuit_has_changed() -> None:
    for loop, channels in list(_channels.items()):
        # A loop that has ended meanwhile has nobody who waits.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(channels.circuit_has_changed)


def close_pipelines() -> None:
    """Close them all: their event loops have ended, or this one is about to."""
    for loop in list(_channels):
        _channels.pop(loop).close()


def _take_connection() -> psycopg.Connection[Any]:
    default: Any = connections[DEFAULT_DB_ALIAS]
    with default.wrap_database_errors:
        # Not connect(): the connection is no thread's own.
        taken: psycopg.Connection[Any] = default.get_new_connection(default.get_connection_params())
    _unclaimed.add(taken)
    return taken


def give_back_unclaimed() -> None:
    """Close what was opened for an event loop that has ended meanwhile."""
    while _unclaimed:
        _give_back(_unclaimed.pop())


def _give_back(connection: psycopg.Connection[Any]) -> None:
    """Close it; its pool makes another when one is wanted."""
    connection.close()
    if (pool := getattr(connection, "_pool", None)) is not None:
        pool.putconn(connection)
