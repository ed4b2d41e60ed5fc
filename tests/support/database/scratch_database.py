"""A database of their own for tests that change the schema, beside the tests' shared one."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connection
from django.test import SimpleTestCase

from tests.support.database.quick_migrate import quick_migrate

DATA = Path(__file__).parents[2] / "data"
OWN_APPS = ("accounts", "agents", "sessions_app")
# The tables of the Alembic baseline.
BASELINE = ("sessions", "messages", "llm_requests", "profiles")
_numbers = count(1)


@contextmanager
def scratch_database(*, copied: bool = False, source: str = "") -> Iterator[str]:
    """Make a database, connect to it, and return to the one before at the end.

    It is empty, a copy of the one before, or a copy of `source`.
    """
    before = connection.settings_dict["NAME"]
    name = f"test_scratch_{next(_numbers)}_of_{before}"
    on_server(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    # PostgreSQL copies a database only while nobody is connected to it.
    connect_to(before)
    source = before if copied else source
    template = f' TEMPLATE "{source}"' if source else ""
    on_server(f'CREATE DATABASE "{name}"{template}')
    connect_to(name)
    try:
        yield name
    finally:
        connect_to(before)
        on_server(f'DROP DATABASE "{name}" WITH (FORCE)')


@contextmanager
def server_lock(name: str = "server") -> Iterator[None]:
    """Hold what all workers of a test run share: the server's roles, or what `name` says."""
    path = Path(settings.BASE_DIR, "var", f"test-{name}.lock")
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def run_sql(file: str) -> None:
    """Run the statements of a file in tests/data."""
    with connection.cursor() as cursor:
        cursor.execute((DATA / file).read_text())


def on_server(statement: str) -> None:
    with connection._nodb_cursor() as cursor:
        cursor.execute(statement)


def connect_to(name: str) -> None:
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]
    connection.settings_dict["NAME"] = name
    # Each database numbers its content types itself.
    ContentType.objects.clear_cache()


def migrate(*target: str, **options: Any) -> None:
    with quick_migrate():
        call_command("migrate", *target, verbosity=0, **options)


def newest() -> str:
    """The name of the database that `migrate` made of an empty one, once for all tests: copy it."""
    return str(connection.settings_dict["TEST"]["TEMPLATE"])


def own_tables() -> list[str]:
    """The tables that our apps have today."""
    models = apps.get_models(include_auto_created=True)
    return [model._meta.db_table for model in models if model._meta.app_label in OWN_APPS]


class ScratchCase(SimpleTestCase):
    """Works in a database of its own, which the class shares."""

    databases = {"default"}
    # Whether it begins as `migrate` makes it, or empty.
    is_migrated = False

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.enterClassContext(scratch_database(source=newest() if cls.is_migrated else ""))
        cls.prepare()

    @classmethod
    def prepare(cls) -> None:
        """Bring the database to where the tests begin."""
