"""The errors of a turn that was refused, failed or could not be stored."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from math import ceil
from uuid import UUID

from django.conf import settings

from accounts.auth.caller import Caller
from accounts.auth.revocation import AccessEnded, Interrupted, ServerStopping, TimeOver
from accounts.limits.quotas import SEES_AMOUNTS, BudgetExceeded, RateLimited, TooManyTurns
from agents.config.files import PRICES_FILE
from agents.config.shown import SEES_ALL, shown_by
from agents.config.versions.current import AgentMisconfigured, CurrentConfig
from agents.connections.revocation import AgentDeactivated, ConnectionChanged
from agents.costs.estimate import unpriced
from agents.costs.own_prices import own_prices
from agents.models import AgentInstance
from agents.runtime.errors import RUN_ERRORS, RunError
from agents.runtime.run import RunRequest
from salient.api.problems import Problem, first_paragraph
from salient.formatting import dollars

# A problem of a turn that has rows names them.
OF_A_TURN = {"session_id": UUID, "llm_request_id": UUID}


class TurnInProgress(Problem):
    """The message before this one, or the same one, is still being answered. Of the same one, known
    by its `Idempotency-Key`, `llm_request_id` names the turn.
    """

    status = HTTPStatus.CONFLICT
    code = "turn_in_progress"
    extensions = {"llm_request_id": UUID}

    def __init__(self, request_id: UUID | None = None) -> None:
        self.request_id = request_id
        named = {} if request_id is None else {"llm_request_id": str(request_id)}
        super().__init__(
            "The turn before this one is still being answered.",
            headers={"Retry-After": "1"},
            **named,
        )


class TurnCancelled(Interrupted):
    """The turn was cancelled while the answer ran; the received part is stored.

    What to do: nothing: the caller asked for it.
    """

    status = HTTPStatus.CONFLICT
    code = "turn_cancelled"

    def __init__(self) -> None:
        super().__init__("The turn was cancelled; what came until then is stored.")


class SessionClosed(Problem):
    """The conversation takes no more messages."""

    status = HTTPStatus.CONFLICT
    code = "session_closed"

    def __init__(self) -> None:
        super().__init__("This conversation is closed; begin a new one.")


class IdempotencyKeyReused(Problem):
    """The `Idempotency-Key` came with another message before."""

    status = HTTPStatus.UNPROCESSABLE_CONTENT
    code = "idempotency_key_reused"

    def __init__(self) -> None:
        super().__init__("This Idempotency-Key came with another message before; use a new one.")


class NotOffered(Problem):
    """The agent's configuration does not let callers add this; `param` is what they sent."""

    extensions = {"param": str}

    def __init__(self, detail: str, param: str) -> None:
        super().__init__(detail, param=param)


class InstructionsRefused(NotOffered):
    """Messages with the role `system` or `developer`, and the agent takes none from callers."""

    code = "instructions_refused"

    def __init__(self, param: str = "instructions") -> None:
        super().__init__(
            "This agent takes no instructions (system or developer messages) from its callers: its "
            "owner can allow them with callers.instructions.",
            param,
        )


class ClientToolsRefused(NotOffered):
    """The caller sent tools, and the agent accepts none or has one of that name itself."""

    code = "client_tools_refused"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, "tools")


class ContentRefused(NotOffered):
    """An image or file of another type, too large, not to be fetched, or not for this model."""

    code = "unsupported_content"

    def __init__(self, detail: str, param: str = "messages") -> None:
        super().__init__(detail, param)


class UnknownCall(Problem):
    """A result for a call that no turn of the caller's has made."""

    code = "unknown_tool_call"
    extensions = {"param": str}

    def __init__(self, call_id: str) -> None:
        super().__init__(
            f"No call of a tool with the id {call_id[:64]} waits for its result here.",
            param="tool_call_id",
        )


class DraftGone(Problem):
    """The draft in the playground was published or discarded."""

    status = HTTPStatus.CONFLICT
    code = "draft_gone"

    def __init__(self) -> None:
        super().__init__("The draft was published or discarded meanwhile; reload the page.")


