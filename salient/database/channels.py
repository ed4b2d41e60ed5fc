"""Single statements straight from the event loop: no thread, no cursor, one message each way.

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
from psycopg.pq import ConnStatus, Escaping, ExecStatus

from salient.database import crossing

GOOD = {ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK}
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
    """Statements without values, the last of which gives one; and who waits for it."""

    text: str
    values: Sequence[str]
    answer: asyncio.Future[str]

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(djangos(error))


class Channels:
    """The connections of one event loop; statements beyond their number wait in line."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._opening = 0
        self._channels: set[Channel] = set()
        self._free: list[Channel] = []
        self._line: deque[Asked] = deque()

    def ask(self, text: str, values: Sequence[str]) -> asyncio.Future[str]:
        """Send it now or when its turn comes; it is done even if nobody waits for it any more."""
        asked = Asked(text, values, asyncio.get_running_loop().create_future())
        if self._free:
            self._free.pop().send(asked)
        else:
            self._line.append(asked)
            if len(self._channels) + self._opening < self._most:
                self._opening += 1
                keep(asyncio.create_task(self._open()))
        return asked.answer

    async def _open(self) -> None:
        try:
            connection = await crossing.in_database(_take_connection)
        except Exception as error:
            # They have all waited for it.
            while self._line:
                self._line.popleft().fail(error)
            return
        finally:
            self._opening -= 1
        channel = Channel(connection, self)
        self._channels.add(channel)
        self.is_free(channel)

    def is_free(self, channel: Channel) -> None:
        if self._line:
            channel.send(self._line.popleft())
        else:
            self._free.append(channel)

    def is_gone(self, channel: Channel) -> None:
        self._channels.discard(channel)
        with suppress(ValueError):
            self._free.remove(channel)
        if self._line and not self._channels and not self._opening:
            self._opening += 1
            keep(asyncio.create_task(self._open()))

    def close(self) -> None:
        for channel in list(self._channels):
            channel.close()


class Channel:
    """One connection of the pool, read by the event loop; it has one statement under way."""

    def __init__(self, connection: psycopg.Connection[Any], channels: Channels) -> None:
        self._connection, self._channels = connection, channels
        self._pgconn = connection.pgconn
        self._pgconn.nonblocking = 1
        self._escape = Escaping(self._pgconn).escape_literal
        self._socket = self._pgconn.socket
        self._asked: Asked | None = None
        self._value = ""
        self._error: Exception | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._read)

    def send(self, asked: Asked) -> None:
        self._asked, self._value, self._error = asked, "", None
        try:
            literals = [bytes(self._escape(value.encode())) for value in asked.values]
            self._pgconn.send_query(asked.text.encode() % tuple(literals))
            self._flush()
        except Exception as error:
            self._lost(error)

    def _flush(self) -> None:
        """Hand all of it to the kernel; what does not fit is sent when it has room again."""
        if self._pgconn.flush():
            self._loop.add_writer(self._socket, self._go_on)
        else:
            self._loop.remove_writer(self._socket)

    def _go_on(self) -> None:
        try:
            self._flush()
        except psycopg.Error as error:
            self._lost(error)

    def _read(self) -> None:
        """Take what the server sent: an answer's part, or the news that it has gone."""
        try:
            self._pgconn.consume_input()
            while not self._pgconn.is_busy():
                result = self._pgconn.get_result()
                if result is None:
                    self._finish()
                    return
                self._take(result)
        except psycopg.Error as error:
            self._lost(error)

    def _take(self, result: Any) -> None:
        if result.status not in GOOD:
            self._error = errors.error_from_result(result, "utf-8")
        elif result.ntuples:
            self._value = (result.get_value(result.ntuples - 1, 0) or b"").decode()

    def _finish(self) -> None:
        asked, self._asked = self._asked, None
        if self._pgconn.status != ConnStatus.OK:
            self._asked = asked
            self._lost(self._error or psycopg.OperationalError("the connection is lost"))
            return
        if asked is None:
            return
        if self._error is not None:
            asked.fail(self._error)
        elif not asked.answer.done():
            asked.answer.set_result(self._value)
        self._channels.is_free(self)

    def _lost(self, error: Exception) -> None:
        asked, self._asked = self._asked, None
        self.close()
        if asked is not None:
            asked.fail(error)

    def close(self) -> None:
        """Give the connection back; the pool throws it away, for it may be in the middle of it."""
        if not self._loop.is_closed():
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
        self._channels.is_gone(self)
        self._connection.close()
        if (pool := getattr(self._connection, "_pool", None)) is not None:
            pool.putconn(self._connection)


_channels: dict[asyncio.AbstractEventLoop, Channels] = {}
_opening: set[asyncio.Task[None]] = set()


def keep(task: asyncio.Task[None]) -> None:
    """Hold the task until it is done: the loop itself holds tasks weakly."""
    _opening.add(task)
    task.add_done_callback(_opening.discard)


async def ask(text: str, values: Sequence[str]) -> str:
    """Run statements as one transaction and return the value that the last of them gives.

    `%s` in the text stands for the values, in their order. Raises Django's database errors.
    """
    loop = asyncio.get_running_loop()
    channels = _channels.get(loop)
    if channels is None:
        for ended in [other for other in _channels if other.is_closed()]:
            _channels.pop(ended).close()
        channels = _channels[loop] = Channels(settings.DATABASE_API_CHANNELS)
    return await channels.ask(text, values)


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
