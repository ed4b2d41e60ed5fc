"""Whether migrations are pending, and the lock that lets one migrate at a time run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, connections
from django.db.migrations.executor import MigrationExecutor

from salient.ttl import TTLCache

# "SALIENT" in ASCII; the lock is of one database, not of the whole server.
LOCK = 0x53414C49454E54
TRY_EVERY_SECONDS = 0.5
_ready: TTLCache[str, bool] = TTLCache(seconds=5)


def readiness_problem() -> str | None:
    """Return why a server may not get requests yet; raises the database's errors."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    if _ready.get("migrated"):
        return None
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        return f"{len(plan)} migrations are pending; run “manage.py migrate”."
    _ready.put("migrated", True)  # noqa: FBT003
    return None


@contextmanager
def migration_lock(alias: str, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the lock in a transaction of a connection of its own; `on_wait` is called once at most.

    So the lock ends with the process, and PgBouncer gives the connection to no other client. The
    wait is a loop of attempts: a statement that waits inside the database would in turn block
    CREATE INDEX CONCURRENTLY, which waits for all transactions.
    """
    lock: Any = connections[alias].copy()
    try:
        if not _try_lock(lock):
            on_wait()
            while not _try_lock(lock):
                time.sleep(TRY_EVERY_SECONDS)
        yield
    finally:
        lock.close()


def _try_lock(lock: Any) -> bool:
    lock.ensure_connection()
    lock.set_autocommit(False)
    with lock.cursor() as cursor:
        # The transaction is idle between two attempts and while migrations run.
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
        is_locked = bool(cursor.fetchone()[0])
    if not is_locked:
        lock.rollback()
    return is_locked
