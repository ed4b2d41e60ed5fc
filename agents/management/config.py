"""The sub-commands of `manage.py config` that know the database: plan, apply, export."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from accounts.tenancy.context import platform_context
from agents.config import ConfigError
from agents.config.starter_files import replace_file
from agents.config.versions import publishing
from agents.config.versions.diff import Change, unified
from agents.config.versions.publishing import PublishChecksFailed
from agents.config.yaml.source import Unreadable
from agents.config.yaml.trees import (
    Planned,
    exported,
    instances,
    planned,
    read_text,
    read_tree,
    without_instance,
)
from agents.models import AgentInstance
from salient.management.base import Misused, Refused, ReportingCommand, did_you_mean

AUTHOR = "manage.py config apply"
WIDEST = 60


class Verb(ReportingCommand):
    """A sub-command, which prints where its command does."""

    def printing_as(self, command: Any) -> Verb:
        self.stdout, self.stderr, self.style = command.stdout, command.stderr, command.style
        return self

    def say(self, options: Mapping[str, Any], lines: Iterator[str]) -> None:
        """Print for a person what is about to be done; programs read it in the report."""
        if not options["json"]:
            self.stdout.write("\n".join(lines))

    def differences(self, plans: list[Planned]) -> Iterator[str]:
        for plan in plans:
            yield from self._difference(plan)

    def _difference(self, plan: Planned) -> Iterator[str]:
        for problem in plan.faults:
            yield self.style.ERROR(f"error    {plan.name}: {problem}")
        if plan.files:
            yield self.style.WARNING(f"files    {plan.name}: the next answer has")
            yield from (f"         {line_of(change)}" for change in plan.files)
        if plan.published and plan.published.text:
            yield self.style.WARNING(f"publish  {plan.name}:")
            yield from (f"         {line_of(change)}" for change in plan.published.values)
            yield from (f"         {line}" for line in plan.published.text.splitlines())
        if not plan.differs and not plan.faults:
            yield self.style.SUCCESS(f"same     {plan.name}")


def line_of(change: Change) -> str:
    origin = f"  ({change.new_origin})" if change.new_origin else ""
    if change.same_value:
        return f"{change.key}: {short(change.old)} as before{origin}"
    return f"{change.key}: {short(change.old)} -> {short(change.new)}{origin}"


def short(text: str) -> str:
    line = text.replace("\n", " ").strip() or "-"
    return line if len(line) <= WIDEST else f"{line[: WIDEST - 1]}…"


def chosen(subject: str) -> list[AgentInstance]:
    """Find the instances that are meant; a name that there is not is a wrong call."""
    found = instances(subject.strip("/"))
    if subject and not found:
        names = [instance.full_slug for instance in instances()]
        known = names if "/" in subject else {name.partition("/")[0] for name in names}
        raise Misused(f"There is no agent “{subject}”.{did_you_mean(subject, known)}")
    return found


def texts_of(source: str, subject: str) -> dict[str, str]:
    """Read a tree, or one file for the instance that is named."""
    path = Path(source)
    try:
        if path.is_dir():
            found = read_tree(path)
            return {
                name: text
                for name, text in found.items()
                if not subject or f"{name}/".startswith(f"{subject}/")
            }
        if "/" not in subject:
            raise Misused("Name the agent that the file is for: ACCOUNT/INSTANCE.")
        return {subject: read_text(path)}
    except OSError as error:
        raise Misused(f"{source}: {(error.strerror or 'cannot be read').lower()}.") from error
    except Unreadable as error:
        raise Refused(f"{source}: {error}") from error


def refuse_unknown(texts: Mapping[str, str]) -> None:
    names = [instance.full_slug for instance in instances()]
    for name in texts:
        if name not in names:
            raise Refused(f"There is no agent “{name}”.{did_you_mean(name, names)}")


def subject_argument(parser: CommandParser) -> None:
    parser.add_argument(
        "subject", nargs="?", default="", metavar="ACCOUNT[/INSTANCE]", help="Only these."
    )


class Plan(Verb):
    """Shows what the files on disk change, and what a tree would; changes nothing."""

    writes = False

    def add_arguments(self, parser: CommandParser) -> None:
        subject_argument(parser)
        parser.add_argument(
            "--from", dest="source", default="", metavar="TREE", help="compare this tree as well"
        )
        parser.add_argument(
            "--exit-code", action="store_true", help="exit with 1 when anything differs"
        )
        super().add_arguments(parser)

    def report(self, **options: Any) -> Mapping[str, Any]:
        subject, source = options["subject"].strip("/"), options["source"]
        with platform_context():
            found = chosen(subject)
            texts = texts_of(source, subject) if source else {}
            refuse_unknown(texts)
            plans = [planned(instance, texts) for instance in found]
        lost = without_instance({plan.folder for plan in plans}, subject)
        self.plans, differs = plans, any(plan.differs for plan in plans)
        return {
            "instances": [plan.as_dict() for plan in plans],
            "files_without_instance": lost,
            "differs": differs,
            "ok": not any(plan.faults for plan in plans) and not (options["exit_code"] and differs),
        }

    def lines(self, report: Mapping[str, Any]) -> Iterator[str]:
        yield from self.differences(self.plans)
        for folder in report["files_without_instance"]:
            yield self.style.WARNING(f"unused   {folder}: files, but no such agent")


class Apply(Verb):
    """Publishes a tree's texts, or one file's: all of them or none."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("source", metavar="TREE|FILE", help="what config export has written")
        subject_argument(parser)
        parser.add_argument("--note", default="", help="what changes and why; it is stored")
        parser.add_argument(
            "--gate-reason", default="", metavar="WHY", help="publish although test chats failed"
        )
        super().add_arguments(parser)

    def report(self, **options: Any) -> Mapping[str, Any]:
        if not options["note"].strip() and not options["dry_run"]:
            raise Misused("Say with --note what changes and why.")
        texts, published = texts_of(options["source"], options["subject"].strip("/")), {}
        with platform_context():
            refuse_unknown(texts)
            found = [each for each in instances() if each.full_slug in texts]
            plans = [planned(instance, texts) for instance in found]
            # What happened on disk is not this command's to say.
            for plan in plans:
                plan.files, plan.problems = [], []
            self.say(options, self.differences(plans))
            if problems := [f"{plan.name}: {each}" for plan in plans for each in plan.faults]:
                raise Refused("Nothing was published.\n" + "\n".join(problems))
            if not options["dry_run"]:
                published = self._publish(found, plans, options)
        return {
            "instances": [plan.as_dict() for plan in plans],
            "published": published,
            "written": not options["dry_run"],
        }

    def _publish(
        self, found: list[AgentInstance], plans: list[Planned], options: Mapping[str, Any]
    ) -> dict[str, int]:
        numbers = {}
        for instance, plan in zip(found, plans, strict=True):
            if plan.text is None or not plan.differs:
                continue
            try:
                made = publishing.publish(
                    instance,
                    plan.text,
                    options["note"],
                    AUTHOR,
                    gate_reason=options["gate_reason"],
                )
            except PublishChecksFailed as error:
                reason = "Nothing was published; --gate-reason publishes all the same."
                raise Refused(f"{plan.name}: {error}. {reason}") from error
            numbers[plan.name] = made.number
        return numbers

    def lines(self, report: Mapping[str, Any]) -> Iterator[str]:
        if not report["written"]:
            yield "Nothing was changed."
            return
        for name, number in report["published"].items():
            yield self.style.SUCCESS(f"Published {name} as number {number}.")
        if not report["published"]:
            yield "There was nothing to publish."


