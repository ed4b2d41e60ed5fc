"""`manage.py export_account SLUG FILE`: everything of an account as one archive."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from accounts.management.look_up import find_account
from salient.database.upgrades.backups.archive import new_file
from salient.database.upgrades.backups.programs import BackupProblem
from salient.management.base import Refused, ReportingCommand
from sessions_app.operations.lifecycle.transfer.export import count_exported, export_account


class Command(ReportingCommand):
    """Reads one moment of the database while the platform goes on."""

    help = (
        "Write an account as one zip: rows as JSON lines, the agents' files, a manifest with "
        "checksums. Only the owner may read the file, which gets its name when it is whole."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account", help="the account's slug")
        parser.add_argument("file", type=Path, help="a file that is not there yet: acme.zip")
        super().add_arguments(parser)

    def report(self, **options: Any) -> Mapping[str, Any]:
        account, path = find_account(options["account"]), options["file"]
        if options["dry_run"]:
            return {"account": account.slug, "file": str(path), "rows": count_exported(account)}
        try:
            with new_file(path) as file:
                manifest = export_account(account, file)
                size = file.tell()
        except BackupProblem as problem:
            raise Refused(str(problem)) from problem
        return {"file": str(path), "bytes": size, "manifest": manifest}

    def lines(self, report: Mapping[str, Any]) -> Iterator[str]:
        if "rows" in report:
            yield from (
                f"{name}: {rows} would be exported" for name, rows in report["rows"].items()
            )
            return
        members = report["manifest"]["members"]
        rows = sum(facts.get("rows", 0) for facts in members.values())
        yield f"{report['file']}: {rows:,} rows, {report['bytes'] / 2**20:,.1f} MB."
        yield "It holds personal data, and no secret: keys and webhooks are made anew."
        yield f"Check it elsewhere: manage.py import_account {report['file']} --dry-run"
