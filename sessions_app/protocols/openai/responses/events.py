"""Responses as streams of events, each with its number and its place.

A text delta is put together from bytes that are the same for all deltas of its stream.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from agents.runtime.events import Event, TextDelta, ToolCall
from salient.api.limits import FinalChunk
from salient.api.problems import Problem
from sessions_app.api.schemas import DoneOut
from sessions_app.protocols.openai.encoding import Frame, encoded, error_of
from sessions_app.protocols.openai.responses import encoding, ids
from sessions_app.protocols.openai.responses.types import ErrorEvent, ItemStatus, ResponseOut


class Events:
    """Writes the events of one stream; the text is one item, however many rounds wrote it.

    Of events up to the number `after` nothing is written.
    """

    def __init__(self, begun: ResponseOut, answer_id: UUID, *, after: int = -1) -> None:
        self._begun, self._answer_id, self._after = begun, answer_id, after
        self._message_id = ids.message_id(answer_id)
        self._number = 0
        self._said: list[str] = []
        self._calls: list[ToolCall] = []
        self._is_open = False
        place = {"item_id": self._message_id, "output_index": 0, "content_index": 0}
        head = {"type": "response.output_text.delta", **place, "logprobs": []}
        self._delta = (
            b"event: response.output_text.delta\ndata: " + encoded(head)[:-1] + b',"delta":'
        )

    def begin(self) -> Iterator[bytes]:
        yield self._event("response.created", {"response": self._begun})
        yield self._event("response.in_progress", {"response": self._begun})

    def of(self, event: Event) -> Iterator[bytes]:
        """Write an event; nothing for what is not the caller's to see."""
        if isinstance(event, TextDelta):
            yield self.text(event.text)
        elif isinstance(event, ToolCall) and event.is_client:
            yield from self.call(event)

    def text(self, text: str) -> bytes:
        opening = b"" if self._said else self._open_message()
        self._said.append(text)
        number = self._number
        self._number += 1
        if number <= self._after:
            return opening
        return opening + b'%b%b,"sequence_number":%d}\n\n' % (self._delta, encoded(text), number)

    def call(self, call: ToolCall) -> Iterator[bytes]:
        yield from self._close_message("completed")
        item = encoding.call_of(call)
        place = {"output_index": bool(self._said) + len(self._calls)}
        in_item = {"item_id": item["id"], **place}
        self._calls.append(call)
        begun = {**item, "status": "in_progress", "arguments": ""}
        yield self._event("response.output_item.added", {**place, "item": begun})
        yield self._event(
            "response.function_call_arguments.delta", {**in_item, "delta": call.arguments}
        )
        yield self._event(
            "response.function_call_arguments.done",
            {**in_item, "name": call.name, "arguments": call.arguments},
        )
        yield self._event("response.output_item.done", {**place, "item": item})

    def finish(self, done: DoneOut) -> Iterator[bytes]:
        status = encoding.status_of(done)
        yield from self._close_message(encoding.item_status(status))
        yield FinalChunk(self._event(f"response.{status}", {"response": self._ended(done)}))

    def fail(self, done: DoneOut, problem: Problem) -> Iterator[bytes]:
        """Say it twice: OpenAI's SDKs pass over a failed response, and raise an error event."""
        yield self._event("response.failed", {"response": self._ended(done, problem)})
        body = error_of(problem)["error"]
        event: ErrorEvent = {
            "type": "error",
            "sequence_number": self._number,
            "code": body["code"],
            "message": body["message"],
            "param": body["param"],
            "error": body,
        }
        yield FinalChunk(self._event("error", event))

    def _ended(self, done: DoneOut, problem: Problem | None = None) -> ResponseOut:
        frame, text = Frame(done, self._begun["model"]), "".join(self._said)
        return encoding.ended(self._begun, frame, self._answer_id, text, self._calls, problem)

    def _open_message(self) -> bytes:
        self._is_open = True
        item = encoding.message_of(self._message_id, [], "in_progress")
        added = self._event("response.output_item.added", {"output_index": 0, "item": item})
        return added + self._event(
            "response.content_part.added", {**self._place, "part": encoding.part_of("")}
        )

    def _close_message(self, status: ItemStatus) -> Iterator[bytes]:
        if not self._is_open:
            return
        self._is_open = False
        text = "".join(self._said)
        part = encoding.part_of(text)
        yield self._event(
            "response.output_text.done", {**self._place, "text": text, "logprobs": []}
        )
        yield self._event("response.content_part.done", {**self._place, "part": part})
        item = encoding.message_of(self._message_id, [part], status)
        yield self._event("response.output_item.done", {"output_index": 0, "item": item})

    @property
    def _place(self) -> dict[str, Any]:
        return {"item_id": self._message_id, "output_index": 0, "content_index": 0}

    def _event(self, name: str, fields: Any) -> bytes:
        number = self._number
        self._number += 1
        if number <= self._after:
            return b""
        content = encoded({"type": name, "sequence_number": number, **fields})
        return b"event: %b\ndata: %b\n\n" % (name.encode(), content)
