"""Turns as runs of AG-UI.

A text delta is put together from bytes that are the same for all deltas of its message.
"""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from agents.runtime.events import Event, TextDelta, ToolCall, ToolResult
from salient.api.limits import FinalChunk
from salient.api.problems import Problem
from sessions_app.api.schemas import DoneOut
from sessions_app.protocols.openai.encoding import encoded
from sessions_app.protocols.ui.ag_ui.types import (
    PROTOCOL,
    RunErrorEvent,
    RunEvent,
    RunFinishedEvent,
    RunUsage,
    ToolCallResultEvent,
)
from sessions_app.protocols.ui.outcome import NO_ARGUMENTS, Outcome, outcome_of, shown_id, status_of


class RunEvents:
    """Writes the events of one run.

    What the model says and calls at once is one message; what it says after its tools' results is
    the next. The first has the id of the stored answer.
    """

    def __init__(self, thread_id: str, run_id: str, request_id: UUID, answer_id: UUID) -> None:
        self._thread_id, self._run_id = thread_id, run_id
        self._request_id, self._answer_id = request_id, answer_id
        self._number = 1
        self._is_open = self._is_over = False
        self._delta = b""

    def begin(self) -> Iterator[bytes]:
        yield _frame(
            {
                "type": "RUN_STARTED",
                "threadId": self._thread_id,
                "runId": self._run_id,
                "protocolVersion": PROTOCOL,
            }
        )

    def of(self, event: Event) -> Iterator[bytes]:
        match event:
            case TextDelta(text):
                yield self._text(text)
            case ToolCall(is_client=True):
                yield from self._call(event.id, event.name, event.arguments)
            case ToolCall(call_id, name):
                shown = shown_id(self._request_id, call_id)
                yield from self._call(shown, name, NO_ARGUMENTS)
            case ToolResult():
                yield from self._close()
                self._is_over = True
                yield _frame(self._result(event))

    def finish(self, done: DoneOut) -> Iterator[bytes]:
        outcome = outcome_of(done)
        yield from self._close()
        finished: RunFinishedEvent = {
            "type": "RUN_FINISHED",
            "threadId": self._thread_id,
            "runId": self._run_id,
            "usage": list(usage_of(outcome)),
            "result": outcome,
        }
        yield FinalChunk(_frame(finished))

    def fail(self, done: DoneOut, problem: Problem) -> Iterator[bytes]:
        outcome = outcome_of(done)
        yield from self._close()
        error: RunErrorEvent = {
            "type": "RUN_ERROR",
            "message": problem.detail,
            "code": problem.code,
            "usage": list(usage_of(outcome)),
            "metadata": {"salient": outcome},
        }
        yield FinalChunk(_frame(error))

    @property
    def _message_id(self) -> str:
        return str(self._answer_id) if self._number == 1 else f"{self._answer_id}-{self._number}"

    def _text(self, text: str) -> bytes:
        opening = b"" if self._is_open else self._open()
        return opening + self._delta + encoded(text) + b"}\n\n"

    def _open(self) -> bytes:
        self._next()
        self._is_open = True
        head = {"type": "TEXT_MESSAGE_CONTENT", "messageId": self._message_id}
        self._delta = b"data: " + encoded(head)[:-1] + b',"delta":'
        return _frame(
            {"type": "TEXT_MESSAGE_START", "messageId": self._message_id, "role": "assistant"}
        )

    def _close(self) -> Iterator[bytes]:
        if self._is_open:
            self._is_open = False
            yield _frame({"type": "TEXT_MESSAGE_END", "messageId": self._message_id})

    def _next(self) -> None:
        """Begin another message after results."""
        if self._is_over:
            self._is_over = False
            self._number += 1

    def _call(self, call_id: str, name: str, arguments: str) -> Iterator[bytes]:
        yield from self._close()
        self._next()
        yield _frame(
            {
                "type": "TOOL_CALL_START",
                "toolCallId": call_id,
                "toolCallName": name,
                "parentMessageId": self._message_id,
            }
        )
        yield _frame({"type": "TOOL_CALL_ARGS", "toolCallId": call_id, "delta": arguments})
        yield _frame({"type": "TOOL_CALL_END", "toolCallId": call_id})

    def _result(self, result: ToolResult) -> ToolCallResultEvent:
        shown = shown_id(self._request_id, result.id)
        return {
            "type": "TOOL_CALL_RESULT",
            "messageId": f"{shown}_result",
            "toolCallId": shown,
            "content": encoded({"status": status_of(result)}).decode(),
            "role": "tool",
        }


def usage_of(outcome: Outcome) -> Iterator[RunUsage]:
    """Return what the run used, where the caller is shown it."""
    if (tokens := outcome["usage"]) is None:
        return
    usage: RunUsage = {
        "inputTokens": tokens["input_tokens"],
        "outputTokens": tokens["output_tokens"],
        "totalTokens": tokens["total_tokens"],
        "cachedInputTokens": tokens["cached_tokens"],
        "reasoningTokens": tokens["reasoning_tokens"],
    }
    if (model := outcome["model"]) is not None:
        usage["provider"], _, usage["model"] = model.partition(":")
    yield usage


def _frame(event: RunEvent) -> bytes:
    return b"data: " + encoded(event) + b"\n\n"
