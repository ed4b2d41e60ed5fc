"""Refuses calls at once while the database is there but does not answer.

A paused server or dropped packets close no connection, so that a call would wait until they end.
A call that has waited for a while starts a probe on a connection of its own; when that gets no
answer either, all calls are refused until it gets one. It is our own because breaker libraries
count errors, and a silent server causes none.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, ClassVar, cast

import psycopg
from django.db import DEFAULT_DB_ALIAS, OperationalError, connections
from psycopg.abc import PQGen
from psycopg.errors import ConnectionTimeout

logger = logging.getLogger(__name__)
# Seconds after which a waiting call starts the probe.
SUSPECT_SECONDS = 2.0
# Seconds; the server itself ends a statement in a context after 5.
REPLY_SECONDS = 6.0
# How long a probe waits for an answer, and the pause before the next one.
PROBE_SECONDS = 2
PROBE_AGAIN_SECONDS = 0.5
UNANSWERED = "the database does not answer"

type Listener = Callable[[], None]


class ReplyTimeout(psycopg.OperationalError):
    """The server sent nothing for longer than a statement may take."""

    def __init__(self) -> None:
        super().__init__(UNANSWERED)


class Unanswered(OperationalError):
    """The circuit is open; nothing was sent."""

    def __init__(self) -> None:
        super().__init__(UNANSWERED)


class Circuit:
    """The process' one circuit, as all its connections lead to one server; open means refusing."""

    def __init__(self) -> None:
        self.is_open = False
        # Counts the silences: connections from an earlier generation may be dead.
        self.generation = 0
        self._lock = threading.Lock()
        self._prober: threading.Thread | None = None
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> Listener:
        """Call the listener, from another thread, when the circuit opens and when it closes."""
        self._listeners.append(listener)
        return listener

    def refuse(self) -> None:
        """Raise Unanswered while the circuit is open."""
        if self.is_open:
            raise Unanswered

    def suspect(self) -> None:
        """Start the probe in a thread, unless it runs already."""
        with self._lock:
            if self._prober is None:
                self._prober = threading.Thread(
                    target=self._probe, name="database-probe", daemon=True
                )
                self._prober.start()

    def _probe(self) -> None:
        try:
            while not server_answers():
                if not self.is_open:
                    logger.error("The database is there but does not answer; callers get 503.")
                    self._set(is_open=True)
                time.sleep(PROBE_AGAIN_SECONDS)
            if self.is_open:
                self.generation += 1
                forget_idle()
                self._set(is_open=False)
                logger.warning("The database answers again.")
        finally:
            with self._lock:
                self._prober = None
            self.is_open = False

    def _set(self, *, is_open: bool) -> None:
        self.is_open = is_open
        for listener in self._listeners:
            listener()


class LimitedConnection(psycopg.Connection[Any]):
    """A connection on which a server process waits no longer than a statement may take."""

    # Seconds; None: without a limit, for commands such as migrate.
    reply_seconds: float | None = None
    # Whether it leads to the server that the circuit is about.
    is_primary: ClassVar[bool] = True

    def wait[R](self, gen: PQGen[R], interval: float = 0.1, timeout: float | None = None) -> R:
        """Wait for the server; after a ReplyTimeout the connection is closed."""
        limit = self.reply_seconds
        if limit is None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(_limited(gen, limit, suspects=self.is_primary), interval, timeout)
        except ReplyTimeout:
            self.close()
            raise


def _limited[R](gen: PQGen[R], limit: float, *, suspects: bool) -> PQGen[R]:
    """Wrap psycopg's generator, which is resumed every interval without a state while it waits."""
    began, has_suspected = time.monotonic(), not suspects
    try:
        state = next(gen)
        while True:
            ready = yield state
            if not ready:
                waited = time.monotonic() - began
                if is_over(waited, limit):
                    raise ReplyTimeout
                if waited >= SUSPECT_SECONDS and not has_suspected:
                    has_suspected = True
                    circuit.suspect()
            state = gen.send(ready)
    except StopIteration as end:
        return cast(R, end.value)


def is_over(waited: float, limit: float = REPLY_SECONDS) -> bool:
    """Whether a call has waited too long; while the circuit is open the limit is shorter."""
    return waited >= (SUSPECT_SECONDS if circuit.is_open else limit)


def limit_replies() -> None:
    """Limit every connection of this process from now on; for server processes."""
    LimitedConnection.reply_seconds = REPLY_SECONDS


def server_answers() -> bool:
    """Probe the server on a new connection; an error is an answer, only silence is none."""
    try:
        probe = LimitedConnection.connect(**_parameters())
    except ConnectionTimeout:
        return False
    except psycopg.Error:
        return True
    probe.reply_seconds = PROBE_SECONDS
    try:
        probe.execute("SELECT 1")
    except ReplyTimeout:
        return False
    except psycopg.Error:
        return True
    finally:
        probe.close()
    return True


def _parameters() -> dict[str, Any]:
    default: Any = connections[DEFAULT_DB_ALIAS]
    known = default.get_connection_params()
    for name in ("context", "cursor_factory", "prepare_threshold"):
        known.pop(name, None)
    return {**known, "connect_timeout": PROBE_SECONDS, "autocommit": True}


def forget_idle() -> None:
    """Make the pool replace its idle connections."""
    default: Any = connections[DEFAULT_DB_ALIAS]
    if default.pool and not default.pool.closed:
        default.pool.drain()


circuit = Circuit()
