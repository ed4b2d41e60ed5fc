"""`manage.py rename_agent ACCOUNT OLD NEW`: give an agent another slug; old URLs lead to it."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser

from accounts.management.look_up import find_account
from accounts.management.renames import add_rename_arguments, former, former_lines
from accounts.tenancy.context import platform_context, tenant_context
from accounts.tenancy.renames import check_slug
from agents.instances.renames import (
    FilesDiffer,
    former_slugs_of,
    release_slug,
    rename_agent,
    require_free,
    use_own_folder,
)
from agents.management.look_up import find_instance
from agents.models import AgentInstance
from salient.api.problems import Problem
from salient.management.base import Misused, Refused, ReportingCommand


class Command(ReportingCommand):
    """Without a new slug it shows those that still lead to the agent."""

    help = (
        "Give an agent another slug. Keys and tokens go on, old URLs answer 308, and no other "
        "agent of the account gets the old slug while they do."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account", help="the account's slug")
        parser.add_argument("agent", help="the agent's slug")
        add_rename_arguments(parser)
        parser.add_argument(
            "--own-folder",
            action="store_true",
            help="read the account's configuration files from folders of today's slugs, to which "
            "they were copied",
        )
        super().add_arguments(parser)

    def report(self, **options: Any) -> Mapping[str, Any]:
        account = find_account(options["account"])
        agent = find_instance(account, options["agent"])
        chosen = [options["slug"], options["release"], options["own_folder"]]
        if sum(map(bool, chosen)) > 1 or options["days"] < 0:
            raise Misused("Give one of: a new slug, --release, --own-folder; --days from 0 on.")
        left: list[str] = []
        try:
            if options["slug"]:
                check_slug(options["slug"])
                require_free(agent, options["slug"])
            if not options["dry_run"]:
                agent, left = _change(agent, options)
        except (Problem, FilesDiffer) as problem:
            raise Refused(str(problem)) from problem
        with tenant_context(account.pk):
            found = former_slugs_of(agent)
        return {
            "account": account.slug,
            "agent": agent.instance_slug,
            "wanted": options["slug"],
            "changed": any(chosen) and not options["dry_run"],
            "former": former((each.instance_slug, each.expires_at) for each in found),
            "config_folder": "/".join(agent.folder_in(account.folder)),
            "folders_left": left,
        }

    def lines(self, report: Mapping[str, Any]) -> Iterator[str]:
        agent = f"{report['account']}/{report['agent']}"
        if report["wanted"]:
            yield (
                f"The agent is {agent} now."
                if report["changed"]
                else f"Agent {agent} would be renamed to {report['wanted']}; nothing was changed."
            )
        yield from former_lines(report["former"], agent, "agent")
        yield f"Its configuration files lie in {report['config_folder']}/."
        for folder in report["folders_left"]:
            yield f"{folder}/ is not read any more after 10 seconds; remove it then."


def _change(agent: AgentInstance, options: Mapping[str, Any]) -> tuple[AgentInstance, list[str]]:
    with platform_context():
        if options["slug"]:
            kept = timedelta(days=options["days"])
            return rename_agent(agent, options["slug"], kept=kept), []
        if options["release"] and not release_slug(agent, options["release"]):
            raise Refused(f"“{options['release']}” does not lead to {agent.instance_slug}.")
        if options["own_folder"]:
            left = use_own_folder(agent.account)
            agent.refresh_from_db()
            return agent, left
    return agent, []
