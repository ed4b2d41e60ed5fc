"""Periodic jobs: each is a Django task whose next run is always in the queue.

A run is no chain: whether the last one failed, or its process was killed, the next one comes. A job
that is due while it still runs is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, Final
from zlib import crc32

from django.db import connection, connections, transaction
from django.db.models import Count, Max, Q
from django.tasks import Task, TaskResultStatus, task
from django.utils import timezone
from django_tasks_db.models import DBTaskResult, get_date_max

from salient.database.upgrades.lock import try_lock

# "SALJOBS" in ASCII; its lower half is replaced by what names one job.
_LOCKS: Final = 0x53414C4A << 32
# No run takes longer: one that still says so was lost with its process.
LOST_AFTER = timedelta(hours=1)
# Results are kept for so long.
RETENTION = timedelta(days=2)
LOST = "salient.tasks.jobs.WorkerLost"

_jobs: dict[str, Job] = {}


@dataclass(frozen=True, slots=True)
class Job:
    """A periodic task and the time from one run to the next."""

    task: Task[[], Any]
    every: timedelta


def job[Result](*, every: timedelta) -> Callable[[Callable[[], Result]], Task[[], Any]]:
    """Make a function of {app}/management/jobs.py a task that the worker runs again and again.

    It must return what JSON can hold. It never runs twice at once, on any number of machines.
    """

    def register(work: Callable[[], Result]) -> Task[[], Any]:
        @wraps(work)
        def alone() -> Result | None:
            name = f"{work.__module__}.{work.__qualname__}"
            with only_one(name) as is_mine:
                return work() if is_mine else None

        made: Task[[], Any] = task(alone)
        _jobs[made.module_path] = Job(made, every)
        return made

    return register


def registered() -> dict[str, Job]:
    return dict(_jobs)


@contextmanager
def only_one(name: str) -> Iterator[bool]:
    """Hold the lock of this name; give False, and do without, where another process holds it.

    It is of a transaction on a connection of its own, so that PgBouncer does not pass it on, and it
    ends with the process.
    """
    lock: Any = connections["default"].copy()
    try:
        yield try_lock(lock, _key(name))
    finally:
        lock.close()


def _key(name: str) -> int:
    return _LOCKS | crc32(name.encode())


def plan(now: datetime | None = None) -> int:
    """Put the next run of each job into the queue where it is missing; return how many were.

    The database's lock makes several workers add it once.
    """
    now, added = now or timezone.now(), 0
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_key("plan")])
        rows = DBTaskResult.objects.filter(task_path__in=_jobs).order_by()
        waiting = Count("pk", filter=Q(status=TaskResultStatus.READY))
        last = Max("run_after", filter=~Q(run_after=get_date_max()))
        known = {
            path: (number, due)
            for path, number, due in rows.values_list("task_path").annotate(
                waiting=waiting, last=last
            )
        }
        for path, each in _jobs.items():
            number, due = known.get(path, (0, None))
            if not number:
                # A run that was missed while no worker ran is not made up for.
                at = now if due is None else max(now, due + each.every)
                each.task.using(run_after=at).enqueue()
                added += 1
    return added


def tidy(now: datetime | None = None) -> None:
    """Give up the runs that were lost with their process, and forget old results.

    A job's next run is in the queue already; any other task is put back and runs once more.
    """
    now = now or timezone.now()
    running = DBTaskResult.objects.running().filter(started_at__lt=now - LOST_AFTER)
    running.filter(task_path__in=_jobs).update(
        status=TaskResultStatus.FAILED, finished_at=now, exception_class_path=LOST
    )
    running.update(status=TaskResultStatus.READY)
    DBTaskResult.objects.finished().filter(finished_at__lt=now - RETENTION).delete()
