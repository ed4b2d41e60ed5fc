"""`manage.py check_integrity`: find contradictions in the database, and repair them."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.management.base import CommandParser

from accounts.management.look_up import find_account
from accounts.tenancy.checks import pending_migrations
from salient.management.base import Refused, ReportingCommand
from sessions_app.operations.integrity import service


class Command(ReportingCommand):
    """Runs while turns go on; it may be repeated."""

    help = (
        "Compare rows, figures, files, keys and policies with one another; exit code 1 when "
        "something is wrong. --fix mends what is safe to mend."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--account", metavar="SLUG", help="only this account's rows and files")
        parser.add_argument("--fix", action="store_true", help="mend what is safe to mend")
        super().add_arguments(parser)

    def report(self, **options: Any) -> Mapping[str, Any]:
        if pending_migrations("default"):
            raise Refused("Migrations are pending: run “manage.py migrate” first.")
        account = find_account(options["account"]) if options["account"] else None
        fix = options["fix"] and not options["dry_run"]
        return service.report(service.check_integrity(account, fix=fix), account)

    def lines(self, report: Mapping[str, Any]) -> Iterator[str]:
        styles = {"fault": self.style.ERROR, "notice": self.style.WARNING}
        checks = report["checks"]
        for each in checks:
            if each["status"] == "ok":
                continue
            style = styles.get(each["status"], self.style.SUCCESS)
            mended = f", {each['mended']} mended" if each["mended"] else ""
            word = style(f"{each['status']:<7}")
            yield f"{word} {each['name']}: {each['count']}{mended}. {each['means']}"
            yield from (f"          {name}" for name in each["ids"])
            if len(each["ids"]) < each["count"]:
                yield f"          and {each['count'] - len(each['ids'])} more"
            if each["status"] != "mended":
                yield f"        {each['error'] or each['advice']}"
        faults = sum(each["status"] == "fault" for each in checks)
        yield f"{len(checks)} checks, {faults} of them with faults."
