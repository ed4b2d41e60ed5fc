"""What callers think of answers: a thumb each, with a comment, and the latest on its session."""

from __future__ import annotations

from uuid import UUID

from accounts.auth.caller import Caller
from accounts.limits import quotas
from accounts.tenancy.context import tenant_context
from agents.models import AgentInstance
from salient.api.problems import NotFound
from sessions_app.api.schemas import FeedbackIn, FeedbackOut
from sessions_app.conversations.history import find_session
from sessions_app.models import Message, MessageFeedback, Role, Session

RATINGS = {"good": 1, "bad": -1}


def give(
    caller: Caller, instance: AgentInstance, message_id: UUID, given: FeedbackIn
) -> tuple[FeedbackOut, dict[str, str]]:
    """Keep one thumb of this caller for an answer; it counts as a call, as the headers say.

    Raises NotFound for what is no answer, not there, or in a session that is not the caller's.
    """
    with tenant_context(caller.account_id):
        session = _session_of(caller, instance, message_id)
        mine = MessageFeedback.objects.filter(message_id=message_id, caller=caller.subject)
        if given.rating is None:
            mine.delete()
        else:
            _put(caller, session, message_id, given)
        Session.objects.filter(pk=session.pk).update(feedback=_latest(session))
        reservation = quotas.reserve(caller, instance.pk, turn=False)
    kept = FeedbackOut(message_id=message_id, rating=given.rating, comment=given.comment)
    return kept, reservation.headers


def _session_of(caller: Caller, instance: AgentInstance, message_id: UUID) -> Session:
    """Find and lock the session: two thumbs at once do not disagree on which is the latest."""
    answers = Message.objects.filter(
        pk=message_id, agent_instance_id=instance.pk, role=Role.ASSISTANT
    )
    session_id = answers.values_list("session_id", flat=True).first()
    if session_id is None:
        raise NotFound
    session = find_session(caller, instance, session_id, lock=True)
    if session is None:
        raise NotFound
    return session


def _put(caller: Caller, session: Session, message_id: UUID, given: FeedbackIn) -> None:
    thumb = MessageFeedback(
        account_id=caller.account_id,
        agent_instance_id=session.agent_instance_id,
        session_id=session.pk,
        message_id=message_id,
        rating=RATINGS[given.rating or ""],
        comment=given.comment,
        caller=caller.subject,
    )
    MessageFeedback.objects.bulk_create(
        [thumb],
        update_conflicts=True,
        unique_fields=["message", "caller"],
        update_fields=["rating", "comment", "updated_at"],
    )


def _latest(session: Session) -> int | None:
    thumbs = MessageFeedback.objects.filter(session_id=session.pk)
    return thumbs.order_by("-updated_at", "-id").values_list("rating", flat=True).first()
