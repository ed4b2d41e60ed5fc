"""The conversations of a caller: listed, and deleted without a trace but their costs."""

from __future__ import annotations

import secrets
from uuid import UUID

from django.utils import timezone

from accounts.auth.decorators import Caller
from accounts.tenancy.context import tenant_context
from agents.models import AgentInstance
from salient.api.cursor import Cursor, older
from sessions_app.api.schemas import SessionOut, SessionsIn, SessionsOut
from sessions_app.conversations.history import find_session, own_sessions
from sessions_app.models import LLMRequest, Message, Profile, SavedChat, Session
from sessions_app.turns.problems import TurnInProgress


def conversations(caller: Caller, instance: AgentInstance, page: SessionsIn) -> SessionsOut:
    """List one page: a visitor's one, an end user's own, all of the instance for a key."""
    with tenant_context(caller.account_id):
        sessions = own_sessions(caller, instance)
        if page.before is not None:
            sessions = older(sessions, "last_activity_at", page.before)
        newest = sessions.order_by("-last_activity_at", "-id")
        # One more than the page holds: its presence says that there is another page.
        rows = list(newest[: page.limit + 1])
    shown = rows[: page.limit]
    last = shown[-1] if len(rows) > page.limit else None
    return SessionsOut(
        sessions=[SessionOut.of(session) for session in shown],
        before=str(Cursor(last.last_activity_at, last.pk)) if last else None,
    )


def delete(caller: Caller, instance: AgentInstance, session_id: UUID) -> None:
    """Delete what was said and who said it; what it cost the account stays in the books.

    Messages and profile go, and so do test chats made of it, with what was said again by their
    runs. The session's row stays as a husk without its key, e-mail, meta data,
    member or end user, and carries the rows of llm_requests: tokens, costs and times, without
    bodies and caller. Visitors and end users may delete their own conversations; a key needs the
    scope history:delete. Raises TurnInProgress while an answer is written.
    """
    with tenant_context(caller.account_id):
        session = find_session(caller, instance, session_id, lock=True)
        if session is not None:
            empty(session)


def empty(session: Session) -> None:
    """Leave the husk; the session is locked, so that no turn begins meanwhile."""
    requests = LLMRequest.objects.filter(session_id=session.pk)
    if requests.running().exists():
        raise TurnInProgress
    Message.objects.filter(session_id=session.pk).delete()
    Profile.objects.filter(session_id=session.pk).delete()
    # A test chat that was made of it holds the same words, and so do the sessions of its runs.
    SavedChat.objects.filter(session_id=session.pk).delete()
    copies = Session.objects.filter(copied_from=session.pk, deleted_at=None)
    for copy in copies.select_for_update(no_key=True):
        empty(copy)
    requests.update(
        request_body=None,
        response_body=None,
        caller="",
        idempotency_key=None,
        idempotency_hash="",
    )
    Session.objects.filter(pk=session.pk).update(
        # No cookie or token finds it again: their visitor's next message begins a new one.
        session_key=secrets.token_hex(32),
        email=None,
        meta=None,
        end_user=None,
        user=None,
        deleted_at=timezone.now(),
    )
