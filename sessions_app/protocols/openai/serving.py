"""What the endpoints for OpenAI's clients share: their agents and their answers."""

from __future__ import annotations

from http import HTTPStatus

from django.http import HttpResponse

from accounts.auth.caller import Caller
from accounts.tenancy.renames.moved import Moved
from agents.api.decorators import find_instance
from agents.models import AgentInstance
from salient.api.problems import NotFound, Problem
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
    except Moved as moved:
        # The agent's name stands in the body, where no address leads on.
        return await find_instance(caller, moved.names["instance"])
    except NotFound:
        raise ModelNotFound from None


def as_json(content: bytes, headers: dict[str, str]) -> HttpResponse:
    return with_headers(HttpResponse(content, content_type="application/json"), headers)
