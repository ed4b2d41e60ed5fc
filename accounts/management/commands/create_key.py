"""`manage.py create_key ACCOUNT`: make an API key; its text is shown this once."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.core.management.base import CommandParser
from django.utils import timezone

from accounts.keys.services import KeyWanted, default_expiry, issue_api_key, wanted_key
from accounts.management.look_up import find_account
from accounts.models import Account, KeyKind, KeyMode, Scope
from accounts.models.api_key import DEFAULT_SCOPES
from accounts.tenancy.agents import agent_slugs
from accounts.tenancy.context import tenant_context
from salient.formatting import moment
from salient.management.base import (
    Misused,
    Refused,
    ReportingCommand,
    did_you_mean,
    require_known,
)

LONGEST_DAYS = 3650


class Command(ReportingCommand):
    """Prints the key alone on its line, for easy copying."""

    help = "Make an API key for an account."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account", help="the account's slug")
        parser.add_argument("--name", default="command line", help="what the key is for")
        parser.add_argument(
            "--scope",
            action="append",
            dest="scopes",
            metavar="SCOPE",
            help=f"what the key may do, repeatable (default: {', '.join(DEFAULT_SCOPES)}): "
            f"{', '.join(Scope.values)}",
        )
        self.add_bounds(parser)
        life = parser.add_mutually_exclusive_group()
        life.add_argument("--expires-days", type=int, metavar="N", help="default: a year")
        life.add_argument("--never-expires", action="store_true")
        super().add_arguments(parser)

    def add_bounds(self, parser: CommandParser) -> None:
        kind = parser.add_mutually_exclusive_group()
        kind.add_argument(
            "--test", action="store_true", help="a test key, with free scripted answers"
        )
        kind.add_argument(
            "--publishable",
            action="store_true",
            help="for a web page: starts visitors of one --instance from each --origin",
        )
        for name, meaning in (
            ("instance", "an agent that it may use, repeatable (default: all)"),
            ("origin", "a site whose pages hold a publishable key, repeatable"),
            ("network", "where it may be used from, as CIDR, repeatable (default: anywhere)"),
        ):
            parser.add_argument(
                f"--{name}", action="append", dest=f"{name}s", default=[], help=meaning
            )

    def report(self, **options: Any) -> Mapping[str, Any]:
        account, wanted = wanted_by(options)
        key = wanted_key(account, **wanted)
        facts = {
            "account": account.slug,
            "name": key.name,
            "kind": key.kind,
            "mode": key.mode,
            "scopes": key.scopes,
            "instances": options["instances"],
            "origins": key.origins,
            "networks": key.networks,
            "expires_at": key.expires_at.isoformat() if key.expires_at else None,
        }
        if options["dry_run"]:
            return facts | {"created": False}
        key, text = issue_api_key(account, **wanted)
        return facts | {"id": key.pk, "key_id": key.key_id, "key": text, "created": True}

    def lines(self, report: Mapping[str, Any]) -> Iterator[str]:
        if not report["created"]:
            yield f"A key for {report['account']} would be made; nothing was changed."
            return
        yield self.style.SUCCESS(f"Made API key “{report['name']}” for {report['account']}.")
        end = report["expires_at"]
        expires = moment(datetime.fromisoformat(end)) if end else "never"
        yield f"It may: {', '.join(report['scopes'])}. Expires: {expires}."
        for what in ("instances", "origins", "networks"):
            if report[what]:
                yield f"Only these {what}: {', '.join(report[what])}."
        yield "Copy it now; only a hash is kept and it cannot be shown again:"
        yield report["key"]


def wanted_by(options: Mapping[str, Any]) -> tuple[Account, KeyWanted]:
    """Read the command line; raises Misused or Refused."""
    scopes = list(dict.fromkeys(options["scopes"] or ()))
    for scope in scopes:
        require_known("scope", scope, Scope.values)
    expires_at = expiry(options)
    account = find_account(options["account"])
    wanted = KeyWanted(
        name=options["name"],
        kind=KeyKind.PUBLISHABLE if options["publishable"] else KeyKind.SECRET,
        mode=KeyMode.TEST if options["test"] else KeyMode.LIVE,
        instance_ids=instance_ids(account, options["instances"]),
        origins=options["origins"],
        networks=options["networks"],
        expires_at=expires_at,
    )
    if scopes or not options["publishable"]:
        wanted["scopes"] = scopes or DEFAULT_SCOPES
    return account, wanted


def instance_ids(account: Account, slugs: Sequence[str]) -> list[UUID]:
    """Return the ids of the account's instances of these names; raises Refused."""
    with tenant_context(account.pk):
        known = {slug: pk for pk, slug in agent_slugs(account.pk).items()}
    for slug in slugs:
        if slug not in known:
            hint = did_you_mean(slug, known)
            raise Refused(f"Account “{account.slug}” has no agent “{slug}”.{hint}")
    return [known[slug] for slug in dict.fromkeys(slugs)]


def expiry(options: Mapping[str, Any]) -> datetime | None:
    days = options["expires_days"]
    if options["never_expires"]:
        return None
    if days is None:
        return default_expiry()
    if not 1 <= days <= LONGEST_DAYS:
        raise Misused(f"--expires-days is a number from 1 to {LONGEST_DAYS}.")
    return timezone.now() + timedelta(days=days)
