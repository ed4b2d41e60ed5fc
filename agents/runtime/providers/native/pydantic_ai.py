"""The adapter to Pydantic AI's direct requests; slow to import: see the package."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import httpx2
import msgspec
from pydantic_ai import exceptions as failures
from pydantic_ai import messages as parts
from pydantic_ai.direct import model_request_stream
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse, infer_model
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.usage import RequestUsage

from agents.runtime.errors import (
    AnswerRefused,
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
    Usage,
)
from agents.runtime.providers.characters import CharacterJoin
from agents.runtime.providers.native.messages import calls_in, kept_answer, messages_of
from agents.runtime.providers.refusals import about_attachments, refusal
from salient.observability.tracing import outgoing_headers

# The bounds of one answer: bytes on the wire, events, characters of text, thinking and arguments.
MOST_BYTES = 16 * 1024 * 1024
MOST_EVENTS = 200_000
MOST_CHARACTERS = 1_000_000
# Reading an event or a piece blocks the event loop for up to a millisecond.
EVENTS_WITHOUT_PAUSE = 4
PIECE_BYTES = 4096

# The specific errors come before the general ones.
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
    (failures.ContentFilterError, AnswerRefused),
    (failures.UnexpectedModelBehavior, ProviderProtocol),
)

# What an answer in an unexpected shape, or nested too deep, raises.
UNREADABLE = (RecursionError, ValueError, TypeError, AttributeError, LookupError)

_models: dict[tuple[asyncio.AbstractEventLoop, str], Model] = {}


async def shared_model(name: str) -> Model:
    """The running loop's model of this name, whose client stays open between calls."""
    key = (asyncio.get_running_loop(), name)
    if key not in _models:
        try:
            # In a thread: it imports the provider's library, which takes as long as importing this.
            model = await asyncio.to_thread(infer_model, name)
        except Exception as error:
            # Each client raises errors of its own for keys, regions and addresses.
            raise UnknownModel(str(error)) from error
        # The run retries; a client that retries as well would delay it.
        client: Any = getattr(model, "client", None)
        if hasattr(client, "max_retries"):
            client.max_retries = 0
        entered = await model.__aenter__()
        _bound_answers(entered)
        if key in _models:
            # Another first call was faster: one client is enough.
            await model.__aexit__(None, None, None)
        else:
            _models[key] = entered
    return _models[key]


async def close() -> None:
    loop = asyncio.get_running_loop()
    for key in [key for key in _models if key[0] is loop]:
        await _models.pop(key).__aexit__(None, None, None)


