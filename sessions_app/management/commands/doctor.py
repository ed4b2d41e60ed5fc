"""`manage.py doctor`: one line for everything that an installation needs, and what to do."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, ClassVar

from django.core.management.base import CommandParser

from salient import database
from salient.management.base import ReportingCommand
from sessions_app.operations.doctor.findings import Status
from sessions_app.operations.doctor.service import examine


class Command(ReportingCommand):
    """Changes nothing; it works while the database is down."""

    help = (
        "Look at the database, its roles and isolation, secrets, model servers, prices, jobs, "
        "disk, clock and settings; exit code 1 with a fault."
    )
    writes: ClassVar[bool] = False
    # It runs the checks itself: here they are lines among others.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--offline", action="store_true", help="call no model server and no https address"
        )
        super().add_arguments(parser)

    def report(self, **options: Any) -> Mapping[str, Any]:
        try:
            found = [
                {"subject": subject, **asdict(finding)}
                for subject, finding in examine(offline=options["offline"])
            ]
        finally:
            database.shut_down()
        return {"ok": all(each["status"] != Status.FAULT for each in found), "findings": found}

    def lines(self, report: Mapping[str, Any]) -> Iterator[str]:
        styles = {Status.FAULT: self.style.ERROR, Status.WARNING: self.style.WARNING}
        for each in report["findings"]:
            style = styles.get(each["status"], self.style.SUCCESS)
            advice = f" -> {each['advice']}" if each["advice"] else ""
            yield f"{style(f'{each["status"]:<7}')} {each['subject']}: {each['text']}{advice}"
