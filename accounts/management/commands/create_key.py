"""`manage.py create_key ACCOUNT`: make an API key; its text is shown this once."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from accounts.management.look_up import find_account
from accounts.models import ApiKey, Scope
from accounts.services import issue_api_key
from salient.commands import Misused, ReportingCommand, did_you_mean

LONGEST_DAYS = 3650


class Command(ReportingCommand):
    """Prints the key alone on its line, so that it is easily copied."""

    help = "Make a secret API key for an account."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account", help="the account's slug")
        parser.add_argument(
            "--scope",
            action="append",
            dest="scopes",
            metavar="SCOPE",
            help=f"what the key may do, repeatable (default: all): {', '.join(Scope.values)}",
        )
        parser.add_argument("--name", default="command line", help="what the key is for")
        parser.add_argument("--expires-days", type=int, metavar="N", help="default: never")
        super().add_arguments(parser)

    def report(self, **options: Any) -> Mapping[str, Any]:
        scopes = checked_scopes(options["scopes"] or Scope.values)
        expires_at = expiry(options["expires_days"])
        account = find_account(options["account"])
        facts = {
            "account": account.slug,
            "name": options["name"],
            "scopes": scopes,
            "expires_at": expires_at.isoformat() if expires_at else None,
        }
        if options["dry_run"]:
            # A key is not judged whole: what the service adds to it is not there yet.
            ApiKey._meta.get_field("name").clean(options["name"], None)
            return facts | {"created": False}
        key, text = issue_api_key(
            account, name=options["name"], scopes=scopes, expires_at=expires_at
        )
        return facts | {"id": key.pk, "key": text, "created": True}

    def lines(self, report: Mapping[str, Any]) -> Iterator[str]:
        if not report["created"]:
            yield f"A key for {report['account']} could be made; nothing was changed."
            return
        yield self.style.SUCCESS(f"Made API key “{report['name']}” for {report['account']}.")
        yield f"It may: {', '.join(report['scopes'])}. Expires: {report['expires_at'] or 'never'}."
        yield "Copy it now; only a hash is kept and it cannot be shown again:"
        yield report["key"]


def checked_scopes(scopes: Sequence[str]) -> list[str]:
    """Return each scope once; raises Misused for one that there is not."""
    for scope in scopes:
        if scope not in Scope.values:
            known = f"Use {', '.join(Scope.values)}."
            raise Misused(f"Unknown scope “{scope}”.{did_you_mean(scope, Scope.values)} {known}")
    return list(dict.fromkeys(scopes))


def expiry(days: int | None) -> datetime | None:
    if days is None:
        return None
    if not 1 <= days <= LONGEST_DAYS:
        raise Misused(f"--expires-days is a number from 1 to {LONGEST_DAYS}.")
    return timezone.now() + timedelta(days=days)
