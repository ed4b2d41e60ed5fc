"""`manage.py restore`: a backup into an empty database, or only a check of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from django.core.management import CommandParser

from salient.database.upgrades.backups.programs import BackupProblem
from salient.database.upgrades.backups.restore import check_backup, restore_backup
from salient.database.upgrades.lock import migration_lock
from salient.management.base import Misused, Refused, ReportingCommand, ended_by_signals


class Command(ReportingCommand):
    """Restores wholly and as the manifest says, or not at all."""

    help = "Restore a backup into the empty database of the owner's DATABASE_URL."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("file", type=Path, help="what manage.py backup has written")
        parser.add_argument(
            "--check", action="store_true", help="restore into a scratch database that is dropped"
        )
        parser.add_argument("--replace", action="store_true", help="drop the existing tables first")

    def report(self, **options: Any) -> Mapping[str, Any]:
        if options["check"] and (options["replace"] or options["dry_run"]):
            raise Misused("--check changes nothing: it goes with neither --replace nor --dry-run.")
        try:
            with ended_by_signals():
                manifest = self.restored(**options)
        except BackupProblem as problem:
            raise Refused(str(problem)) from problem
        done = "checked" if options["check"] else "possible" if options["dry_run"] else "restored"
        return {"file": str(options["file"]), "done": done, "manifest": manifest}

    def restored(self, **options: Any) -> Mapping[str, Any]:
        if options["check"]:
            return check_backup(options["file"])
        with migration_lock("default", self.report_wait):
            return restore_backup(
                options["file"], replace=options["replace"], dry_run=options["dry_run"]
            )

    def lines(self, report: Mapping[str, Any]) -> Iterator[str]:
        manifest = report["manifest"]
        rows = sum(table["rows"] for table in manifest["tables"].values())
        what = f"{len(manifest['tables'])} tables, {rows:,} rows, of {manifest['made_at']}"
        yield {
            "checked": f"{report['file']} can be restored: {what}; counts and hashes are right.",
            "possible": f"Nothing stands in the way: {what}; nothing was changed.",
            "restored": f"Restored: {what}; counts and hashes are right.",
        }[report["done"]]
        if report["done"] == "restored":
            yield "Now: manage.py migrate, manage.py settle_abandoned, manage.py check_integrity."
            yield f"The agents' files: tar -xf {report['file']} agent_configs"

    def report_wait(self) -> None:
        self.stderr.write("A migrate runs on this database: waiting for its end.")
