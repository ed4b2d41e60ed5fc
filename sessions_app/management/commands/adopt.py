"""`manage.py adopt`: move a database made by Alembic to Salient's schema while it is used."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandParser
from django.db import connection

from salient.database.config import database_config
from salient.management.base import Misused, ReportingCommand
from sessions_app.operations.adoption import adopting, choices

# This command works alone; it needs no more connections than this.
CONNECTIONS = 2
STEPS = ("check", "switch", "undo", "finish")


class Command(ReportingCommand):
    """Each step may be repeated: the next run continues one that was killed."""

    help = (
        "Move a database made by Alembic to Salient's schema. Without an option it makes the new "
        "tables beside the old ones and fills them while the old application is running; "
        "--switch exchanges them, --undo reverts everything, --finish drops the old tables."
    )
    writes: ClassVar[bool] = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("url", nargs="?", metavar="URL", help="instead of DATABASE_URL")
        steps = parser.add_mutually_exclusive_group()
        steps.add_argument(
            "--check",
            action="store_true",
            help="say what would be done and what stands in the way; exit code 1 if anything does",
        )
        steps.add_argument(
            "--switch", action="store_true", help="replace the old tables with the new ones"
        )
        steps.add_argument("--undo", action="store_true", help="put the old tables back")
        steps.add_argument("--finish", action="store_true", help="drop the old tables permanently")
        parser.add_argument(
            "--owner",
            default="",
            metavar="ACCOUNT/AGENT",
            help="the agent of rows without an owner",
        )
        parser.add_argument(
            "--map",
            action="append",
            default=[],
            dest="mapped",
            metavar="TABLE.COLUMN:OLD=NEW",
            help="replaces an unknown role, status, tier or slug",
        )
        parser.add_argument(
            "--zone", default="", help="the time zone of timestamps that have none: UTC"
        )
        parser.add_argument(
            "--others", action="store_true", help="switch while others are connected"
        )
        parser.add_argument(
            "--discard",
            action="store_true",
            help="undo, and give up conversations since the switch",
        )
        super().add_arguments(parser)

    def report(self, **options: Any) -> Mapping[str, Any]:
        if options["url"]:
            _connect(options["url"])
        self.is_quiet = options["json"] or options["verbosity"] == 0
        chosen = choices.read(options["owner"], options["mapped"], options["zone"])
        step = next((name for name in STEPS if options[name]), "carry")
        for option, wanted in (("others", "switch"), ("discard", "undo")):
            if options[option] and step != wanted:
                raise Misused(f"--{option} belongs to --{wanted}.")
        match step:
            case "check":
                found = adopting.look(chosen)
                if found is None:
                    return {"ok": True, "revision": None}
                return {"ok": not found.faults, **found.as_dict()}
            case "switch":
                return adopting.switch(self.progress, others=options["others"])
            case "undo":
                return adopting.undo(discard=options["discard"])
            case "finish":
                return adopting.finish()
        return adopting.carry(chosen, self.progress)

    def progress(self, line: str) -> None:
        if not self.is_quiet:
            self.stderr.write(line)

    def lines(self, report: Mapping[str, Any]) -> Iterator[str]:
        if "faults" in report:
            yield from _checked(report)
        elif report.get("undone"):
            yield "The old tables are back in place; everything that the adoption made is removed."
        elif "tables" in report:
            yield from _compared(report)
        elif report.get("revision") is None:
            yield adopting.NOTHING
        else:
            yield (
                f"{report['done']} sessions are copied, and later changes are followed. "
                "Stop the old application, then run adopt --switch."
            )


def _checked(report: Mapping[str, Any]) -> Iterator[str]:
    rows = ", ".join(f"{number} {table}" for table, number in report["rows"].items())
    yield f"revision {report['revision'] or 'none'}: {rows}"
    yield f"adopt takes some {report['estimated_seconds']} s; the old application may run meanwhile"
    yield from (f"- {note}" for note in report["notes"])
    if report["faults"]:
        yield "Problems (nothing was changed):"
        yield from (f"- {fault}" for fault in report["faults"])
    else:
        yield "Nothing stands in the way."


def _compared(report: Mapping[str, Any]) -> Iterator[str]:
    for table, each in report["tables"].items():
        same = "the same" if each["hash_before"] == each["hash_after"] else "DIFFERENT"
        yield (
            f"{table}: {each['rows_before']} rows before, {each['rows_after']} after, "
            f"content {each['hash_before']} and {each['hash_after']}: {same}"
        )
    if report.get("finished"):
        yield "The old tables are dropped."
        return
    yield f"The old tables were held for {report['held_ms']} ms; all took {report['seconds']} s."
    if report["ok"]:
        yield "Start Salient. adopt --undo reverts this, until adopt --finish drops the old tables."
    else:
        yield "The contents differ: adopt --undo goes back."


def _connect(url: str) -> None:
    """Work on another database than the one of the settings."""
    try:
        wanted = database_config(url, pool_size=CONNECTIONS)
    except ImproperlyConfigured as error:
        raise Misused(str(error).replace("DATABASE_URL", "The URL", 1)) from error
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]
    connection.settings_dict.pop("EMBEDDED", None)
    connection.settings_dict.update(wanted)
