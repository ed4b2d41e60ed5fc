"""Telling what one thinks of an answer."""

from __future__ import annotations

from django.http import HttpResponse

from accounts.auth.decorators import ApiRequest
from accounts.models import Scope
from agents.api.decorators import instance_view
from agents.models import AgentInstance
from salient.api.schemas import path_uuid
from salient.database import in_database
from sessions_app.api.schemas import FeedbackIn
from sessions_app.conversations import feedback
from sessions_app.turns.idempotency import with_headers


@instance_view("POST", scope=Scope.CHAT)
async def message_feedback(
    request: ApiRequest, instance: AgentInstance, message_id: str
) -> HttpResponse:
    """Keep, change or take back the caller's thumb."""
    wanted = path_uuid(message_id)
    given = FeedbackIn.of_body(request)
    kept, headers = await in_database(feedback.give, request.caller, instance, wanted, given)
    return with_headers(kept.as_response(), headers)