class Export(Verb):
    """Writes what is published, or all that is in force, as files."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("target", metavar="TREE", help="the folder to write to")
        subject_argument(parser)
        parser.add_argument(
            "--effective",
            action="store_true",
            help="write config.yaml and system_prompt.md with the whole configuration in force",
        )
        parser.add_argument(
            "--force", action="store_true", help="overwrite files with other content"
        )
        super().add_arguments(parser)

    def report(self, **options: Any) -> Mapping[str, Any]:
        target, subject = Path(options["target"]), options["subject"]
        wanted = dict(self._wanted(target, subject, effective=options["effective"]))
        before = {path: existing(path) for path in wanted}
        self.say(options, self._shown(wanted, before))
        return write_files(wanted, before, options)

    def _wanted(self, target: Path, subject: str, *, effective: bool) -> Iterator[tuple[Path, str]]:
        with platform_context():
            for instance in chosen(subject):
                try:
                    files = exported(instance, effective=effective)
                except ConfigError as error:
                    raise Refused(f"{instance.full_slug} is broken:\n{error}") from error
                for name, text in files.items():
                    yield target / instance.full_slug / name, text

    def _shown(
        self, wanted: Mapping[Path, str], before: Mapping[Path, str | None]
    ) -> Iterator[str]:
        for path, text in wanted.items():
            state = state_of(before[path], text)
            yield f"{state:<8} {path}"
            if state == "changed":
                difference = unified(before[path] or "", text, names=(str(path), "export"))
                yield from (f"         {line}" for line in difference.splitlines())

    def lines(self, report: Mapping[str, Any]) -> Iterator[str]:
        number = sum(state != "same" for state in report["files"].values())
        if not report["files"]:
            yield "Nothing is published."
        elif report["written"]:
            yield self.style.SUCCESS(f"Wrote {number} of {len(report['files'])} files.")
        else:
            yield f"{number} of {len(report['files'])} files would be written."


def existing(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{path}: cannot be read: {error}") from error


def state_of(before: str | None, text: str) -> str:
    if before is None:
        return "new"
    return "same" if before == text else "changed"


def write_files(
    wanted: Mapping[Path, str], before: Mapping[Path, str | None], options: Mapping[str, Any]
) -> dict[str, Any]:
    """Write the files that say something else, unless `dry_run`; return `files` and `written`.

    Raises Refused where one would be overwritten without `force`.
    """
    states = {path: state_of(before[path], text) for path, text in wanted.items()}
    report = {
        "files": {str(path): state for path, state in states.items()},
        "written": not options["dry_run"],
    }
    if options["dry_run"]:
        return report
    changed = [str(path) for path, state in states.items() if state == "changed"]
    if changed and not options["force"]:
        raise Refused(f"Nothing was written; --force overwrites {', '.join(changed)}.")
    try:
        for path, text in wanted.items():
            if states[path] != "same":
                path.parent.mkdir(parents=True, exist_ok=True)
                replace_file(path, text.encode())
    except OSError as error:
        raise Refused(f"{error.filename}: {(error.strerror or 'failed').lower()}.") from error
    return report


VERBS: dict[str, tuple[type[Verb], str]] = {
    "plan": (Plan, "Show what the files on disk, or a tree, change; change nothing."),
    "apply": (Apply, "Publish a tree's texts over the files; shows the difference first."),
    "export": (Export, "Write what is published, or all that is in force, as files."),
}
