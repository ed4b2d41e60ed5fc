"""What our management commands have in common: --json, --dry-run, exit codes, "did you mean"."""

import json
import signal
import sys
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any, ClassVar

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder

from salient.actors import Actor, acting

REFUSED, MISUSED = 1, 2


class Refused(CommandError):
    """The requested object does not exist or the action is not allowed; exit code 1."""

    def __init__(self, message: str) -> None:
        super().__init__(message, returncode=REFUSED)


class Misused(CommandError):
    """The command line itself is wrong; exit code 2, as for an unknown option."""

    def __init__(self, message: str) -> None:
        super().__init__(message, returncode=MISUSED)


class ReportingCommand(BaseCommand):
    """Does one thing and reports it, to people as lines or to programs as one JSON object.

    With --json there is always exactly one object on stdout; a refusal is {"error": …}, and its
    message stands on stderr as well.
    """

    writes: ClassVar[bool] = True
    # The arguments that are called otherwise than the field they fill, by the field's name.
    arguments: ClassVar[Mapping[str, str]] = {}

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="write one JSON object")
        if self.writes:
            parser.add_argument(
                "--dry-run", action="store_true", help="check everything, change nothing"
            )

    def handle(self, *_args: str, **options: Any) -> None:
        name = type(self).__module__.rpartition(".")[2]
        try:
            with refusals(self.arguments), acting(Actor("command", name, name)):
                report = self.report(**options)
        except CommandError as error:
            if options["json"]:
                self._write_json({"error": str(error)})
            raise
        if options["json"]:
            self._write_json(report)
        else:
            self.stdout.write("\n".join(self.lines(report)))
        if not report.get("ok", True):
            # The report names the fault; programs read it from the exit code.
            sys.exit(REFUSED)

    def report(self, **options: Any) -> Mapping[str, Any]:
        """Do the work and return the facts."""
        raise NotImplementedError

    def lines(self, report: Mapping[str, Any]) -> Iterator[str]:
        """Print the facts for a person."""
        raise NotImplementedError

    def _write_json(self, value: Mapping[str, Any]) -> None:
        self.stdout.write(json.dumps(value, cls=DjangoJSONEncoder, ensure_ascii=False))


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Have SIGTERM and SIGHUP end the block as an error does: what it began is cleaned up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def _end(number: int, _frame: object) -> None:
    # What a shell says of a process that a signal ended.
    sys.exit(128 + number)


@contextmanager
def refusals(arguments: Mapping[str, str]) -> Iterator[None]:
    """Turn what a model refuses into one line, which names the argument of each wrong field."""
    try:
        yield
    except ValidationError as error:
        raise Refused(" ".join(_named(error, arguments))) from error


def _named(error: ValidationError, arguments: Mapping[str, str]) -> Iterator[str]:
    if not hasattr(error, "error_dict"):
        yield from error.messages
        return
    for field, messages in error.message_dict.items():
        name = "" if field == NON_FIELD_ERRORS else f"{arguments.get(field, field)}: "
        yield from (f"{name}{message}" for message in messages)


def require_known(what: str, word: str, known: Collection[str]) -> None:
    """Raise Misused for a word of the command line that is none of these."""
    if word not in known:
        hint = f"{did_you_mean(word, known)} Use {', '.join(known)}."
        raise Misused(f"Unknown {what} “{word}”.{hint}")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a question to put behind an error, or nothing when no known word is close."""
    close = get_close_matches(word.lower(), sorted(known), n=1)
    return f" Did you mean “{close[0]}”?" if close else ""
