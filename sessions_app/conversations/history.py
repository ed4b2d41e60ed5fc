"""Which sessions a caller may see, and the messages in them."""

from __future__ import annotations

from uuid import UUID

from django.db.models import BooleanField, Exists, ExpressionWrapper, OuterRef, Q

from accounts.auth.decorators import Caller, CallerKind
from accounts.tenancy.context import tenant_context
from agents.models import AgentInstance
from agents.runtime.errors import (
    AnswerRefused,
    ContextTooLong,
    EmptyAnswer,
    ProviderProtocol,
    ProviderRejected,
)
from salient.api.problems import Invalid, NotFound
from sessions_app.api.schemas import HistoryIn, HistoryOut, MessageOut
from sessions_app.api.session_schemas import SessionOut
from sessions_app.models import (
    LLMRequest,
    Message,
    MessageQuerySet,
    Role,
    Session,
    SessionQuerySet,
)
from sessions_app.operations.lifecycle.holds import await_placing

# A message whose turn failed with one of these is not sent to a model again: it would fail again,
# and so would every later message.
REFUSED_CODES = {
    error.code
    for error in (ContextTooLong, ProviderRejected, AnswerRefused, EmptyAnswer, ProviderProtocol)
}


def sees_account(caller: Caller) -> bool:
    """Return whether the caller sees whatever their agents' users have written."""
    return caller.kind in {CallerKind.SECRET_KEY, CallerKind.MEMBER}


def own_sessions(caller: Caller, instance: AgentInstance) -> SessionQuerySet:
    """Return the sessions with this instance that the caller may see."""
    sessions = Session.objects.of_instance(instance)
    if caller.end_user is not None:
        return sessions.filter(end_user=caller.end_user)
    if caller.is_visitor:
        return sessions.filter(session_key=caller.session_key)
    if caller.user_id is not None and caller.kind == CallerKind.STAFF:
        # Staff read other people's conversations in the admin, under a support access.
        return sessions.filter(user_id=caller.user_id)
    return sessions


def own_session(
    caller: Caller, instance: AgentInstance, session_id: UUID, *, lock: bool = False
) -> Session:
    """Return a session of this caller and instance; raises NotFound.

    `lock` keeps others from changing and deleting it until the transaction ends, and lets no legal
    hold be placed meanwhile.
    """
    sessions = named_session(caller, instance, session_id)
    if lock:
        await_placing(caller.account_id)
        sessions = sessions.select_for_update(no_key=True)
    found: Session | None = sessions.first()
    if found is None:
        raise NotFound("session")
    return found


def find_session(
    caller: Caller, instance: AgentInstance, session_id: UUID | None
) -> Session | None:
    """Return the session of this id, or without one the visitor's; raises NotFound for an id."""
    if session_id is not None:
        return own_session(caller, instance, session_id)
    return own_sessions(caller, instance).first() if caller.is_visitor else None


def named_session(caller: Caller, instance: AgentInstance, session_id: UUID) -> SessionQuerySet:
    """Return the session with this id, if the caller may see it.

    A visitor may see, besides the one session, those of threads in which they have had a turn.
    """
    if not caller.is_visitor or caller.end_user is not None:
        return own_sessions(caller, instance).filter(pk=session_id)
    had_turn = LLMRequest.objects.filter(
        account_id=OuterRef("account_id"), session_id=OuterRef("pk"), caller=caller.subject
    )
    sessions = Session.objects.of_instance(instance).filter(pk=session_id)
    return sessions.filter(Q(session_key=caller.session_key) | Exists(had_turn))


def own_turns(caller: Caller, instance: AgentInstance) -> Q:
    """Return the condition for rows of turns in sessions that the caller may see."""
    own = Q(session_id__in=own_sessions(caller, instance).values("pk"))
    return own | Q(llm_request__caller=caller.subject) if caller.is_visitor else own


def session_out(caller: Caller, session: Session) -> SessionOut:
    """Return a session as the caller may see it."""
    return SessionOut.of(session, with_metadata=sees_account(caller))


def visible_messages(session: Session, instance: AgentInstance) -> MessageQuerySet:
    """Return the user's messages and the answers of a session."""
    messages: MessageQuerySet = Message.objects.of(session, instance)
    return messages.filter(role__in=[Role.HUMAN, Role.ASSISTANT])


def read(caller: Caller, instance: AgentInstance, page: HistoryIn) -> HistoryOut:
    """Read one page of messages, which come oldest first."""
    if page.session_id is None and not caller.is_visitor:
        raise Invalid.field("session_id", "name the session whose history you want")
    with tenant_context(caller.account_id):
        session = find_session(caller, instance, page.session_id)
        if session is None:
            return HistoryOut(session_id=None, messages=[], before=None)
        rows = _page(caller, session, instance, page)
    more = len(rows) > page.limit
    shown = rows[: page.limit][::-1]
    return HistoryOut(
        session_id=session.pk,
        messages=[MessageOut.of(message) for message in shown],
        before=shown[0].pk if more else None,
    )


def refused_texts(account_id: UUID, session_id: UUID, most: int) -> set[str]:
    """Return those of the newest messages that must not be sent to a model again."""
    used_tools = Q(llm_request__response_body__has_key="tools")
    with tenant_context(account_id):
        messages = Message.objects.filter(session_id=session_id, role=Role.HUMAN).newest_first()
        rows = messages.values_list(
            "content",
            "llm_request__error_code",
            ExpressionWrapper(used_tools, output_field=BooleanField()),
        )[:most]
        # If tools were used, the model had accepted the message.
        return {text for text, code, used in rows if code in REFUSED_CODES and not used}


def _page(
    caller: Caller, session: Session, instance: AgentInstance, page: HistoryIn
) -> list[Message]:
    """Return the page and, if there are older messages, one of them."""
    # An answer that is nothing but calls of the caller's tools has no text.
    messages = visible_messages(session, instance).exclude(content="")
    if page.before is not None:
        next_newer = messages.filter(pk=page.before).first()
        if next_newer is None:
            raise NotFound("message")
        messages = messages.before(next_newer)
    rated = messages.with_rating_of(caller.subject)
    return list(rated.newest_first()[: page.limit + 1])
