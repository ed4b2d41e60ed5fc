"""One run of an agent: call the model, run the tools it asks for, call again, within bounds."""

import asyncio
import random
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

import msgspec
from msgspec.structs import replace

from agents.runtime.calls import CANCELLED, Call
from agents.runtime.conversation import answered_only, newest_half, normalised
from agents.runtime.errors import (
    AnswerRefused,
    ContextTooLong,
    ProviderProtocol,
    ProviderRejected,
    ProviderUnavailable,
    RunError,
    ToolRoundsExceeded,
)
from agents.runtime.events import Event, ModelCall, TextDelta, ToolResult
from agents.runtime.providers import Connection, find_provider
from agents.runtime.providers.base import ChatMessage, ModelRequest, ToolRound
from agents.runtime.timeouts import CallTimeout
from agents.runtime.tools import TOOLS, run_tools
from agents.runtime.tools.prepare import prepared
from salient.texts import is_blank

__all__ = ["ChatMessage", "Run", "RunRequest", "Timeouts"]

BACKOFF_SECONDS = 0.25
LONGEST_WAIT_SECONDS = 10.0
LONGEST_ANSWER = 1_000_000
# Characters of a whole turn: the answer, the arguments of its tools and their results.
LARGEST_TURN = 4_000_000
BETWEEN_ROUNDS = "\n\n"
# After so many events of a model other tasks of the event loop may run.
EVENTS_WITHOUT_PAUSE = 64


class Timeouts(msgspec.Struct, frozen=True):
    """Seconds. `total` is for the whole run, its tools and retries included."""

    connect: float = 5.0
    first_token: float = 30.0
    stall: float = 20.0
    total: float = 180.0


class RunRequest(msgspec.Struct, frozen=True):
    """`models` are written "provider:model": the preferred one, then those to fall back to.

    `connections` are the account's own servers, for models written "connection/<name>:model".
    `stream`: the caller reads the answer as it comes. The provider is asked to stream in any
    case.
    """

    models: tuple[str, ...]
    system_prompt: str
    messages: tuple[ChatMessage, ...]
    temperature: float | None = None
    max_tokens: int | None = None
    tools: tuple[str, ...] = ()
    timeouts: Timeouts = msgspec.field(default_factory=Timeouts)
    retries: int = 2
    max_tool_rounds: int = 5
    stream: bool = True
    connections: Mapping[str, Connection] = msgspec.field(default_factory=dict)


