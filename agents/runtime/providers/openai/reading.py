"""Reads an answer of OpenAI's chat API by what arrived, streamed or whole.

A stream of events, a whole answer, a whole answer within a stream and one JSON object a line are
read in the same way. What is read is bounded in bytes, calls and thoughts.
"""

from collections.abc import Collection, Iterator, Sequence

from agents.runtime.errors import ProviderProtocol, RunError
from agents.runtime.events import TextDelta
from agents.runtime.providers.base import PROGRESS, Finished, ModelEvent, Usage
from agents.runtime.providers.characters import CharacterJoin
from agents.runtime.providers.openai.answer import (
    DONE,
    DONE_LENGTH,
    Answer,
    Choice,
    Message,
    TooLarge,
    decode,
    is_done,
    plain_texts,
    text_of,
)
from agents.runtime.providers.openai.provider_data import ProviderData
from agents.runtime.providers.openai.sse import EventStreamReader
from agents.runtime.providers.openai.tool_call_assembly import ToolCallAssembly
from agents.runtime.providers.openai.usage import SHORTEST, UsageReading
from agents.runtime.providers.refusals import error_inside, find_error

# Of one answer, with all that the server writes around its words.
MAX_ANSWER_BYTES = 64 * 1024 * 1024
# A stream whose chunks hold more than text is read without trying each as text first.
MOST_NOT_PLAIN = 4
# Names of events that only keep a connection open.
PINGS = frozenset({b"ping", b"heartbeat", b"keepalive", b"keep-alive", b"keep_alive"})


