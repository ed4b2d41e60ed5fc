"""Sessions as resources: listed, made, read, changed, deleted, exported; and their messages."""

from __future__ import annotations

from http import HTTPStatus

from django.http import StreamingHttpResponse

from accounts.auth.decorators import ApiRequest, by_method
from accounts.limits.registry import Rates
from accounts.models import Scope
from agents.api.decorators import instance_view
from agents.models import AgentInstance
from salient.api.operations import Text
from salient.api.schemas import path_uuid
from salient.database import in_database
from sessions_app.api.session_schemas import (
    ExportIn,
    ExportOut,
    MessagesIn,
    MessagesOut,
    SessionChangeIn,
    SessionCreateIn,
    SessionOut,
    SessionsIn,
    SessionsOut,
)
from sessions_app.conversations import export
from sessions_app.conversations.messages import read_messages
from sessions_app.conversations.session_list import list_sessions
from sessions_app.conversations.sessions import (
    change_session,
    create_session,
    delete_session,
    read_session,
)
from sessions_app.operations.lifecycle.holds import Held
from sessions_app.turns.problems import TurnInProgress


@instance_view("GET", scope=Scope.HISTORY_READ, query=SessionsIn, answer=SessionsOut)
async def session_list(
    request: ApiRequest, instance: AgentInstance, *, query: SessionsIn
) -> SessionsOut:
    """List the caller's sessions, most recently active first."""
    return await in_database(list_sessions, request.caller, instance, query)


@instance_view(
    "POST",
    scope=Scope.CHAT,
    body=SessionCreateIn,
    answer=SessionOut,
    status=HTTPStatus.CREATED,
)
async def session_create(
    request: ApiRequest, instance: AgentInstance, *, body: SessionCreateIn
) -> SessionOut:
    """Begin a session without a message."""
    return await in_database(create_session, request.caller, instance, body)


@instance_view("GET", scope=Scope.HISTORY_READ, answer=SessionOut)
async def session_read(request: ApiRequest, instance: AgentInstance, session_id: str) -> SessionOut:
    """Return one session."""
    wanted = path_uuid(session_id, "session")
    return await in_database(read_session, request.caller, instance, wanted)


@instance_view(
    "PATCH",
    scope=Scope.CHAT,
    body=SessionChangeIn,
    answer=SessionOut,
    problems=(Held,),
)
async def session_change(
    request: ApiRequest, instance: AgentInstance, session_id: str, *, body: SessionChangeIn
) -> SessionOut:
    """Rename, annotate, close or reopen a session."""
    wanted = path_uuid(session_id, "session")
    return await in_database(change_session, request.caller, instance, wanted, body)


@instance_view(
    "DELETE",
    scope=Scope.HISTORY_DELETE,
    status=HTTPStatus.NO_CONTENT,
    problems=(TurnInProgress, Held),
)
async def session_delete(request: ApiRequest, instance: AgentInstance, session_id: str) -> None:
    """Delete one session."""
    wanted = path_uuid(session_id, "session")
    await in_database(delete_session, request.caller, instance, wanted)


@instance_view("GET", scope=Scope.HISTORY_READ, query=MessagesIn, answer=MessagesOut)
async def session_messages(
    request: ApiRequest, instance: AgentInstance, session_id: str, *, query: MessagesIn
) -> MessagesOut:
    """Return a page of a session's messages, each answer with its turn's result."""
    wanted = path_uuid(session_id, "session")
    return await in_database(read_messages, request.caller, instance, wanted, query)


@instance_view(
    "GET",
    scope=Scope.HISTORY_READ,
    rate=Rates.HEAVY,
    query=ExportIn,
    answer=(ExportOut, Text("text/markdown")),
    answer_headers=("Content-Disposition",),
)
async def session_export(
    request: ApiRequest, instance: AgentInstance, session_id: str, *, query: ExportIn
) -> StreamingHttpResponse:
    """Export a session with all of its messages, as JSON or Markdown."""
    wanted, form = path_uuid(session_id, "session"), query.format
    session = await in_database(export.begin_export, request.caller, instance, wanted, form)
    name = f"session-{session.id}.{export.SUFFIXES[form]}"
    return StreamingHttpResponse(
        export.written(request.caller, instance, session, form),
        content_type=export.CONTENT_TYPES[form],
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


all_sessions = by_method(session_list, session_create)
one_session = by_method(session_read, session_change, session_delete)
