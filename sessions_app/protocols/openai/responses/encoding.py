"""Turns as OpenAI's Responses API writes them: whole, from the turn or from its rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from agents.runtime.events import ToolCall
from salient.api.problems import Problem
from sessions_app.api.schemas import DoneOut, UsageOut
from sessions_app.models import CompletionStatus
from sessions_app.protocols.openai.encoding import Frame, began_ms
from sessions_app.protocols.openai.responses import ids
from sessions_app.protocols.openai.responses.types import (
    Fixed,
    IncompleteDetails,
    ItemStatus,
    OutputCall,
    OutputItem,
    OutputMessage,
    OutputText,
    ResponseOut,
    ResponseUsage,
    Status,
)

_STATUS: dict[str, Status] = {
    CompletionStatus.RUNNING: "in_progress",
    CompletionStatus.COMPLETE: "completed",
    CompletionStatus.PARTIAL: "failed",
    CompletionStatus.ERROR: "failed",
    CompletionStatus.CANCELLED: "cancelled",
}
_INCOMPLETE: dict[str, IncompleteDetails] = {
    "length": {"reason": "max_output_tokens"},
    "content_filter": {"reason": "content_filter"},
}
FIXED: Fixed = {
    "max_tool_calls": None,
    "reasoning": {"effort": None, "summary": None},
    "service_tier": "default",
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "top_logprobs": 0,
}


def begun(
    request_id: UUID,
    model: str,
    session_id: UUID,
    kept: Mapping[str, Any],
    metadata: Mapping[str, str],
    *,
    store: bool = True,
) -> ResponseOut:
    """Return a response that has no output yet; `kept` is what conversion.kept_of made."""
    return {
        **FIXED,  # type: ignore[typeddict-item]  # it has nothing named “salient”
        "background": kept.get("background", False),
        "id": ids.response_id(request_id),
        "object": "response",
        "created_at": began_ms(request_id) // 1000,
        "completed_at": None,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": kept.get("instructions"),
        "max_output_tokens": kept.get("max_output_tokens"),
        "model": model,
        "output": [],
        "parallel_tool_calls": kept.get("parallel_tool_calls", True),
        "previous_response_id": kept.get("previous_response_id"),
        "conversation": {"id": ids.conversation_id(session_id)} if "conversation" in kept else None,
        "prompt_cache_key": kept.get("prompt_cache_key"),
        "safety_identifier": kept.get("safety_identifier"),
        "store": store,
        "temperature": kept.get("temperature", 1.0),
        "top_p": kept.get("top_p", 1.0),
        "text": {"format": kept.get("format", {"type": "text"})},
        "tool_choice": kept.get("tool_choice", "auto"),
        "tools": kept.get("tools", []),
        "truncation": kept.get("truncation", "disabled"),
        "usage": None,
        "user": kept.get("user"),
        "metadata": dict(metadata),
    }


def ended(
    response: ResponseOut,
    frame: Frame,
    answer_id: UUID | None,
    text: str,
    calls: Iterable[ToolCall],
    problem: Problem | None = None,
) -> ResponseOut:
    """Return the response as its turn ended."""
    done = frame.done
    status = status_of(done, problem)
    response = response.copy()
    response["status"] = status
    response["output"] = output_of(answer_id, text, calls, item_status(status))
    if done.status != CompletionStatus.RUNNING:
        response["usage"] = None if done.usage is None else usage_of(done.usage)
        response["salient"] = frame.extra
    if status == "completed":
        response["completed_at"] = (began_ms(done.llm_request_id) + done.latency_ms) // 1000
    if status == "incomplete":
        response["incomplete_details"] = _INCOMPLETE[done.finish_reason or ""]
    if problem is not None:
        response["error"] = {"code": problem.code, "message": problem.detail}
    return response


def status_of(done: DoneOut, problem: Problem | None = None) -> Status:
    status = _STATUS[done.status]
    if problem is not None and status != "cancelled":
        return "failed"
    return "incomplete" if status == "completed" and done.finish_reason in _INCOMPLETE else status


def item_status(status: Status) -> ItemStatus:
    if status == "in_progress":
        return status
    return "completed" if status == "completed" else "incomplete"


def output_of(
    answer_id: UUID | None, text: str, calls: Iterable[ToolCall], status: ItemStatus
) -> list[OutputItem]:
    items: list[OutputItem] = []
    if text and answer_id is not None:
        items.append(message_of(ids.message_id(answer_id), [part_of(text)], status))
    items += [call_of(call) for call in calls]
    return items


def message_of(item_id: str, content: list[OutputText], status: ItemStatus) -> OutputMessage:
    return {
        "type": "message",
        "id": item_id,
        "status": status,
        "role": "assistant",
        "content": content,
    }


def part_of(text: str) -> OutputText:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def call_of(call: ToolCall) -> OutputCall:
    return {
        "type": "function_call",
        "id": ids.item_id_of(call.id),
        "status": "completed",
        "call_id": call.id,
        "name": call.name,
        "arguments": call.arguments,
    }


def usage_of(usage: UsageOut) -> ResponseUsage:
    """Return the tokens with the details that clients look for; what is not known there is 0."""
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }
