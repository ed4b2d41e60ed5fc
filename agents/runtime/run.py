"""One run of an agent: call the model, run the tools it asks for, call again, within bounds."""

import asyncio
import random
from collections.abc import AsyncGenerator

from msgspec.structs import replace

from agents.runtime.calls import CANCELLED, Call
from agents.runtime.conversation import (
    answered_only,
    calls_in,
    newest_half,
    normalised,
    only_current,
)
from agents.runtime.errors import (
    AnswerRefused,
    ContextTooLong,
    OutputInvalid,
    ProviderProtocol,
    ProviderRejected,
    ProviderUnavailable,
    RunError,
    ToolRoundsExceeded,
    UnsupportedContent,
    UnsupportedTools,
)
from agents.runtime.events import Event, ModelCall, TextDelta, ToolCall, ToolResult
from agents.runtime.output import OutputCheck
from agents.runtime.providers import find_provider
from agents.runtime.providers.base import (
    ChatMessage,
    ModelEvent,
    ModelRequest,
    Provider,
    ToolRound,
)
from agents.runtime.requests import RunRequest, Timeouts
from agents.runtime.spans import begin_call, end_call
from agents.runtime.timeouts import TimedStream
from agents.runtime.tools import TOOLS, run_tools
from agents.runtime.tools.prepare import CUT, prepared
from salient.texts import is_blank

__all__ = ["ChatMessage", "Run", "RunRequest", "Timeouts"]

BACKOFF_SECONDS = 0.25
LONGEST_WAIT_SECONDS = 10.0
LONGEST_ANSWER = 1_000_000
# Characters of a whole turn: the answer, the arguments of its tools and their results.
LARGEST_TURN = 4_000_000
BETWEEN_ROUNDS = "\n\n"


