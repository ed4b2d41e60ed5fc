"""One call of a model while it is under way, and the account of it that is kept."""

import time
from collections.abc import Iterator

import msgspec

from agents.runtime.errors import EmptyAnswer, RunError
from agents.runtime.events import ModelCall, TextDelta, ToolCall
from agents.runtime.providers.base import (
    Finished,
    ModelEvent,
    ModelRequest,
    Provider,
    Usage,
    estimate_tokens,
)

CANCELLED = "cancelled"


class Call:
    """Sees what the model sends; `outcome` is right at any moment, also when the call is cut."""

    __slots__ = (
        *("_finished", "_first_token", "_is_streamed", "_refused", "_started", "error", "provider"),
        *("provider_name", "request", "said", "tool_calls"),
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
        self.said: list[str] = []
        self.tool_calls: list[ToolCall] = []
        self.error = ""
        # Whether the caller reads the answer as it comes.
        self._is_streamed = is_streamed
        self._refused = False
        self._finished: Finished | None = None
        self._started = time.perf_counter()
        self._first_token: float | None = None

    @property
    def begun(self) -> bool:
        """Whether the model has sent anything: from then on nobody else may answer."""
        return self._first_token is not None

    def take(self, event: ModelEvent) -> None:
        if isinstance(event, TextDelta):
            self.said.append(event.text)
        elif isinstance(event, ToolCall):
            self.tool_calls.append(event)
        elif isinstance(event, Finished):
            self._finished = event
            return
        if self._first_token is None:
            self._first_token = time.perf_counter()

    def check(self, *, spoken: bool) -> None:
        """Raise where the call went well and yet brought nothing."""
        if not spoken and not self.tool_calls:
            raise EmptyAnswer(self._finished.reason if self._finished else "")

    def fail(self, error: RunError) -> None:
        self.error = error.code
        # Who has begun to answer has worked, whatever came then.
        self._refused = error.refused and not self.begun

    def outcome(self) -> ModelCall:
        usage = self._finished.usage if self._finished else None
        usage = usage or Usage()
        read = self._counted(usage.input_tokens, self._sent)
        said = self._counted(usage.output_tokens, self._received)
        guessed = read != (usage.input_tokens or 0) or said != usage.output_tokens
        return ModelCall(
            provider=self.provider_name,
            model=self.request.model,
            input_tokens=read,
            output_tokens=said,
            cached_tokens=min(usage.cached_tokens, read),
            reported_cost=usage.reported_cost,
            estimated=guessed and not self._refused,
            latency_ms=_milliseconds(time.perf_counter() - self._started),
            time_to_first_token_ms=self._time_to_first_token(),
            finish_reason=self._finished.reason if self._finished else "",
            error=self.error,
        )

    def _counted(self, reported: int | None, text: Iterator[str]) -> int:
        """The provider's count; a zero beside text is none. Else an estimate; a refusal is free."""
        if reported:
            return reported
        return 0 if self._refused else estimate_tokens("".join(text))

    @property
    def _sent(self) -> Iterator[str]:
        yield self.request.system_prompt
        for message in self.request.messages:
            yield message.content
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
        yield from self.said
        for call in self.tool_calls:
            yield call.arguments

    def _time_to_first_token(self) -> int | None:
        if self._first_token is None or not self._is_streamed:
            return None
        return _milliseconds(self._first_token - self._started)


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
