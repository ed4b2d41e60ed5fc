"""Every server that speaks OpenAI's chat API, over one kept client and with little work a chunk."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import aiohttp
import msgspec

from agents.runtime.errors import ProviderAuth, ProviderProtocol, ProviderUnavailable, RunError
from agents.runtime.events import TextDelta
from agents.runtime.providers import openai_wire as wire
from agents.runtime.providers.base import PROGRESS, Finished, ModelEvent, ModelRequest
from agents.runtime.providers.clients import client
from agents.runtime.providers.endpoints import NO_KEY, Endpoint, is_header_value
from agents.runtime.providers.openai_usage import SHORTEST, UsageReading
from agents.runtime.providers.optional_fields import (
    MOST_REPEATS,
    STATUSES,
    adaptation_for,
    remember,
)
from agents.runtime.providers.refusals import error_inside, find_error, log_failure, refusal
from agents.runtime.providers.sse import EventStreamReader

MAX_ERROR_BYTES = 64 * 1024
ERROR_SECONDS = 2.0
MAX_ANSWER_BYTES = 8 * 1024 * 1024
DRAIN_SECONDS = 0.05
COST_HEADER = "x-litellm-response-cost"


@dataclass(slots=True)
class Reading:
    """What has been read of one answer so far."""

    header_cost: str | None = None
    tool_calls: wire.ToolCallAssembly = field(default_factory=wire.ToolCallAssembly)
    usage: UsageReading = field(default_factory=UsageReading)
    finish_reason: str = ""
    done: bool = False

    def result(self) -> list[ModelEvent]:
        """What is known at the end of the answer."""
        usage = self.usage.result(self.header_cost)
        reason = wire.plain_reason(self.finish_reason)
        return [*self.tool_calls.calls(), Finished(reason, usage)]


@dataclass(slots=True)
class StreamReading(Reading):
    """Reads an answer that comes as events."""

    events: EventStreamReader = field(default_factory=EventStreamReader)

    def take(self, chunk: bytes) -> Iterator[ModelEvent]:
        return _taken(self, self.events.feed(chunk))

    def end(self) -> Iterator[ModelEvent]:
        yield from _taken(self, self.events.close())
        if not self.finish_reason and not self.done:
            raise ProviderProtocol("the stream ended before the answer did")
        yield from self.result()


@dataclass(slots=True)
class WholeReading(Reading):
    """Reads an answer that comes in one piece."""

    body: bytearray = field(default_factory=bytearray)

    def take(self, chunk: bytes) -> Iterator[ModelEvent]:
        self.body += chunk
        if len(self.body) > MAX_ANSWER_BYTES:
            raise ProviderProtocol("the answer has no end")
        return iter(())

    def end(self) -> Iterator[ModelEvent]:
        answer = _decode(bytes(self.body))
        choice = answer.choices[0] if answer.choices else None
        if choice is None or choice.message is None:
            raise ProviderProtocol("an answer without a message")
        self.usage.add(answer.usage)
        self.usage.add(choice.usage)
        self.finish_reason = choice.finish_reason or ""
        for place, part in enumerate(choice.message.tool_calls or ()):
            part.index = place
            self.tool_calls.add(part)
        if text := choice.message.text:
            yield TextDelta(text)
        yield from self.result()


class OpenAICompatible:
    """`endpoint` says how the server differs, `url` and `key` where it is today."""

    supports_tools = True
    least_first_token_timeout = 0.0

    def __init__(self, endpoint: Endpoint, url: str, key: str) -> None:
        self.endpoint = endpoint
        self.url = url
        self.key = key.strip()

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        read = StreamReading if request.stream else WholeReading
        try:
            response = await self._post(request)
            reading = read(response.headers.get(COST_HEADER))
            # Its connection ends with this context, unless the answer is read whole.
            async with response:
                async for chunk in response.content.iter_any():
                    for event in reading.take(chunk):
                        yield event
                    if reading.done:
                        await _drain(response)
                        break
                for event in reading.end():
                    yield event
        except (aiohttp.ClientError, OSError) as error:
            broken = ProviderUnavailable(f"the connection broke: {error!r}")
            broken.refused = False
            log_failure(self.endpoint.name, request.model, broken, key=self.key)
            raise broken from error
        except RunError as error:
            log_failure(self.endpoint.name, request.model, error, key=self.key)
            raise

    def client(self) -> aiohttp.ClientSession:
        return client()

    async def _post(self, request: ModelRequest) -> aiohttp.ClientResponse:
        """Send the request, and again without what the server says that it does not know."""
        known = adaptation = adaptation_for(self.url, request.model)
        for repeats_left in range(MOST_REPEATS, -1, -1):
            body = adaptation.apply(wire.request_body(request, self.endpoint))
            response = await self._connect(request, wire.encode(body))
            refused = await _refused(response)
            if refused is None:
                break
            repeatable = repeats_left and response.status in STATUSES
            following = adaptation.after(body, refused) if repeatable else None
            if following is None:
                raise refusal(response.status, refused, response.headers)
            adaptation = following
        if adaptation != known:
            name = f"{self.endpoint.name}:{request.model}"
            remember(self.url, request.model, adaptation, name=name)
        return response

    async def _connect(self, request: ModelRequest, body: bytes) -> aiohttp.ClientResponse:
        if not is_header_value(self.key):
            raise ProviderAuth(f"the key {NO_KEY}")
        headers = {"Content-Type": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        if not self.endpoint.keep_alive:
            headers["Connection"] = "close"
        try:
            return await self.client().post(
                f"{self.url}/chat/completions",
                data=body,
                headers=headers,
                # A redirect would carry the key and the conversation to who knows where.
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None, connect=request.connect_timeout),
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ProviderUnavailable(f"no connection: {error!r}") from error


async def _refused(response: aiohttp.ClientResponse) -> str | None:
    """What the server says where it refuses; None where it answers."""
    is_ok = response.status == 200  # noqa: PLR2004 - OK
    if is_ok and response.content_type != "text/html":
        return None
    async with response:
        if is_ok:
            raise ProviderUnavailable("status 200 with a page instead of an answer")
        return (await _read_error(response)).decode(errors="replace")


async def _read_error(response: aiohttp.ClientResponse) -> bytes:
    """What the server says about its refusal; the status holds also when the rest never comes."""
    body = b""
    with suppress(TimeoutError, aiohttp.ClientError, OSError):
        async with asyncio.timeout(ERROR_SECONDS):
            while len(body) < MAX_ERROR_BYTES and (
                piece := await response.content.read(MAX_ERROR_BYTES - len(body))
            ):
                body += piece
    return body


async def _drain(response: aiohttp.ClientResponse) -> None:
    """Read to the end, which is near, so that the connection can serve the next call."""
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            await response.content.read(MAX_ERROR_BYTES)


def _taken(reading: Reading, events: Iterable[tuple[bytes, bytes]]) -> Iterator[ModelEvent]:
    """Read what arrived together; words that did go on together, for each event costs its way."""
    said: list[str] = []
    try:
        for name, data in events:
            event = _take(reading, name, data)
            if isinstance(event, TextDelta):
                said.append(event.text)
            elif event is not None:
                yield from _joined(said)
                yield event
    except RunError:
        # What was said before the fault was said.
        yield from _joined(said)
        raise
    yield from _joined(said)


def _joined(said: list[str]) -> Iterator[TextDelta]:
    if said:
        text = "".join(said)
        said.clear()
        yield TextDelta(text)


def _take(reading: Reading, name: bytes, data: bytes) -> ModelEvent | None:
    if data == b"[DONE]":
        reading.done = True
        return None
    if name == b"error":
        raise error_inside(data)
    answer = _decode(data)
    reading.usage.add(answer.usage)
    if not answer.choices:
        return None
    choice = answer.choices[0]
    reading.usage.add(choice.usage)
    if choice.finish_reason:
        reading.finish_reason = choice.finish_reason
    return _take_said(reading, choice.delta) if choice.delta else None


def _take_said(reading: Reading, said: wire.Said) -> ModelEvent | None:
    if said.tool_calls:
        for part in said.tool_calls:
            reading.tool_calls.add(part)
        return TextDelta(said.text) if said.content else PROGRESS
    if text := said.text:
        return TextDelta(text)
    return PROGRESS if said.reasoning or said.reasoning_content or said.content else None


def _decode(data: bytes) -> wire.Answer:
    """Read an answer or a chunk of one; raises the error that it is instead, or holds."""
    try:
        answer = wire.decode_answer(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        unreadable = ProviderProtocol(f"not an answer: {data.decode(errors='replace')}")
        raise find_error(data) or unreadable from error
    if _may_hold_error(answer) and (fault := find_error(data)) is not None:
        raise fault
    return answer


def _may_hold_error(answer: wire.Answer) -> bool:
    if not answer.choices:
        return len(answer.usage) <= SHORTEST or len(answer.error) > 0
    choice = answer.choices[0]
    return len(answer.error) + len(choice.error) > 0 or choice.finish_reason == "error"
