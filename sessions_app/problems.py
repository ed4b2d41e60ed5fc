"""How a model's failure is told to the caller."""

from __future__ import annotations

from http import HTTPStatus
from math import ceil
from uuid import UUID

from agents.runtime.errors import RunError
from salient.problems import Problem


class TurnInProgress(Problem):
    """A session has one turn at a time, and a key one call."""

    status = HTTPStatus.CONFLICT
    code = "turn_in_progress"

    def __init__(self) -> None:
        super().__init__(
            "The turn before this one is still being answered.", headers={"Retry-After": "1"}
        )


class IdempotencyKeyReused(Problem):
    """As draft-ietf-httpapi-idempotency-key-header has it: 422, not 409."""

    status = HTTPStatus.UNPROCESSABLE_CONTENT
    code = "idempotency_key_reused"

    def __init__(self) -> None:
        super().__init__("This Idempotency-Key came with another message before; use a new one.")


class TurnAbandoned(Problem):
    """A replayed turn whose server died; its message is stored, and what was set aside counts."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "abandoned"

    def __init__(self) -> None:
        super().__init__(
            "The server that answered this turn ended before the answer was complete. The message "
            "is stored, and the turn may have been paid for; a new message goes on."
        )


class ProviderFailed(Problem):
    """The model did not answer. The user's message is kept, and what came of the answer."""

    status = HTTPStatus.BAD_GATEWAY


class ProviderTimedOut(ProviderFailed):
    status = HTTPStatus.GATEWAY_TIMEOUT


class ProviderBusy(ProviderFailed):
    status = HTTPStatus.SERVICE_UNAVAILABLE


class TooLongForModel(ProviderFailed):
    status = HTTPStatus.BAD_REQUEST


_KINDS: dict[str, type[ProviderFailed]] = {
    "provider_timeout": ProviderTimedOut,
    "provider_rate_limited": ProviderBusy,
    "context_too_long": TooLongForModel,
}


def provider_problem(error: RunError, session_id: UUID, request_id: UUID) -> ProviderFailed:
    """Map the error by its code; nothing that the provider wrote is in it."""
    retry_after = getattr(error, "retry_after", None)
    headers = {} if retry_after is None else {"Retry-After": str(ceil(retry_after))}
    problem = _KINDS.get(error.code, ProviderFailed)(
        error.safe,
        headers=headers,
        session_id=str(session_id),
        llm_request_id=str(request_id),
    )
    problem.code = error.code
    return problem
