"""What the endpoints for OpenAI's clients share: their agents, their answers, their streams."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from http import HTTPStatus

from django.http import HttpResponse

from accounts.auth.caller import Caller
from agents.api.decorators import find_instance
from agents.models import AgentInstance
from agents.runtime.events import Event
from salient.api.problems import NotFound, Problem
from sessions_app.protocols.openai.encoding import Begun
from sessions_app.turns import sse
from sessions_app.turns import turn as turns
from sessions_app.turns.idempotency import with_headers


class ModelNotFound(Problem):
    """No agent of this name that the caller may use."""

    status = HTTPStatus.NOT_FOUND
    code = "model_not_found"
    extensions = {"param": str}

    def __init__(self) -> None:
        super().__init__(
            "There is no such model here: `model` is the slug of an agent that this key may use.",
            param="model",
        )


async def find_model(caller: Caller, model: str) -> AgentInstance:
    """Return the agent that an account's client names as its model; raises ModelNotFound."""
    try:
        return await find_instance(caller, model)
    except NotFound:
        raise ModelNotFound from None


class BegunStream(sse.TurnStream):
    """The frames of a turn that has begun already: closing them unread ends its events too."""

    def __init__(
        self, turn: turns.Turn, frames: AsyncGenerator[bytes], events: AsyncGenerator[Event]
    ) -> None:
        super().__init__(turn, frames)
        self._events = events

    async def aclose(self) -> None:
        await super().aclose()
        await self._events.aclose()


async def begun(turn: turns.Turn, events: AsyncGenerator[Event]) -> Begun:
    """Wait for the first event: what fails before it is an answer with its own status."""
    try:
        return Begun(events, await anext(events, None))
    except BaseException:
        await events.aclose()
        await turns.leave(turn)
        raise


def as_json(content: bytes, headers: dict[str, str]) -> HttpResponse:
    return with_headers(HttpResponse(content, content_type="application/json"), headers)
