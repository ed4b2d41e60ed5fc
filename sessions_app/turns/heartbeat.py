"""Writes to the database that this server process runs, and settles the turns of dead ones.

It has a thread of its own, because an event loop or a pool may be busy for seconds.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from uuid import UUID

from django.db import DatabaseError, InterfaceError, connection
from django.db.models.functions import Now

from accounts.limits.quotas import Limits
from accounts.tenancy.context import platform_context
from salient.api.lifespan import on_start, on_stop
from salient.database import in_database
from sessions_app.models import ServerProcess
from sessions_app.turns import abandoned, store
from sessions_app.turns.idempotency import KeyUsed
from sessions_app.turns.problems import TurnInProgress
from sessions_app.turns.server_processes import BEAT_SECONDS, this_process

logger = logging.getLogger(__name__)
# Beats between two searches for the turns of dead processes.
SEARCH_EVERY = 2
# When the database answers again, every running process has written its row within this time.
STEADY_SECONDS = 3 * BEAT_SECONDS
# How long a server that stops waits for a beat under way.
STOP_SECONDS = 3.0


class Heartbeat(threading.Thread):
    """Writes the process' row every few seconds until it is stopped."""

    def __init__(self) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._row = this_process()
        self._stopped = threading.Event()
        # By time.monotonic(): since when each beat came in time; None after one that failed.
        self._steady_since: float | None = None
        self._last = 0.0
        self.has_row = self._is_missing = False

    @property
    def id(self) -> UUID | None:
        """The process of new turns; None before its row is stored: then a turn's age counts."""
        return self._row.id if self.has_row else None

    @property
    def is_steady(self) -> bool:
        """Whether the last few beats came in time, and so those of all running processes."""
        now, since = time.monotonic(), self._steady_since
        if since is None or now - self._last > 2 * BEAT_SECONDS:
            return False
        return now - since > STEADY_SECONDS

    def run(self) -> None:
        beats = 0
        while not self._stopped.is_set():
            try:
                self.beat()
                if beats % SEARCH_EVERY == 0:
                    abandoned.settle_of_dead_processes(
                        may_trust_age=self.is_steady, except_id=self.id
                    )
                beats += 1
            except (DatabaseError, InterfaceError) as error:
                # Before its migration a newer server finds no table.
                self._miss(error)
            except Exception:
                logger.exception("Unexpected error while settling the turns of dead processes")
            finally:
                # The pool may give the next beat another connection.
                connection.close()
            self._stopped.wait(BEAT_SECONDS)

    def beat(self) -> None:
        with platform_context():
            rows = ServerProcess.objects.filter(pk=self._row.pk)
            if not rows.update(seen_at=Now()):
                self._row.save(force_insert=True)
        now = time.monotonic()
        if self._steady_since is None or now - self._last > 2 * BEAT_SECONDS:
            self._steady_since = now
        self._last, self.has_row, self._is_missing = now, True, False

    def _miss(self, error: Exception) -> None:
        if not self._is_missing:
            # The lines after the first quote the statement.
            reason = str(error).partition("\n")[0]
            logger.warning("The database did not take this process' heartbeat: %s", reason)
        self._steady_since, self._is_missing = None, True

    def stop(self) -> None:
        """End the thread and remove the row; other processes may settle turns that still run."""
        self._stopped.set()
        self.join(STOP_SECONDS)
        if not self.has_row:
            return
        self.has_row = False
        try:
            with platform_context():
                ServerProcess.objects.filter(pk=self._row.pk).delete()
        except (DatabaseError, InterfaceError) as error:
            logger.warning("The row of this process could not be removed: %s", error)
        finally:
            connection.close()


_heartbeat: Heartbeat | None = None


@on_start
def start() -> None:
    """Start the thread without waiting for its first beat: the database may not answer."""
    global _heartbeat  # noqa: PLW0603 - a process has one
    _heartbeat = Heartbeat()
    _heartbeat.start()


@on_stop
async def stop() -> None:
    global _heartbeat
    ended, _heartbeat = _heartbeat, None
    if ended is not None:
        await asyncio.to_thread(ended.stop)


def process_id() -> UUID | None:
    """Return the id that new turns get; None where no heartbeat runs."""
    return None if _heartbeat is None else _heartbeat.id


def is_steady() -> bool:
    return _heartbeat is not None and _heartbeat.is_steady


async def open_turn(row: store.OpenTurn, limits: Limits) -> store.Opened:
    """Open the turn; where a dead process left one in its place, settle that and try again."""
    try:
        return await store.open(row, limits)
    except (KeyUsed, TurnInProgress):
        may_trust_age = is_steady()
        if not await in_database(abandoned.settle_left, row, may_trust_age=may_trust_age):
            raise
        return await store.open(row, limits)
