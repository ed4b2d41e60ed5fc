"""`manage.py settle_abandoned`: settle the turns that a killed process left running."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from accounts.auth.attempts import forget_past_attempts
from accounts.limits.quotas import forget_past_rates
from salient.management.base import Misused, ReportingCommand
from sessions_app.turns.abandoned import GRACE_SECONDS, settle_abandoned


class Command(ReportingCommand):
    """Safe to run at any time, also several times at once."""

    help = "Settle turns that a killed process left running, as errors."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--older-than",
            type=float,
            metavar="SECONDS",
            help=f"default: the turn's own time limit (timeouts.total) and {GRACE_SECONDS} s",
        )
        super().add_arguments(parser)

    def report(self, **options: Any) -> Mapping[str, Any]:
        age, write = options["older_than"], not options["dry_run"]
        if age is not None and not age > 0:
            raise Misused("--older-than is a number of seconds above 0.")
        found = settle_abandoned(older_than=age, write=write)
        if write:
            forget_past_rates(timezone.now())
            forget_past_attempts(timezone.now())
        return {
            "found": len(found),
            "settled": len(found) if write else 0,
            "turns": [asdict(turn) for turn in found],
        }

    def lines(self, report: Mapping[str, Any]) -> Iterator[str]:
        for turn in report["turns"]:
            name = f"{turn['account']}/{turn['instance']}"
            yield f"{turn['id']}  {name}  {turn['model']}  since {turn['created_at']:%F %T} UTC"
        yield f"{report['found']} abandoned, {report['settled']} settled."
