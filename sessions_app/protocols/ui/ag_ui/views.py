"""`ag-ui`, at the address of one agent."""

from __future__ import annotations

from functools import partial

from django.http import StreamingHttpResponse

from accounts.auth.decorators import ApiRequest
from accounts.limits.registry import Rates
from accounts.models import Scope
from agents.api.decorators import instance_view
from agents.models import AgentInstance
from salient.api.operations import EventStream
from sessions_app.protocols.openai.conversion import UnsupportedParameter
from sessions_app.protocols.ui.ag_ui import conversion
from sessions_app.protocols.ui.ag_ui.encoding import RunEvents
from sessions_app.protocols.ui.ag_ui.schemas import RunIn
from sessions_app.protocols.ui.ag_ui.types import EVENTS
from sessions_app.protocols.ui.serving import serve
from sessions_app.turns.problems import OPENAI_PROBLEMS


@instance_view(
    "POST",
    scope=Scope.CHAT,
    rate=Rates.TURN,
    body=RunIn,
    answer=EventStream(EVENTS),
    problems=(*OPENAI_PROBLEMS, UnsupportedParameter),
    headers=("Idempotency-Key",),
)
async def run(
    request: ApiRequest, instance: AgentInstance, *, body: RunIn
) -> StreamingHttpResponse:
    """Run the agent for a client of AG-UI, continuing the thread's stored session."""
    asked = conversion.turn_input(body)
    frames_of = partial(RunEvents, body.thread_id, body.run_id)
    return await serve(request, instance, conversion.shown(body, asked), asked, frames_of)
