"""The errors of a turn that was refused, failed or could not be stored."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from math import ceil
from uuid import UUID

from django.conf import settings

from accounts.auth.caller import Caller
from accounts.auth.revocation import AccessEnded, ServerStopping, TimeOver
from accounts.limits.quotas import SEES_AMOUNTS, BudgetExceeded, RateLimited, TooManyTurns
from agents.config.files import PRICES_FILE
from agents.config.versions.current import AgentMisconfigured
from agents.connections.revocation import AgentDeactivated, ConnectionChanged
from agents.costs.estimate import unpriced
from agents.costs.own_prices import own_prices
from agents.runtime.errors import RUN_ERRORS, RunError
from agents.runtime.run import RunRequest
from salient.api.problems import Problem
from salient.formatting import dollars

# A problem of a turn that has rows names them.
OF_A_TURN = {"session_id": UUID, "llm_request_id": UUID}


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


class DraftGone(Problem):
    status = HTTPStatus.CONFLICT
    code = "draft_gone"

    def __init__(self) -> None:
        super().__init__("The draft was published or discarded meanwhile; reload the page.")


class AnswerNotStored(Problem):
    """The database refused to store this answer; the cost of the call is settled."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR
    code = "answer_not_stored"
    extensions = OF_A_TURN

    def __init__(self, session_id: UUID, request_id: UUID) -> None:
        super().__init__(
            "The model has answered, but the answer could not be stored. The call counts. "
            "The session goes on without the answer.",
            session_id=str(session_id),
            llm_request_id=str(request_id),
        )


class SettlementDelayed(Problem):
    """The model was called, and then the database did not answer.

    Without Retry-After: a client that sends the message again may pay for it twice.
    """

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "settlement_delayed"
    extensions = OF_A_TURN

    def __init__(self, session_id: UUID, request_id: UUID) -> None:
        super().__init__(
            "The model was called, but the database does not answer: nothing is stored yet, and "
            "the call may already count. Do not send the message again without an "
            "Idempotency-Key; look at the session's history first.",
            session_id=str(session_id),
            llm_request_id=str(request_id),
        )


def with_unknown_price(problem: BudgetExceeded, caller: Caller, run: RunRequest) -> BudgetExceeded:
    """Add to a refusal that a price is unknown, for callers who may know and can set one."""
    models = unpriced(run, own_prices(caller.account_slug))
    if not models or caller.kind not in SEES_AMOUNTS:
        return problem
    assumed = dollars(settings.UNKNOWN_PRICE_PER_MTOK)
    return BudgetExceeded(
        f"{problem.detail} The price of {', '.join(models)} is unknown: ${assumed} for a million "
        f"tokens is assumed. Set the price in {caller.account_slug}/{PRICES_FILE}, or raise the "
        "budget.",
        headers=problem.headers,
        **problem.members,
        unpriced_models=models,
    )


class TurnAbandoned(Problem):
    """A replayed turn whose server died; its message is stored, and its reservation counts."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "abandoned"
    extensions = OF_A_TURN

    def __init__(self) -> None:
        super().__init__(
            "The server that answered this turn ended before the answer was complete. The message "
            "is stored, and the turn may have been paid for; a new message goes on."
        )


class ProviderFailed(Problem):
    """The model did not answer in full; the message and what came of the answer are stored."""

    status = HTTPStatus.BAD_GATEWAY
    extensions = OF_A_TURN

    @classmethod
    def codes(cls) -> Sequence[str]:
        """Return the codes of the runtime's errors that become this problem."""
        return [code for code in RUN_ERRORS if _KINDS.get(code, ProviderFailed) is cls]


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


# How a turn may be refused, or end before its answer is whole.
TURN_PROBLEMS: tuple[type[Problem], ...] = (
    RateLimited,
    TooManyTurns,
    BudgetExceeded,
    TurnInProgress,
    IdempotencyKeyReused,
    DraftGone,
    AgentMisconfigured,
    ProviderFailed,
    ProviderTimedOut,
    ProviderBusy,
    TooLongForModel,
    AccessEnded,
    AgentDeactivated,
    ConnectionChanged,
    TimeOver,
    ServerStopping,
    TurnAbandoned,
    AnswerNotStored,
    SettlementDelayed,
)
