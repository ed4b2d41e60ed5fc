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
    """Takes an advisory lock; who comes second waits, and says so in one line."""

    def handle(self, *args: Any, **options: Any) -> None:
        with self.alone(options["database"]):
            super().handle(*args, **options)

    @contextmanager
    def alone(self, alias: str) -> Iterator[None]:
        """Hold the lock in a transaction of a connection of its own.

        So it ends with the process, and PgBouncer does not give the connection to anybody else.
        Nobody waits inside the database: a concurrent index waits for all who do.
        """
        lock: Any = connections[alias].copy()
        try:
            said = False
            while not _has_taken(lock):
                if not said:
                    self.stderr.write("Another migrate runs on this database: waiting for its end.")
                    said = True
                time.sleep(TRY_EVERY_SECONDS)
            yield
        finally:
            lock.close()


def _has_taken(lock: Any) -> bool:
    lock.ensure_connection()
    lock.set_autocommit(False)
    with lock.cursor() as cursor:
        # Between two tries, and while migrations run, the transaction does nothing.
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
        taken = bool(cursor.fetchone()[0])
    if not taken:
        lock.rollback()
    return taken
