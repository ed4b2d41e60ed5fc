"""Periodic jobs: their next run is always in the queue, once, and no two run at once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from datetime import timedelta
from unittest import mock

from asgiref.sync import async_to_sync
from django.contrib.sessions.models import Session
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.tasks import TaskResultStatus
from django.test import TransactionTestCase, override_settings
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

import accounts.management.jobs
import agents.management.jobs  # noqa: F401 - registers its jobs
import sessions_app.management.jobs
from accounts.webhooks.outbox import tell_owners
from salient.observability import genai, tracing
from salient.tasks import jobs
from salient.tasks.worker import Worker
from tests.support.commands import refusal
from tests.support.servers.otlp_sink import OTLPSink

NAMES = {
    "accounts.management.jobs.forget_ended_sessions",
    "accounts.management.jobs.forget_old_refusals",
    "accounts.management.jobs.forget_past_limits",
    "accounts.management.jobs.tidy_webhook_log",
    "accounts.management.jobs.warn_of_expiring_keys",
    "agents.management.jobs.forget_former_slugs",
    "sessions_app.management.jobs.apply_retention",
    "sessions_app.management.jobs.compare_figures",
    "sessions_app.management.jobs.continue_account_erasures",
    "sessions_app.management.jobs.forget_turn_events",
    "sessions_app.management.jobs.settle_abandoned",
    "sessions_app.management.jobs.sum_past_days",
}
SETTLE = sessions_app.management.jobs.settle_abandoned.module_path


def waiting() -> list[str]:
    ready = DBTaskResult.objects.filter(status=TaskResultStatus.READY)
    return sorted(ready.values_list("task_path", flat=True))


class JobTests(TransactionTestCase):
    def test_each_job_has_one_next_run_however_often_they_are_planned(self) -> None:
        self.assertEqual(jobs.plan(), len(NAMES))
        self.assertEqual(jobs.plan(), 0)
        self.assertEqual(waiting(), sorted(NAMES))

    def test_sessions_of_browsers_are_deleted_when_they_have_ended(self) -> None:
        now = timezone.now()
        for key, age in (("ended", timedelta(days=-1)), ("lives", timedelta(days=1))):
            Session.objects.create(session_key=key, session_data="", expire_date=now + age)
        accounts.management.jobs.forget_ended_sessions.call()
        self.assertEqual(list(Session.objects.values_list("pk", flat=True)), ["lives"])

    def test_workers_that_plan_at_once_plan_once(self) -> None:
        added: list[int] = []
        threads = [threading.Thread(target=lambda: added.append(planned())) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        self.assertEqual(sorted(added), [0, 0, 0, len(NAMES)])
        self.assertEqual(waiting(), sorted(NAMES))

    def test_a_worker_runs_what_is_due_and_the_next_run_is_later(self) -> None:
        Worker(threading.Event()).run_once()

        done = DBTaskResult.objects.successful()
        self.assertEqual(sorted(done.values_list("task_path", flat=True)), sorted(NAMES))
        jobs.plan()
        first, following = DBTaskResult.objects.filter(task_path=SETTLE).order_by("run_after")
        self.assertEqual(following.run_after - first.run_after, timedelta(minutes=1))
        Worker(threading.Event()).run_once()
        self.assertEqual(DBTaskResult.objects.successful().count(), len(NAMES))

    def test_a_run_lost_with_its_process_keeps_no_other_from_coming(self) -> None:
        jobs.plan()
        lost = DBTaskResult.objects.filter(task_path=SETTLE).first()
        assert lost is not None
        # What the queue knows of a worker that was killed: the task runs, for ever.
        lost.claim("killed")
        self.assertEqual(jobs.plan(), 1)
        self.assertEqual(waiting(), sorted(NAMES))
        jobs.tidy(timezone.now() + jobs.LOST_AFTER + timedelta(minutes=1))
        lost.refresh_from_db()
        self.assertEqual(
            (lost.status, lost.exception_class_path), (TaskResultStatus.FAILED, jobs.LOST)
        )

    def test_another_task_that_was_lost_runs_once_more(self) -> None:
        path = tell_owners.module_path
        DBTaskResult.objects.create(
            task_path=path,
            args_kwargs={"args": [], "kwargs": {}},
            backend_name="default",
            run_after=timezone.now(),
        ).claim("killed")
        jobs.tidy(timezone.now() + jobs.LOST_AFTER / 2)
        self.assertEqual(waiting(), [])
        jobs.tidy(timezone.now() + jobs.LOST_AFTER * 2)
        self.assertEqual(waiting(), [path])

    def test_a_job_that_still_runs_is_left_out(self) -> None:
        done: list[int | None] = []

        def elsewhere() -> None:
            done.append(accounts.management.jobs.tidy_webhook_log.func())
            close()

        with jobs.only_one("accounts.management.jobs.tidy_webhook_log") as is_mine:
            self.assertTrue(is_mine)
            run(elsewhere)
        run(elsewhere)

        self.assertEqual(done, [None, 0])

    def test_old_results_are_forgotten(self) -> None:
        Worker(threading.Event()).run_once()
        jobs.tidy(timezone.now() + jobs.RETENTION / 2)
        self.assertEqual(DBTaskResult.objects.successful().count(), len(NAMES))
        jobs.tidy(timezone.now() + jobs.RETENTION * 2)
        self.assertEqual(DBTaskResult.objects.successful().count(), 0)


class SpanTests(TransactionTestCase):
    def test_each_task_is_a_span_also_one_that_fails(self) -> None:
        DBTaskResult.objects.create(
            task_path=tell_owners.module_path,
            args_kwargs={"args": [], "kwargs": {}},
            backend_name="default",
            run_after=timezone.now(),
        )
        with (
            OTLPSink() as sink,
            mock.patch.dict(os.environ, {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.url}),
            override_settings(OTEL_EXPORTER_OTLP_ENDPOINT=sink.url),
        ):
            tracing.start()
            try:
                Worker(threading.Event()).run_once()
            finally:
                async_to_sync(tracing.stop)()

        spans = {span.attributes[genai.TASK]: span for span in sink.spans if "task" in span.name}
        self.assertEqual(set(spans), {*NAMES, tell_owners.module_path})
        self.assertEqual(spans[SETTLE].name, "task settle_abandoned")
        self.assertEqual({span.parent for span in spans.values()}, {""})
        failed = {
            path: each.attributes["error.type"] for path, each in spans.items() if each.is_error
        }
        self.assertEqual(failed, {tell_owners.module_path: "TypeError"})


class PendingTests(TransactionTestCase):
    """A migration of the code is not applied: its jobs would meet tables that they do not know."""

    def setUp(self) -> None:
        self.applied = MigrationRecorder.Migration.objects.filter(app="sessions_app").latest("id")
        self.addCleanup(self.applied.save)
        self.applied.delete()
        self.stop = threading.Event()
        self.worker = Worker(self.stop)
        self.calls: list[threading.Event] = []

    def serve(self, until: threading.Event, *, once: bool) -> None:
        self.calls.append(until)
        until.wait(10)

    def test_the_worker_waits_and_goes_on_by_itself(self) -> None:
        thread = threading.Thread(target=self.worker._serve, args=("sender", self.serve))
        thread.start()
        with self.assertLogs("salient.tasks", "WARNING") as log:
            self.assertTrue(self.worker._round())
            self.assertEqual((waiting(), self.calls), ([], []))
            self.applied.save()
            self.assertTrue(self.worker._round())
        self.assertIn("pending", log.output[0])
        done = DBTaskResult.objects.successful().values_list("task_path", flat=True)
        self.assertEqual(sorted(done), sorted(NAMES))
        while not self.calls:
            thread.join(0.01)
        self.assertFalse(self.calls[0].is_set())

        self.applied.delete()
        with self.assertLogs("salient.tasks", "WARNING"):
            self.worker._round()
        self.assertTrue(self.calls[0].is_set())
        self.worker.stop()
        thread.join(10)
        self.assertFalse(thread.is_alive())

    def test_what_is_due_now_is_refused(self) -> None:
        self.assertIn("manage.py migrate", refusal("worker", "--once")[1])
        self.assertEqual(waiting(), [])


def planned() -> int:
    try:
        return jobs.plan()
    finally:
        close()


def run(work: Callable[[], None]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def close() -> None:
    connection.close()
