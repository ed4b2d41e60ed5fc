"""Reads an answer of OpenAI's chat API by what came, whatever was asked for.

A stream of events, a whole answer, a whole answer within a stream and one JSON object a line are
read in the same way. What is read is bounded in bytes, calls and thoughts.
"""

from collections.abc import Collection, Iterable, Iterator

import msgspec

from agents.runtime.errors import ProviderProtocol, RunError
from agents.runtime.events import TextDelta
from agents.runtime.providers import openai_wire as wire
from agents.runtime.providers.base import PROGRESS, Finished, ModelEvent
from agents.runtime.providers.characters import CharacterJoin
from agents.runtime.providers.openai_answer import Answer, Choice, Said, decode, is_done, text_of
from agents.runtime.providers.provider_data import ProviderData
from agents.runtime.providers.refusals import refusal
from agents.runtime.providers.sse import EventStreamReader
from agents.runtime.providers.tool_call_assembly import ToolCallAssembly

# Of one answer, with all that the server writes around its words.
MAX_ANSWER_BYTES = 64 * 1024 * 1024
# Names of events that keep a connection open and say nothing.
PINGS = frozenset({b"ping", b"heartbeat", b"keepalive", b"keep-alive", b"keep_alive"})
WITHHELD = "The model provider's content filter withheld this answer."
FILTERED = frozenset(
    {
        "content_filter",
        "content_filtered",
        "contentfilter",
        "refusal",
        "safety",
        "prohibited_content",
        "blocklist",
        "recitation",
        "spii",
        "sensitive",
        "blocked",
        "guardrail_intervened",
    }
)


class Reading:
    """What has been read of one answer so far; `tools` are the names that it may call."""

    __slots__ = (
        "_characters",
        "_data",
        "_events",
        "_has_message",
        "_has_spoken",
        "_header_cost",
        "_size",
        "_tool_calls",
        "done",
        "finish_reason",
        "usage",
    )

    def __init__(self, header_cost: str | None = None, tools: Collection[str] = ()) -> None:
        self.usage = msgspec.Raw()
        self.finish_reason = ""
        # The mark that ends the stream has come.
        self.done = False
        self._header_cost = header_cost
        self._tool_calls = ToolCallAssembly(tools)
        self._data = ProviderData()
        self._events = EventStreamReader()
        self._characters = CharacterJoin()
        self._size = 0
        self._has_message = False
        self._has_spoken = False

    @property
    def is_complete(self) -> bool:
        """Whether all of the answer is there, whatever becomes of the connection."""
        return self.done or bool(self.finish_reason and len(self.usage) > len(b"null"))

    def take(self, chunk: bytes) -> Iterator[ModelEvent]:
        """Read what arrived; faults after the end of the answer do not matter."""
        self._size += len(chunk)
        try:
            if self._size > MAX_ANSWER_BYTES:
                raise ProviderProtocol("the answer has no end")
            events = self._events.feed(chunk)
            yield from self._taken(events)
        except RunError:
            if not self.is_complete:
                raise
            self.done = True

    def cut(self) -> Iterator[ModelEvent]:
        """Read what is left when the connection broke: the last event may be whole or not."""
        try:
            yield from self._taken(self._events.close())
        except ProviderProtocol:
            return

    def end(self) -> Iterator[ModelEvent]:
        """What is known at the end of the answer; raises ProviderProtocol when it is none."""
        if not self.done:
            yield from self._closed()
        if rest := self._characters.close():
            self._has_spoken = True
            yield TextDelta(rest)
        if not (self.finish_reason or self.done or self._has_message):
            raise ProviderProtocol("the stream ended before the answer did")
        calls = self._tool_calls.calls()
        if not (calls or self._has_spoken) and self.finish_reason.lower() in FILTERED:
            yield TextDelta(WITHHELD)
        yield from calls
        usage = wire.read_usage(self.usage, self._header_cost)
        yield Finished(wire.plain_reason(self.finish_reason), usage, self._data.result())

    def _closed(self) -> Iterator[ModelEvent]:
        try:
            yield from self._taken(self._events.close())
        except RunError:
            if not self.is_complete:
                raise

    def _taken(self, events: Iterable[tuple[bytes, bytes]]) -> Iterator[ModelEvent]:
        """Read what arrived together; words that did go on together, for each event costs time."""
        said: list[str] = []
        fault: RunError | None = None
        try:
            self._take_events(events, said)
        except RunError as error:
            # What was said before the fault was said.
            fault = error
        if text := self._characters.feed("".join(said)):
            yield TextDelta(text)
        elif said:
            yield PROGRESS
        if fault is not None:
            raise fault

    def _take_events(self, events: Iterable[tuple[bytes, bytes]], said: list[str]) -> None:
        """Add the words of each event to `said`; "" where the model is at work without words."""
        for name, data in events:
            if is_done(data):
                self.done = True
                return
            if not data or data.isspace() or name in PINGS:
                continue
            if name == b"error":
                raise _error_inside(data)
            for answer in decode(data):
                if bytes(answer.error) not in wire.NOTHING:
                    raise _error_inside(bytes(answer.error))
                text = self._take_answer(answer)
                if text is not None:
                    said.append(text)
                    self._has_spoken = self._has_spoken or bool(text and not text.isspace())

    def _take_answer(self, answer: Answer) -> str | None:
        if len(answer.usage) > len(b"null"):
            self.usage = answer.usage
        choice = answer.choices[0] if answer.choices else None
        if choice is None:
            return None
        if choice.finish_reason and isinstance(choice.finish_reason, str):
            self.finish_reason = choice.finish_reason
        if isinstance(choice.delta, Said):
            return self._take_delta(choice.delta)
        return self._take_whole(choice)

    def _take_delta(self, said: Said) -> str | None:
        is_thinking = self._data.take(said)
        content = said.content
        if said.tool_calls or said.function_call or said.refusal:
            is_thinking = True
            self._take_calls(said, is_whole=False)
            content = text_of(content) + (text_of(said.refusal) if said.refusal else "")
        if isinstance(content, str):
            return content if content or is_thinking else None
        # A list of parts that has no text holds thoughts.
        return text_of(content) if content or is_thinking else None

    def _take_whole(self, choice: Choice) -> str | None:
        """A whole message; after deltas it says once more what they have said."""
        said = choice.message
        if not isinstance(said, Said):
            return text_of(choice.text) or None
        self._has_message = True
        if not self._tool_calls:
            self._take_calls(said, is_whole=True)
        if self._has_spoken:
            return None
        self._data.take(said)
        return text_of(said.content) + (text_of(said.refusal) if said.refusal else "")

    def _take_calls(self, said: Said, *, is_whole: bool) -> None:
        calls = said.tool_calls
        if isinstance(calls, dict):
            calls = [calls] if "function" in calls else list(calls.values())
        if calls and not isinstance(calls, list):
            raise ProviderProtocol("tool calls that are no list")
        for part in calls or ():
            self._tool_calls.add(part, is_whole=is_whole)
        if said.function_call and not calls:
            self._tool_calls.add({"function": said.function_call}, is_whole=is_whole)


def _error_inside(data: bytes) -> RunError:
    """An error that came inside of an answer with status 200."""
    return refusal(wire.error_status(msgspec.Raw(data)), data.decode(errors="replace"), {})
