"""Writes a conversation as messages of Pydantic AI; slow to import: see the package."""

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Literal

from pydantic import ValidationError
from pydantic_ai import messages as parts

from agents.runtime.events import ToolCall
from agents.runtime.providers.base import Attachment, ChatMessage, ModelRequest
from agents.runtime.providers.characters import clean, whole_characters
from salient.texts import is_blank


def messages_of(request: ModelRequest, *, is_native: bool = False) -> Iterator[parts.ModelMessage]:
    """Write the conversation; the format of the answer is in words where it is no field."""
    prompt, wanted = request.system_prompt, request.output_format
    if wanted is not None and (wanted.schema is None or not is_native):
        prompt = f"{prompt}\n\n{wanted.instruction}".lstrip()
    if prompt:
        yield parts.ModelRequest([parts.SystemPromptPart(prompt)])
    names: dict[str, str] = {}
    for message in request.messages:
        names |= {call.id: call.name for call in message.calls}
        yield _message(message, names)
    for tool_round in request.rounds:
        yield _answer(tool_round.text, tool_round.calls, tool_round.provider_data)
        yield parts.ModelRequest(
            [
                _result_part(result.name, result.content, result.id, is_error=result.is_error)
                for result in tool_round.results
            ]
        )
    for message in request.followup:
        yield _message(message, names)


def _message(message: ChatMessage, names: Mapping[str, str]) -> parts.ModelMessage:
    """Write one message; `names` are those of the tools that were called before it, by id."""
    if message.role == "assistant":
        return _answer(message.content, message.calls, message.provider_data)
    if message.role == "tool":
        name = names.get(message.call_id, "unnamed")
        result = _result_part(name, message.content, message.call_id, is_error=message.is_error)
        return parts.ModelRequest([result])
    if not message.attachments:
        return parts.ModelRequest([parts.UserPromptPart(message.content)])
    prompt = [message.content] if message.content else []
    content: list[str | parts.BinaryContent] = [*prompt, *map(_binary, message.attachments)]
    return parts.ModelRequest([parts.UserPromptPart(content)])


def _binary(attachment: Attachment) -> parts.BinaryContent:
    data = base64.b64decode(attachment.data)
    detail = {"detail": attachment.detail} if attachment.detail else None
    return parts.BinaryContent(data, media_type=attachment.media_type, vendor_metadata=detail)


def _call_part(call: ToolCall) -> parts.ToolCallPart:
    return parts.ToolCallPart(call.name, call.arguments, tool_call_id=call.id)


def _result_part(name: str, content: str, call_id: str, *, is_error: bool) -> parts.ToolReturnPart:
    outcome: Literal["success", "failed"] = "failed" if is_error else "success"
    return parts.ToolReturnPart(name, content, tool_call_id=call_id, outcome=outcome)


def _answer(text: str, calls: Sequence[ToolCall], provider_data: Any) -> parts.ModelResponse:
    """Write an answer as the provider wrote it where that is known, else its text and its calls."""
    if provider_data is not None:
        # What another release has kept may not be readable.
        with suppress(ValidationError):
            [answer] = parts.ModelMessagesTypeAdapter.validate_python([provider_data])
            if isinstance(answer, parts.ModelResponse) and len(calls_in(answer)) == len(calls):
                return _given_back(answer, calls)
    said = [parts.TextPart(text)] if text else []
    return parts.ModelResponse([*said, *map(_call_part, calls)])


def kept_answer(answer: parts.ModelResponse) -> Any:
    """Return an answer as JSON, in which it is stored and given back with its calls.

    The calls' arguments are left out: those that we have checked are given back. So is the
    provider's address, which is the installation's and no account's. None where the rest is no
    JSON.
    """
    kept: list[Any] = [
        replace(part, args=None) if isinstance(part, parts.ToolCallPart) else part
        for part in answer.parts
    ]
    # Nested too deep, or of a type that no JSON has.
    with suppress(ValueError):
        [found] = parts.ModelMessagesTypeAdapter.dump_python(
            [replace(answer, parts=kept, provider_url=None)], mode="json", exclude_none=True
        )
        return clean(found)
    return None


def calls_in(answer: parts.ModelResponse) -> list[parts.ToolCallPart]:
    return [part for part in answer.parts if isinstance(part, parts.ToolCallPart)]


def _given_back(answer: parts.ModelResponse, calls: Iterable[ToolCall]) -> parts.ModelResponse:
    """The provider's own answer in its own order: thoughts keep their signatures."""
    remaining = iter(calls)
    given: list[Any] = []
    part: Any
    for part in answer.parts:
        if isinstance(part, parts.ToolCallPart):
            call = next(remaining)
            ours: dict[str, Any] = {
                "tool_name": call.name,
                "args": call.arguments,
                "tool_call_id": call.id,
            }
            given.append(replace(part, **ours))
        elif not isinstance(part, parts.TextPart | parts.ThinkingPart):
            given.append(part)
        elif isinstance(part, parts.ThinkingPart) or not is_blank(part.content):
            given.append(replace(part, content=whole_characters(part.content)))
    return replace(answer, parts=given)
