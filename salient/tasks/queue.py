"""The tasks that are due: their time has come, and no worker has begun them."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Case, Count, F, Min, Q, When
from django.tasks import TaskResultStatus
from django_tasks_db.models import DBTaskResult, get_date_max


def due_tasks(now: datetime) -> tuple[int, datetime | None]:
    """Return how many are due, and since when the oldest one is.

    One that was enqueued for no time in particular is due at once.
    """
    no_time = get_date_max()
    rows = DBTaskResult.objects.order_by().filter(status=TaskResultStatus.READY)
    due = rows.filter(Q(run_after__lte=now) | Q(run_after=no_time))
    since = Case(When(run_after=no_time, then=F("enqueued_at")), default=F("run_after"))
    found = due.aggregate(many=Count("pk"), oldest=Min(since))
    return found["many"], found["oldest"]
