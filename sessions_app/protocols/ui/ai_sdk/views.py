"""`ui-messages`, at the address of one agent."""

from __future__ import annotations

from functools import partial

from django.http import StreamingHttpResponse

from accounts.auth.decorators import ApiRequest
from accounts.limits.registry import Rates
from accounts.models import Scope
from agents.api.decorators import instance_view
from agents.models import AgentInstance
from salient.api.operations import EventStream
from sessions_app.protocols.ui.ai_sdk import conversion
from sessions_app.protocols.ui.ai_sdk.encoding import Chunks
from sessions_app.protocols.ui.ai_sdk.schemas import UIChatIn
from sessions_app.protocols.ui.ai_sdk.types import EVENTS, HEADERS
from sessions_app.protocols.ui.serving import serve
from sessions_app.turns.idempotency import with_headers
from sessions_app.turns.problems import OPENAI_PROBLEMS


@instance_view(
    "POST",
    scope=Scope.CHAT,
    rate=Rates.TURN,
    body=UIChatIn,
    answer=EventStream(EVENTS),
    problems=OPENAI_PROBLEMS,
    headers=("Idempotency-Key",),
)
async def answer(
    request: ApiRequest, instance: AgentInstance, *, body: UIChatIn
) -> StreamingHttpResponse:
    """Answer a chat of Vercel's AI SDK as a UI-message stream; its stored session goes on."""
    asked = conversion.turn_input(body)
    frames_of = partial(Chunks, conversion.continued_message(body))
    shown = conversion.shown(body, asked)
    return with_headers(await serve(request, instance, shown, asked, frames_of), HEADERS)
