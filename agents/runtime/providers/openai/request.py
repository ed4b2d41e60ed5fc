"""OpenAI's chat API on the wire: what a request looks like."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from agents.runtime.events import ToolCall
from agents.runtime.providers.base import ModelRequest, ToolRound
from agents.runtime.providers.openai.endpoints import Endpoint

encode = msgspec.json.encode


def request_body(request: ModelRequest, endpoint: Endpoint) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": request.model,
        "messages": list(_messages(request)),
        "stream": endpoint.streams,
    }
    if endpoint.streams:
        body["stream_options"] = {"include_usage": True}
    if endpoint.ask_for_cost:
        body["usage"] = {"include": True}
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.max_tokens is not None:
        body[endpoint.max_tokens_field] = request.max_tokens
    if request.tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.parameters,
                },
            }
            for tool in request.tools
        ]
    return body


def _messages(request: ModelRequest) -> Iterator[dict[str, Any]]:
    if request.system_prompt:
        yield {"role": "system", "content": request.system_prompt}
    for message in request.messages:
        yield {"role": message.role, "content": message.content}
    for tool_round in request.rounds:
        yield _tool_calls_message(tool_round)
        for result in tool_round.results:
            yield {"role": "tool", "tool_call_id": result.id, "content": result.content}


def _tool_calls_message(tool_round: ToolRound) -> dict[str, Any]:
    """The model's tool calls, with the data that its provider wants back unchanged."""
    provider_data = tool_round.provider_data
    return {
        **(provider_data if isinstance(provider_data, Mapping) else {}),
        "role": "assistant",
        "content": tool_round.text or None,
        "tool_calls": [_call(call) for call in tool_round.calls],
    }


def _call(call: ToolCall) -> dict[str, Any]:
    function = call.extra.get("function")
    return {
        **call.extra,
        "id": call.id,
        "type": "function",
        "function": {
            **(function if isinstance(function, Mapping) else {}),
            "name": call.name,
            "arguments": call.arguments,
        },
    }