class Run:
    """Answers a request; `calls` and `text` hold true at any moment, also after a failure.

    A run that ends with `client_calls` waits for their results, which another run is given.
    """

    __slots__ = (
        "_check",
        "_client_names",
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
        "client_calls",
        "request",
    )

    def __init__(self, request: RunRequest) -> None:
        self.request = request
        self.calls: list[ModelCall] = []
        self._models = list(request.models)
        # The conversation; shorter than the request's after a model has refused it as too long.
        self._messages = request.messages
        self._shortened = False
        self._tools = (*(TOOLS[name].spec for name in request.tools), *request.client_tools)
        self._client_names = frozenset(tool.name for tool in request.client_tools)
        self._check = OutputCheck(request.output_format) if request.output_format else None
        self.client_calls: tuple[ToolCall, ...] = ()
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
                async with _Attempt(call, self._timed(call), self.calls) as events:
                    while (event := await events.next()) is not None:
                        call.take(event)
                        if isinstance(event, TextDelta):
                            for delta in self._take_text(event, call):
                                yield delta
                    call.check(has_text=bool(self._texts) or call.has_text)
                call.tool_calls = self._prepared(call)
                for tool_call in call.tool_calls:
                    yield tool_call
                yield self.calls[-1]
            except RunError as error:
                # No other model may continue an answer that this one has begun.
                if call is not None and call.begun:
                    raise
                attempt = await self._before_next(error, attempt)
                continue
            if call.tool_calls:
                for result in await self._use_tools(call):
                    yield result
                if self.client_calls:
                    return
            elif self._check is None:
                return
            elif (checked := await self._checked(call, self._check)) is not None:
                yield checked
                return
            attempt = 0

    async def _checked(self, call: Call, check: OutputCheck) -> TextDelta | None:
        """Return the answer in the format that was asked for, None where it is asked for again.

        An answer that was cut off cannot be whole: the caller reads in its finish reason why.
        """
        was_refused = check.was_refused
        was_cut = call.finish_reason in CUT
        answer = TextDelta(call.text) if was_cut else await check.accepted(call.text)
        if answer is None and was_refused:
            raise OutputInvalid(check.followup[-1].content)
        if answer is not None:
            self._texts.append(answer.text)
        return answer

    async def _use_tools(self, call: Call) -> list[ToolResult]:
        """Run what the model asked for, but for the caller's tools; raises ToolRoundsExceeded."""
        theirs = tuple(each for each in call.tool_calls if each.is_client)
        ours = [each for each in call.tool_calls if not each.is_client]
        # A run that ends here makes no further call, however many there were.
        if len(self._rounds) >= self.request.max_tool_rounds and not theirs:
            raise ToolRoundsExceeded
        results = await run_tools(ours, self.request.tools) if ours else []
        self.client_calls = theirs
        self._rounds += (
            ToolRound(
                text=call.text.strip() if call.has_text else "",
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
        _require_support(provider, wanted)
        request = ModelRequest(
            model=model,
            system_prompt=wanted.whole_prompt,
            messages=tuple(
                _for_provider(each, provider_name) for each in normalised(self._messages)
            ),
            rounds=tuple(_for_provider(each, provider_name) for each in self._rounds),
            temperature=wanted.temperature,
            max_tokens=wanted.max_tokens,
            tools=self._tools if provider.supports_tools else (),
            connect_timeout=wanted.timeouts.connect,
            tool_choice=wanted.tool_choice,
            parallel_tool_calls=wanted.parallel_tool_calls,
            output_format=wanted.output_format,
            top_p=wanted.top_p,
            stop=wanted.stop,
            seed=wanted.seed,
            followup=self._check.followup if self._check else (),
        )
        return Call(provider, provider_name, request, is_streamed=wanted.stream)

    def _prepared(self, call: Call) -> list[ToolCall]:
        """Give the calls ids that are valid to send back; those of the caller's tools get theirs.

        A call that must not run is answered here, whoever's tool it is for.
        """
        if not call.tool_calls:
            return []
        before = calls_in(call.request.messages) + sum(len(each.calls) for each in self._rounds)
        calls = prepared(call.tool_calls, before=before, finish_reason=call.finish_reason)
        if not self._client_names:
            return calls
        return [
            replace(each, id=f"{self.request.call_prefix}{number:02}", is_client=True)
            if each.name in self._client_names and not each.problem
            else each
            for number, each in enumerate(calls)
        ]

    def _timed(self, call: Call) -> TimedStream[ModelEvent]:
        limits = self.request.timeouts
        return TimedStream(
            call.provider.stream(call.request),
            first=max(limits.first_token, call.provider.least_first_token_timeout),
            stall=limits.stall,
            deadline=self._deadline,
        )

    def _take_text(self, delta: TextDelta, call: Call) -> list[TextDelta]:
        """Keep the text; the text of a later round begins a new paragraph.

        White space is held back until the first word comes: an answer without words is empty.
        """
        self._length += len(delta.text)
        if self._check is not None:
            # It is shown when it has been checked.
            call.has_text = call.has_text or not is_blank(delta.text)
            if self._length > LONGEST_ANSWER:
                raise ProviderProtocol("the answer has no end")
            return []
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
            only_current(self._messages)
        )

    def _send(self, messages: tuple[ChatMessage, ...]) -> bool:
        """Send these from now on; False when that changes nothing."""
        before, self._messages = normalised(self._messages), messages
        return normalised(messages) != before


class _Attempt:
    """One call of a model; its outcome, also that of a failure, is then in `calls`.

    A class, because one more async generator takes 3 µs a call.
    """

    __slots__ = ("_call", "_calls", "_events", "_span")

    def __init__(self, call: Call, events: TimedStream[ModelEvent], calls: list[ModelCall]) -> None:
        self._call, self._events, self._calls = call, events, calls

    async def __aenter__(self) -> TimedStream[ModelEvent]:
        self._span = begin_call(self._call)
        return self._events

    async def __aexit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        call = self._call
        try:
            await self._events.close()
        except BaseException as ended:
            error = ended
            raise
        finally:
            if isinstance(error, RunError):
                call.fail(error)
            elif isinstance(error, asyncio.CancelledError | GeneratorExit):
                call.error = CANCELLED
            self._calls.append(call.outcome())
            end_call(self._span, call, self._calls[-1])


def _require_support(provider: Provider, wanted: RunRequest) -> None:
    """Raise where the provider can do nothing with what the caller sends."""
    if wanted.client_tools and not provider.supports_tools:
        raise UnsupportedTools
    has_attachments = any(message.attachments for message in wanted.messages)
    if has_attachments and not provider.supports_attachments:
        raise UnsupportedContent


def _may_be_of_the_messages(error: RunError) -> bool:
    """Whether an earlier, unanswered message may be the reason; only for errors that are free.

    Some servers answer with status 500 to a message that they cannot read.
    """
    return (
        isinstance(error, AnswerRefused | ProviderRejected | ProviderUnavailable)
        and error.refused
        and error.retry_after is None
    )


def _for_provider[Called: (ToolRound, ChatMessage)](called: Called, provider_name: str) -> Called:
    """The calls as this provider may see them: without the data that another provider added."""
    if not called.calls or called.provider == provider_name:
        return called
    calls = tuple(replace(call, extra={}) for call in called.calls)
    return replace(called, calls=calls, provider_data=None)


def _wait_seconds(error: RunError, attempt: int) -> float:
    """The wait that the provider asks for, else an exponential backoff with jitter."""
    if error.retry_after is not None:
        return error.retry_after
    return BACKOFF_SECONDS * (1 << attempt) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
