"""Calls any server with OpenAI's chat API, over one shared client, with little work a chunk."""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import suppress
from functools import lru_cache

import aiohttp
import aiohttp.http_exceptions

from agents.runtime.errors import ProviderAuth, ProviderProtocol, ProviderUnavailable, RunError
from agents.runtime.providers.base import ModelEvent, ModelRequest
from agents.runtime.providers.clients import client
from agents.runtime.providers.openai import request as wire
from agents.runtime.providers.openai.endpoints import NO_KEY, Endpoint, is_header_value
from agents.runtime.providers.openai.optional_fields import (
    MOST_REPEATS,
    STATUSES,
    adaptation_for,
    remember,
)
from agents.runtime.providers.openai.reading import Reading
from agents.runtime.providers.openai.unpacking import Unpacker, unpack
from agents.runtime.providers.refusals import about_attachments, log_failure, refusal

MAX_ERROR_BYTES = 64 * 1024
ERROR_SECONDS = 2.0
DRAIN_SECONDS = 0.05
# How much is read at once, and for how long before other tasks run.
PIECE_BYTES = 8 * 1024
WORK_SECONDS = 0.002
# What aiohttp raises when a connection ends badly; the last is no ClientError.
BROKEN = (aiohttp.ClientError, OSError, aiohttp.http_exceptions.HttpProcessingError)
SUCCESSES = range(200, 300)
COST_HEADER = "x-litellm-response-cost"