async def stream(model: Model, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
    """Ask for a stream in any case: only a stream's size can be bounded."""
    is_native = bool(model.profile.get("supports_json_schema_output"))
    messages = list(messages_of(request, is_native=is_native))
    settings, parameters = _settings(request), _parameters(request, is_native=is_native)
    bounds, joined = _Bounds(), CharacterJoin()
    events: StreamedResponse | None = None
    try:
        async with model_request_stream(
            model, messages, model_settings=settings, model_request_parameters=parameters
        ) as events:
            async for event in events:
                await bounds.take(event)
                if (delta := _delta(event)) is not None:
                    yield _whole(delta, joined)
        answer = events.get()
    except Exception as error:
        # A fault after the end of the answer, with its reason and its usage, is ignored.
        if events is None:
            meant = _meaning(error)
            raise (about_attachments(meant) if request.has_attachments else meant) from error
        answer = events.get()
        if not (_reason(answer) and answer.usage.output_tokens > 0):
            if (usage := _usage(answer.usage)) is not None:
                yield usage
            raise _meaning(error) from error
    if not _reason(answer):
        raise ProviderProtocol("the stream ended before the answer did")
    if rest := joined.close():
        yield TextDelta(rest)
    calls = calls_in(answer)
    for part in calls:
        yield ToolCall(part.tool_call_id, part.tool_name, _arguments(part))
    provider_data = kept_answer(answer) if calls else None
    yield Finished(_reason(answer), _usage(answer.usage), provider_data=provider_data)


def _whole(delta: ModelEvent, joined: CharacterJoin) -> ModelEvent:
    if not isinstance(delta, TextDelta):
        return delta
    text = joined.feed(delta.text)
    return TextDelta(text) if text else PROGRESS


class _Bounds:
    """Counts what one answer holds, and lets other tasks run in between."""

    def __init__(self) -> None:
        self._events = self._characters = 0

    async def take(self, event: parts.ModelResponseStreamEvent) -> None:
        self._events += 1
        self._characters += _size(event)
        if self._events > MOST_EVENTS or self._characters > MOST_CHARACTERS:
            raise ProviderProtocol("the answer has no end")
        if self._events % EVENTS_WITHOUT_PAUSE == 0:
            await asyncio.sleep(0)


def _size(event: parts.ModelResponseStreamEvent) -> int:
    """How many characters the event adds to the answer."""
    found: Any
    fields: tuple[str, ...]
    if isinstance(event, parts.PartStartEvent):
        found, fields = event.part, ("content", "args", "signature")
    elif isinstance(event, parts.PartDeltaEvent):
        found, fields = event.delta, ("content_delta", "args_delta", "signature_delta")
    else:
        return 0
    return sum(len(str(getattr(found, field, None) or "")) for field in fields)


class _BoundedStream(httpx2.AsyncByteStream):
    """The body of an answer in small pieces, up to MOST_BYTES."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read = 0
        async for chunk in self._stream:
            read += len(chunk)
            if read > MOST_BYTES:
                raise ProviderProtocol("the answer has no end")
            for start in range(0, len(chunk), PIECE_BYTES):
                yield chunk[start : start + PIECE_BYTES]
                await asyncio.sleep(0)

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _bound_body(response: httpx2.Response) -> None:
    if isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = _BoundedStream(response.stream)


async def _carry_trace(request: httpx2.Request) -> None:
    request.headers.update(outgoing_headers())


def _bound_answers(model: Model) -> None:
    """Read through _BoundedStream where the provider's client is one of httpx2's."""
    client = getattr(getattr(model, "_provider", None), "_own_http_client", None)
    if isinstance(client, httpx2.AsyncClient):
        hooks = client.event_hooks
        client.event_hooks = hooks | {
            "request": [*hooks["request"], _carry_trace],
            "response": [*hooks["response"], _bound_body],
        }


def _settings(request: ModelRequest) -> ModelSettings:
    settings = ModelSettings()
    if request.temperature is not None:
        settings["temperature"] = request.temperature
    if request.max_tokens is not None:
        settings["max_tokens"] = request.max_tokens
    if request.top_p is not None:
        settings["top_p"] = request.top_p
    if request.stop:
        settings["stop_sequences"] = list(request.stop)
    if request.seed is not None:
        settings["seed"] = request.seed
    if request.tools and request.tool_choice.mode != "auto":
        name = request.tool_choice.name
        settings["tool_choice"] = [name] if name else "required"
    if request.tools and request.parallel_tool_calls is not None:
        settings["parallel_tool_calls"] = request.parallel_tool_calls
    return settings


def _parameters(request: ModelRequest, *, is_native: bool) -> ModelRequestParameters:
    tools = [
        ToolDefinition(
            name=tool.name,
            description=tool.description,
            parameters_json_schema=dict(tool.parameters),
            strict=tool.strict,
        )
        for tool in request.tools
    ]
    wanted = request.output_format
    if wanted is None or wanted.schema is None or not is_native:
        return ModelRequestParameters(function_tools=tools)
    return ModelRequestParameters(
        function_tools=tools,
        output_mode="native",
        output_object=OutputObjectDefinition(
            dict(wanted.schema), wanted.name, wanted.description or None, wanted.strict
        ),
    )


def _arguments(call: parts.ToolCallPart) -> str:
    """The arguments as they came, even where they are no JSON."""
    if call.args is None or isinstance(call.args, str):
        return call.args or ""
    return json.dumps(call.args)


def _reason(answer: parts.ModelResponse) -> str:
    """Why the answer ended, in the provider's word where Pydantic AI has none."""
    word = answer.finish_reason or (answer.provider_details or {}).get("finish_reason")
    return word if isinstance(word, str) else ""


def _delta(event: parts.ModelResponseStreamEvent) -> ModelEvent | None:
    if isinstance(event, parts.PartStartEvent):
        text = event.part.content if isinstance(event.part, parts.TextPart) else ""
    elif isinstance(event, parts.PartDeltaEvent):
        text = event.delta.content_delta if isinstance(event.delta, parts.TextPartDelta) else ""
    else:
        return None
    return TextDelta(text) if text else PROGRESS


def _usage(usage: RequestUsage) -> Usage | None:
    """Pydantic AI gives zero where the provider reported nothing."""
    if not usage.input_tokens and not usage.output_tokens:
        return None
    return Usage(
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_tokens,
        usage.output_reasoning_tokens,
    )


def _meaning(error: Exception) -> RunError:
    if isinstance(error, RunError):
        return error
    for kind, ours in MEANINGS:
        if isinstance(error, kind):
            meant = ours(str(error), retry_after=getattr(error, "retry_after", None))
            break
    else:
        # Raised by the provider's own client: unreadable data, or a broken stream.
        meant = (ProviderProtocol if isinstance(error, UNREADABLE) else ProviderUnavailable)(
            repr(error)
        )
    if isinstance(error, failures.ModelHTTPError) and not isinstance(meant, ContextTooLong):
        body = msgspec.json.encode(error.body, enc_hook=str).decode()
        known = refusal(error.status_code, body, error.headers or {})
        known.retry_after = meant.retry_after or known.retry_after
        return known
    return meant
