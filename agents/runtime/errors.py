"""The ways in which a run can fail, each with a code and a sentence that any caller may read."""


class RunError(Exception):
    """A run that ended without its answer.

    `safe` never quotes the provider. `detail` does, and is for logs only. `retryable`: the same
    model may answer a moment later. `fallback`: another model may answer. `refused`: the model
    did no work, so nothing is to be paid.
    """

    code = "run_failed"
    safe = "The agent could not answer."
    retryable = False
    fallback = True
    refused = True

    def __init__(self, detail: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(self.code)
        self.detail = detail
        self.retry_after = retry_after


class ProviderUnavailable(RunError):
    code = "provider_unavailable"
    safe = "The model provider is not available at the moment."
    retryable = True


class ProviderTimeout(RunError):
    code = "provider_timeout"
    safe = "The model did not answer in time."
    refused = False


class ProviderRateLimited(RunError):
    code = "provider_rate_limited"
    safe = "The model provider is receiving too many requests at the moment."
    retryable = True


class ProviderAuth(RunError):
    code = "provider_auth"
    safe = "The model provider did not accept this service's credentials."


class ProviderRejected(RunError):
    code = "provider_rejected"
    safe = "The model provider did not accept the request."


class ContextTooLong(RunError):
    code = "context_too_long"
    safe = "The conversation is too long for the model."


class ProviderProtocol(RunError):
    code = "provider_protocol"
    safe = "The model provider sent an answer that could not be read."
    refused = False


class EmptyAnswer(RunError):
    code = "empty_answer"
    safe = "The model gave an empty answer."
    refused = False


class AnswerRefused(RunError):
    code = "answer_refused"
    safe = "The model or a content filter refused to answer."
    refused = False


class ToolRoundsExceeded(RunError):
    code = "tool_rounds_exceeded"
    safe = "The agent used its tools too often without coming to an answer."
    fallback = False
    refused = False


class UnknownModel(RunError):
    code = "unknown_model"
    safe = "The model of this agent is not available."


_KINDS: list[type[RunError]] = [RunError, *RunError.__subclasses__()]
# Every way in which a run fails, by its code.
RUN_ERRORS = {kind.code: kind for kind in _KINDS}
