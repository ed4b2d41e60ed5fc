"""`manage.py migrate`: Django's own, but one at a time for each database."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management import CommandError
from django.core.management.commands import migrate
from django.db import connections
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

# "SALIENT" in ASCII; the lock is of one database, not of the whole server.
LOCK = 0x53414C49454E54
TRY_EVERY_SECONDS = 0.5
# The last commit that has the migrations which today's migrations replace.
LAST_OF_FORMER_MIGRATIONS = "2e2dc50"


class Command(migrate.Command):
    """Takes an advisory lock; who comes second waits, and says so in one line."""

    def handle(self, *args: Any, **options: Any) -> None:
        with self.alone(options["database"]):
            refuse_half_migrated(options["database"])
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


def refuse_half_migrated(alias: str) -> None:
    """Raise CommandError where some migrations are applied that today's replace, and others not.

    Django would fail on such a database with a traceback, or take tables of an older form for
    today's.
    """
    loader = MigrationLoader(None, load=False)
    loader.load_disk()
    applied = MigrationRecorder(connections[alias]).applied_migrations()
    # For each app: migrations that are replaced whole and were not yet recorded as such, in part,
    # or not at all.
    states: dict[str, set[str]] = defaultdict(set)
    newest: dict[str, str] = {}
    for key, migration in sorted(loader.disk_migrations.items()):
        found = [each for each in migration.replaces if each in applied]
        if found:
            newest[key[0]] = max(name for _, name in found)
        if not migration.replaces or (key in applied and len(found) == len(migration.replaces)):
            continue
        is_whole = len(found) == len(migration.replaces)
        states[key[0]].add("whole" if is_whole else "part" if found else "none")
    if any("part" in found or {"whole", "none"} <= found for found in states.values()):
        where = ", ".join(f"{app} at {name}" for app, name in sorted(newest.items()))
        raise CommandError(
            f"This database stands in the middle of the former migrations ({where}); nothing was "
            f"changed. Run “manage.py migrate” of commit {LAST_OF_FORMER_MIGRATIONS} first, then "
            "this one again."
        )


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
