"""Turns as UI-message streams.

A text delta is put together from bytes that are the same for all deltas of its part.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from agents.runtime.events import Event, TextDelta, ToolCall, ToolResult
from salient.api.limits import FinalChunk
from salient.api.problems import Problem
from sessions_app.api.schemas import DoneOut
from sessions_app.protocols.openai.encoding import DONE, encoded
from sessions_app.protocols.ui.ai_sdk.types import (
    FinishChunk,
    StartChunk,
    ToolInputAvailableChunk,
    UIChunk,
)
from sessions_app.protocols.ui.outcome import outcome_of, shown_id, status_of

_REASONS: dict[str | None, Any] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content-filter",
    "tool_calls": "tool-calls",
}


class Chunks:
    """Writes the chunks of one message, or of what is added to one that goes on.

    A step is one call of the model: what it says and calls at once. A stream that is resumed names
    no message.
    """

    def __init__(self, request_id: UUID, message_id: str | None) -> None:
        self._request_id, self._message_id = request_id, message_id
        self._texts = 0
        self._is_open = self._is_over = False
        self._delta = b""

    def begin(self) -> Iterator[bytes]:
        start: StartChunk = {"type": "start"}
        if self._message_id is not None:
            start["messageId"] = self._message_id
        yield _frame(start)
        yield _frame({"type": "start-step"})

    def of(self, event: Event) -> Iterator[bytes]:
        match event:
            case TextDelta(text):
                if not self._is_open:
                    yield from self._open()
                yield self._delta + encoded(text) + b"}\n\n"
            case ToolCall():
                yield from self._begin_part()
                yield from self._client_call(event) if event.is_client else self._own_call(event)
            case ToolResult():
                yield from self._close()
                self._is_over = True
                yield _frame(self._result(event))

    def finish(self, done: DoneOut) -> Iterator[bytes]:
        outcome = outcome_of(done)
        yield from self._close()
        yield _frame({"type": "finish-step"})
        finish: FinishChunk = {
            "type": "finish",
            "finishReason": _REASONS.get(outcome["finish_reason"], "other"),
            "messageMetadata": {"salient": outcome},
        }
        yield _frame(finish)
        yield FinalChunk(DONE)

    def fail(self, done: DoneOut, problem: Problem) -> Iterator[bytes]:
        outcome = outcome_of(done)
        yield from self._close()
        yield _frame({"type": "message-metadata", "messageMetadata": {"salient": outcome}})
        yield _frame({"type": "error", "errorText": json.dumps(problem.as_dict())})
        yield FinalChunk(DONE)

    def _open(self) -> Iterator[bytes]:
        yield from self._begin_part()
        self._is_open = True
        self._texts += 1
        yield _frame({"type": "text-start", "id": self._text_id})
        head = {"type": "text-delta", "id": self._text_id}
        self._delta = b"data: " + encoded(head)[:-1] + b',"delta":'

    def _close(self) -> Iterator[bytes]:
        if self._is_open:
            self._is_open = False
            yield _frame({"type": "text-end", "id": self._text_id})

    @property
    def _text_id(self) -> str:
        return f"{self._request_id}-{self._texts}"

    def _begin_part(self) -> Iterator[bytes]:
        """End the text before it, and begin another step after results."""
        yield from self._close()
        if self._is_over:
            self._is_over = False
            yield _frame({"type": "finish-step"})
            yield _frame({"type": "start-step"})

    def _client_call(self, call: ToolCall) -> Iterator[bytes]:
        yield _frame({"type": "tool-input-start", "toolCallId": call.id, "toolName": call.name})
        yield _frame(
            {
                "type": "tool-input-delta",
                "toolCallId": call.id,
                "inputTextDelta": call.arguments,
            }
        )
        whole: ToolInputAvailableChunk = {
            "type": "tool-input-available",
            "toolCallId": call.id,
            "toolName": call.name,
            "input": json.loads(call.arguments),
        }
        # Not msgspec, which writes no integer of more than 64 bits.
        yield b"data: " + json.dumps(whole).encode() + b"\n\n"

    def _own_call(self, call: ToolCall) -> Iterator[bytes]:
        shown = self._shown(call.id)
        yield _frame(
            {
                "type": "tool-input-start",
                "toolCallId": shown,
                "toolName": call.name,
                "dynamic": True,
                "providerExecuted": True,
            }
        )
        yield _frame(
            {
                "type": "tool-input-available",
                "toolCallId": shown,
                "toolName": call.name,
                "input": {},
                "dynamic": True,
                "providerExecuted": True,
            }
        )

    def _result(self, result: ToolResult) -> UIChunk:
        shown, status = self._shown(result.id), status_of(result)
        if result.is_error:
            return {
                "type": "tool-output-error",
                "toolCallId": shown,
                "errorText": status,
                "dynamic": True,
                "providerExecuted": True,
            }
        return {
            "type": "tool-output-available",
            "toolCallId": shown,
            "output": {"status": status},
            "dynamic": True,
            "providerExecuted": True,
        }

    def _shown(self, call_id: str) -> str:
        return shown_id(self._request_id, call_id)


def _frame(chunk: UIChunk) -> bytes:
    return b"data: " + encoded(chunk) + b"\n\n"
