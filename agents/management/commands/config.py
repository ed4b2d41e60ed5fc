"""`manage.py config …`: work with the agents' configuration files."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from agents.config import config_dir
from agents.config.check import Finding, UnknownSubject, check
from agents.management.config import VERBS as PUBLISHING_VERBS
from agents.management.config import Verb
from agents.management.import_config import Import

VERBS: dict[str, tuple[type[Verb], str]] = {
    **PUBLISHING_VERBS,
    "import": (Import, "Convert the old system's files; says what it cannot take over."),
}


class Command(BaseCommand):
    """Dispatches to one method for each sub-command."""

    help = "Work with the agents' configuration: in files, and published over them."
    # Files are validated without any database, also where Django itself is not set up yet.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        text = "Check the files; exit code 1 when anything is wrong."
        checking = actions.add_parser("check", help=text, description=text)
        checking.add_argument(
            "subject", nargs="?", default="", metavar="ACCOUNT[/INSTANCE]", help="Only these."
        )
        checking.add_argument("--json", action="store_true", help="Write JSON.")
        checking.set_defaults(run=self.check_files)
        for name, (verb, text) in VERBS.items():
            parsed = actions.add_parser(name, help=text, description=text)
            verb().add_arguments(parsed)
            parsed.set_defaults(run=self.run_verb)

    def run_verb(self, *, action: str, **options: Any) -> None:
        verb, _ = VERBS[action]
        verb().printing_as(self).handle(**options)

    def handle(self, *_args: str, **options: Any) -> None:
        options["run"](**options)

    def check_files(self, *, subject: str, **options: Any) -> None:
        """Print every finding; fail when there is an error among them."""
        try:
            findings = check(config_dir(), subject.strip("/"))
        except UnknownSubject as error:
            raise CommandError(str(error), returncode=2) from None
        if options["json"]:
            self.stdout.write(json.dumps([_as_json(finding) for finding in findings], indent=2))
        else:
            self._print(findings)
        if broken := sum(finding.status == "error" for finding in findings):
            raise CommandError(f"{broken} of {len(findings)} have errors.")

    def _print(self, findings: list[Finding]) -> None:
        styles = {
            "ok": self.style.SUCCESS,
            "warning": self.style.WARNING,
            "error": self.style.ERROR,
        }
        for finding in findings:
            word = styles[finding.status](f"{finding.status:<8}")
            self.stdout.write(f"{word} {finding.subject}{_summary(finding)}")
            for problem in finding.errors:
                self.stdout.write(f"         {problem}")
            for problem in finding.warnings:
                self.stdout.write(f"         warning: {problem}")


def _summary(finding: Finding) -> str:
    if finding.effective is None:
        return ""
    return f"  {finding.effective.config.model}  version {finding.effective.digest[:12]}"


def _as_json(finding: Finding) -> dict[str, Any]:
    effective = finding.effective
    return {
        "subject": finding.subject,
        "status": finding.status,
        "digest": effective.digest if effective else None,
        "model": effective.config.model if effective else None,
        "errors": [problem.as_dict() for problem in finding.errors],
        "warnings": [problem.as_dict() for problem in finding.warnings],
    }
