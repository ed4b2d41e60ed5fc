"""The worker: one process that runs due tasks, and services that have a thread each."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from django.db import InterfaceError, OperationalError, close_old_connections, connection
from django.tasks import TaskResultStatus
from django.utils.crypto import get_random_string
from django.utils.module_loading import autodiscover_modules
from django_tasks_db.management.commands import db_worker
from django_tasks_db.models import DBTaskResult

from salient.database import ensure_started, first_line
from salient.database.upgrades.pending import Migrations
from salient.observability import genai, metrics, tracing
from salient.observability.context import apart
from salient.tasks import jobs

logger = logging.getLogger(__name__)

# How often the queue is looked at, and how often the jobs' next runs are.
POLL_SECONDS: Final = 1.0
PLAN_SECONDS: Final = 15.0
# After a failure of the database, or of a service.
PAUSE_SECONDS: Final = 5.0
# How long a worker that ends waits for its services.
STOP_SECONDS: Final = 8.0

type Stop = threading.Event


class Service(Protocol):
    """Works until the event is set; with `once` it does what is due now and returns."""

    def __call__(self, stop: Stop, *, once: bool) -> None: ...


_services: dict[str, Service] = {}


def service(name: str) -> Callable[[Service], Service]:
    """Register what runs in a thread of the worker for as long as the worker lives."""

    def register(run: Service) -> Service:
        _services[name] = run
        return run

    return register


class Queue(db_worker.Worker):
    """Runs tasks, each with ids of its own in the log, and as a span where traces are on."""

    def run_task(self, db_task_result: DBTaskResult[..., Any]) -> None:
        path = db_task_result.task_path
        name = path.rpartition(".")[2]
        with apart(name), tracing.inside(f"task {name}", {genai.TASK: path}) as span:
            super().run_task(db_task_result)
            if span is not None and db_task_result.status == TaskResultStatus.FAILED:
                span.error = db_task_result.exception_class_path.rpartition(".")[2]


class Worker:
    """Does what is due until it is stopped; the database may be away for a while."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        # Set while services must not work: until the first look at the migrations, while any is
        # pending, and at the end. Each time they may work again, it is a new one.
        self._pause = threading.Event()
        self._pause.set()
        self._migrations = Migrations()
        self._pending: str | None = None
        self._planned = float("-inf")
        self._is_away = False
        # The package's own worker runs what is ready and returns (`batch`): it has no answer to a
        # database that is away, to a killed process, or to work that waits for other servers.
        self._queue = Queue(
            queue_names=["*"],
            interval=POLL_SECONDS,
            batch=True,
            backend_name="default",
            startup_delay=False,
            max_tasks=None,
            worker_id=get_random_string(32),
            excluded_queue_names=[],
        )
        autodiscover_modules("management.jobs")

    def stop(self) -> None:
        """Begin nothing more; the running task is finished. Safe in a signal handler."""
        self._queue.running = False
        self._stop.set()
        self._pause.set()

    def run(self) -> None:
        ensure_started()
        metrics.start()
        tracing.start()
        threads = [
            threading.Thread(target=self._serve, args=each, name=each[0], daemon=True)
            for each in _services.items()
        ]
        for thread in threads:
            thread.start()
        while not self._stop.is_set():
            self._stop.wait(POLL_SECONDS if self._round() else PAUSE_SECONDS)
        deadline = time.monotonic() + STOP_SECONDS
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        asyncio.run(tracing.stop())
        logger.debug("The worker has ended")

    def run_once(self) -> None:
        """Do what is due now, in this thread; for tests, and for those who have cron only."""
        jobs.plan()
        self._queue.run()
        for run in _services.values():
            run(self._stop, once=True)

    def _round(self) -> bool:
        """Run what is ready if the schema is; False where the database does not answer."""
        try:
            if self._waits_for_migrations():
                return True
            if time.monotonic() - self._planned > PLAN_SECONDS:
                jobs.plan()
                jobs.tidy()
                self._planned = time.monotonic()
            self._queue.run()
        except (OperationalError, InterfaceError) as error:
            if not self._is_away:
                logger.warning("The worker waits for the database: %s", first_line(error))
            self._is_away = True
        except Exception:
            logger.exception("Unexpected error of the worker")
        else:
            self._is_away = False
            return True
        finally:
            close_old_connections()
        return False

    def _waits_for_migrations(self) -> bool:
        """Stop the services while a migration is pending, and let them go on afterwards."""
        before, self._pending = self._pending, self._migrations.find_problem()
        if self._pending is not None:
            self._pause.set()
            if before is None:
                logger.warning("The worker waits: %s", self._pending)
            return True
        if before is not None:
            logger.warning("All migrations are applied: the worker goes on.")
        if self._pause.is_set():
            self._pause = threading.Event()
        if self._stop.is_set():
            self._pause.set()
        return False

    def _serve(self, name: str, run: Service) -> None:
        while not self._stop.is_set():
            pause = self._pause
            if pause.is_set():
                self._stop.wait(POLL_SECONDS)
                continue
            try:
                run(pause, once=False)
            except (OperationalError, InterfaceError) as error:
                told = first_line(error)
                logger.warning("The service %s waits for the database: %s", name, told)
            except Exception:
                logger.exception("Unexpected error of the service %s", name)
            finally:
                connection.close()
            self._stop.wait(PAUSE_SECONDS)
