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
    """No connection, a server error, or the answer broke off.

    What to do: wait, and look at the provider's status page. A `fallback_models` entry of
    another provider keeps the agent answering. For an account's own server, test its
    connection.
    """

    code = "provider_unavailable"
    safe = "The model provider is not available at the moment."
    retryable = True


class ProviderTimeout(RunError):
    """The model took longer than `timeouts` allows.

    What to do: choose a faster model or a shorter prompt, or raise `timeouts` in the agent's
    configuration.
    """

    code = "provider_timeout"
    safe = "The model did not answer in time."
    refused = False


class ProviderRateLimited(RunError):
    """The provider is overloaded; there may be a `Retry-After`.

    What to do: raise the limit at the provider, or give the agent a `fallback_models` entry of
    another provider.
    """

    code = "provider_rate_limited"
    safe = "The model provider is receiving too many requests at the moment."
    retryable = True


class ProviderAuth(RunError):
    """The provider refuses this server's key.

    What to do: replace the provider's key: of an account's own server on its connection's
    page, of all others in this server's environment.
    """

    code = "provider_auth"
    safe = "The model provider did not accept this service's credentials."


class ProviderRejected(RunError):
    """The provider refuses the request.

    What to do: look at the agent's model, temperature and tools: the model may not take them.
    The server's log has what the provider said.
    """

    code = "provider_rejected"
    safe = "The model provider did not accept the request."


class ContextTooLong(RunError):
    """The conversation is longer than the model's context.

    What to do: lower `history_limit`, shorten the prompt, or choose a model with a longer
    context.
    """

    code = "context_too_long"
    safe = "The conversation is too long for the model."


class ProviderProtocol(RunError):
    """The provider's answer cannot be read, or is too large.

    What to do: test the connection; the server does not speak the API that it is called by.
    The server's log has what came.
    """

    code = "provider_protocol"
    safe = "The model provider sent an answer that could not be read."
    refused = False


class EmptyAnswer(RunError):
    """The model's answer is empty, or only white space.

    What to do: send the message again; if it happens often, choose another model or raise
    `max_tokens`, which thinking models also need for their thoughts.
    """

    code = "empty_answer"
    safe = "The model gave an empty answer."
    refused = False


class AnswerRefused(RunError):
    """The model or a content filter refused without a text.

    What to do: read the message in the conversation; if it is harmless, change the prompt or
    choose another model.
    """

    code = "answer_refused"
    safe = "The model or a content filter refused to answer."
    refused = False


class ToolRoundsExceeded(RunError):
    """The agent used its tools too often without giving an answer.

    What to do: look at the tool calls of the request: the prompt or a tool's answer makes the
    model ask again and again.
    """

    code = "tool_rounds_exceeded"
    safe = "The agent used its tools too often without coming to an answer."
    fallback = False
    refused = False


class OutputInvalid(RunError):
    """The answer is not in the format that the caller asked for, and nor was the second one.

    What to do: ask for a simpler format, or choose a model that supports structured output.
    """

    code = "output_invalid"
    safe = "The model's answer does not have the format that was asked for."
    fallback = False
    refused = False


class UnsupportedContent(RunError):
    """Images or files that the agent's model does not read.

    What to do: choose a model that reads images and files, or turn `callers.attachments` off in the
    agent's configuration.
    """

    code = "unsupported_content"
    safe = "The model of this agent does not read images or files of this kind."


class UnsupportedTools(RunError):
    """Tools of the caller, and the agent's model calls none.

    What to do: choose a model that calls tools, or turn `callers.tools` off in the agent's
    configuration.
    """

    code = "unsupported_tools"
    safe = "The model of this agent calls no tools."


class UnknownModel(RunError):
    """The agent's model does not exist, or its key is not set; the server's log says which.

    What to do: correct `model` in the agent's configuration, or set its provider's key.
    """

    code = "unknown_model"
    safe = "The model of this agent is not available."


_KINDS: list[type[RunError]] = RunError.__subclasses__()
# Every way in which a run fails, by its code.
RUN_ERRORS = {kind.code: kind for kind in _KINDS}
