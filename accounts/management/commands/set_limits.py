"""`manage.py set_limits ACCOUNT`: what an account may take at once."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from accounts.limits.quotas import own_limits, set_limits
from accounts.limits.registry import LIMITS
from accounts.management.look_up import find_account
from accounts.tenancy.context import tenant_context
from salient.management.base import Misused, ReportingCommand

DEFAULT = "default"
WHOLE = re.compile(r"0*[1-9][0-9]{0,17}")


class Command(ReportingCommand):
    """Changes the limits that are given, and shows all."""

    help = "Show or set what an account may take at once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account", help="the account's slug")
        for limit in LIMITS.values():
            parser.add_argument(
                limit.option,
                metavar="N",
                help=f"{limit.unit}, at most {limit.highest}; “{DEFAULT}” for the installation's",
            )
        super().add_arguments(parser)

    def report(self, **options: Any) -> Mapping[str, Any]:
        wanted = {name: number(options[name]) for name in LIMITS if options[name] is not None}
        refuse_too_high(wanted)
        account = find_account(options["account"])
        if wanted and not options["dry_run"]:
            set_limits(account, **wanted)
        with tenant_context(account.pk):
            row = own_limits(account.pk)
        own = {name: getattr(row, name, None) for name in LIMITS}
        if options["dry_run"]:
            own |= wanted
        return {
            "account": account.slug,
            "changed": bool(wanted) and not options["dry_run"],
            "limits": own,
            "defaults": {name: settings.DEFAULT_LIMITS.get(name) for name in LIMITS},
            "running": row.running if row else 0,
        }

    def lines(self, report: Mapping[str, Any]) -> Iterator[str]:
        for name, own in report["limits"].items():
            default = report["defaults"][name]
            shown = f"{'no limit' if default is None else default} (default)"
            yield f"{name:34}{shown if own is None else own}"
        yield f"{report['running']} turns run now."


def number(text: str) -> int | None:
    if text == DEFAULT:
        return None
    if not WHOLE.fullmatch(text):
        raise Misused(f"A limit is a whole number above 0 or “{DEFAULT}”, not “{text}”.")
    return int(text)


def refuse_too_high(limits: Mapping[str, int | None]) -> None:
    """Raise Misused for a number above the limit's highest."""
    for name, limit in limits.items():
        highest, option = LIMITS[name].highest, LIMITS[name].option
        if limit is not None and limit > highest:
            raise Misused(f"{option}: at most {highest} holds, so {limit} is not set.")
