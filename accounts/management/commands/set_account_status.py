"""`manage.py set_account_status ACCOUNT suspend`: suspend, reactivate or archive a tenant."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.management.base import CommandParser

from accounts.management.look_up import find_account
from accounts.tenancy.accounts import CHANGES, set_status, status_badge
from accounts.tenancy.context import platform_context
from salient.management.base import ReportingCommand


class Command(ReportingCommand):
    """Does what the buttons of the account's admin page do; the audit log names the command."""

    help = "Suspend, reactivate or archive an account; its running answers end within seconds."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account", help="the account's slug")
        parser.add_argument("change", choices=list(CHANGES))
        parser.add_argument("--reason", default="", help="why it is suspended, for staff")
        super().add_arguments(parser)

    def report(self, **options: Any) -> Mapping[str, Any]:
        account, change = find_account(options["account"]), CHANGES[options["change"]]
        before, is_new = status_badge(account)["name"], account.status != change.status
        if is_new and not options["dry_run"]:
            with platform_context():
                set_status([account.pk], change, options["reason"] if change.needs_reason else "")
        account.status = change.status
        return {
            "account": account.slug,
            "before": before,
            "status": status_badge(account)["name"],
            "changed": is_new and not options["dry_run"],
            "means": change.means,
        }

    def lines(self, report: Mapping[str, Any]) -> Iterator[str]:
        name, status = report["account"], report["status"]
        if report["changed"]:
            yield self.style.SUCCESS(f"Account {name} is {status} now; it was {report['before']}.")
            yield report["means"]
        elif report["before"] == status:
            yield f"Account {name} is {status} already; nothing was changed."
        else:
            yield f"Account {name} would be made {status}; nothing was changed."