class OpenAICompatible:
    """A server; `endpoint` says how it differs from others, `url` and `key` how to reach it."""

    supports_tools = True
    supports_attachments = True

    def __init__(self, endpoint: Endpoint, url: str, key: str, *, streams: bool = True) -> None:
        self.endpoint = endpoint
        self.url = url
        self.key = key.strip()
        self.streams = streams
        # An answer that comes in one piece has no first token before its last.
        self.least_first_token_timeout = 0.0 if streams else math.inf
        self._chat_url = f"{url}/chat/completions"
        self._headers = {"Content-Type": "application/json"}
        if self.key:
            self._headers["Authorization"] = f"Bearer {self.key}"
        if not endpoint.keep_alive:
            self._headers["Connection"] = "close"

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        try:
            response = await self._post(request)
            names = [tool.name for tool in request.tools]
            reading = Reading(response.headers.get(COST_HEADER), names)
            # Its connection ends with this context, unless the answer is read whole.
            async with response:
                source = _Source(response)
                while (piece := await source.next(reading)) is not None:
                    if (event := reading.take(piece)) is not None:
                        yield event
                if source.fault is not None and (event := reading.cut()) is not None:
                    yield event
                if not reading.is_complete and (usage := reading.counted()) is not None:
                    # A failed answer costs what is known of it.
                    yield usage
                source.check(reading)
                if reading.done:
                    await _drain(response)
                for event in reading.end():
                    yield event
        except BROKEN as error:
            broken = ProviderUnavailable(f"the connection broke: {error!r}")
            broken.refused = False
            log_failure(self.endpoint.name, request.model, broken, key=self.key)
            raise broken from error
        except RecursionError as error:
            deep = ProviderProtocol("the answer is nested too deep")
            log_failure(self.endpoint.name, request.model, deep, key=self.key)
            raise deep from error
        except RunError as error:
            log_failure(self.endpoint.name, request.model, error, key=self.key)
            raise

    def client(self) -> aiohttp.ClientSession:
        return client()

    async def _post(self, request: ModelRequest) -> aiohttp.ClientResponse:
        """Send the request; again without the optional fields that the server refuses."""
        known = adaptation = adaptation_for(self.url, request.model)
        for repeats_left in range(MOST_REPEATS, -1, -1):
            body = adaptation.apply(wire.request_body(request, self.endpoint, streams=self.streams))
            response = await self._connect(request, wire.encode(body))
            if response.status in SUCCESSES:
                break
            refused = await _refused(response)
            repeatable = repeats_left and response.status in STATUSES
            following = adaptation.after(body, refused) if repeatable else None
            if following is None:
                error = refusal(response.status, refused, response.headers)
                raise about_attachments(error) if request.has_attachments else error
            adaptation = following
        if adaptation != known:
            name = f"{self.endpoint.name}:{request.model}"
            remember(self.url, request.model, adaptation, name=name)
        return response

    async def _connect(self, request: ModelRequest, body: bytes) -> aiohttp.ClientResponse:
        if not is_header_value(self.key):
            raise ProviderAuth(f"the key {NO_KEY}")
        try:
            return await self.client().post(
                self._chat_url,
                data=body,
                headers=self._headers,
                # A redirect could carry the key and the conversation to any other host.
                allow_redirects=False,
                timeout=_timeout(request.connect_timeout),
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ProviderUnavailable(f"no connection: {error!r}") from error


@lru_cache(maxsize=256)
def _timeout(connect: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, connect=connect)


async def _refused(response: aiohttp.ClientResponse) -> str:
    """The body of a refusal."""
    async with response:
        return (await _error_body(response)).decode(errors="replace")


async def _error_body(response: aiohttp.ClientResponse) -> bytes:
    """The body, as far as it arrives in time: the status alone says that it is a refusal."""
    body = bytearray()
    with suppress(TimeoutError, *BROKEN):
        async with asyncio.timeout(ERROR_SECONDS):
            while len(body) < MAX_ERROR_BYTES and (chunk := await response.content.readany()):
                body += chunk
    return unpack(bytes(body[:MAX_ERROR_BYTES]), _encoding(response), MAX_ERROR_BYTES)


class _Source:
    """The bytes of an answer: unpacked, and in pieces that take little time to read.

    A fault of the connection after the end of the answer is ignored.
    """

    __slots__ = ("_content", "_has_ended", "_pieces", "_rested", "_unpacker", "fault")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._content = response.content
        self._unpacker = Unpacker(_encoding(response))
        self._pieces: Iterator[bytes] = iter(())
        self.fault: Exception | None = None
        self._has_ended = False
        self._rested = time.perf_counter()

    async def next(self, reading: Reading) -> bytes | None:
        """The next piece, None after the last one that matters."""
        if reading.done or reading.fault is not None:
            return None
        # Other tasks run in between, even when more has arrived already.
        if time.perf_counter() - self._rested > WORK_SECONDS:
            await asyncio.sleep(0)
            self._rested = time.perf_counter()
        while (piece := next(self._pieces, None)) is None:
            if self._has_ended:
                return None
            if reading.is_complete:
                chunk = await self._receive_rest()
            else:
                try:
                    chunk = await self._content.readany()
                except BROKEN as error:
                    chunk = self._received_before(error)
            if chunk and len(chunk) <= PIECE_BYTES and self._unpacker.is_plain:
                return chunk
            if not chunk:
                self._has_ended = True
            self._pieces = _cut(self._unpacker, chunk)
        return piece

    def check(self, reading: Reading) -> None:
        """Raise what broke the connection when the answer is not complete."""
        if self.fault is not None and reading.fault is None and not reading.is_complete:
            raise self.fault

    async def _receive_rest(self) -> bytes:
        """What arrives at once: a server may keep the connection open after its answer."""
        with suppress(TimeoutError, *BROKEN):
            async with asyncio.timeout(DRAIN_SECONDS):
                return await self._content.readany()
        return b""

    def _received_before(self, fault: Exception) -> bytes:
        """What arrived before a fault: aiohttp returns it only once the exception is cleared."""
        self.fault, self._has_ended = fault, True
        self._content.set_exception(None)  # type: ignore[arg-type]
        return self._content.read_nowait()


def _cut(unpacker: Unpacker, chunk: bytes) -> Iterator[bytes]:
    for plain in unpacker.feed(chunk) if chunk else (unpacker.close(),):
        for at in range(0, len(plain), PIECE_BYTES):
            yield plain[at : at + PIECE_BYTES]


def _encoding(response: aiohttp.ClientResponse) -> str:
    return response.headers.get("Content-Encoding", "")


async def _drain(response: aiohttp.ClientResponse) -> None:
    """Read the little that is left, so that the connection can serve the next call."""
    if response.content.at_eof():
        return
    with suppress(TimeoutError, *BROKEN):
        async with asyncio.timeout(DRAIN_SECONDS):
            await response.content.read(MAX_ERROR_BYTES)
