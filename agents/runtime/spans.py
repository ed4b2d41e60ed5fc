"""A model's call as a span, where traces are on; texts only where the operator wants them there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from agents.runtime.calls import Call
from agents.runtime.events import ModelCall, ToolCall
from agents.runtime.providers.base import ModelRequest
from salient.observability import genai, tracing

if TYPE_CHECKING:
    from salient.observability.spans import Span


def begin_call(call: Call) -> Span | None:
    """Begin the span of a call; None where traces are off."""
    if tracing.tracer is None:
        return None
    request, provider = call.request, call.provider_name
    known = {
        genai.OPERATION: genai.CHAT,
        genai.PROVIDER: genai.PROVIDERS.get(provider, provider),
        genai.REQUEST_MODEL: request.model,
        genai.REQUEST_MAX_TOKENS: request.max_tokens,
        genai.REQUEST_TEMPERATURE: request.temperature,
        genai.REQUEST_TOP_P: request.top_p,
        genai.REQUEST_SEED: request.seed,
    }
    span = tracing.tracer.begin(f"{genai.CHAT} {request.model}", known, is_client=True)
    if tracing.takes_content(span):
        span.set(
            {
                genai.SYSTEM_INSTRUCTIONS: _json([_text(request.system_prompt)]),
                genai.INPUT_MESSAGES: _json(_messages(request)),
                # Callers write them.
                genai.REQUEST_STOP: request.stop or None,
            }
        )
    return span


def end_call(span: Span | None, call: Call, outcome: ModelCall) -> None:
    """End the span with what the call has used."""
    if span is None:
        return
    first = outcome.time_to_first_token_ms
    known: dict[str, Any] = {
        genai.RESPONSE_MODEL: outcome.model,
        genai.FINISH_REASONS: [outcome.finish_reason] if outcome.finish_reason else None,
        genai.TIME_TO_FIRST_CHUNK: None if first is None else first / 1000,
        genai.INPUT_TOKENS: outcome.input_tokens,
        genai.OUTPUT_TOKENS: outcome.output_tokens,
        genai.CACHED_TOKENS: outcome.cached_tokens or None,
        genai.REASONING_TOKENS: outcome.reasoning_tokens or None,
    }
    if tracing.takes_content(span):
        parts = [_text(call.text)] if call.text else []
        message = {"role": "assistant", "parts": [*parts, *map(_call, call.tool_calls)]}
        message["finish_reason"] = outcome.finish_reason
        known[genai.OUTPUT_MESSAGES] = _json([message])
    span.end(known, error=outcome.error)


def _messages(request: ModelRequest) -> Iterable[dict[str, Any]]:
    """Write the conversation as the conventions have it; files are left out."""
    for message in (*request.messages, *request.followup):
        if message.role == "tool":
            yield _result(message.call_id, message.content)
        else:
            parts = [_text(message.content)] if message.content else []
            yield {"role": message.role, "parts": [*parts, *map(_call, message.calls)]}
    for tool_round in request.rounds:
        parts = [_text(tool_round.text)] if tool_round.text else []
        yield {"role": "assistant", "parts": [*parts, *map(_call, tool_round.calls)]}
        for result in tool_round.results:
            yield _result(result.id, result.content)


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "content": text}


def _call(call: ToolCall) -> dict[str, Any]:
    known = {"type": "tool_call", "id": call.id, "name": call.name}
    return known | {"arguments": call.arguments}


def _result(call_id: str, text: str) -> dict[str, Any]:
    part = {"type": "tool_call_response", "id": call_id, "response": text}
    return {"role": "tool", "parts": [part]}


def _json(value: Any) -> str:
    return msgspec.json.encode(list(value)).decode()
