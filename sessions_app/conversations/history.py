"""Whose session it is, and what was said in it."""

from __future__ import annotations

from uuid import UUID

from django.db.models import BooleanField, ExpressionWrapper, Q

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
from sessions_app.models import Message, Role, Session, SessionQuerySet

# A message whose turn failed in these ways is not sent again: it would fail again, and with it each
# message that comes after it.
REFUSED_CODES = {
    error.code
    for error in (ContextTooLong, ProviderRejected, AnswerRefused, EmptyAnswer, ProviderProtocol)
}


def own_sessions(caller: Caller, instance: AgentInstance) -> SessionQuerySet:
    """Return the conversations with this instance that are the caller's to see."""
    sessions = Session.objects.of_instance(instance)
    if caller.end_user is not None:
        return sessions.filter(end_user=caller.end_user)
    if caller.is_visitor:
        return sessions.filter(session_key=caller.session_key)
    if caller.user_id is not None and caller.kind == CallerKind.STAFF:
        # What others said is behind the support access, in the admin.
        return sessions.filter(user_id=caller.user_id)
    return sessions


def find_session(
    caller: Caller, instance: AgentInstance, session_id: UUID | None, *, lock: bool = False
) -> Session | None:
    """Return the session that the caller means; None when the caller starts a new one.

    A visitor means its one session. An end user or a key names one, or starts a new one. Raises
    NotFound for a session that is not the caller's, not this instance's, or not there. With `lock`
    nobody deletes it meanwhile.
    """
    sessions = own_sessions(caller, instance)
    if lock:
        sessions = sessions.select_for_update(no_key=True)
    if session_id is None:
        return sessions.first() if caller.is_visitor else None
    found: Session | None = sessions.filter(pk=session_id).first()
    if found is None:
        raise NotFound
    return found


def read(caller: Caller, instance: AgentInstance, page: HistoryIn) -> HistoryOut:
    """Read one page, newest messages first off the index, given oldest first."""
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
    """Read which of the newest messages must not be sent to a model again."""
    used_tools = Q(llm_request__response_body__has_key="tools")
    with tenant_context(account_id):
        said = Message.objects.filter(session_id=session_id, role=Role.HUMAN).newest_first()
        rows = said.values_list(
            "content",
            "llm_request__error_code",
            ExpressionWrapper(used_tools, output_field=BooleanField()),
        )[:most]
        # Where tools were used, the model had accepted the message itself.
        return {text for text, code, used in rows if code in REFUSED_CODES and not used}


def _page(
    caller: Caller, session: Session, instance: AgentInstance, page: HistoryIn
) -> list[Message]:
    """Return one message more than the page holds: its presence says that there is another page."""
    messages = Message.objects.of(session, instance).filter(role__in=[Role.HUMAN, Role.ASSISTANT])
    if page.before is not None:
        mark = messages.filter(pk=page.before).first()
        if mark is None:
            raise NotFound
        messages = messages.before(mark)
    shown = messages.with_thumb_of(caller.subject)
    return list(shown.newest_first()[: page.limit + 1])
