"""One connection in libpq's pipeline mode, read by the event loop.

It is our own because psycopg's AsyncConnection costs nine times the CPU; see pipeline.py.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from psycopg import errors
from psycopg.pq import ConnStatus, ExecStatus

from salient.database.pipeline.batches import Batch, MaybeDone

# Opened connections that no event loop has taken over yet.
_unclaimed: set[psycopg.Connection[Any]] = set()


class Pool(Protocol):
    """The pool that a connection reports to."""

    def finish(self, batch: Batch, error: Exception | None) -> None: ...

    def add_idle(self, connection: PipelineConnection) -> None: ...

    def remove(self, connection: PipelineConnection) -> None: ...


class PipelineConnection:
    """A connection that has one batch under way at most."""

    def __init__(self, connection: psycopg.Connection[Any], pool: Pool) -> None:
        self._connection, self._pool = connection, pool
        _unclaimed.discard(connection)
        self._pgconn = connection.pgconn
        self._pgconn.nonblocking = 1
        self._pgconn.enter_pipeline_mode()
        self._socket = self._pgconn.socket
        self._batch: Batch | None = None
        self._checks = 0
        self._value = ""
        self._error: Exception | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._read)

    def send(self, batch: Batch) -> None:
        self._batch, self._value, self._error = batch, "", None
        self._checks = 0
        try:
            for text, values in batch.statements():
                self._pgconn.send_query_params(text, [value.encode() for value in values])
            self._pgconn.pipeline_sync()
            self._flush()
        except Exception as error:
            self.end(error)

    def count_check(self) -> int:
        """Return how often the batch under way was checked, this time included; 0 without one."""
        self._checks = 0 if self._batch is None else self._checks + 1
        return self._checks

    def _flush(self) -> None:
        """Pass all of it to the kernel; the rest is sent when the socket accepts more."""
        if self._pgconn.flush():
            self._loop.add_writer(self._socket, self._continue_flush)
        else:
            self._loop.remove_writer(self._socket)

    def _continue_flush(self) -> None:
        try:
            self._flush()
        except Exception as error:
            self.end(error)

    def _read(self) -> None:
        """Read what the server sent: a part of the answer, or that the connection has ended."""
        try:
            self._pgconn.consume_input()
            while self._batch is not None and not self._pgconn.is_busy():
                # None separates the statements.
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
            batch.resolve(self._value)
        self._batch = None
        self._pool.finish(batch, self._error)
        self._pool.add_idle(self)

    def end(self, error: Exception) -> None:
        """Close the connection; the calls of the batch under way fail with MaybeDone."""
        batch, self._batch = self._batch, None
        if batch is not None:
            self._pool.finish(batch, None)
        self.close()
        if batch is not None and not self._loop.is_closed():
            lost = MaybeDone(*error.args)
            lost.__cause__ = error
            batch.fail(lost)

    def close(self) -> None:
        """Return the connection to its pool; a transaction under way ends with it."""
        if not self._loop.is_closed():
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
        self._pool.remove(self)
        close_connection(self._connection)


def open_connection() -> psycopg.Connection[Any]:
    """Take a connection of Django's pool; it belongs to no thread, unlike one of connect()."""
    default: Any = connections[DEFAULT_DB_ALIAS]
    with default.wrap_database_errors:
        opened: psycopg.Connection[Any] = default.get_new_connection(
            default.get_connection_params()
        )
    _unclaimed.add(opened)
    return opened


def close_connection(connection: psycopg.Connection[Any]) -> None:
    """Close it; its pool makes another one when it is needed."""
    connection.close()
    if (pool := getattr(connection, "_pool", None)) is not None:
        pool.putconn(connection)


def close_unclaimed() -> None:
    """Close what was opened for an event loop that has ended meanwhile."""
    while _unclaimed:
        close_connection(_unclaimed.pop())
