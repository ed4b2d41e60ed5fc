"""`manage.py create_instance ACCOUNT SLUG`: make an agent, its row and its files together."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from accounts.management.look_up import find_account
from accounts.models import Account
from accounts.models.slugs import title_of
from accounts.tenancy.context import tenant_context
from agents.config import AGENT_TYPES, ConfigError, Layer, config_dir, parse_layer
from agents.config.files import CONFIG_FILE, InstanceFiles
from agents.config.starter_files import (
    Planned,
    WouldOverwrite,
    effective_with,
    given_files,
    starter_files,
    written,
)
from agents.config.yaml.source import MAX_BYTES
from agents.instances.services import create_instance, find_instance
from agents.models import AgentInstance
from salient.management.base import Misused, Refused, ReportingCommand, did_you_mean

NO_LAYER = Layer("", "", {})


class Command(ReportingCommand):
    """Checks everything first; then the row and the files are made, or neither."""

    help = "Make an agent in an account, with its configuration files."
    arguments = {"instance_slug": "slug", "display_name": "name", "agent_type": "type"}

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account", help="the account's slug")
        parser.add_argument("slug", help="the agent's name in URLs: a-z, 0-9, - and _")
        parser.add_argument(
            "--config", type=Path, metavar="FILE", help="a config.yaml to copy (default: a starter)"
        )
        parser.add_argument("--name", default="", help="its name for people (default: from SLUG)")
        parser.add_argument("--type", default="", help=f"one of: {', '.join(AGENT_TYPES)}")
        parser.add_argument(
            "--force", action="store_true", help="replace a different config.yaml that is there"
        )
        super().add_arguments(parser)

    def report(self, **options: Any) -> Mapping[str, Any]:
        try:
            return self.make(**options)
        except ConfigError as error:
            raise Refused(str(error)) from error
        except WouldOverwrite as error:
            raise Refused(f"{error} Use --force to replace it.") from error
        except OSError as error:
            raise Refused(f"{error.filename}: {(error.strerror or 'failed').lower()}.") from error

    def make(self, **options: Any) -> Mapping[str, Any]:
        account, slug = find_account(options["account"]), options["slug"]
        path = options["config"]
        source = read_source(path) if path else None
        layer = NO_LAYER
        if source is not None:
            layer = parse_layer(source, CONFIG_FILE, file=str(path))
        wanted = AgentInstance(
            account=account,
            instance_slug=slug,
            agent_type=wanted_type(options["type"], layer),
            display_name=options["name"] or layer.content.get("display_name") or title_of(slug),
        )
        refuse_bad(wanted, account)
        files = InstanceFiles(config_dir(), account.folder, slug)
        planned = plan(files, wanted, source, layer, force=options["force"])
        effective = effective_with(files, planned)
        if not options["dry_run"]:
            with written(files, planned):
                create_instance(
                    account, slug, display_name=wanted.display_name, agent_type=wanted.agent_type
                )
        return {
            "account": account.slug,
            "instance": slug,
            "agent_type": wanted.agent_type,
            "display_name": wanted.display_name,
            "model": effective.config.model,
            "folder": str(files.base / files.folder),
            "files_written": sorted(planned),
            "created": not options["dry_run"],
        }

    def lines(self, report: Mapping[str, Any]) -> Iterator[str]:
        name = f"{report['account']}/{report['instance']}"
        files = ", ".join(report["files_written"]) or "nothing new"
        if not report["created"]:
            yield f"Agent {name} would be made; nothing was changed."
            yield f"Files in {report['folder']}: {files}"
            return
        yield self.style.SUCCESS(f"Made agent {name} ({report['display_name']}).")
        yield f"Model: {report['model']}. Files: {files} in {report['folder']}"
        yield f"Next: manage.py chat {report['account']} {report['instance']}"


def read_source(path: Path) -> bytes:
    """Read no more of the file than may be in it."""
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def wanted_type(option: str, layer: Layer) -> str:
    in_file = str(layer.content.get("agent_type", ""))
    if option and option not in AGENT_TYPES:
        hint = did_you_mean(option, AGENT_TYPES)
        raise Misused(f"Unknown agent type “{option}”.{hint} Use {', '.join(AGENT_TYPES)}.")
    if option and in_file and option != in_file:
        raise Misused(f"--type says {option}, the file says {in_file}.")
    return option or in_file or AGENT_TYPES[0]


def refuse_bad(instance: AgentInstance, account: Account) -> None:
    slug = instance.instance_slug
    with tenant_context(account.pk):
        if find_instance(account.pk, slug) is not None:
            raise Refused(f"Account “{account.slug}” already has an agent “{slug}”.")
        instance.full_clean()


def plan(
    files: InstanceFiles,
    instance: AgentInstance,
    source: bytes | None,
    layer: Layer,
    *,
    force: bool,
) -> Planned:
    if source is None:
        name, kind = instance.display_name, instance.agent_type
        return starter_files(files, display_name=name, agent_type=kind)
    return given_files(files, source, layer, force=force)
