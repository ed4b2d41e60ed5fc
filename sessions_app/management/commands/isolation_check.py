"""`manage.py isolation_check`: try to reach the rows of one account as another."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from salient import database
from salient.management.base import ReportingCommand
from sessions_app.isolation_check.check import check


class Command(ReportingCommand):
    """Runs beside a serving installation: it removes what it makes, and calls no model."""

    help = "Make two accounts, try to reach one as the other, remove them; exit code 1 on a leak."
    writes: ClassVar[bool] = False

    def report(self, **_options: Any) -> Mapping[str, Any]:
        try:
            return check()
        finally:
            database.shut_down()

    def lines(self, report: Mapping[str, Any]) -> Iterator[str]:
        tried = ", ".join(f"{number} {kind}" for kind, number in report["probes"].items())
        yield f"Tried: {tried}."
        yield from (self.style.ERROR(f"LEAK  {leak}") for leak in report["leaks"])
        yield from (self.style.WARNING(f"fault {fault}") for fault in report["faults"])
        if report["ok"]:
            yield self.style.SUCCESS("Nothing of the other account was reached.")
