"""`manage.py set_budget ACCOUNT --period month --limit 100`: how many dollars may be spent."""

from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import CommandParser

from accounts.limits.budgets import remove_budget, set_budget
from accounts.limits.periods import next_start
from accounts.management.look_up import find_account
from accounts.models import Budget, BudgetPeriod
from agents.management.look_up import find_instance
from salient.formatting import dollars
from salient.management.base import Misused, ReportingCommand

MOST = Decimal(100_000)


class Command(ReportingCommand):
    """Makes or changes one budget; what was spent in its period counts."""

    help = (
        "Set how many US dollars an account, or one of its agents, may spend in a day or a month."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account", help="the account's slug")
        parser.add_argument("--instance", metavar="SLUG", help="default: the whole account")
        parser.add_argument("--period", required=True, choices=BudgetPeriod.values, help="in UTC")
        limit = parser.add_mutually_exclusive_group(required=True)
        limit.add_argument("--limit", metavar="USD", help="for example 25 or 0.50")
        limit.add_argument("--remove", action="store_true", help="delete the budget")
        parser.add_argument(
            "--alert",
            action="append",
            type=int,
            metavar="PERCENT",
            help="mail the owners at this percentage, repeatable (default: 80 and 100)",
        )
        super().add_arguments(parser)

    def report(self, **options: Any) -> Mapping[str, Any]:
        limit = None if options["remove"] else amount(options["limit"])
        account = find_account(options["account"])
        instance = find_instance(account, options["instance"]) if options["instance"] else None
        facts = {
            "account": account.slug,
            "instance": instance.instance_slug if instance else None,
            "period": options["period"],
            "limit": None if limit is None else dollars(limit),
        }
        if options["dry_run"]:
            return facts | {"changed": False}
        which: dict[str, Any] = {
            "period": options["period"],
            "instance_id": instance.pk if instance else None,
        }
        if limit is None:
            return facts | {"changed": remove_budget(account, **which)}
        budget = set_budget(account, limit=limit, alert_percents=options["alert"], **which)
        return facts | {"changed": True} | limit_status(budget)

    def lines(self, report: Mapping[str, Any]) -> Iterator[str]:
        of = report["instance"] or "the whole account"
        name = f"{report['account']}: the budget of {of} for each {report['period']}"
        if not report["changed"]:
            yield f"Nothing was changed: {name}."
        elif report["limit"] is None:
            yield f"Removed {name}."
        else:
            yield self.style.SUCCESS(f"Set {name} to ${report['limit']}.")
            yield f"Spent: ${report['spent']}, reserved by running turns: ${report['reserved']}."
            yield f"Resets at {report['resets_at']}; alerts at {report['alert_percents']} percent."


def limit_status(budget: Budget) -> dict[str, Any]:
    return {
        "spent": dollars(budget.spent),
        "reserved": dollars(budget.reserved),
        "alert_percents": budget.alert_percents,
        "resets_at": next_start(BudgetPeriod(budget.period), budget.period_start),
    }


def amount(text: str) -> Decimal:
    try:
        given = Decimal(text)
    except InvalidOperation:
        given = Decimal("NaN")
    if not given.is_finite() or not 0 <= given <= MOST:
        raise Misused(f"--limit is an amount from 0 to {MOST} US dollars, not “{text}”.")
    return given
