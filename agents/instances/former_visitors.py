"""Visitors of the application before Salient: its cookie still stands for their conversation.

Off unless `FORMER_SESSION_COOKIE` names the cookie. Its value is the session's key in plain text,
of which the database has the hash, as of all keys; so it works also when the old tables are gone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest

from accounts.auth import visitor_tokens
from agents.models import AgentInstance
from salient.database import in_database

# A key of the old application had 32 characters or more; one that is guessed has fewer.
SHORTEST: Final = 16

type HasSession = Callable[[UUID, UUID, str], bool]
_has_session: list[HasSession] = []


def register_look_up(has_session: HasSession) -> None:
    """Ask this function whether an agent of an account has the session with this stored key."""
    if has_session not in _has_session:
        _has_session.append(has_session)


async def former_visitor(request: HttpRequest, instance: AgentInstance) -> str | None:
    """Return the cookie's value where it belongs to a conversation with this agent."""
    if not settings.FORMER_SESSION_COOKIE:
        return None
    value: str = request.COOKIES.get(settings.FORMER_SESSION_COOKIE, "")
    if len(value) < SHORTEST:
        return None
    key = visitor_tokens.stored_key(value)
    for has_session in _has_session:
        if await in_database(has_session, instance.account_id, instance.pk, key):
            return value
    return None
