"""`ui-messages`, at the address of one agent: a chat's turns, and the stream of a running one."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from uuid import UUID

from django.http import StreamingHttpResponse

from accounts.auth.decorators import ApiRequest, by_method
from accounts.limits.registry import Rates
from accounts.models import Scope
from agents.api.decorators import instance_view
from agents.models import AgentInstance
from salient.api.operations import EventStream
from sessions_app.protocols.ui.ai_sdk import conversion
from sessions_app.protocols.ui.ai_sdk.encoding import Chunks
from sessions_app.protocols.ui.ai_sdk.schemas import UIChatIn
from sessions_app.protocols.ui.ai_sdk.types import EVENTS, HEADERS
from sessions_app.protocols.ui.serving import follow, serve, stop
from sessions_app.turns.idempotency import with_headers
from sessions_app.turns.problems import OPENAI_PROBLEMS, TURN_ENDINGS


@instance_view(
    "POST",
    scope=Scope.CHAT,
    rate=Rates.TURN,
    body=UIChatIn,
    answer=EventStream(EVENTS),
    problems=OPENAI_PROBLEMS,
    headers=("Idempotency-Key",),
    answer_headers=(*HEADERS,),
)
async def answer(
    request: ApiRequest, instance: AgentInstance, *, body: UIChatIn
) -> StreamingHttpResponse:
    """Answer a chat of Vercel's AI SDK as a UI-message stream, continuing its stored session."""
    asked = conversion.turn_input(body)
    continued, shown = conversion.continued_message(body), conversion.shown(body, asked)

    def frames_of(request_id: UUID, answer_id: UUID) -> Chunks:
        return Chunks(request_id, continued or str(answer_id))

    answered = await serve(
        request, instance, shown, asked, frames_of, background=bool(body.background)
    )
    return with_headers(answered, HEADERS)


@instance_view(
    "GET",
    scope=Scope.CHAT,
    answer=EventStream(EVENTS),
    also={HTTPStatus.NO_CONTENT: None},
    problems=TURN_ENDINGS,
    answer_headers=(*HEADERS,),
)
async def resume(
    request: ApiRequest, instance: AgentInstance, thread_id: str
) -> StreamingHttpResponse | None:
    """Stream the chat's running turn from its beginning; 204 if none is running."""
    followed = await follow(request, instance, thread_id, partial(Chunks, message_id=None))
    return followed and with_headers(followed, HEADERS)


@instance_view("DELETE", scope=Scope.CHAT, status=204)
async def end(request: ApiRequest, instance: AgentInstance, thread_id: str) -> None:
    """Cancel the chat's running turn, if there is one."""
    await stop(request.caller, instance, thread_id)


running_stream = by_method(resume, end)
