"""Sessions as resources: listed, made, read, changed, deleted, exported; and their messages."""

from __future__ import annotations

from http import HTTPStatus

from django.http import HttpResponse, StreamingHttpResponse

from accounts.auth.decorators import ApiRequest, by_method
from accounts.models import Scope
from agents.api.decorators import instance_view
from agents.models import AgentInstance
from salient.api.schemas import path_uuid
from salient.database import in_database
from sessions_app.api.session_schemas import (
    ExportIn,
    MessagesIn,
    SessionChangeIn,
    SessionCreateIn,
    SessionsIn,
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
from sessions_app.turns.idempotency import with_headers


# openapi: answer=SessionsOut
@instance_view("GET", scope=Scope.HISTORY_READ, query=SessionsIn)
async def _list(request: ApiRequest, instance: AgentInstance) -> HttpResponse:
    """List the caller's sessions, the most recently active first."""
    page = SessionsIn.of_query(request)
    found = await in_database(list_sessions, request.caller, instance, page)
    return found.as_response()


# openapi: body=SessionCreateIn, answer=SessionOut, status=201, problems=(RateLimited,)
@instance_view("POST", scope=Scope.CHAT)
async def _create(request: ApiRequest, instance: AgentInstance) -> HttpResponse:
    """Begin a session without a message."""
    wanted = SessionCreateIn.of_body(request, may_be_empty=True)
    made, headers = await in_database(create_session, request.caller, instance, wanted)
    response = with_headers(made.as_response(), headers)
    response.status_code = HTTPStatus.CREATED
    return response


# openapi: answer=SessionOut
@instance_view("GET", scope=Scope.HISTORY_READ)
async def _read(request: ApiRequest, instance: AgentInstance, session_id: str) -> HttpResponse:
    """Return one session."""
    wanted = path_uuid(session_id, "session")
    found = await in_database(read_session, request.caller, instance, wanted)
    return found.as_response()


# openapi: body=SessionChangeIn, answer=SessionOut, problems=(RateLimited,)
@instance_view("PATCH", scope=Scope.CHAT)
async def _change(request: ApiRequest, instance: AgentInstance, session_id: str) -> HttpResponse:
    """Rename, annotate, close or reopen a session."""
    wanted = path_uuid(session_id, "session")
    change = SessionChangeIn.of_body(request)
    changed, headers = await in_database(change_session, request.caller, instance, wanted, change)
    return with_headers(changed.as_response(), headers)


# openapi: status=204, problems=(TurnInProgress,)
@instance_view("DELETE", scope=Scope.HISTORY_DELETE)
async def _delete(request: ApiRequest, instance: AgentInstance, session_id: str) -> HttpResponse:
    """Delete one session."""
    wanted = path_uuid(session_id, "session")
    await in_database(delete_session, request.caller, instance, wanted)
    return HttpResponse(status=HTTPStatus.NO_CONTENT)


# openapi: answer=MessagesOut
@instance_view("GET", scope=Scope.HISTORY_READ, query=MessagesIn)
async def session_messages(
    request: ApiRequest, instance: AgentInstance, session_id: str
) -> HttpResponse:
    """Return a page of a session's messages, each answer with how its turn ended."""
    wanted = path_uuid(session_id, "session")
    page = MessagesIn.of_query(request)
    found = await in_database(read_messages, request.caller, instance, wanted, page)
    return found.as_response()


# openapi: answer=a file (application/json or text/markdown), problems=(RateLimited,)
@instance_view("GET", scope=Scope.HISTORY_READ, query=ExportIn)
async def session_export(
    request: ApiRequest, instance: AgentInstance, session_id: str
) -> StreamingHttpResponse:
    """Export a session with all of its messages, as JSON or Markdown."""
    wanted = path_uuid(session_id, "session")
    form = ExportIn.of_query(request).format
    session, headers = await in_database(
        export.begin_export, request.caller, instance, wanted, form
    )
    name = f"session-{session.id}.{export.SUFFIXES[form]}"
    return StreamingHttpResponse(
        export.written(request.caller, instance, session, form),
        content_type=export.CONTENT_TYPES[form],
        headers=headers | {"Content-Disposition": f'attachment; filename="{name}"'},
    )


all_sessions = by_method(_list, _create)
one_session = by_method(_read, _change, _delete)
