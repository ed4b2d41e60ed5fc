"""`manage.py import_account FILE`: an account that another installation has exported."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from salient.management.base import Refused, ReportingCommand
from sessions_app.operations.lifecycle.transfer.archive import ArchiveProblem
from sessions_app.operations.lifecycle.transfer.importing import import_account


class Command(ReportingCommand):
    """Checks the whole archive first, names all conflicts, and writes all of it or nothing."""

    help = (
        "Import an account's archive, ids kept, in one transaction. All conflicts are named "
        "before anything is written; exit code 1 with one."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="what export_account has written")
        parser.add_argument("--slug", default="", help="another slug than it had")
        parser.add_argument(
            "--add-people",
            action="store_true",
            help="make the members that are not here, without a password",
        )
        super().add_arguments(parser)

    def report(self, **options: Any) -> Mapping[str, Any]:
        try:
            plan, rows = import_account(
                options["file"],
                slug=options["slug"],
                add_people=options["add_people"],
                dry_run=options["dry_run"],
            )
        except ArchiveProblem as problem:
            raise Refused(str(problem)) from problem
        return {
            "ok": not plan.conflicts,
            "account": plan.slug,
            "id": str(plan.account_id),
            "dry_run": options["dry_run"],
            "conflicts": plan.conflicts,
            "new_people": [person["email"] for person in plan.new_people],
            "rows": rows,
        }

    def lines(self, report: Mapping[str, Any]) -> Iterator[str]:
        if not report["ok"]:
            yield "Nothing was imported:"
            yield from (f"  {conflict}" for conflict in report["conflicts"])
            return
        done = "would be imported" if report["dry_run"] else "imported"
        yield from (f"{name}: {many} {done}" for name, many in report["rows"].items() if many)
        yield from (f"{email}: {done}, without a password" for email in report["new_people"])
        if not report["dry_run"]:
            yield f"{report['account']} is here. Its keys are revoked: make new ones by create_key."
            yield f"Check it: manage.py check_integrity --account {report['account']}"
