"""`manage.py add_member ACCOUNT EMAIL ROLE`: make a person a member, or give a member a role."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from django.db import transaction

from accounts.management.look_up import find_account
from accounts.members import invitations, members
from accounts.members.email_addresses import normal_email
from accounts.models import Account, MemberRole
from accounts.tenancy.context import tenant_context
from salient.api.problems import Problem
from salient.management.base import Refused, ReportingCommand, require_known


class Command(ReportingCommand):
    """Invites a person without a login instead; the link is printed, not sent."""

    help = "Make a person a member of an account, or change a member's role."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account", help="the account's slug")
        parser.add_argument("email", help="the person's e-mail address")
        parser.add_argument("role", help=f"what they may do: {', '.join(MemberRole.values)}")
        super().add_arguments(parser)

    def report(self, **options: Any) -> Mapping[str, Any]:
        require_known("role", options["role"], MemberRole.values)
        role = MemberRole(options["role"])
        try:
            email = normal_email(options["email"])
        except ValueError as error:
            raise Refused(f"{options['email']!a}: {error}.") from error
        account = find_account(options["account"])
        user = members.find_person(email)
        facts = {
            "account": account.slug,
            "email": email,
            "role": role.value,
            "changed": not options["dry_run"],
        }
        try:
            with tenant_context(account.pk):
                members.take_turns(account.pk)
                if user:
                    done = {"outcome": members.place(account, user, role)}
                else:
                    done = invite(account, email, role)
                transaction.set_rollback(options["dry_run"])
        except Problem as problem:
            raise Refused(problem.detail) from problem
        if options["dry_run"]:
            # The link would not work: its invitation was not made.
            done.pop("link", None)
        return facts | done

    def lines(self, report: Mapping[str, Any]) -> Iterator[str]:
        what = f"{report['email']}: {report['outcome']}, {report['role']} of {report['account']}."
        if not report["changed"]:
            yield f"This would be changed: {what} Nothing was changed."
            return
        yield self.style.SUCCESS(what)
        if "link" in report:
            yield "Give this link to the person; it works once, for 7 days:"
            yield report["link"]


def invite(account: Account, email: str, role: MemberRole) -> dict[str, str]:
    invited = invitations.offer(account, email=email, role=role)
    return {"outcome": "invited", "link": settings.PUBLIC_URL + invited.path}
