"""Callers' feedback to answers: one rating each, with a comment; the session has the latest.

A bad rating is open until somebody says that it was fixed, or that there was no fault.
"""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.db.models import Count, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from accounts.auth.caller import Caller
from accounts.tenancy.context import tenant_context
from agents.models import AgentInstance
from salient.api.problems import NotFound
from sessions_app.api.schemas import FeedbackIn, FeedbackOut
from sessions_app.conversations.history import named_session
from sessions_app.models import OPEN_FEEDBACK, Message, MessageFeedback, Role, Session
from sessions_app.operations.lifecycle.holds import await_placing, require_free

# A cluster's unique keys have the account in them.
UNIQUE = (["account"] if settings.DATABASE_DISTRIBUTED else []) + ["message", "caller"]
RATINGS = {"good": 1, "bad": -1}
# More open feedback than this is not counted.
MOST_COUNTED = 1000


def give(
    caller: Caller, instance: AgentInstance, message_id: UUID, given: FeedbackIn
) -> FeedbackOut:
    """Store the caller's rating of an answer.

    Raises NotFound unless the message is an answer in a session of the caller's, and Held where a
    hold keeps what the caller has said before.
    """
    with tenant_context(caller.account_id):
        session = _session_of(caller, instance, message_id)
        mine = MessageFeedback.objects.filter(message_id=message_id, caller=caller.subject)
        if given.rating is None or not _given_again(mine, given):
            if mine.exists():
                require_free(session)
            if given.rating is None:
                mine.delete()
            else:
                _store(caller, session, message_id, given)
        rows = MessageFeedback.objects.filter(session_id=session.pk)
        latest = rows.order_by("-updated_at", "-id").values_list("rating", flat=True).first()
        Session.objects.filter(pk=session.pk).update(feedback=latest)
    return FeedbackOut(message_id=message_id, rating=given.rating, comment=given.comment)


def _session_of(caller: Caller, instance: AgentInstance, message_id: UUID) -> Session:
    """Find and lock the session, so that of two ratings at once the later one is its latest."""
    answers = Message.objects.filter(
        pk=message_id, agent_instance_id=instance.pk, role=Role.ASSISTANT
    )
    session_id = answers.values_list("session_id", flat=True).first()
    if session_id is None:
        raise NotFound("message")
    await_placing(caller.account_id)
    session = named_session(caller, instance, session_id)
    found: Session | None = session.select_for_update(no_key=True).first()
    if found is None:
        raise NotFound("message")
    return found


def _given_again(mine: QuerySet[MessageFeedback], given: FeedbackIn) -> bool:
    """Whether it is what the caller has said before: then what came of it stays."""
    same = mine.filter(rating=RATINGS[given.rating or ""], comment=given.comment)
    return bool(same.update(updated_at=Now()))


def _store(caller: Caller, session: Session, message_id: UUID, given: FeedbackIn) -> None:
    row = MessageFeedback(
        account_id=caller.account_id,
        agent_instance_id=session.agent_instance_id,
        session_id=session.pk,
        message_id=message_id,
        rating=RATINGS[given.rating or ""],
        comment=given.comment,
        caller=caller.subject,
    )
    MessageFeedback.objects.bulk_create(
        [row],
        update_conflicts=True,
        unique_fields=UNIQUE,
        # Another opinion is open again.
        update_fields=["rating", "comment", "status", "handled_by", "handled_at", "updated_at"],
    )


def decide(account_id: UUID, feedback_id: UUID, status: str, by: str) -> MessageFeedback | None:
    """Set what came of the feedback, or with "" open it again; None where there is none.

    `by` names who decides, as an e-mail address. Call it inside a context; the database writes the
    change into the account's audit log.
    """
    rows = MessageFeedback.objects.filter(account_id=account_id, pk=feedback_id)
    found: MessageFeedback | None = rows.select_for_update(no_key=True).first()
    if found is None or found.status == status:
        return found
    found.status, found.handled_by = status, by if status else ""
    found.handled_at = timezone.now() if status else None
    # Not by save(), which would make it the session's latest rating.
    rows.update(status=status, handled_by=found.handled_by, handled_at=found.handled_at)
    return found


def open_feedback(account_id: UUID | None = None) -> int:
    """Count the open feedback of an account, or of all; MOST_COUNTED stands for so many or more.

    Inside a context.
    """
    return int(_open(account_id).order_by()[:MOST_COUNTED].count())


def open_feedback_of_agents(account_id: UUID) -> dict[UUID, int]:
    """Count the open feedback of each of the account's agents that has any; inside a context."""
    rows = _open(account_id).order_by().values_list("agent_instance_id")
    return dict(rows.annotate(Count("pk")))


def _open(account_id: UUID | None) -> QuerySet[MessageFeedback]:
    rows: QuerySet[MessageFeedback] = MessageFeedback.objects.filter(OPEN_FEEDBACK)
    return rows if account_id is None else rows.filter(account_id=account_id)
