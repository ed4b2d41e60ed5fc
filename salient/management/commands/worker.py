"""`manage.py worker`: run the periodic jobs, and send what webhooks wait for."""

from __future__ import annotations

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from salient.actors import Actor, acting
from salient.database.upgrades.pending import Migrations
from salient.management.base import Refused
from salient.tasks.worker import Worker


class Command(BaseCommand):
    """Any number may run side by side, on any number of machines."""

    help = "Run the periodic jobs and deliver webhooks, until SIGTERM."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="do what is due now, then end")

    def handle(self, *_args: str, **options: Any) -> None:
        worker = Worker(threading.Event())
        with acting(Actor("command", "worker", "worker")):
            if options["once"]:
                if (problem := Migrations().find_problem()) is not None:
                    raise Refused(problem)
                worker.run_once()
                return
            signal.signal(signal.SIGTERM, lambda _number, _frame: worker.stop())
            signal.signal(signal.SIGINT, lambda _number, _frame: worker.stop())
            worker.run()
