"""Deletes the texts of one turn, and leaves the rest of its conversation."""

from __future__ import annotations

from sessions_app.conversations.sessions import forget_bodies, forget_copies, leave_tombstone
from sessions_app.models import CompletionStatus, LLMRequest, Message, Session
from sessions_app.operations.lifecycle.holds import require_free
from sessions_app.turns.problems import TurnInProgress


def forget_turn(session: Session, request: LLMRequest) -> None:
    """Delete the texts of one turn of the session, whose row the caller has locked.

    With its first turn go the messages with which it was begun, with its last one the session.
    Raises TurnInProgress while the turn is being answered, and Held where a hold forbids it.
    """
    if request.completion_status == CompletionStatus.RUNNING:
        raise TurnInProgress
    require_free(session)
    requests = LLMRequest.objects.filter(session_id=session.pk)
    messages = Message.objects.filter(session_id=session.pk)
    if requests.order_by("created_at", "id").values_list("pk", flat=True).first() == request.pk:
        messages.filter(llm_request_id=None).delete()
    messages.filter(llm_request_id=request.pk).delete()
    if not messages.exists():
        leave_tombstone(session)
        return
    forget_copies(session)
    forget_bodies(requests.filter(pk=request.pk))
