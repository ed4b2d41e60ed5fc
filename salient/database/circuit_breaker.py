"""Knows when the database is there but does not answer, and has callers refused at once then.

A paused server or dropped packets close no connection: whoever waits would wait for as long as it
lasts. Who has waited for a while has the server asked on a connection of its own; only when that
one gets no answer either is everybody refused, until it gets one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, cast

import psycopg
from django.db import DEFAULT_DB_ALIAS, OperationalError, connections
from psycopg.abc import PQGen
from psycopg.errors import ConnectionTimeout

logger = logging.getLogger(__name__)
# Seconds: who has waited for so long has the server asked.
SUSPECT_SECONDS = 2.0
# A statement in a tenant context ends within 5 s by the server's own limit.
REPLY_SECONDS = 6.0
# How long the server has to answer that, and how often it is asked again.
PROBE_SECONDS = 2
PROBE_AGAIN_SECONDS = 0.5
UNANSWERED = "the database does not answer"

type Listener = Callable[[], None]


class ReplyTimeout(psycopg.OperationalError):
    """The server did not say anything for longer than a statement may take."""

    def __init__(self) -> None:
        super().__init__(UNANSWERED)


class Unanswered(OperationalError):
    """The server is known not to answer; nothing was sent."""

    def __init__(self) -> None:
        super().__init__(UNANSWERED)


class Circuit:
    """One for the process: its connections lead to one server."""

    def __init__(self) -> None:
        self.is_open = False
        # Connections from before the last time that the server did not answer may be dead.
        self.generation = 0
        self._lock = threading.Lock()
        self._prober: threading.Thread | None = None
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> Listener:
        """Have listener called, from another thread, when the circuit opens and when it closes."""
        self._listeners.append(listener)
        return listener

    def refuse(self) -> None:
        """Raise Unanswered while the server is known not to answer."""
        if self.is_open:
            raise Unanswered

    def suspect(self) -> None:
        """Have the server asked, unless it is being asked already; nobody waits for it."""
        with self._lock:
            if self._prober is None:
                self._prober = threading.Thread(
                    target=self._ask, name="database-probe", daemon=True
                )
                self._prober.start()

    def _ask(self) -> None:
        try:
            while not answers():
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
    """A connection that a server process does not wait for longer than a statement may take."""

    # Seconds; None: as long as it takes, which is for commands such as migrate.
    reply_seconds: float | None = None

    def wait[R](self, gen: PQGen[R], interval: float = 0.1, timeout: float | None = None) -> R:
        """Wait for what the server says; a connection that is given up is closed."""
        limit = self.reply_seconds
        if limit is None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(_limited(gen, limit), interval, timeout)
        except ReplyTimeout:
            self.close()
            raise


def _limited[R](gen: PQGen[R], limit: float) -> PQGen[R]:
    """Pass everything on; psycopg comes back every interval with nothing while it waits."""
    began, has_suspected = time.monotonic(), False
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
    """Whether somebody has waited long enough, who waits less while nobody is answered."""
    return waited >= (SUSPECT_SECONDS if circuit.is_open else limit)


def limit_replies() -> None:
    """Limit every connection of this process from now on; a server does so when it starts."""
    LimitedConnection.reply_seconds = REPLY_SECONDS


def answers() -> bool:
    """Ask the server on a connection of its own; an error is an answer, only silence is none."""
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
    """Have the pool make its connections anew."""
    default: Any = connections[DEFAULT_DB_ALIAS]
    if default.pool and not default.pool.closed:
        default.pool.drain()


circuit = Circuit()
