"""A caller's sessions: listed, and deleted with all but the records of their costs."""

from __future__ import annotations

import secrets
from uuid import UUID

from django.utils import timezone

from accounts.auth.decorators import Caller
from accounts.tenancy.context import tenant_context
from agents.models import AgentInstance
from salient.cursor import Cursor, older
from sessions_app.api.schemas import SessionOut, SessionsIn, SessionsOut
from sessions_app.conversations.history import find_session, own_sessions
from sessions_app.models import LLMRequest, Message, Profile, SavedChat, Session
from sessions_app.turns.problems import TurnInProgress


def list_sessions(caller: Caller, instance: AgentInstance, page: SessionsIn) -> SessionsOut:
    """List one page: of a visitor the one session, of an end user their own, of a key all."""
    with tenant_context(caller.account_id):
        sessions = own_sessions(caller, instance)
        if page.before is not None:
            sessions = older(sessions, "last_activity_at", page.before)
        newest = sessions.order_by("-last_activity_at", "-id")
        # One more than the page holds: if it is there, there is another page.
        rows = list(newest[: page.limit + 1])
    shown = rows[: page.limit]
    last = shown[-1] if len(rows) > page.limit else None
    return SessionsOut(
        sessions=[SessionOut.of(session) for session in shown],
        before=str(Cursor(last.last_activity_at, last.pk)) if last else None,
    )


def latest_session_of(caller: Caller, instance: AgentInstance, end_user: str) -> UUID | None:
    """Return the conversation that this end user had last with the agent, if there is one."""
    with tenant_context(caller.account_id):
        sessions = own_sessions(caller, instance).filter(end_user=end_user)
        newest = sessions.order_by("-last_activity_at", "-id").values_list("pk", flat=True)
        found: UUID | None = newest.first()
    return found


def delete_session(caller: Caller, instance: AgentInstance, session_id: UUID) -> None:
    """Delete the conversation's texts and persons; the records of its costs are kept.

    Messages and profile are deleted, and so are the test chats made from it and the sessions of
    their runs. The session's row stays as a tombstone: without key, e-mail, meta data, member and
    end user. It keeps the rows of llm_requests with tokens, costs and times, without bodies and
    caller. Visitors and end users may delete their own conversations; a key needs the scope
    history:delete. Raises NotFound, and TurnInProgress while an answer is written.
    """
    with tenant_context(caller.account_id):
        session = find_session(caller, instance, session_id, lock=True)
        if session is not None:
            leave_tombstone(session)


def leave_tombstone(session: Session) -> None:
    """Empty the session, whose row the caller has locked, so that no turn begins meanwhile."""
    requests = LLMRequest.objects.filter(session_id=session.pk)
    if requests.running().exists():
        raise TurnInProgress
    Message.objects.filter(session_id=session.pk).delete()
    Profile.objects.filter(session_id=session.pk).delete()
    forget_copies(session)
    requests.update(
        request_body=None,
        response_body=None,
        caller="",
        idempotency_key=None,
        idempotency_hash="",
    )
    Session.objects.filter(pk=session.pk).update(
        # No cookie or token finds it again: the visitor's next message starts a new session.
        session_key=secrets.token_hex(32),
        email=None,
        meta=None,
        end_user=None,
        user=None,
        deleted_at=timezone.now(),
    )


def forget_copies(session: Session) -> None:
    """Delete the test chats made from the session, which have the same texts, and their runs."""
    SavedChat.objects.filter(session_id=session.pk).delete()
    copies = Session.objects.filter(copied_from=session.pk, deleted_at=None)
    for copy in copies.select_for_update(no_key=True):
        leave_tombstone(copy)
