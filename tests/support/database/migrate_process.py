"""`manage.py migrate` in a process of its own, for tests that kill it.

Each is forked from one process that has imported everything: importing takes longer than migrating.
"""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from unittest import mock

import django
from django.apps import apps
from django.core.management import call_command
from django.db import connection

if not apps.ready:
    # Only in the process that the others are forked from.
    django.setup()

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([__name__])


def start_migrate(app_label: str, name: str, environment: dict[str, str]) -> ForkServerProcess:
    """Start it on the database that is connected to now.

    The environment is that of the first call: a database's settings, but for its name, are the same
    in all tests.
    """
    with mock.patch.dict(os.environ, environment):
        forkserver.ensure_running()
    database = connection.settings_dict["NAME"]
    process = _processes.Process(target=_migrate, args=[database, app_label, name])
    process.start()
    return process


def _migrate(database: str, app_label: str, name: str) -> None:
    connection.settings_dict["NAME"] = database
    call_command("migrate", app_label, name, verbosity=0)
