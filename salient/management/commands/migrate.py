"""`manage.py migrate`: Django's own, but one at a time for each database."""

from __future__ import annotations

from typing import Any

from django.core.management.commands import migrate

from salient.database.migration_state import migration_lock


class Command(migrate.Command):
    """Holds an advisory lock; a second migrate waits for it and says so in one line."""

    def handle(self, *args: Any, **options: Any) -> None:
        with migration_lock(options["database"], self.report_wait):
            super().handle(*args, **options)

    def report_wait(self) -> None:
        self.stderr.write("Another migrate runs on this database: waiting for its end.")
