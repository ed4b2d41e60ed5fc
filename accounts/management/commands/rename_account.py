"""`manage.py rename_account OLD NEW`: give an account another slug; old URLs lead to the new."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser

from accounts.management.look_up import find_account
from accounts.management.renames import add_rename_arguments, former, former_lines
from accounts.models import Account
from accounts.tenancy.context import platform_context, tenant_context
from accounts.tenancy.renames import (
    SlugTaken,
    check_slug,
    former_slugs_of,
    led_to,
    release_slug,
    rename_account,
)
from salient.api.problems import Problem
from salient.management.base import Misused, Refused, ReportingCommand


class Command(ReportingCommand):
    """Without a new slug it shows those that still lead to the account."""

    help = (
        "Give an account another slug. Keys and tokens go on, old URLs answer 308, and no other "
        "account gets the old slug while they do."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account", help="the account's slug")
        add_rename_arguments(parser)
        super().add_arguments(parser)

    def report(self, **options: Any) -> Mapping[str, Any]:
        account, wanted = find_account(options["account"]), options["slug"]
        if options["days"] < 0:
            raise Misused("--days: give 0 or more.")
        if options["release"] and wanted:
            raise Misused("Rename, or release a slug: not both at once.")
        done = not options["dry_run"]
        try:
            if options["release"]:
                _release(account, options["release"], done=done)
            elif wanted:
                account = _rename(account, wanted, timedelta(days=options["days"]), done=done)
        except Problem as problem:
            raise Refused(problem.detail) from problem
        with tenant_context(account.pk):
            found = former_slugs_of(account.pk)
        return {
            "account": account.slug,
            "wanted": wanted,
            "changed": done and bool(wanted or options["release"]),
            "former": former((each.slug, each.expires_at) for each in found),
            "config_folder": account.folder,
        }

    def lines(self, report: Mapping[str, Any]) -> Iterator[str]:
        slug = report["account"]
        if report["wanted"]:
            yield (
                f"The account's slug is {slug} now."
                if report["changed"]
                else f"Account {slug} would be renamed to {report['wanted']}; nothing was changed."
            )
        yield from former_lines(report["former"], slug, "account")
        if report["config_folder"] != report["account"]:
            yield f"Its configuration files lie in {report['config_folder']}/ as before."


def _rename(account: Account, slug: str, kept: timedelta, *, done: bool) -> Account:
    check_slug(slug)
    if not done:
        if led_to(slug) not in {None, account.slug}:
            raise SlugTaken(slug)
        return account
    with platform_context():
        return rename_account(account.pk, slug, kept=kept)


def _release(account: Account, slug: str, *, done: bool) -> None:
    with platform_context():
        known = [each.slug for each in former_slugs_of(account.pk)]
        if slug not in known:
            raise Refused(f"“{slug}” does not lead to {account.slug}.")
        if done:
            release_slug(account.pk, slug)
