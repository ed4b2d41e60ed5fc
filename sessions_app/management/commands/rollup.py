"""`manage.py rollup`: compare the stored figures with the ledger, or compute them again."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, ClassVar

from django.core.management.base import CommandParser

from accounts.management.look_up import find_account
from accounts.tenancy.accounts import list_accounts
from salient.management.base import ReportingCommand
from sessions_app.usage import rollup, totals

# The most lines that are printed.
SHOWN = 20


class Command(ReportingCommand):
    """Runs while turns go on; a turn that is settled meanwhile is counted once."""

    help = (
        "Compare usage by day and the sessions' counters with the ledger; exit code 1 when they "
        "differ. With --rebuild, compute them again."
    )
    writes: ClassVar[bool] = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--rebuild", action="store_true", help="compute the figures again")
        parser.add_argument(
            "--since",
            type=date.fromisoformat,
            default=rollup.BEGINNING,
            metavar="DATE",
            help="only days (UTC) from this one on, and sessions active since then",
        )
        parser.add_argument("--account", metavar="SLUG", help="only this account")
        super().add_arguments(parser)

    def report(self, **options: Any) -> Mapping[str, Any]:
        work = rollup.rebuild if options["rebuild"] else rollup.compare
        accounts = [find_account(options["account"])] if options["account"] else list_accounts()
        found = {account.slug: work(account.pk, options["since"]) for account in accounts}
        if options["rebuild"]:
            # The totals of rebuilt days were deleted. A page has less time than we to sum them.
            totals.store_all()
        different = {slug: each for slug, each in found.items() if each}
        return {
            "ok": options["rebuild"] or not different,
            "rebuilt": options["rebuild"],
            "accounts": len(found),
            "different": {
                slug: {
                    "days": [f"{day} {model}" for day, model in each.days],
                    "sessions": each.sessions,
                }
                for slug, each in different.items()
            },
        }

    def lines(self, report: Mapping[str, Any]) -> Iterator[str]:
        for slug, found in report["different"].items():
            days, sessions = found["days"], found["sessions"]
            yield f"{slug}: {len(days)} rows of usage, {len(sessions)} sessions differed"
            yield from (f"  {day}" for day in days[:SHOWN])
            if len(days) > SHOWN:
                yield f"  and {len(days) - SHOWN} more"
        if report["rebuilt"]:
            yield f"The figures of {report['accounts']} accounts are computed again."
        elif report["ok"]:
            yield f"The figures of {report['accounts']} accounts equal the ledger."
        else:
            yield "Compute them again with --rebuild."
