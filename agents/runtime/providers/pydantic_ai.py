"""The adapter to Pydantic AI's direct requests; slow to import, hence by the first call only."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import msgspec
from pydantic_ai import exceptions as failures
from pydantic_ai import messages as parts
from pydantic_ai.direct import model_request, model_request_stream
from pydantic_ai.models import Model, ModelRequestParameters, infer_model
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.usage import RequestUsage

from agents.runtime.errors import (
    ContextTooLong,
    ProviderAuth,
    ProviderProtocol,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    RunError,
    UnknownModel,
)
from agents.runtime.events import TextDelta, ToolCall
from agents.runtime.providers.base import (
    PROGRESS,
    Finished,
    ModelEvent,
    ModelRequest,
    ToolRound,
    Usage,
)
from agents.runtime.providers.refusals import refusal

# The special ones before the general.
MEANINGS: tuple[tuple[type[Exception], type[RunError]], ...] = (
    (failures.ModelContextWindowExceededError, ContextTooLong),
    (failures.ModelAuthenticationError, ProviderAuth),
    (failures.ModelNotFoundError, UnknownModel),
    (failures.ModelRateLimitError, ProviderRateLimited),
    (failures.ModelQuotaExceededError, ProviderRejected),
    (failures.ModelTimeoutError, ProviderTimeout),
    (failures.ModelRequestTimeout, ProviderTimeout),
    (failures.ModelRequestRejectedError, ProviderRejected),
    (failures.ModelAPIError, ProviderUnavailable),
    (failures.UserError, UnknownModel),
    (failures.UnexpectedModelBehavior, ProviderProtocol),
)

_models: dict[tuple[asyncio.AbstractEventLoop, str], Model] = {}


async def shared_model(name: str) -> Model:
    """The running loop's model of this name, whose client stays open between calls."""
    place = (asyncio.get_running_loop(), name)
    if place not in _models:
        try:
            model = infer_model(name)
        except Exception as error:
            # Clients check keys, regions and addresses each in their own way.
            raise UnknownModel(str(error)) from error
        # The run retries; a client that does so too would keep it waiting.
        client: Any = getattr(model, "client", None)
        if hasattr(client, "max_retries"):
            client.max_retries = 0
        entered = await model.__aenter__()
        if place in _models:
            # Another first call was quicker: one client is enough.
            await model.__aexit__(None, None, None)
        else:
            _models[place] = entered
    return _models[place]


async def close() -> None:
    loop = asyncio.get_running_loop()
    for place in [place for place in _models if place[0] is loop]:
        await _models.pop(place).__aexit__(None, None, None)


async def stream(model: Model, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
    settings = _settings(request)
    try:
        if not request.stream:
            answer = await model_request(
                model,
                list(_messages(request)),
                model_settings=settings,
                model_request_parameters=_parameters(request),
            )
            if text := _text(answer):
                yield TextDelta(text)
        else:
            async with model_request_stream(
                model,
                list(_messages(request)),
                model_settings=settings,
                model_request_parameters=_parameters(request),
            ) as events:
                async for event in events:
                    if (said := _said(event)) is not None:
                        yield said
            answer = events.get()
    except Exception as error:
        raise _meaning(error) from error
    for part in answer.parts:
        if isinstance(part, parts.ToolCallPart):
            yield ToolCall(part.tool_call_id, part.tool_name, part.args_as_json_str())
    yield Finished(answer.finish_reason or "", _usage(answer.usage))


def _settings(request: ModelRequest) -> ModelSettings:
    settings = ModelSettings()
    if request.temperature is not None:
        settings["temperature"] = request.temperature
    if request.max_tokens is not None:
        settings["max_tokens"] = request.max_tokens
    return settings


def _parameters(request: ModelRequest) -> ModelRequestParameters:
    return ModelRequestParameters(
        function_tools=[
            ToolDefinition(
                name=tool.name,
                description=tool.description,
                parameters_json_schema=dict(tool.parameters),
            )
            for tool in request.tools
        ]
    )


def _messages(request: ModelRequest) -> Iterator[parts.ModelMessage]:
    if request.system_prompt:
        yield parts.ModelRequest([parts.SystemPromptPart(request.system_prompt)])
    for message in request.messages:
        if message.role == "user":
            yield parts.ModelRequest([parts.UserPromptPart(message.content)])
        else:
            yield parts.ModelResponse([parts.TextPart(message.content)])
    for tool_round in request.rounds:
        yield _asked(tool_round)
        yield parts.ModelRequest(
            [
                parts.ToolReturnPart(result.name, result.content, tool_call_id=result.id)
                for result in tool_round.results
            ]
        )


def _asked(tool_round: ToolRound) -> parts.ModelResponse:
    calls = [
        parts.ToolCallPart(call.name, call.arguments, tool_call_id=call.id)
        for call in tool_round.calls
    ]
    text = [parts.TextPart(tool_round.text)] if tool_round.text else []
    return parts.ModelResponse([*text, *calls])


def _said(event: parts.ModelResponseStreamEvent) -> ModelEvent | None:
    if isinstance(event, parts.PartStartEvent):
        text = event.part.content if isinstance(event.part, parts.TextPart) else ""
    elif isinstance(event, parts.PartDeltaEvent):
        text = event.delta.content_delta if isinstance(event.delta, parts.TextPartDelta) else ""
    else:
        return None
    return TextDelta(text) if text else PROGRESS


def _text(answer: parts.ModelResponse) -> str:
    return "".join(part.content for part in answer.parts if isinstance(part, parts.TextPart))


def _usage(usage: RequestUsage) -> Usage | None:
    """Pydantic AI says zero where the provider said nothing."""
    if not usage.input_tokens and not usage.output_tokens:
        return None
    return Usage(usage.input_tokens, usage.output_tokens, usage.cache_read_tokens)


def _meaning(error: Exception) -> RunError:
    for kind, ours in MEANINGS:
        if isinstance(error, kind):
            meant = ours(str(error), retry_after=getattr(error, "retry_after", None))
            break
    else:
        # What the clients underneath raise while a stream breaks.
        meant = ProviderUnavailable(repr(error))
    if isinstance(error, failures.ModelHTTPError) and not isinstance(meant, ContextTooLong):
        body = msgspec.json.encode(error.body, enc_hook=str).decode()
        known = refusal(error.status_code, body, error.headers or {})
        known.retry_after = meant.retry_after or known.retry_after
        return known
    return meant
