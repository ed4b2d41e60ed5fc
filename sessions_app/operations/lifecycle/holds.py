"""Legal holds: what they cover, and the refusal of whatever would change or erase that.

Whoever changes or erases texts of a conversation asks here first, in the same transaction, and
before it locks a row: one order of locks (this one, the account, its agent, the session) keeps a
rename, an erasure and a hold from waiting for one another in a circle. Placing a hold waits until
those transactions have ended: what is there when `place` returns stays.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from http import HTTPStatus
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import OperationalError
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from psycopg.errors import DeadlockDetected, LockNotAvailable

from accounts.audit.notes import clean_reason, note
from accounts.tenancy.locks import HOLDS, lock_rows
from agents.models import AgentInstance
from salient.api.problems import Problem
from sessions_app.conversations.erasure.persons import with_copies
from sessions_app.models import LegalHold, Session

# Placing a hold is tried so often. Each try waits for 2 s, and lets others pass behind it.
TRIES, PAUSE_SECONDS = 15, 0.5
BUSY = (LockNotAvailable, DeadlockDetected)
NEVER_FREE = (
    "Something of the account was being changed or erased all the time: nothing is held. Try again."
)
NO_REASON = "Say why: a file number. Whoever releases it has to know."


class Held(Problem):
    """A legal hold covers it: nothing of it can be changed or deleted."""

    status = HTTPStatus.CONFLICT
    code = "legal_hold"

    def __init__(self, what: str = "This") -> None:
        super().__init__(
            f"{what} is kept for legal reasons: a legal hold forbids changing or deleting it."
        )


def when_free[Result](
    placing: Callable[[], Result], *, waiting: Callable[[], object] = lambda: None
) -> Result:
    """Place holds, and again while what is being changed or erased keeps the account's lock.

    `placing` opens the platform context itself; `waiting` is called before it is called again.
    Raises ValidationError in the end, when nothing is held.
    """
    for _ in range(TRIES):
        try:
            return placing()
        except OperationalError as error:
            if not isinstance(error.__cause__, BUSY):
                raise
        waiting()
        time.sleep(PAUSE_SECONDS)
    raise ValidationError(NEVER_FREE)


def place(
    account_id: UUID,
    *,
    reason: str,
    actor: str,
    agent: AgentInstance | None = None,
    session_id: UUID | None = None,
) -> LegalHold:
    """Hold the account, one agent or one session; inside the platform context.

    The same hold for the same reason, as a double click asks for, is placed once. Raises
    ValidationError without a reason, and where the account has no such session.
    """
    reason = clean_reason(reason, missing=NO_REASON)
    # Whoever changes or erases something at this moment comes to an end before.
    lock_rows(HOLDS, account_id)
    if session_id is not None:
        rows = Session.objects.filter(account_id=account_id, pk=session_id, deleted_at=None)
        if not rows.exists():
            raise ValidationError("The account has no such session, or it was erased already.")
    wanted = {
        "account_id": account_id,
        "agent_instance_id": agent.pk if agent else None,
        "session_id": session_id,
        "reason": reason,
        "actor": actor[:255],
    }
    same: LegalHold | None = LegalHold.objects.in_force().filter(**wanted).first()
    return same or LegalHold.objects.create(**wanted)


def release(hold: LegalHold, *, actor: str) -> bool:
    """End a hold; False where it had ended. Inside the platform context."""
    rows = LegalHold.objects.in_force().filter(account_id=hold.account_id, pk=hold.pk)
    return bool(rows.update(released_at=Now(), released_by=actor[:255]))


def await_placing(account_id: UUID) -> None:
    """Let no hold be placed in the account until this transaction ends; inside a context.

    Call it before the transaction locks a row of the account or of a conversation. The holds that
    are read after it are those that count for all that the transaction erases.
    """
    lock_rows(HOLDS, account_id, shared=True)


def holds_of(account_id: UUID) -> QuerySet[LegalHold]:
    """Return the holds that are in force, the newest first; inside a context."""
    rows = LegalHold.objects.in_force().filter(account_id=account_id)
    return rows.select_related("agent_instance").order_by("-created_at")


def with_hold(sessions: QuerySet[Session]) -> QuerySet[Session]:
    """Return those of the sessions that are held: themselves, by their agent or their account.

    A test chat's run has the texts of the conversation that it was made from, so it is held with
    that; and so is the run of a test chat that was made from a run. The holds are read at once.
    """
    return sessions.filter(_is_covered())


def without_hold(sessions: QuerySet[Session]) -> QuerySet[Session]:
    """Return those of the sessions that may be erased."""
    return sessions.filter(~_is_covered())


def _is_covered() -> Q:
    held = LegalHold.objects.in_force().filter(session_id__isnull=False)
    return Q(Exists(_covering())) | Q(pk__in=with_copies(held.values_list("session_id", flat=True)))


def _covering() -> QuerySet[LegalHold]:
    """Return the holds that cover a session itself, whatever it was copied from."""
    whole = Q(agent_instance_id=None, session_id=None)
    return (
        LegalHold.objects.in_force()
        .filter(account_id=OuterRef("account_id"))
        .filter(
            whole
            | Q(agent_instance_id=OuterRef("agent_instance_id"))
            | Q(session_id=OuterRef("pk"))
        )
    )


def is_held(account_id: UUID, session_id: UUID) -> bool:
    """Whether nothing of the session may be changed or erased; inside a context.

    One query, and one more for each conversation that it was copied from, one from another.
    """
    wanted: UUID | None = session_id
    while wanted is not None:
        rows = Session.objects.filter(account_id=account_id, pk=wanted)
        found = rows.values_list(Exists(_covering()), "copied_from").first()
        is_covered, wanted = found or (False, None)
        if is_covered:
            return True
    return False


def require_free(session: Session) -> None:
    """Raise Held where nothing of the session may be changed or erased; inside a context.

    Whoever has locked its row has called `await_placing` before. No hold is placed from here to the
    end of the transaction.
    """
    await_placing(session.account_id)
    if is_held(session.account_id, session.pk):
        raise Held("This conversation")


def note_refusal(account_id: UUID, what: str) -> None:
    """Write into the audit log that a hold has stopped an erasure; inside a context."""
    note(account_id, "legal_holds", f"stopped: {what}")
