"""OpenAI's chat API on the wire: what a request looks like, and what of an answer is read.

Fields that nobody reads are not named here: msgspec passes over them. What servers are known to
send as null, or in another type than OpenAI does, is allowed for.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from agents.runtime.events import ToolCall
from agents.runtime.providers.base import ModelRequest, ToolRound
from agents.runtime.providers.endpoints import Endpoint


class FunctionPart(msgspec.Struct):
    name: str | None = None
    # Some servers send an object instead of its JSON.
    arguments: str | dict[str, Any] | None = None


class ToolCallPart(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: FunctionPart | None = None


class Said(msgspec.Struct):
    """A message or a delta."""

    # Mistral's thinking models send a list of parts.
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[ToolCallPart] | None = None
    reasoning: Any = None
    reasoning_content: Any = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "".join(str(part.get("text", "")) for part in self.content)
        return self.content or ""


class Choice(msgspec.Struct):
    delta: Said | None = None
    message: Said | None = None
    finish_reason: str | None = None
    usage: msgspec.Raw = msgspec.Raw(b"")  # Moonshot counts in the choice
    error: msgspec.Raw = msgspec.Raw(b"")


class Answer(msgspec.Struct):
    """A whole answer or one chunk of it."""

    choices: list[Choice] | None = None
    # Some servers send it with every chunk.
    usage: msgspec.Raw = msgspec.Raw(b"")
    error: msgspec.Raw = msgspec.Raw(b"")


_REASON = re.compile(r"[\w-]{1,40}", re.ASCII)

decode_answer = msgspec.json.Decoder(Answer, strict=False).decode
encode = msgspec.json.encode


def request_body(request: ModelRequest, endpoint: Endpoint) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": request.model,
        "messages": list(_messages(request)),
        "stream": request.stream,
    }
    if request.stream:
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


def plain_reason(text: str) -> str:
    """Why the answer ended, in the server's word; what is no word is not kept."""
    return text if not text or _REASON.fullmatch(text) else "other"


def _messages(request: ModelRequest) -> Iterator[dict[str, Any]]:
    if request.system_prompt:
        yield {"role": "system", "content": request.system_prompt}
    for message in request.messages:
        yield {"role": message.role, "content": message.content}
    for tool_round in request.rounds:
        yield _asked(tool_round)
        for result in tool_round.results:
            yield {"role": "tool", "tool_call_id": result.id, "content": result.content}


def _asked(tool_round: ToolRound) -> dict[str, Any]:
    return {
        "role": "assistant",
        "content": tool_round.text or None,
        "tool_calls": [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in tool_round.calls
        ],
    }


@dataclass(slots=True)
class _CallParts:
    index: int | None
    id: str
    name: str
    arguments: str

    def continues_with(self, part: ToolCallPart) -> bool:
        # Google numbers every call 0 and gives each an id of its own.
        if part.id and self.id and part.id != self.id:
            return False
        # A server that numbers none begins each call with its name.
        if part.index is None and not part.id and part.function and part.function.name:
            return False
        return part.index == self.index


class ToolCallAssembly:
    """Puts the pieces of parallel tool calls together, as a stream delivers them."""

    def __init__(self) -> None:
        self._calls: list[_CallParts] = []

    def add(self, part: ToolCallPart) -> None:
        function = part.function or FunctionPart()
        arguments = function.arguments
        text = arguments if isinstance(arguments, str) else ""
        if isinstance(arguments, dict):
            text = encode(arguments).decode()
        for call in reversed(self._calls):
            if call.continues_with(part):
                call.name = call.name or function.name or ""
                call.arguments += text
                return
        self._calls.append(_CallParts(part.index, part.id or "", function.name or "", text))

    def calls(self) -> list[ToolCall]:
        """The whole calls; an id is made up where the server gave none."""
        return [
            ToolCall(call.id or f"call_{place}", call.name, call.arguments or "{}")
            for place, call in enumerate(self._calls)
        ]