class AnswerNotStored(Problem):
    """The model has answered, but the answer could not be stored. The call counts, and the session
    continues without it; `session_id` and `llm_request_id` name the turn.

    What to do: send the message again; if it happens often, look for the request's id in the
    server's log.
    """

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
    """The model was called, then the database did not answer. `session_id` and `llm_request_id`
    name the turn, which may already count. There is no `Retry-After`: without an
    `Idempotency-Key` the message would be answered, and paid for, again.
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


class AgentUnavailable(Problem):
    """The agent cannot answer at the moment; its owner can see why. Only visitors and end users
    get it, in place of what concerns the account.
    """

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "agent_unavailable"

    def __init__(self) -> None:
        super().__init__("This agent cannot answer at the moment.")


def misconfigured_for(caller: Caller, problem: AgentMisconfigured) -> Problem:
    """Return the refusal without what is wrong, for callers who are not the account's own."""
    return problem if caller.kind in SEES_ALL else AgentUnavailable()


def over_budget_for(
    caller: Caller,
    problem: BudgetExceeded,
    current: CurrentConfig,
    run: RunRequest,
    instance: AgentInstance,
) -> Problem:
    """Return the refusal as the caller may see it."""
    if not shown_by(current.effective.config, caller).cost:
        return AgentUnavailable()
    return with_unknown_price(problem, caller, run, instance)


def with_unknown_price(
    problem: BudgetExceeded, caller: Caller, run: RunRequest, instance: AgentInstance
) -> BudgetExceeded:
    """Add to a refusal that a price is unknown, for callers who may know and can set one."""
    folder, _ = instance.folder_in(caller.account_slug)
    models = unpriced(run, own_prices(folder))
    if not models or caller.kind not in SEES_AMOUNTS:
        return problem
    assumed = dollars(settings.UNKNOWN_PRICE_PER_MTOK)
    return BudgetExceeded(
        f"{problem.detail} The price of {', '.join(models)} is unknown: ${assumed} for a million "
        f"tokens is assumed. Set the price in {folder}/{PRICES_FILE}, or raise the "
        "budget.",
        headers=problem.headers,
        **problem.members,
        unpriced_models=models,
    )


class TurnAbandoned(Problem):
    """Only for a repeated `Idempotency-Key`: the server died while it answered; the message is
    stored, and the turn may have been paid for.

    What to do: send a new message. If it happens often, the server is killed while it answers:
    look at its memory and at its log.
    """

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
    def meanings(cls) -> Mapping[str, str]:
        """Return the codes of the runtime's errors that become this problem."""
        return {
            code: first_paragraph(error.__doc__)
            for code, error in RUN_ERRORS.items()
            if _KINDS.get(code, ProviderFailed) is cls
        }


class ProviderTimedOut(ProviderFailed):
    status = HTTPStatus.GATEWAY_TIMEOUT


class ProviderBusy(ProviderFailed):
    status = HTTPStatus.SERVICE_UNAVAILABLE


class RefusedByModel(ProviderFailed):
    status = HTTPStatus.BAD_REQUEST


_KINDS: dict[str, type[ProviderFailed]] = {
    "provider_timeout": ProviderTimedOut,
    "provider_rate_limited": ProviderBusy,
    "context_too_long": RefusedByModel,
    "unsupported_content": RefusedByModel,
    "unsupported_tools": RefusedByModel,
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


# How a turn may end before its answer is whole.
TURN_ENDINGS: tuple[type[Problem], ...] = (
    ProviderFailed,
    ProviderTimedOut,
    ProviderBusy,
    RefusedByModel,
    AccessEnded,
    AgentDeactivated,
    ConnectionChanged,
    TurnCancelled,
    TimeOver,
    ServerStopping,
    TurnAbandoned,
    AnswerNotStored,
    SettlementDelayed,
)
# Also how it may be refused.
TURN_PROBLEMS: tuple[type[Problem], ...] = (
    RateLimited,
    TooManyTurns,
    BudgetExceeded,
    SessionClosed,
    TurnInProgress,
    IdempotencyKeyReused,
    DraftGone,
    AgentMisconfigured,
    AgentUnavailable,
    *TURN_ENDINGS,
)
# Likewise, where a call may bring instructions, tools and files of its own.
OPENAI_PROBLEMS: tuple[type[Problem], ...] = (
    *TURN_PROBLEMS,
    InstructionsRefused,
    ClientToolsRefused,
    ContentRefused,
    UnknownCall,
)
