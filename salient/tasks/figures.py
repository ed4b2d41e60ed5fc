"""The queue in figures, for /metrics."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from django.db.models import Count
from django.tasks import TaskResultStatus
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from salient.observability.stored import Figure, stored_figures
from salient.tasks.queue import due_tasks

STATES = {
    TaskResultStatus.READY: "waiting",
    TaskResultStatus.RUNNING: "running",
    TaskResultStatus.SUCCESSFUL: "done",
    TaskResultStatus.FAILED: "failed",
}


@stored_figures
def queue() -> Iterator[Figure]:
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
    now = timezone.now()
    _, oldest = due_tasks(now)
    late = 0.0 if oldest is None else max(0.0, (now - oldest).total_seconds())
    yield Figure("jobs_due_seconds", "How late the oldest due job is.", (), {(): late})
