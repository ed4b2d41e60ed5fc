"""Telling what one thinks of an answer."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse

from accounts.auth import ApiRequest
from accounts.models import Scope
from agents.access import instance_view
from agents.models import AgentInstance
from salient.database import in_database
from salient.problems import NotFound
from sessions_app import feedback
from sessions_app.idempotency import with_headers
from sessions_app.schemas import FeedbackIn


@instance_view("POST", scope=Scope.CHAT)
async def message_feedback(
    request: ApiRequest, instance: AgentInstance, message_id: str
) -> HttpResponse:
    """Keep, change or take back the caller's thumb."""
    try:
        wanted = UUID(message_id)
    except ValueError:
        raise NotFound from None
    given = FeedbackIn.of_body(request)
    kept, headers = await in_database(feedback.give, request.caller, instance, wanted, given)
    return with_headers(kept.as_response(), headers)
