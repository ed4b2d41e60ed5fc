"""Exports one session as JSON or Markdown, page by page: of any length, in constant memory."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from uuid import UUID

from django.core.exceptions import RequestAborted

from accounts.audit.notes import note_callers_export
from accounts.auth.caller import Caller
from accounts.auth.revocation import AccessEnded, still_admitted
from accounts.models import Scope
from accounts.tenancy.context import tenant_context
from agents.models import AgentInstance
from salient.api.problems import Problem
from salient.cursor import Cursor
from salient.database import in_database
from salient.formatting import utc
from sessions_app.api.session_schemas import (
    ExportFormat,
    MessagesIn,
    MessagesOut,
    Order,
    SessionMessageOut,
    SessionOut,
)
from sessions_app.conversations.history import own_session, session_out
from sessions_app.conversations.messages import read_messages
from sessions_app.models import Session

logger = logging.getLogger(__name__)

MESSAGES_PER_PAGE = 200
CONTENT_TYPES = {
    ExportFormat.JSON: "application/json",
    ExportFormat.MARKDOWN: "text/markdown; charset=utf-8",
}
SUFFIXES = {ExportFormat.JSON: "json", ExportFormat.MARKDOWN: "md"}


def begin_export(
    caller: Caller, instance: AgentInstance, session_id: UUID, form: ExportFormat
) -> SessionOut:
    """Note the export in the audit log; return the session. Raises NotFound."""
    with tenant_context(caller.account_id):
        session = own_session(caller, instance, session_id)
        note_callers_export(
            caller,
            Session._meta.db_table,
            {"format": form.value},
            object_id=str(session.pk),
            name="Export",
        )
    return session_out(caller, session)


async def written(
    caller: Caller, instance: AgentInstance, session: SessionOut, form: ExportFormat
) -> AsyncGenerator[bytes]:
    """Write the session and then its messages, the oldest first.

    Raises RequestAborted when the session is deleted meanwhile, or the caller may no longer read
    it: the connection then breaks, so that nobody takes a part for the whole.
    """
    is_json = form is ExportFormat.JSON
    if is_json:
        yield f'{{"session": {session.model_dump_json()},\n"messages": ['.encode()
    else:
        yield _markdown_head(session)
    page, is_first = MessagesIn(order=Order.OLDEST_FIRST, limit=MESSAGES_PER_PAGE), True
    while True:
        try:
            found = await in_database(_read, caller, instance, session.id, page)
        except Problem as problem:
            logger.info("An export of session %s was broken off: %s", session.id, problem.code)
            raise RequestAborted from problem
        for message in found.data:
            if is_json:
                begin = b"\n" if is_first else b",\n"
                yield begin + message.model_dump_json().encode()
            else:
                yield _markdown(message)
            is_first = False
        if found.next_cursor is None:
            break
        page = page.model_copy(update={"cursor": Cursor.read(found.next_cursor)})
    if is_json:
        yield b"\n]}\n"


def _read(
    caller: Caller, instance: AgentInstance, session_id: UUID, page: MessagesIn
) -> MessagesOut:
    """Read a page; after the first one, the caller may have lost the right to it."""
    if page.cursor is not None and not still_admitted(caller, Scope.HISTORY_READ):
        raise AccessEnded
    return read_messages(caller, instance, session_id, page)


def _markdown_head(session: SessionOut) -> bytes:
    lines = [
        f"# {_plain(session.title or 'Conversation')}",
        "",
        f"- id: `{session.id}`",
        f"- created: {utc(session.created_at)}",
        f"- last active: {utc(session.last_activity_at)}",
        f"- status: {session.status.value}",
    ]
    if session.end_user is not None:
        lines.append(f"- end user: {_plain(session.end_user)}")
    for name, value in (session.metadata or {}).items():
        lines.append(f"- {_plain(name)}: {_plain(str(value))}")
    return ("\n".join(lines) + "\n").encode()


def _markdown(message: SessionMessageOut) -> bytes:
    """Write a message as a quotation, so that no text looks like a message of its own."""
    who = "User" if message.role == "user" else "Assistant"
    quoted = "\n".join(f"> {line}".rstrip() for line in message.content.splitlines()) or ">"
    return f"\n**{who}**, {utc(message.created_at)}\n\n{quoted}\n".encode()


def _plain(text: str) -> str:
    """Write a text in one line that Markdown shows as it is."""
    shown = " ".join(text.split())
    return "".join(f"\\{sign}" if sign in "\\`*_{}[]<>()#+-.!|~" else sign for sign in shown)
