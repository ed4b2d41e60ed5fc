"""The lock that lets one migrate at a time run, and the databases that none may run on."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

# "SALIENT" in ASCII; the lock is of one database, not of the whole server.
LOCK = 0x53414C49454E54
TRY_EVERY_SECONDS = 0.5


# What looks at the database with this alias, and raises where migrations must not change it.
type Refuse = Callable[[str], None]
_refusals: list[Refuse] = []


def register_refusal(refuse: Refuse) -> None:
    """Have `migrate` and its plan ask first; an app that knows of such databases registers it."""
    _refusals.append(refuse)


def require_migratable(alias: str, plan: Iterable[tuple[Any, bool]]) -> None:
    """Raise what a registered look at the database raises, if the plan goes forwards."""
    if any(not backwards for _, backwards in plan):
        for refuse in _refusals:
            refuse(alias)


@contextmanager
def migration_lock(alias: str, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the lock in a transaction of a connection of its own; `on_wait` is called once at most.

    So the lock ends with the process, and PgBouncer gives the connection to no other client. The
    wait is a loop of attempts: a statement that waits inside the database would in turn block
    CREATE INDEX CONCURRENTLY, which waits for all transactions.
    """
    lock: Any = connections[alias].copy()
    try:
        if not try_lock(lock, LOCK):
            on_wait()
            while not try_lock(lock, LOCK):
                time.sleep(TRY_EVERY_SECONDS)
        yield
    finally:
        lock.close()


def try_lock(lock: Any, key: int) -> bool:
    """Take the lock in a transaction of this connection; False where another one holds it."""
    lock.ensure_connection()
    lock.set_autocommit(False)
    with lock.cursor() as cursor:
        # The transaction is idle between two attempts, and while the work is done.
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [key])
        is_locked = bool(cursor.fetchone()[0])
    if not is_locked:
        lock.rollback()
    return is_locked


def half_migrated(alias: str) -> str:
    """Return where each app stands if only some of the migrations that today's replace are applied.

    Django would fail on such a database with a traceback, or take tables of an older form for
    today's. "" for any other database.
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
        return ", ".join(f"{app} at {name}" for app, name in sorted(newest.items()))
    return ""
