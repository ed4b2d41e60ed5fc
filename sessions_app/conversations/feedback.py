"""Callers' feedback to answers: one rating each, with a comment; the session has the latest."""

from __future__ import annotations

from uuid import UUID

from accounts.auth.caller import Caller
from accounts.tenancy.context import tenant_context
from agents.models import AgentInstance
from salient.api.problems import NotFound
from sessions_app.api.schemas import FeedbackIn, FeedbackOut
from sessions_app.conversations.history import named_session
from sessions_app.models import Message, MessageFeedback, Role, Session

RATINGS = {"good": 1, "bad": -1}


def give(
    caller: Caller, instance: AgentInstance, message_id: UUID, given: FeedbackIn
) -> FeedbackOut:
    """Store the caller's rating of an answer.

    Raises NotFound unless the message is an answer in a session of the caller's.
    """
    with tenant_context(caller.account_id):
        session = _session_of(caller, instance, message_id)
        mine = MessageFeedback.objects.filter(message_id=message_id, caller=caller.subject)
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
    session = named_session(caller, instance, session_id)
    found: Session | None = session.select_for_update(no_key=True).first()
    if found is None:
        raise NotFound("message")
    return found


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
        unique_fields=["message", "caller"],
        update_fields=["rating", "comment", "updated_at"],
    )
