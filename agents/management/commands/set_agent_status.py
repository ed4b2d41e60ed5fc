"""`manage.py set_agent_status ACCOUNT AGENT deactivate`: turn an agent on or off, or archive it."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.management.base import CommandParser

from accounts.management.look_up import find_account
from accounts.tenancy.context import tenant_context
from agents.instances.status import CHANGES, set_status
from agents.management.look_up import find_instance
from salient.management.base import ReportingCommand

VERBS = {change.verb.lower(): change for change in CHANGES.values()}


class Command(ReportingCommand):
    """Does what the buttons of the agent's admin page do; the audit log names the command."""

    help = "Activate, deactivate or archive an agent; its running answers end within seconds."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account", help="the account's slug")
        parser.add_argument("agent", help="the agent's slug")
        parser.add_argument("change", choices=list(VERBS))
        super().add_arguments(parser)

    def report(self, **options: Any) -> Mapping[str, Any]:
        account = find_account(options["account"])
        instance, change = find_instance(account, options["agent"]), VERBS[options["change"]]
        before, is_new = instance.status, instance.status != change.status
        if is_new and not options["dry_run"]:
            with tenant_context(account.pk):
                set_status([instance], change.status)
        return {
            "account": account.slug,
            "instance": instance.instance_slug,
            "before": before,
            "status": str(change.status),
            "changed": is_new and not options["dry_run"],
            "means": change.means,
        }

    def lines(self, report: Mapping[str, Any]) -> Iterator[str]:
        name, status = f"{report['account']}/{report['instance']}", report["status"]
        if report["changed"]:
            yield self.style.SUCCESS(f"Agent {name} is {status} now; it was {report['before']}.")
            yield report["means"]
        elif report["before"] == status:
            yield f"Agent {name} is {status} already; nothing was changed."
        else:
            yield f"Agent {name} would be made {status}; nothing was changed."
