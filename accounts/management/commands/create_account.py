"""`manage.py create_account SLUG`: make a tenant."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.management.base import CommandParser

from accounts.keys.services import create_account
from accounts.models import Account
from accounts.tenancy.accounts import read_account
from accounts.tenancy.context import platform_context
from salient.management.base import Refused, ReportingCommand


class Command(ReportingCommand):
    """Prints the account's id and its address."""

    help = "Make an account (a tenant)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="its name in URLs: a-z, 0-9, - and _")
        parser.add_argument("--name", default="", help="its name for people (default: from SLUG)")
        super().add_arguments(parser)

    def report(self, **options: Any) -> Mapping[str, Any]:
        slug, name = options["slug"], options["name"]
        if read_account(slug) is not None:
            raise Refused(f"There is already an account “{slug}”.")
        if options["dry_run"]:
            with platform_context():
                Account(slug=slug, name=name or slug).full_clean()
            return {"account": slug, "created": False}
        account = create_account(slug, name=name)
        return {"account": slug, "id": account.pk, "name": account.name, "created": True}

    def lines(self, report: Mapping[str, Any]) -> Iterator[str]:
        slug = report["account"]
        if not report["created"]:
            yield f"Account {slug} would be made; nothing was changed."
            return
        yield self.style.SUCCESS(f"Made account {slug} ({report['name']}).")
        yield f"Next: manage.py create_instance {slug} INSTANCE, manage.py create_key {slug}"
