"""Statements straight from the event loop: no thread, no cursor, one round trip.

A thread costs a turn more than the statement itself: two hand-overs of the interpreter's lock and
two of the processor. The hot path's two statements go by here; everything else by `in_database`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg
from django import db
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections
from psycopg import errors
from psycopg.pq import ConnStatus, ExecStatus

from salient.database import crossing

type Statement = tuple[bytes, Sequence[str]]
# As Django's own wrapper does it, most special first.
_DJANGOS: Sequence[tuple[type[Exception], type[Exception]]] = (
    (psycopg.DataError, db.DataError),
    (psycopg.OperationalError, db.OperationalError),
    (psycopg.IntegrityError, db.IntegrityError),
    (psycopg.InternalError, db.InternalError),
    (psycopg.ProgrammingError, db.ProgrammingError),
    (psycopg.NotSupportedError, db.NotSupportedError),
    (psycopg.DatabaseError, db.DatabaseError),
    (psycopg.InterfaceError, db.InterfaceError),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """Statements with their values, the last of which gives one; and who waits for it."""

    statements: Sequence[Statement]
    answer: asyncio.Future[str]

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(djangos(error))


class Channels:
    """The connections of one event loop; statements beyond their number wait in line."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._loop = asyncio.get_running_loop()
        self._is_closed = False
        self._opening = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._channels: set[Channel] = set()
        self._free: list[Channel] = []
        self._line: deque[Asked] = deque()

    def ask(self, statements: Sequence[Statement]) -> asyncio.Future[str]:
        """Send it now or when its turn comes; it is done even if nobody waits for it any more."""
        asked = Asked(statements, asyncio.get_running_loop().create_future())
        if self._free:
            self._free.pop().send(asked)
        else:
            self._line.append(asked)
            if len(self._channels) + self._opening < self._most:
                self._open_one()
        return asked.answer

    def _open_one(self) -> None:
        self._opening += 1
        task = asyncio.create_task(self._open())
        # The loop itself holds tasks weakly.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _open(self) -> None:
        try:
            channel = self._channel(await crossing.in_database(_take_connection))
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

    def _channel(self, connection: psycopg.Connection[Any]) -> Channel:
        try:
            return Channel(connection, self)
        except BaseException:
            _give_back(connection)
            raise

    def _fail_line(self, error: Exception) -> None:
        while self._line:
            self._line.popleft().fail(error)

    def is_free(self, channel: Channel) -> None:
        if self._line:
            channel.send(self._line.popleft())
        else:
            self._free.append(channel)

    def is_gone(self, channel: Channel) -> None:
        self._channels.discard(channel)
        with suppress(ValueError):
            self._free.remove(channel)
        if self._line and not self._channels and not self._opening and not self._is_closed:
            self._open_one()

    def close(self) -> None:
        self._is_closed = True
        gone = psycopg.OperationalError("the connections are closed")
        if not self._loop.is_closed():
            self._fail_line(gone)
        for channel in list(self._channels):
            channel.end(gone)


class Channel:
    """One connection of the pool, read by the event loop; it has one statement under way."""

    def __init__(self, connection: psycopg.Connection[Any], channels: Channels) -> None:
        self._connection, self._channels = connection, channels
        self._pgconn = connection.pgconn
        self._pgconn.nonblocking = 1
        self._pgconn.enter_pipeline_mode()
        self._socket = self._pgconn.socket
        self._asked: Asked | None = None
        self._value = ""
        self._error: Exception | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._read)

    def send(self, asked: Asked) -> None:
        self._asked, self._value, self._error = asked, "", None
        try:
            for text, values in asked.statements:
                self._pgconn.send_query_params(text, [value.encode() for value in values])
            self._pgconn.pipeline_sync()
            self._flush()
        except Exception as error:
            self.end(error)

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
            while self._asked is not None and not self._pgconn.is_busy():
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
        asked, self._asked = self._asked, None
        if asked is None:
            return
        if self._error is not None:
            asked.fail(self._error)
        elif not asked.answer.done():
            asked.answer.set_result(self._value)
        self._channels.is_free(self)

    def end(self, error: Exception) -> None:
        """Close, and tell whoever waits for the statement under way."""
        asked, self._asked = self._asked, None
        self.close()
        if asked is not None and not self._loop.is_closed():
            asked.fail(error)

    def close(self) -> None:
        """Give the connection back; what it was in the middle of ends with it."""
        if not self._loop.is_closed():
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
        self._channels.is_gone(self)
        _give_back(self._connection)


_channels: dict[asyncio.AbstractEventLoop, Channels] = {}


async def ask(*statements: Statement) -> str:
    """Run statements as one transaction and return the value that the last of them gives.

    They are pipelined: one round trip, and one implicit transaction that ends with the last. In a
    statement `$1` stands for its first value; values are no part of the text, which the server logs
    when something fails. Raises Django's database errors.
    """
    loop = asyncio.get_running_loop()
    channels = _channels.get(loop)
    if channels is None:
        for ended in [other for other in _channels if other.is_closed()]:
            _channels.pop(ended).close()
        channels = _channels[loop] = Channels(settings.DATABASE_API_CHANNELS)
    return await channels.ask(statements)


def close_channels() -> None:
    """Close them all: their event loops have ended, or this one is about to."""
    for loop in list(_channels):
        _channels.pop(loop).close()


def djangos(error: Exception) -> Exception:
    """Return Django's error for one of psycopg's, with that one as its cause."""
    for psycopgs, djangos_own in _DJANGOS:
        if isinstance(error, psycopgs):
            wrapped = djangos_own(*error.args)
            wrapped.__cause__ = error
            return wrapped
    return error


def _take_connection() -> psycopg.Connection[Any]:
    default: Any = connections[DEFAULT_DB_ALIAS]
    with default.wrap_database_errors:
        # Not connect(): the connection is no thread's own.
        taken: psycopg.Connection[Any] = default.get_new_connection(default.get_connection_params())
    return taken


def _give_back(connection: psycopg.Connection[Any]) -> None:
    """Close it; its pool makes another when one is wanted."""
    connection.close()
    if (pool := getattr(connection, "_pool", None)) is not None:
        pool.putconn(connection)
