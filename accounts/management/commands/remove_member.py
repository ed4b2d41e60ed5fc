"""`manage.py remove_member ACCOUNT EMAIL`: end a membership."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.management.base import CommandParser
from django.db import transaction

from accounts.management.look_up import find_account
from accounts.members import members
from accounts.models import Account, Membership
from accounts.tenancy.context import tenant_context
from salient.api.problems import Problem
from salient.management.base import Refused, ReportingCommand, did_you_mean


class Command(ReportingCommand):
    """The person stays a user, and stays a member of other accounts."""

    help = "Remove a person from an account."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account", help="the account's slug")
        parser.add_argument("email", help="the member's e-mail address")
        super().add_arguments(parser)

    def report(self, **options: Any) -> Mapping[str, Any]:
        account = find_account(options["account"])
        try:
            with tenant_context(account.pk):
                members.take_turns(account.pk)
                target = find_member(account, options["email"])
                members.remove_membership(target)
                transaction.set_rollback(options["dry_run"])
        except Problem as problem:
            raise Refused(problem.detail) from problem
        return {
            "account": account.slug,
            "email": target.user.email,
            "role": target.role,
            "removed": not options["dry_run"],
        }

    def lines(self, report: Mapping[str, Any]) -> Iterator[str]:
        who = f"{report['email']} ({report['role']})"
        if report["removed"]:
            yield self.style.SUCCESS(f"Removed {who} from {report['account']}.")
            yield "Every server refuses them within 5 seconds."
        else:
            yield f"{who} would be removed from {report['account']}; nothing was changed."


def find_member(account: Account, email: str) -> Membership:
    """Return the member with this address; raises Refused."""
    found = members.find_member(email)
    if found is None:
        known = members.addresses()
        raise Refused(f"{account.slug} has no member “{email}”.{did_you_mean(email, known)}")
    return found
