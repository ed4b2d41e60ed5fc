"""`manage.py config import`: today's files of the old system's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from accounts.models.slugs import is_slug
from agents.config import config_dir
from agents.config.files import CONFIG_FILE
from agents.config.former import Converted, convert
from agents.config.yaml.source import Unreadable
from agents.management.config import Verb, existing, write_files
from salient.management.base import Misused, Refused


class Import(Verb):
    """Writes today's files, and a line for each key that could not be taken over."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "source", metavar="PATH", help="an old config.yaml, or the folder with all of them"
        )
        parser.add_argument(
            "subject", nargs="?", default="", metavar="ACCOUNT/INSTANCE", help="whose file it is"
        )
        parser.add_argument(
            "--to", default="", metavar="TREE", help="write there, not to AGENT_CONFIG_DIR"
        )
        parser.add_argument(
            "--force", action="store_true", help="overwrite files with other content"
        )
        super().add_arguments(parser)

    def report(self, **options: Any) -> Mapping[str, Any]:
        target = Path(options["to"]) if options["to"] else config_dir()
        converted = _converted(Path(options["source"]), options["subject"].strip("/"))
        wanted = {
            target / each.name / name: text
            for each in converted
            for name, text in each.files.items()
        }
        agents = [
            {"name": each.name, "files": each.files, "not_taken_over": each.lost}
            for each in converted
        ]
        before = {path: existing(path) for path in wanted}
        return {"agents": agents, **write_files(wanted, before, options)}

    def lines(self, report: Mapping[str, Any]) -> Iterator[str]:
        for each in report["agents"]:
            yield self.style.SUCCESS(f"{each['name']}:")
            if not report["written"]:
                for name, text in each["files"].items():
                    yield f"  {name}"
                    yield from (f"    {line}" for line in text.splitlines())
            yield from (
                self.style.WARNING(f"  not taken over: {lost}") for lost in each["not_taken_over"]
            )
        number = sum(state != "same" for state in report["files"].values())
        verb = "Wrote" if report["written"] else "Would write"
        yield f"{verb} {number} of {len(report['files'])} files."


def _converted(source: Path, subject: str) -> list[Converted]:
    paths = sorted(source.glob(f"*/*/{CONFIG_FILE}")) if source.is_dir() else [source]
    if not paths:
        raise Misused(f"{source}: there is no ACCOUNT/INSTANCE/{CONFIG_FILE} in this folder.")
    found = []
    for path in paths:
        try:
            made = convert(path.resolve())
        except OSError as error:
            raise Misused(f"{path}: {(error.strerror or 'cannot be read').lower()}.") from error
        except Unreadable as error:
            place = f"{path}:{error.fault.line}" if error.fault.line else str(path)
            raise Refused(f"{place}: {error}") from error
        made.name = subject if subject and len(paths) == 1 else made.name
        account, _, instance = made.name.partition("/")
        if not (is_slug(account) and is_slug(instance)):
            raise Misused(f"{path}: name the agent that the file is for: ACCOUNT/INSTANCE.")
        found.append(made)
    if subject:
        found = [each for each in found if each.name == subject]
    return found
