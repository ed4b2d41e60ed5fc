"""OpenAI's chat API on the wire: what a request looks like."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from agents.runtime.events import ToolCall
from agents.runtime.providers.base import (
    Attachment,
    ChatMessage,
    ModelRequest,
    OutputFormat,
    ToolChoice,
    ToolSpec,
)
from agents.runtime.providers.openai.endpoints import Endpoint

encode = msgspec.json.encode


def request_body(
    request: ModelRequest, endpoint: Endpoint, *, streams: bool = True
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": request.model,
        "messages": list(_messages(request)),
        "stream": streams,
    }
    if streams:
        body["stream_options"] = {"include_usage": True}
    if endpoint.ask_for_cost:
        body["usage"] = {"include": True}
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.max_tokens is not None:
        body[endpoint.max_tokens_field] = request.max_tokens
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        if request.tool_choice.mode != "auto":
            body["tool_choice"] = _choice(request.tool_choice)
        if request.parallel_tool_calls is not None:
            body["parallel_tool_calls"] = request.parallel_tool_calls
    if request.output_format is not None:
        body["response_format"] = _format(request.output_format)
    if request.top_p is not None:
        body["top_p"] = request.top_p
    if request.stop:
        body["stop"] = list(request.stop)
    if request.seed is not None:
        body["seed"] = request.seed
    return body


def _tool(tool: ToolSpec) -> dict[str, Any]:
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
    }
    strict = {} if tool.strict is None else {"strict": tool.strict}
    return {"type": "function", "function": function | strict}


def _choice(choice: ToolChoice) -> Any:
    if not choice.name:
        return choice.mode
    return {"type": "function", "function": {"name": choice.name}}


def _format(wanted: OutputFormat) -> dict[str, Any]:
    if wanted.schema is None:
        return {"type": "json_object"}
    schema: dict[str, Any] = {"name": wanted.name, "schema": wanted.schema}
    if wanted.description:
        schema["description"] = wanted.description
    if wanted.strict is not None:
        schema["strict"] = wanted.strict
    return {"type": "json_schema", "json_schema": schema}


def _messages(request: ModelRequest) -> Iterator[dict[str, Any]]:
    prompt = request.system_prompt
    if request.output_format is not None and request.output_format.schema is None:
        # OpenAI refuses this format for a conversation that never says “JSON”.
        prompt = f"{prompt}\n\n{request.output_format.instruction}".lstrip()
    if prompt:
        yield {"role": "system", "content": prompt}
    for message in request.messages:
        yield _message(message)
    for tool_round in request.rounds:
        yield _calls_message(tool_round.text, tool_round.calls, tool_round.provider_data)
        for result in tool_round.results:
            yield {"role": "tool", "tool_call_id": result.id, "content": result.content}
    for message in request.followup:
        yield _message(message)


def _message(message: ChatMessage) -> dict[str, Any]:
    if message.calls:
        return _calls_message(message.content, message.calls, message.provider_data)
    if message.role == "tool":
        return {"role": "tool", "tool_call_id": message.call_id, "content": message.content}
    if not message.attachments:
        return {"role": message.role, "content": message.content}
    text = [{"type": "text", "text": message.content}] if message.content else []
    return {"role": "user", "content": [*text, *map(_part, message.attachments)]}


def _part(attachment: Attachment) -> dict[str, Any]:
    if not attachment.is_image:
        file = {"filename": attachment.name or "file", "file_data": attachment.data_url}
        return {"type": "file", "file": file}
    detail = {"detail": attachment.detail} if attachment.detail else {}
    return {"type": "image_url", "image_url": {"url": attachment.data_url, **detail}}


def _calls_message(text: str, calls: Iterable[ToolCall], provider_data: Any) -> dict[str, Any]:
    """The model's tool calls, with the data that its provider wants back unchanged."""
    return {
        **(provider_data if isinstance(provider_data, Mapping) else {}),
        "role": "assistant",
        "content": text or None,
        "tool_calls": [_call(call) for call in calls],
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
