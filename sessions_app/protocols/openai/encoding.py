"""Turns as OpenAI's chat API writes them: whole, and as a stream of chunks.

A chunk is put together from bytes that are the same for all chunks of its stream.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from contextlib import aclosing
from typing import Any, cast
from uuid import UUID

import msgspec

from accounts.auth.decorators import as_problem
from agents.runtime.events import Event, TextDelta, ToolCall
from salient.api.limits import FinalChunk
from salient.api.problems import Problem
from salient.api.problems.openai import error_body
from sessions_app.api.schemas import ChatOut, DoneOut, UsageOut
from sessions_app.protocols.openai.types import (
    Call,
    CallDelta,
    Choice,
    ChunkChoice,
    CompletionMessage,
    CompletionOut,
    Cost,
    Extra,
    Head,
    Usage,
)
from sessions_app.protocols.streams import Begun
from sessions_app.turns.turn import Turn

REASONS = {"stop", "length", "content_filter", "tool_calls"}
DONE = b"data: [DONE]\n\n"
encoded = msgspec.json.encode


class Frame:
    """What one answer says besides its text."""

    def __init__(self, done: DoneOut, model: str) -> None:
        self.done, self.model = done, model

    @property
    def head(self) -> Head:
        return head_of(self.done.llm_request_id, self.model)

    @property
    def extra(self) -> Extra:
        extra: Extra = {
            "session_id": str(self.done.session_id),
            "config_version": self.done.config_version,
        }
        if self.done.cost is not None:
            extra["cost"] = cast(Cost, msgspec.to_builtins(self.done.cost))
        return extra

    @property
    def finish_reason(self) -> str:
        reason = self.done.finish_reason
        return reason if reason in REASONS else "stop"


def began_ms(request_id: UUID) -> int:
    """Return when the turn began, in milliseconds: its id begins with that."""
    return request_id.int >> 80


def head_of(request_id: UUID, model: str) -> Head:
    """Return what begins each object: the same for all chunks, and for a replay."""
    return {
        "id": f"chatcmpl-{request_id.hex}",
        "created": began_ms(request_id) // 1000,
        "model": model,
    }


def usage_of(usage: UsageOut) -> Usage:
    """Return the tokens with the details that clients look for; what is not known there is 0."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def call_of(call: ToolCall) -> Call:
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }


def completion(frame: Frame, answer: ChatOut, calls: Iterable[ToolCall]) -> bytes:
    """Write the whole answer."""
    message: CompletionMessage = {
        "role": "assistant",
        "content": answer.response or None,
        "refusal": None,
    }
    if written := [call_of(call) for call in calls]:
        message["tool_calls"] = written
    else:
        message["content"] = answer.response
    choice: Choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": frame.finish_reason,
    }
    # mypy cannot know that a head has nothing named “usage”.
    whole: CompletionOut = {
        **frame.head,  # type: ignore[typeddict-item]
        "object": "chat.completion",
        "choices": [choice],
        "salient": frame.extra,
    }
    if answer.usage is not None:
        whole["usage"] = usage_of(answer.usage)
    return encoded(whole)


class Chunks:
    """Writes the chunks of one stream."""

    def __init__(self, head: Head, *, with_usage: bool) -> None:
        self._head: dict[str, Any] = {**head, "object": "chat.completion.chunk"}
        self._with_usage = with_usage
        self._calls = 0
        self._begin = b"data: " + encoded(self._head)[:-1] + b',"choices":[{"index":0,"delta":'
        usage = b',"usage":null' if with_usage else b""
        self._end = b',"logprobs":null,"finish_reason":null}]' + usage + b"}\n\n"

    def begin(self) -> bytes:
        return self._delta(b'{"role":"assistant","content":"","refusal":null}')

    def of(self, event: Event) -> bytes:
        """Write an event; nothing for what is not the caller's to see."""
        if isinstance(event, TextDelta):
            return self.text(event.text)
        if isinstance(event, ToolCall) and event.is_client:
            return self.call(event)
        return b""

    def text(self, text: str) -> bytes:
        return self._delta(b'{"content":' + encoded(text) + b"}")

    def call(self, call: ToolCall) -> bytes:
        found: CallDelta = {"index": self._calls, **call_of(call)}
        self._calls += 1
        return self._delta(encoded({"tool_calls": [found]}))

    def finish(self, frame: Frame) -> Iterator[bytes]:
        """Write why it ended, what it used where that was asked for, and the end."""
        choice: ChunkChoice = {
            "index": 0,
            "delta": {},
            "logprobs": None,
            "finish_reason": frame.finish_reason,
        }
        usage = {"usage": None} if self._with_usage else {}
        yield self._data(self._head | {"choices": [choice], "salient": frame.extra} | usage)
        if self._with_usage and frame.done.usage is not None:
            used = usage_of(frame.done.usage)
            yield self._data(self._head | {"choices": [], "usage": used})
        yield FinalChunk(DONE)

    def _delta(self, delta: bytes) -> bytes:
        return self._begin + delta + self._end

    @staticmethod
    def _data(content: Any) -> bytes:
        return b"data: " + encoded(content) + b"\n\n"


def error_of(problem: Problem) -> dict[str, Any]:
    """Return {"error": {…}} in the form of OpenAI's."""
    return error_body(problem.as_dict())


async def chunks(
    turn: Turn, begun: Begun, model: str, path: str, *, with_usage: bool
) -> AsyncGenerator[bytes]:
    """Write each event that is the caller's as a chunk; the agent's own tools stay its own."""
    written = Chunks(head_of(turn.request_id, model), with_usage=with_usage)
    # Each piece is a message to the server and one to the client: the first and the last chunks
    # are sent together.
    yield written.begin() + (b"" if begun.first is None else written.of(begun.first))
    try:
        async with aclosing(begun.events) as events:
            async for event in events:
                if chunk := written.of(event):
                    yield chunk
        last = b"".join(written.finish(Frame(turn.outcome(), model)))
    except Exception as error:
        # In the form that the SDKs raise; nothing follows it.
        last = b"data: " + encoded(error_of(as_problem(error, path))) + b"\n\n"
    yield FinalChunk(last)


async def replayed(
    frame: Frame, answer: ChatOut, calls: Iterable[ToolCall], *, with_usage: bool
) -> AsyncIterator[bytes]:
    """Write an earlier answer again."""
    written = Chunks(frame.head, with_usage=with_usage)
    yield written.begin()
    if answer.response:
        yield written.text(answer.response)
    for call in calls:
        yield written.call(call)
    for chunk in written.finish(frame):
        yield chunk
