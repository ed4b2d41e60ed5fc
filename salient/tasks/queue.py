"""The queue: which tasks are due, and its figures for /metrics."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

from django.db.models import Case, Count, F, Min, Q, When
from django.tasks import TaskResultStatus
from django.utils import timezone
from django_tasks_db.models import DBTaskResult, get_date_max

from salient.observability.stored import Figure, late_by, stored_figures

STATES = {
    TaskResultStatus.READY: "waiting",
    TaskResultStatus.RUNNING: "running",
    TaskResultStatus.SUCCESSFUL: "done",
    TaskResultStatus.FAILED: "failed",
}


def due_tasks(now: datetime) -> tuple[int, datetime | None]:
    """Return how many are due, and since when the oldest one is.

    Their time has come, and no worker has begun them. One that was enqueued for no time in
    particular is due at once.
    """
    no_time = get_date_max()
    rows = DBTaskResult.objects.order_by().filter(status=TaskResultStatus.READY)
    due = rows.filter(Q(run_after__lte=now) | Q(run_after=no_time))
    since = Case(When(run_after=no_time, then=F("enqueued_at")), default=F("run_after"))
    found = due.aggregate(many=Count("pk"), oldest=Min(since))
    return found["many"], found["oldest"]


@stored_figures
def figures() -> Iterator[Figure]:
    """Count the jobs by what became of them, and tell how late the oldest due one is."""
    rows = DBTaskResult.objects.order_by()
    counted: defaultdict[tuple[str, ...], float] = defaultdict(float)
    for path, status, number in rows.values_list("task_path", "status").annotate(Count("pk")):
        counted[path.rpartition(".")[2], STATES[TaskResultStatus(status)]] += number
    yield Figure(
        "jobs",
        "Runs of jobs: waiting, running, and ended within two days.",
        ("task", "state"),
        dict(counted),
    )
    _, oldest = due_tasks(timezone.now())
    yield Figure("jobs_due_seconds", "How late the oldest due job is.", (), {(): late_by(oldest)})
