"""`manage.py erase_person ACCOUNT`: erase a person's texts and profile; figures stay."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.management.base import CommandParser

from accounts.management.look_up import find_account
from salient.management.base import Misused, ReportingCommand
from sessions_app.conversations.erasure.persons import Person, survey
from sessions_app.conversations.erasure.service import erase
from sessions_app.models import IdentifierKind


class Command(ReportingCommand):
    """Continues what was interrupted, when it is called again for the same person."""

    help = (
        "Erase a person's texts and profile in one account, with all copies; tokens, costs and "
        "counts stay. Exit code 1 while something is left."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account", help="the account's slug")
        who = parser.add_mutually_exclusive_group(required=True)
        who.add_argument("--email", help="their e-mail address")
        who.add_argument("--end-user", help="how the account names its end user")
        who.add_argument("--session", help="the id of one of a visitor's sessions")
        parser.add_argument("--reason", help="a ticket's number; the receipt keeps it")
        super().add_arguments(parser)

    def report(self, **options: Any) -> Mapping[str, Any]:
        account = find_account(options["account"])
        [kind] = [each for each in IdentifierKind if options[each.value] is not None]
        person = Person.read(account.pk, kind, options[kind.value])
        if options["dry_run"]:
            found = survey(person)
            return {
                "found": found.counts,
                "running_turns": found.running,
                "receipts": [str(each.pk) for each in found.receipts],
            }
        if options["reason"] is None:
            raise Misused("Say why: --reason.")
        receipt = erase(person, reason=options["reason"], actor="erase_person")
        return {
            "ok": receipt.finished_at is not None,
            "receipt": str(receipt.pk),
            "person_hash": receipt.person_hash,
            "erased": receipt.erased,
            "masked": receipt.masked,
            "remaining": receipt.remaining,
            "kept": receipt.kept,
            "finished_at": receipt.finished_at,
        }

    def lines(self, report: Mapping[str, Any]) -> Iterator[str]:
        if "found" in report:
            yield from _rows("would be erased", report["found"])
            if report["running_turns"]:
                yield f"{report['running_turns']} turns run now and would be cancelled."
            yield from (f"There is a receipt: {each}" for each in report["receipts"])
            return
        yield from _rows("erased", report["erased"])
        yield from _rows("named there, replaced", report["masked"])
        yield from _rows("named there, kept", report["kept"])
        yield from _rows("left", report["remaining"])
        end = "is complete" if report["ok"] else "is not complete: call it again"
        yield f"The erasure {end}. Receipt {report['receipt']}"


def _rows(what: str, counts: Mapping[str, int]) -> Iterator[str]:
    if not counts and what == "would be erased":
        yield "Nothing was found."
    yield from (f"{table}: {many} {what}" for table, many in sorted(counts.items()))
