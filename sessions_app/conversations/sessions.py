"""A caller's sessions: read, made, changed, and deleted with all but the records of their costs."""

from __future__ import annotations

import secrets
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone

from accounts.auth.decorators import Caller, CallerKind
from accounts.tenancy.context import tenant_context
from accounts.webhooks.log import forget_end_user
from agents.models import AgentInstance
from salient.api.problems import Forbidden
from sessions_app.api.session_schemas import (
    SessionChangeIn,
    SessionCreateIn,
    SessionOut,
    SessionStatus,
)
from sessions_app.conversations.history import own_session, own_sessions, sees_account, session_out
from sessions_app.models import (
    CompletionStatus,
    LLMRequest,
    Message,
    Profile,
    SavedChat,
    Session,
    TurnEventBatch,
)
from sessions_app.operations.lifecycle.holds import require_free
from sessions_app.turns.problems import TurnInProgress


def read_session(caller: Caller, instance: AgentInstance, session_id: UUID) -> SessionOut:
    """Return one session of the caller's; raises NotFound."""
    with tenant_context(caller.account_id):
        session = own_session(caller, instance, session_id)
    return session_out(caller, session)


def has_session(account_id: UUID, instance_id: UUID, session_key: str) -> bool:
    """Return whether the agent has a session with this stored key."""
    with tenant_context(account_id):
        found = Session.objects.filter(account_id=account_id, session_key=session_key)
        return found.filter(agent_instance_id=instance_id).exists()


def create_session(caller: Caller, instance: AgentInstance, wanted: SessionCreateIn) -> SessionOut:
    """Begin a session without a message.

    Raises Forbidden for those whose first message begins their session, and for fields that are
    not theirs to set.
    """
    if caller.kind in {CallerKind.VISITOR, CallerKind.STAFF}:
        raise Forbidden("Here the first message begins the conversation.")
    if wanted.end_user is not None and caller.kind != CallerKind.SECRET_KEY:
        raise Forbidden("Only a key says whose conversation it is (end_user).")
    _require_metadata_right(caller, wanted.model_fields_set)
    end_user = caller.end_user or wanted.end_user
    with tenant_context(caller.account_id):
        made = new_session(
            caller,
            instance,
            end_user=end_user,
            is_anonymous=end_user is None,
            title=wanted.title,
            meta=wanted.metadata,
        )
    return session_out(caller, made)


def new_session(caller: Caller, instance: AgentInstance, **fields: Any) -> Session:
    """Store a session with a new random key; call it inside the account's context."""
    return Session.objects.create(
        account_id=caller.account_id,
        account_slug=caller.account_slug,
        agent_instance_id=instance.pk,
        agent_instance_slug=instance.instance_slug,
        session_key=secrets.token_hex(32),
        **fields,
    )


def change_session(
    caller: Caller, instance: AgentInstance, session_id: UUID, wanted: SessionChangeIn
) -> SessionOut:
    """Rename, annotate, close or reopen a session.

    A turn that runs when its session is closed goes on to its end. Raises NotFound, Forbidden
    where visitors and end users may not, and Held where a hold keeps the title or metadata.
    """
    names = wanted.model_fields_set
    _require_metadata_right(caller, names)
    with tenant_context(caller.account_id):
        session = own_session(caller, instance, session_id, lock=True)
        before = session.title, session.meta
        if "title" in names:
            session.title = wanted.title
        if "metadata" in names:
            session.meta = wanted.metadata
        after = session.title, session.meta
        if any(old is not None and old != new for old, new in zip(before, after, strict=True)):
            require_free(session)
        if "status" in names:
            _set_status(caller, session, wanted.status)
        session.save(update_fields=["title", "meta", "closed_at", "updated_at"])
    return session_out(caller, session)


def _require_metadata_right(caller: Caller, names: set[str]) -> None:
    if "metadata" in names and not sees_account(caller):
        raise Forbidden("Metadata are the account's own: its keys and members set them.")


def _set_status(caller: Caller, session: Session, status: SessionStatus) -> None:
    if status is SessionStatus.CLOSED:
        session.closed_at = session.closed_at or timezone.now()
    elif session.closed_at is not None:
        if not sees_account(caller):
            raise Forbidden("Only the account's keys and members reopen a conversation.")
        session.closed_at = None


def latest_session_of(caller: Caller, instance: AgentInstance, end_user: str) -> UUID | None:
    """Return the conversation that this end user had last with the agent, if one is open."""
    with tenant_context(caller.account_id):
        sessions = own_sessions(caller, instance).filter(end_user=end_user, closed_at=None)
        newest = sessions.order_by("-last_activity_at", "-id").values_list("pk", flat=True)
        return newest.first()


def delete_session(caller: Caller, instance: AgentInstance, session_id: UUID) -> None:
    """Delete the conversation's texts and persons; the records of its costs are kept.

    Messages and profile are deleted, and so are the test chats made from it and the sessions of
    their runs. The session's row stays as a tombstone: without key, e-mail, meta data, member and
    end user. It keeps the rows of llm_requests with tokens, costs and times, without bodies and
    caller. Visitors and end users may delete their own conversations; a key needs the scope
    history:delete. Raises NotFound, Held, and TurnInProgress while an answer is written.
    """
    with tenant_context(caller.account_id):
        leave_tombstone(own_session(caller, instance, session_id, lock=True))


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


def leave_tombstone(session: Session) -> None:
    """Empty the session, whose row the caller has locked, so that no turn begins meanwhile.

    The caller has called `await_placing` before. Raises TurnInProgress, and Held where a legal hold
    covers it.
    """
    requests = LLMRequest.objects.filter(session_id=session.pk)
    if requests.running().exists():
        raise TurnInProgress
    require_free(session)
    Message.objects.filter(session_id=session.pk).delete()
    Profile.objects.filter(session_id=session.pk).delete()
    forget_copies(session)
    forget_bodies(requests)
    Session.objects.filter(pk=session.pk).update(
        # No cookie or token finds it again: the visitor's next message starts a new session.
        session_key=secrets.token_hex(32),
        email=None,
        title=None,
        meta=None,
        closed_at=None,
        end_user=None,
        user=None,
        deleted_at=timezone.now(),
    )
    forget_end_user(session.account_id, session.pk)


def forget_bodies(requests: QuerySet[LLMRequest]) -> None:
    """Empty what requests hold of their callers; tokens, costs and times are kept."""
    TurnEventBatch.objects.filter(llm_request_id__in=requests.values("pk")).delete()
    requests.update(
        request_body=None,
        response_body=None,
        caller="",
        idempotency_key=None,
        idempotency_hash="",
    )


def forget_copies(session: Session) -> None:
    """Delete the test chats made from the session, which have the same texts, and their runs."""
    SavedChat.objects.filter(session_id=session.pk).delete()
    copies = Session.objects.filter(
        account_id=session.account_id, copied_from=session.pk, deleted_at=None
    )
    for copy in copies.select_for_update(no_key=True):
        leave_tombstone(copy)
