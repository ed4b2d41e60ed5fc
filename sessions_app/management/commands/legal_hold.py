"""`manage.py legal_hold ACCOUNT`: forbid every erasure in an account, or allow it again."""

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.management.base import CommandParser

from accounts.management.look_up import find_account
from accounts.models import Account
from accounts.tenancy.context import platform_context, tenant_context
from agents.management.look_up import find_instance
from salient.management.base import Misused, Refused, ReportingCommand
from sessions_app.conversations.erasure.persons import Person, found
from sessions_app.models import IdentifierKind, LegalHold
from sessions_app.operations.lifecycle import holds

ACTOR = "legal_hold"


class Command(ReportingCommand):
    """Without --reason and --release it lists what is held."""

    help = (
        "Place a legal hold on an account, an agent, a session, or the sessions that a person has "
        "now: nothing of it is erased until the hold is released."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account", help="the account's slug")
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--agent", help="hold this agent only, by its slug")
        what.add_argument("--session", help="hold this session only, by its id")
        what.add_argument("--email", help="hold the sessions of this address")
        what.add_argument("--end-user", help="hold the sessions of this end user")
        parser.add_argument("--reason", help="a file number; places the hold")
        parser.add_argument("--release", metavar="ID", help="the hold that ends")
        super().add_arguments(parser)

    def report(self, **options: Any) -> Mapping[str, Any]:
        account = find_account(options["account"])
        if options["reason"] is not None and options["release"]:
            raise Misused("Place a hold, or release one: not both at once.")
        if options["release"]:
            _release(account, options["release"], done=not options["dry_run"])
        elif options["reason"] is not None:
            self._place(account, options)
        elif any(options[name] for name in ("agent", "session", "email", "end_user")):
            raise Misused("Say why: --reason.")
        with platform_context():
            found = [
                {"id": str(each.pk), "what": each.what, "reason": each.reason}
                for each in holds.holds_of(account.pk)
            ]
        return {"account": account.slug, "holds": found}

    def _place(self, account: Account, options: Mapping[str, Any]) -> None:
        agent = find_instance(account, options["agent"]) if options["agent"] else None
        sessions = _sessions(account, options)
        why = {"reason": options["reason"], "actor": ACTOR}

        def placing() -> None:
            with platform_context():
                for session_id in sessions:
                    holds.place(account.pk, session_id=session_id, **why)
                if not sessions:
                    holds.place(account.pk, agent=agent, **why)

        def waiting() -> None:
            self.stderr.write("Something of the account is being changed or erased: waiting …")

        if not options["dry_run"]:
            holds.when_free(placing, waiting=waiting)

    def lines(self, report: Mapping[str, Any]) -> Iterator[str]:
        if not report["holds"]:
            yield f"Nothing of {report['account']} is held."
        for each in report["holds"]:
            yield f"{each['id']}  {each['what']}: {each['reason']}"


def _sessions(account: Account, options: Mapping[str, Any]) -> list[UUID]:
    if options["session"]:
        try:
            return [UUID(options["session"])]
        except ValueError as error:
            raise Refused(f"--session: “{options['session']}” is no session's id.") from error
    kind = IdentifierKind.EMAIL if options["email"] else IdentifierKind.END_USER
    text = options["email"] or options["end_user"]
    if not text:
        return []
    person = found(Person.read(account.pk, kind, text))
    with tenant_context(account.pk):
        theirs = list(person.sessions().values_list("pk", flat=True))
    if not theirs:
        raise ValidationError("The person has no sessions in this account.")
    return theirs


def _release(account: Account, text: str, *, done: bool) -> None:
    with platform_context():
        found: LegalHold | None = next(
            (each for each in holds.holds_of(account.pk) if str(each.pk) == text), None
        )
        if found is None:
            raise Refused(f"{account.slug} has no hold {text} in force.")
        if done:
            holds.release(found, actor=ACTOR)
