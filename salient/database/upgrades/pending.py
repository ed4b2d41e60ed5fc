"""Whether migrations are pending; while any is, a server process refuses its callers.

A process needs the migrations that its own code knows. Others that are applied as well were made by
a newer release, on whose schema this one works.
"""

from __future__ import annotations

import logging
import threading

from django.conf import settings
from django.db import DatabaseError, InterfaceError, ProgrammingError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder

from salient.api.lifespan import on_start, on_stop
from salient.api.problems import Unavailable
from salient.api.routing import OPEN
from salient.database.diagnosis import first_line

logger = logging.getLogger(__name__)
# How often the watch looks while none is pending, and while calls are refused.
WATCH_SECONDS, PENDING_SECONDS = 5.0, 1.0
# How long a server that starts waits for the first look. Calls that come before it are refused.
FIRST_LOOK_SECONDS = 3.0
NOT_KNOWN = "The database has not answered yet; try again."

type Applied = frozenset[tuple[str, str]]


class MigrationPending(Unavailable):
    """The server's code is newer than its database: an update is under way.

    What to do: try again after `Retry-After`; operators run `manage.py migrate`.
    """

    code = "migration_pending"
    detail = "The service is being updated; try again in a moment."


class Migrations:
    """What this process knows of the migrations of its database."""

    def __init__(self) -> None:
        # Why callers are refused; None lets them in.
        self.problem: str | None = None
        # Applied migrations with which nothing was pending: while they are there, it still is so.
        self._enough: Applied | None = None

    def find_problem(self) -> str | None:
        """Ask the database, by one short query; raises its errors where it does not answer.

        Django's own answer takes some 20 ms, so it is asked only when applied migrations are gone.
        """
        try:
            if self._enough is not None and self._enough <= _applied():
                return None
        except ProgrammingError:
            # The table is not there: another database stands in its place.
            self._enough = None
        try:
            return self._find_pending()
        except ProgrammingError as error:
            self._enough = None
            return f"The server cannot read which migrations are applied: {first_line(error)}."

    def _find_pending(self) -> str | None:
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if plan:
            self._enough = None
            return f"{_count(len(plan))} pending, {plan[0][0]} first; run “manage.py migrate”."
        self._enough = _applied()
        return None

    def look(self) -> None:
        """Refuse callers or let them in, with one line in the log when that changes."""
        problem, before = self.find_problem(), self.problem
        if problem and before in {None, NOT_KNOWN}:
            logger.error("%s Until then callers get 503.", problem)
        elif before not in {None, NOT_KNOWN} and problem is None:
            logger.warning("All migrations are applied: callers are let in.")
        self.problem = problem

    def require(self, path: str) -> None:
        """Raise MigrationPending for all but what needs no table; the database is not asked."""
        if self.problem is None or path in OPEN or path.startswith(settings.STATIC_URL):
            return
        raise Unavailable(NOT_KNOWN) if self.problem is NOT_KNOWN else MigrationPending()


def _applied() -> Applied:
    return frozenset(MigrationRecorder(connection).migration_qs.values_list("app", "name"))


def _count(number: int) -> str:
    return "1 migration is" if number == 1 else f"{number} migrations are"


class Watch(threading.Thread):
    """Looks again and again until it is stopped; in a thread, for a pool may be busy for long."""

    def __init__(self, migrations: Migrations) -> None:
        super().__init__(name="migrations", daemon=True)
        self._migrations = migrations
        self._stopped = threading.Event()
        self.has_looked = threading.Event()

    def run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._migrations.look()
            except (DatabaseError, InterfaceError):
                # Whoever calls is told that the database does not answer.
                logger.debug("The database did not say which migrations are applied.")
            except Exception:
                logger.exception("Unexpected error while looking for pending migrations")
            finally:
                # The pool may give the next look another connection.
                connection.close()
                self.has_looked.set()
            self._stopped.wait(PENDING_SECONDS if self._migrations.problem else WATCH_SECONDS)

    def stop(self) -> None:
        self._stopped.set()


migrations = Migrations()
_watch: Watch | None = None


@on_start
def start() -> None:
    """Look before the first call, which waits for it; then keep looking."""
    global _watch  # noqa: PLW0603 - a process has one
    migrations.problem = NOT_KNOWN
    _watch = Watch(migrations)
    _watch.start()
    _watch.has_looked.wait(FIRST_LOOK_SECONDS)


@on_stop
async def stop() -> None:
    global _watch
    ended, _watch = _watch, None
    if ended is not None:
        ended.stop()
