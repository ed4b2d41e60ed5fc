"""`manage.py migrate`: Django's own, but one at a time for each database."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.commands import migrate
from django.db import connections

# "SALIENT" in ASCII; the lock is of one database, not of the whole server.
LOCK = 0x53414C49454E54
TRY_EVERY_SECONDS = 0.5


class Command(migrate.Command):
    """Holds an advisory lock; a second migrate waits for it and says so in one line."""

    def handle(self, *args: Any, **options: Any) -> None:
        with self.alone(options["database"]):
            super().handle(*args, **options)

    @contextmanager
    def alone(self, alias: str) -> Iterator[None]:
        """Hold the lock in a transaction of a connection of its own.

        So the lock ends with the process, and PgBouncer gives the connection to no other client.
        The wait is a loop of attempts: a statement that waits inside the database would in turn
        block CREATE INDEX CONCURRENTLY, which waits for all transactions.
        """
        lock: Any = connections[alias].copy()
        try:
            is_announced = False
            while not _try_lock(lock):
                if not is_announced:
                    self.stderr.write("Another migrate runs on this database: waiting for its end.")
                    is_announced = True
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
