"""What the AI SDK's `useChat` sends, as the engine takes it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any
from uuid import UUID

import msgspec

from agents.runtime.conversation import BETWEEN_MESSAGES
from agents.runtime.events import ToolCall
from agents.runtime.providers.base import Attachment, ChatMessage
from salient.api.problems import Invalid
from sessions_app.inputs.exchanges import request_id_of
from sessions_app.inputs.turn_input import TurnInput
from sessions_app.protocols.openai.conversion import attachment_of
from sessions_app.protocols.openai.schemas import TextPart
from sessions_app.protocols.ui.ai_sdk import schemas as wire
from sessions_app.protocols.ui.conversion import turn_of
from sessions_app.protocols.ui.outcome import NO_ARGUMENTS, agent_turn
from sessions_app.protocols.ui.threads import Shown, ids_of

DENIED = "The call was denied."


class Offered(msgspec.Struct):
    """A tool of the page's with its name."""

    name: str
    description: str | None
    parameters: dict[str, Any] | None
    strict: bool | None = None


def turn_input(chat: wire.UIChatIn) -> TurnInput:
    """Return the turn that is asked for; raises a Problem that names what is wrong."""
    messages = chain.from_iterable(map(_messages, chat.messages))
    functions = [
        Offered(name, tool.description, tool.parameters)
        for name, tool in (chat.tools or {}).items()
    ]
    return turn_of(messages, functions, _instructions(chat))


def shown(chat: wire.UIChatIn, asked: TurnInput) -> Shown:
    answers = [message for message in chat.messages if message.role == "assistant"]
    return Shown(
        thread_id=chat.id,
        answer_ids=ids_of(chain.from_iterable(map(_answer_ids, answers))),
        request_ids=frozenset(chain.from_iterable(map(_turns, answers))),
        user_messages=sum(message.role == "user" for message in asked.conversation or ()),
        is_redone=chat.trigger == "regenerate-message",
    )


def continued_message(chat: wire.UIChatIn) -> str | None:
    """Return the id of the interface's message that goes on with results of its tools."""
    last = chat.messages[-1]
    return last.id if last.role == "assistant" else None


def _answer_ids(message: wire.UIMessage) -> Iterator[str]:
    """Yield the ids of a message: its own, and of the last turn that wrote it, the answer's."""
    yield message.id
    match message.metadata:
        case {"salient": {"message_id": str(found)}}:
            yield found


def _turns(message: wire.UIMessage) -> Iterator[UUID]:
    for part in message.parts:
        if isinstance(part, wire.UIToolPart):
            call_id = part.tool_call_id
            if (found := agent_turn(call_id) or request_id_of(call_id)) is not None:
                yield found


def _instructions(chat: wire.UIChatIn) -> Iterator[str]:
    yield chat.system or ""
    for message in chat.messages:
        if message.role == "system":
            yield _text(message.parts)


def _text(parts: Iterable[wire.UIPart], between: str = "\n") -> str:
    return between.join(part.text for part in parts if isinstance(part, TextPart))


def _messages(message: wire.UIMessage) -> Iterator[ChatMessage]:
    if message.role == "user":
        files = [part for part in message.parts if isinstance(part, wire.UIFilePart)]
        yield ChatMessage("user", _text(message.parts), tuple(map(_attachment, files)))
    elif message.role == "assistant":
        for step in _steps(message.parts):
            yield from _answer(step)


def _attachment(part: wire.UIFilePart) -> Attachment:
    return attachment_of(part.url, name=part.filename or "")


def _steps(parts: Iterable[wire.UIPart]) -> Iterator[list[wire.UIPart]]:
    """Yield the parts of each call of the model."""
    step: list[wire.UIPart] = []
    for part in parts:
        if isinstance(part, wire.UIStepPart):
            yield step
            step = []
        else:
            step.append(part)
    yield step


def _answer(step: Sequence[wire.UIPart]) -> Iterator[ChatMessage]:
    """Yield what the model said and called in a step, and the results of the page's tools."""
    theirs = [part for part in step if isinstance(part, wire.UIToolPart) and _is_clients(part)]
    text = _text(step, BETWEEN_MESSAGES)
    if theirs or text:
        yield ChatMessage("assistant", text, calls=tuple(map(_call, theirs)))
    for part in theirs:
        match part.state:
            case "output-available":
                yield ChatMessage("tool", _written(part.output), call_id=part.tool_call_id)
            case "output-error" | "output-denied":
                text = part.error_text or DENIED
                yield ChatMessage("tool", text, call_id=part.tool_call_id, is_error=True)


def _is_clients(part: wire.UIToolPart) -> bool:
    """Whether it is a whole call of one of the page's tools."""
    if part.provider_executed or agent_turn(part.tool_call_id):
        return False
    if not part.name:
        raise Invalid.field("messages", "a part “dynamic-tool” has its toolName")
    return part.state != "input-streaming"


def _call(part: wire.UIToolPart) -> ToolCall:
    given = part.raw_input if part.input is None else part.input
    arguments = NO_ARGUMENTS if given is None else _written(given)
    return ToolCall(part.tool_call_id, part.name, arguments, is_client=True)


def _written(value: Any) -> str:
    """Return a value as the model reads it: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
