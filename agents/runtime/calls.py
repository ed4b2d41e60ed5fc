"""One call of a model while it runs, and the record that is kept of it."""

import time
from collections.abc import Iterator
from typing import Any

import msgspec

from agents.runtime.errors import AnswerRefused, EmptyAnswer, ProviderProtocol, RunError
from agents.runtime.events import ModelCall, TextDelta, ToolCall
from agents.runtime.providers.base import (
    MOST_TOOL_CALLS,
    Finished,
    ModelEvent,
    ModelRequest,
    Provider,
    Usage,
    estimate_tokens,
    finish_reason,
)

CANCELLED = "cancelled"
# Of all calls of one answer, their names included.
LONGEST_ARGUMENTS = 256_000


class Call:
    """Collects a model's answer; `outcome` is right at any moment, also when the call is cut."""

    __slots__ = (
        "_finished",
        "_first_token",
        "_is_streamed",
        "_refused",
        "_started",
        "_tool_call_characters",
        "_usage",
        "error",
        "has_text",
        "provider",
        "provider_name",
        "request",
        "texts",
        "tool_calls",
    )

    def __init__(
        self,
        provider: Provider,
        provider_name: str,
        request: ModelRequest,
        *,
        is_streamed: bool = True,
    ) -> None:
        self.provider = provider
        self.provider_name = provider_name
        self.request = request
        self.texts: list[str] = []
        # Whether the text is more than white space.
        self.has_text = False
        self.tool_calls: list[ToolCall] = []
        self.error = ""
        # Whether the caller reads the answer as it comes.
        self._is_streamed = is_streamed
        self._tool_call_characters = 0
        self._refused = False
        self._finished: Finished | None = None
        self._usage = Usage()
        self._started = time.perf_counter()
        self._first_token: float | None = None

    @property
    def text(self) -> str:
        """What the model has written so far, without NUL, which cannot be stored."""
        return "".join(self.texts).replace("\x00", "")

    @property
    def begun(self) -> bool:
        """Whether the model has sent anything: from then on no other model may answer."""
        return self._first_token is not None

    def take(self, event: ModelEvent) -> None:
        if isinstance(event, TextDelta):
            self.texts.append(event.text)
        elif isinstance(event, ToolCall):
            self._take_tool_call(event)
        elif isinstance(event, Usage):
            self._usage = event
            return
        elif isinstance(event, Finished):
            self._finished = event
            self._usage = event.usage or self._usage
            return
        if self._first_token is None:
            self._first_token = time.perf_counter()

    def _take_tool_call(self, call: ToolCall) -> None:
        self._tool_call_characters += len(call.name) + len(call.arguments)
        if len(self.tool_calls) >= MOST_TOOL_CALLS:
            raise ProviderProtocol(f"more than {MOST_TOOL_CALLS} tool calls in one answer")
        if self._tool_call_characters > LONGEST_ARGUMENTS:
            raise ProviderProtocol(f"tool calls of more than {LONGEST_ARGUMENTS} characters")
        self.tool_calls.append(call)

    @property
    def finish_reason(self) -> str:
        return finish_reason(self._finished.reason) if self._finished else ""

    @property
    def provider_data(self) -> Any:
        """The data that goes back to the provider with the tool calls of this answer."""
        return self._finished.provider_data if self._finished else None

    def check(self, *, has_text: bool) -> None:
        """Raise where the call went well but the answer is empty."""
        if has_text or self.tool_calls:
            return
        if self.finish_reason == "content_filter":
            raise AnswerRefused(self.finish_reason)
        raise EmptyAnswer(self.finish_reason)

    def fail(self, error: RunError) -> None:
        self.error = error.code
        # A model that has begun to answer has done work, which is to be paid.
        self._refused = error.refused and not self.begun

    def outcome(self) -> ModelCall:
        usage = self._usage
        # The provider counts images and files too; where it has not, we do.
        read = usage.input_tokens or self._counted(None, self._sent) + self._attached
        written = self._counted(usage.output_tokens, self._received)
        if self._finished is None and not self._refused:
            # More may have come after the provider counted.
            written = max(written, self._counted(None, self._received))
        is_exact = (read, written) == (usage.input_tokens or 0, usage.output_tokens)
        guessed = not is_exact or self._finished is None
        return ModelCall(
            provider=self.provider_name,
            model=self.request.model,
            input_tokens=read,
            output_tokens=written,
            cached_tokens=min(usage.cached_tokens, read),
            reasoning_tokens=min(usage.reasoning_tokens, written),
            reported_cost=usage.reported_cost,
            estimated=guessed and not self._refused,
            latency_ms=_milliseconds(time.perf_counter() - self._started),
            time_to_first_token_ms=self._time_to_first_token(),
            finish_reason=self.finish_reason,
            error=self.error,
        )

    def _counted(self, reported: int | None, text: Iterator[str]) -> int:
        """The provider's count unless it is zero, else an estimate; a refusal is free."""
        if reported:
            return reported
        return 0 if self._refused else estimate_tokens("".join(text))

    @property
    def _attached(self) -> int:
        """The tokens of images and files; a refusal is free."""
        sent = (each for message in self.request.messages for each in message.attachments)
        return 0 if self._refused else sum(each.tokens for each in sent)

    @property
    def _sent(self) -> Iterator[str]:
        yield self.request.system_prompt
        for message in (*self.request.messages, *self.request.followup):
            yield message.content
            for call in message.calls:
                yield call.arguments
        for tool_round in self.request.rounds:
            yield tool_round.text
            for call in tool_round.calls:
                yield call.arguments
            for result in tool_round.results:
                yield result.content
        for tool in self.request.tools:
            yield msgspec.json.encode(tool.parameters).decode()

    @property
    def _received(self) -> Iterator[str]:
        yield from self.texts
        for call in self.tool_calls:
            yield call.arguments

    def _time_to_first_token(self) -> int | None:
        if self._first_token is None or not self._is_streamed:
            return None
        return _milliseconds(self._first_token - self._started)


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
