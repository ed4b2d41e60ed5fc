"""`manage.py migrate`: Django's own, but one at a time for each database."""

from __future__ import annotations

from typing import Any

from django.core.management import CommandError
from django.core.management.commands import migrate

from salient.database.upgrades.lock import half_migrated, migration_lock

# The last commit that has the migrations which today's migrations replace.
LAST_OF_FORMER_MIGRATIONS = "2e2dc50"


class Command(migrate.Command):
    """Holds an advisory lock; a second migrate waits for it and says so in one line."""

    def handle(self, *args: Any, **options: Any) -> None:
        with migration_lock(options["database"], self.report_wait):
            if where := half_migrated(options["database"]):
                raise CommandError(
                    f"This database stands in the middle of the former migrations ({where}); "
                    "nothing was changed. Run “manage.py migrate” of commit "
                    f"{LAST_OF_FORMER_MIGRATIONS} first, then this one again."
                )
            super().handle(*args, **options)

    def report_wait(self) -> None:
        self.stderr.write("Another migrate runs on this database: waiting for its end.")