class Reading:
    """What has been read of one answer so far; `tools` are the names that it may call."""

    __slots__ = (
        "_characters",
        "_data",
        "_events",
        "_has_message",
        "_has_text",
        "_header_cost",
        "_not_plain",
        "_size",
        "_tool_calls",
        "_usage",
        "_whole_text",
        "done",
        "fault",
        "finish_reason",
        "is_complete",
    )

    def __init__(self, header_cost: str | None = None, tools: Collection[str] = ()) -> None:
        self.finish_reason = ""
        # [DONE] has come, which ends the stream.
        self.done = False
        # All of the answer has come, whatever becomes of the connection.
        self.is_complete = False
        self.fault: RunError | None = None
        self._header_cost = header_cost
        self._usage = UsageReading()
        self._tool_calls = ToolCallAssembly(tools)
        self._data = ProviderData()
        self._events = EventStreamReader()
        self._characters = CharacterJoin()
        self._size = 0
        self._has_message = False
        self._whole_text = ""
        self._has_text = False
        # How many of the last chunks were more than a piece of text.
        self._not_plain = 0

    def take(self, chunk: bytes) -> ModelEvent | None:
        """Return the text that arrived, as one event, or that the model is at work.

        `fault` is what went wrong, if anything did; the text before it is returned all the same.
        What comes after the end of the answer is no fault.
        """
        self._size += len(chunk)
        if self._size > MAX_ANSWER_BYTES:
            self._fail(ProviderProtocol("the answer has no end"))
            return None
        try:
            events = self._events.feed(chunk)
        except ProviderProtocol as error:
            self._fail(error)
            return None
        return self._read_events(events) if events else None

    def cut(self) -> ModelEvent | None:
        """Read what is left when the connection broke; an incomplete last event is dropped."""
        event = self._read_events(self._events.close())
        if isinstance(self.fault, ProviderProtocol):
            self.fault = None
        return event

    def counted(self) -> Usage | None:
        """What the server has counted so far."""
        return self._usage.result(self._header_cost)

    def end(self) -> Iterator[ModelEvent]:
        """The last events of the answer; raises RunError where it failed or is incomplete."""
        if not (self.done or self.fault):
            event = self._read_events(self._events.close())
            if event is not None:
                yield event
        if self.fault is not None:
            raise self.fault
        if rest := self._characters.close():
            yield TextDelta(rest)
        if not (self.finish_reason or self.done or self._has_message):
            raise ProviderProtocol("the stream ended before the answer did")
        yield from self._tool_calls.calls()
        yield Finished(self.finish_reason, self.counted(), self._data.result())

    def _fail(self, error: RunError) -> None:
        if self.is_complete:
            self.done = True
        else:
            self.fault = error

    def _read_events(self, events: Sequence[tuple[bytes, bytes]]) -> ModelEvent | None:
        texts: list[str] = []
        place = 0
        try:
            while place < len(events) and not self.done:
                if plain := self._plain_texts(events, place):
                    texts += plain
                    place += len(plain)
                else:
                    self._take_event(*events[place], texts)
                    place += 1
        except RunError as error:
            self._fail(error)
        text = texts[0] if len(texts) == 1 else "".join(texts)
        if text := self._characters.feed(text):
            return TextDelta(text)
        return PROGRESS if texts else None

    def _plain_texts(self, events: Sequence[tuple[bytes, bytes]], first: int) -> list[str]:
        """Return the texts of the next events that hold nothing else; none where another comes."""
        if self.finish_reason or self._not_plain > MOST_NOT_PLAIN:
            return []
        texts = plain_texts(events, first)
        if not texts:
            self._not_plain += 1
            return texts
        self._not_plain = 0
        if not self._has_text:
            self._has_text = not "".join(texts).isspace()
        return texts

    def _take_event(self, name: bytes, data: bytes, texts: list[str]) -> None:
        """Read any event, and add its text."""
        if len(data) <= DONE_LENGTH and is_done(data):
            self.done = self.is_complete = True
            return
        if name in PINGS:
            return
        if name == b"error" and data:
            raise error_inside(data)
        # Without a blank line before it, [DONE] is the last line of an event.
        read = data.removesuffix(DONE)
        for answer in _decode(read):
            text = self._take_answer(answer)
            if text is not None:
                texts.append(text)
        if len(read) < len(data):
            self.done = self.is_complete = True

    def _take_answer(self, answer: Answer) -> str | None:
        if len(answer.usage):
            self._usage.add(answer.usage)
        choice = answer.choices[0] if answer.choices else None
        if choice is None:
            self.is_complete = bool(self.finish_reason) and not self._usage.is_empty
            return None
        if len(choice.usage):
            self._usage.add(choice.usage)
        if choice.finish_reason and isinstance(choice.finish_reason, str):
            self.finish_reason = choice.finish_reason
        if self.finish_reason:
            self.is_complete = not self._usage.is_empty
        text = self._take_delta(choice.delta) if isinstance(choice.delta, Message) else None
        if text is None and (choice.message is not None or choice.text is not None):
            return self._take_whole(choice)
        return text

    def _take_delta(self, delta: Message) -> str | None:
        is_at_work = self._data.take(delta)
        text = delta.content
        if delta.tool_calls or delta.function_call:
            self._take_calls(delta, is_whole=False)
            is_at_work = True
        if delta.refusal or not isinstance(text, str):
            # A list of parts that has no text holds thoughts.
            is_at_work = is_at_work or bool(text)
            text = _message_text(delta)
        if text:
            self._has_text = self._has_text or not text.isspace()
            return text
        return "" if is_at_work else None

    def _take_whole(self, choice: Choice) -> str | None:
        """A whole message. After deltas it repeats their text, so nothing of it is returned.

        A server may send it several times, each time with more text.
        """
        message = choice.message
        if not isinstance(message, Message):
            text = text_of(choice.text)
            self._has_text = self._has_text or bool(text.strip())
            return text or None
        if not self._tool_calls:
            self._take_calls(message, is_whole=True)
        if self._has_text and not self._whole_text:
            return None
        is_at_work = bool(self._tool_calls)
        if not self._has_message:
            is_at_work = self._data.take(message) or is_at_work
        before, self._whole_text = self._whole_text, _message_text(message)
        self._has_message = True
        self._has_text = self._has_text or bool(self._whole_text.strip())
        return self._whole_text.removeprefix(before) or ("" if is_at_work else None)

    def _take_calls(self, message: Message, *, is_whole: bool) -> None:
        calls = message.tool_calls
        if isinstance(calls, dict):
            calls = [calls] if "function" in calls else list(calls.values())
        if calls and not isinstance(calls, list):
            raise ProviderProtocol("tool calls that are no list")
        for part in calls or ():
            self._tool_calls.add(part, is_whole=is_whole)
        if message.function_call and not calls:
            self._tool_calls.add({"function": message.function_call}, is_whole=is_whole)


def _message_text(message: Message) -> str:
    """A message's text; a refusal is part of it."""
    return text_of(message.content) + (text_of(message.refusal) if message.refusal else "")


def _decode(data: bytes) -> list[Answer]:
    """Read an event's data; raises the error that it holds."""
    try:
        answers = decode(data)
    except TooLarge:
        raise
    except ProviderProtocol as error:
        raise find_error(data) or error from error
    if any(map(_may_hold_error, answers)) and (fault := find_error(data)) is not None:
        raise fault
    return answers


def _may_hold_error(answer: Answer) -> bool:
    choice = answer.choices[0] if answer.choices else None
    if choice is None:
        return len(answer.usage) <= SHORTEST or len(answer.error) > 0
    if len(answer.error) + len(choice.error) > 0 or choice.finish_reason == "error":
        return True
    message = choice.delta or choice.message
    return isinstance(message, Message) and len(message.error) > 0
