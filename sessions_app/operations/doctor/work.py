"""The queue of background jobs, whether a worker does them, and what webhooks wait for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import Count, Max
from django.utils import timezone
from django.utils.module_loading import autodiscover_modules
from django_tasks_db.models import DBTaskResult

from accounts.webhooks.log import backlog
from salient.tasks import jobs
from salient.tasks.queue import due_tasks
from sessions_app.operations.doctor.findings import Finding, Subject, fault, ok, warning

# A worker looks every second, and does a job each minute.
LATE, SILENT = timedelta(minutes=2), timedelta(minutes=3)
DEAD_WITHIN = timedelta(days=1)
WAITING = timedelta(minutes=10)
START_ONE = "Start one: manage.py worker, or a server without START_WORKER=false."


def _queue() -> Iterator[Finding]:
    now = timezone.now()
    many, oldest = due_tasks(now)
    last = DBTaskResult.objects.order_by().aggregate(last=Max("finished_at"))["last"]
    if last is None:
        yield warning("no worker has run yet", START_ONE)
    elif now - last > SILENT:
        yield fault(f"no job was done since {last:%F %T} UTC: no worker runs", START_ONE)
    elif oldest and now - oldest > LATE:
        yield fault(
            f"{many} jobs are due, the oldest since {oldest:%F %T} UTC",
            "The worker is behind: start another one, and see its log.",
        )
    else:
        yield ok(f"{many} due, the last one done {(now - last).seconds} s ago")


def _dead_jobs() -> Iterator[Finding]:
    rows = DBTaskResult.objects.failed().filter(finished_at__gt=timezone.now() - DEAD_WITHIN)
    failed = rows.order_by().values_list("task_path").annotate(many=Count("pk"))
    names = {path.rpartition(".")[2]: many for path, many in failed}
    if names:
        some = ", ".join(f"{name} ({many})" for name, many in sorted(names.items()))
        yield warning(
            f"failed within a day: {some}", "The admin shows each, under System, with its error."
        )
    autodiscover_modules("management.jobs")
    planned = set(DBTaskResult.objects.order_by().values_list("task_path", flat=True).distinct())
    if planned and (missing := jobs.registered().keys() - planned):
        some = ", ".join(sorted(path.rpartition(".")[2] for path in missing))
        yield warning(f"never planned: {some}", "The worker is of an older release: restart it.")
    if not names:
        yield ok("none failed within a day")


def _webhooks() -> Iterator[Finding]:
    waiting = backlog()
    failing = [each for each in waiting["endpoints"] if each["failing_since"]]
    oldest, now = waiting["oldest"], timezone.now()
    text = f"{waiting['pending']} waiting, {len(failing)} endpoints fail"
    if waiting["due"] and oldest and now - oldest > WAITING and not failing:
        yield warning(f"{text}, the oldest since {oldest:%F %T} UTC", START_ONE)
    elif failing or waiting["disabled_endpoints"]:
        disabled = f", {waiting['disabled_endpoints']} are disabled"
        yield warning(text + disabled, "manage.py webhooks names them; their accounts mend them.")
    else:
        yield ok(text)


SUBJECTS = (
    Subject("queue", _queue),
    Subject("jobs", _dead_jobs),
    Subject("webhooks", _webhooks),
)
