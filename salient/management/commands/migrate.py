"""`manage.py migrate`: Django's own, but one at a time for each database, and with a pre-flight."""

from __future__ import annotations

import json
import sys
from typing import Any

from django.core.management import CommandError, CommandParser
from django.core.management.commands import migrate

from salient.database.upgrades.lock import half_migrated, migration_lock
from salient.database.upgrades.preflight import UnknownTarget, lines, preflight
from salient.management.base import Misused

# The last commit that has the migrations which today's migrations replace.
LAST_OF_FORMER_MIGRATIONS = "2e2dc50"


class Command(migrate.Command):
    """Holds an advisory lock; a second migrate waits for it and says so in one line."""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--json", action="store_true", help="with --plan: one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["plan"]:
            self.show_plan(options)
            return
        if options["json"]:
            raise Misused("--json goes with --plan.")
        with migration_lock(options["database"], self.report_wait):
            require_whole(options["database"])
            super().handle(*args, **options)

    def show_plan(self, options: dict[str, Any]) -> None:
        """Say what would be locked and for how long; it changes nothing.

        It refuses what `migrate` itself would refuse, in the same words.
        """
        require_whole(options["database"])
        target = options["app_label"], options["migration_name"]
        try:
            report = preflight(options["database"], *target)
        except UnknownTarget as error:
            raise Misused(str(error)) from None
        if options["json"]:
            self.stdout.write(json.dumps(report, ensure_ascii=False))
        else:
            self.stdout.write("\n".join(lines(report)))
        if options["check_unapplied"] and report["migrations"]:
            sys.exit(1)

    def report_wait(self) -> None:
        self.stderr.write("Another migrate runs on this database: waiting for its end.")


def require_whole(alias: str) -> None:
    """Raise CommandError for a database that stands in the middle of the former migrations."""
    if where := half_migrated(alias):
        raise CommandError(
            f"This database has only some of the former migrations ({where}); "
            "nothing was changed. Run “manage.py migrate” of commit "
            f"{LAST_OF_FORMER_MIGRATIONS} first, then this one again."
        )