class Run:
    """Answers a request; `calls` and `text` are right at any moment, also after a failure."""

    __slots__ = (
        "_deadline",
        "_length",
        "_messages",
        "_models",
        "_rounds",
        "_shortened",
        "_size",
        "_texts",
        "_tools",
        "calls",
        "request",
    )

    def __init__(self, request: RunRequest) -> None:
        self.request = request
        self.calls: list[ModelCall] = []
        self._models = list(request.models)
        # The conversation; shorter than the request's after a model has refused it as too long.
        self._messages = request.messages
        self._shortened = False
        self._tools = tuple(TOOLS[name].spec for name in request.tools)
        self._rounds: tuple[ToolRound, ...] = ()
        self._texts: list[str] = []
        self._length = 0
        self._size = 0
        self._deadline = 0.0

    @property
    def text(self) -> str:
        return "".join(self._texts)

    @property
    def rounds(self) -> tuple[ToolRound, ...]:
        """The rounds of tools so far, each with its calls and their results."""
        return self._rounds

    async def events(self) -> AsyncGenerator[Event]:
        """Yield the events as they happen; raises RunError. Closing it ends the model's call."""
        self._deadline = asyncio.get_running_loop().time() + self.request.timeouts.total
        attempt = 0
        while True:
            call: Call | None = None
            try:
                call = self._start_call()
                async with aclosing(self._attempt(call)) as events:
                    async for event in events:
                        yield event
            except RunError as error:
                # No other model may continue an answer that this one has begun.
                if call is not None and call.begun:
                    raise
                attempt = await self._before_next(error, attempt)
                continue
            if not call.tool_calls:
                return
            for result in await self._use_tools(call):
                yield result
            attempt = 0

    async def _use_tools(self, call: Call) -> list[ToolResult]:
        """Run what the model asked for; raises ToolRoundsExceeded."""
        if len(self._rounds) >= self.request.max_tool_rounds:
            raise ToolRoundsExceeded
        results = await run_tools(call.tool_calls, self.request.tools)
        text = "".join(call.texts).replace("\x00", "").strip() if call.has_text else ""
        self._rounds += (
            ToolRound(
                text=text,
                calls=tuple(call.tool_calls),
                results=tuple(results),
                provider=call.provider_name,
                provider_data=call.provider_data,
            ),
        )
        self._size += sum(len(each.name) + len(each.arguments) for each in call.tool_calls)
        self._size += sum(len(result.content) for result in results)
        if self._size + self._length > LARGEST_TURN:
            raise ProviderProtocol("the turn has no end")
        return results

    def _start_call(self) -> Call:
        """The next call to make; raises RunError where the model cannot be called at all."""
        wanted = self.request
        provider, provider_name, model = find_provider(self._models[0], wanted.connections)
        request = ModelRequest(
            model=model,
            system_prompt="" if is_blank(wanted.system_prompt) else wanted.system_prompt,
            messages=normalised(self._messages),
            rounds=tuple(_for_provider(each, provider_name) for each in self._rounds),
            temperature=wanted.temperature,
            max_tokens=wanted.max_tokens,
            tools=self._tools if provider.supports_tools else (),
            connect_timeout=wanted.timeouts.connect,
        )
        return Call(provider, provider_name, request, is_streamed=wanted.stream)

    async def _attempt(self, call: Call) -> AsyncGenerator[Event]:
        """Make the call; its outcome, also that of a failure, is then in `calls`."""
        timeout = self._timeout(call)
        events = 0
        try:
            async with aclosing(call.provider.stream(call.request)) as stream:
                while (event := await timeout.next(stream)) is not None:
                    if not call.begun:
                        timeout.begun()
                    call.take(event)
                    if isinstance(event, TextDelta):
                        for delta in self._take_text(event, call):
                            yield delta
                    events += 1
                    if events % EVENTS_WITHOUT_PAUSE == 0:
                        # Events that have come already are read without a pause.
                        await asyncio.sleep(0)
            call.check(has_text=bool(self._texts))
        except RunError as error:
            call.fail(error)
            raise
        except (asyncio.CancelledError, GeneratorExit):
            call.error = CANCELLED
            raise
        finally:
            timeout.end()
            self.calls.append(call.outcome())
        call.tool_calls = prepared(
            call.tool_calls,
            before=sum(len(each.calls) for each in self._rounds),
            finish_reason=call.finish_reason,
        )
        for tool_call in call.tool_calls:
            yield tool_call
        yield self.calls[-1]

    def _timeout(self, call: Call) -> CallTimeout:
        limits = self.request.timeouts
        first = max(limits.first_token, call.provider.least_first_token_timeout)
        return CallTimeout(first, limits.stall, self._deadline)

    def _take_text(self, delta: TextDelta, call: Call) -> list[TextDelta]:
        """Keep the text; the text of a later round begins a new paragraph.

        White space is held back until the first word comes: an answer without words is empty.
        """
        self._length += len(delta.text)
        texts = [delta.text]
        if not call.has_text:
            call.has_text = not is_blank(delta.text)
            texts = ["".join(call.texts)] if call.has_text else []
            if texts and self._texts:
                texts.insert(0, BETWEEN_ROUNDS)
        texts = [valid for text in texts if (valid := text.replace("\x00", ""))]
        self._texts += texts
        if self._length > LONGEST_ANSWER:
            raise ProviderProtocol("the answer has no end")
        return [TextDelta(text) for text in texts]

    async def _before_next(self, error: RunError, attempt: int) -> int:
        """Wait for the same model or turn to the next one; raises the error when none is left."""
        left = self._deadline - asyncio.get_running_loop().time()
        if left > 0 and isinstance(error, ContextTooLong) and self._shorten():
            return attempt
        wait = _wait_seconds(error, attempt)
        if (
            error.retryable
            and attempt < self.request.retries
            and wait <= min(LONGEST_WAIT_SECONDS, left)
        ):
            await asyncio.sleep(wait)
            return attempt + 1
        if (
            left > 0
            and _may_be_of_the_messages(error)
            and self._send(answered_only(self._messages))
        ):
            return attempt
        # One answer is never written by two models.
        if error.fallback and not self._texts and len(self._models) > 1 and left > 0:
            del self._models[0]
            # Another model may have room for the whole conversation.
            self._messages, self._shortened = self.request.messages, False
            return 0
        raise error

    def _shorten(self) -> bool:
        """Drop the oldest half of the conversation, then all but the current message.

        False when that changes nothing: a refused request is not sent again unchanged.
        """
        half_first = not self._shortened
        self._shortened = True
        return (half_first and self._send(newest_half(self._messages))) or self._send(
            self._messages[-1:]
        )

    def _send(self, messages: tuple[ChatMessage, ...]) -> bool:
        """Send these from now on; False when that changes nothing."""
        before, self._messages = normalised(self._messages), messages
        return normalised(messages) != before


def _may_be_of_the_messages(error: RunError) -> bool:
    """Whether an earlier, unanswered message may be the reason; only for errors that are free.

    Some servers answer with status 500 to a message that they cannot read.
    """
    return (
        isinstance(error, AnswerRefused | ProviderRejected | ProviderUnavailable)
        and error.refused
        and error.retry_after is None
    )


def _for_provider(tool_round: ToolRound, provider_name: str) -> ToolRound:
    """The round as this provider may see it: without the data that another provider added."""
    if tool_round.provider == provider_name:
        return tool_round
    calls = tuple(replace(call, extra={}) for call in tool_round.calls)
    return replace(tool_round, calls=calls, provider_data=None)


def _wait_seconds(error: RunError, attempt: int) -> float:
    """The wait that the provider asks for, else an exponential backoff with jitter."""
    if error.retry_after is not None:
        return error.retry_after
    return BACKOFF_SECONDS * (1 << attempt) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
