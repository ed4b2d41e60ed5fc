"""What clients of AG-UI send, as the engine takes it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from uuid import UUID

from agents.runtime.events import ToolCall
from agents.runtime.providers.base import Attachment, ChatMessage
from salient.api.problems import Invalid
from sessions_app.inputs.exchanges import request_id_of
from sessions_app.inputs.turn_input import TurnInput
from sessions_app.protocols.openai.conversion import UnsupportedParameter, attachment_of
from sessions_app.protocols.openai.schemas import TextPart
from sessions_app.protocols.ui.ag_ui import schemas as wire
from sessions_app.protocols.ui.conversion import turn_of
from sessions_app.protocols.ui.outcome import NO_ARGUMENTS, agent_turn
from sessions_app.protocols.ui.threads import Shown, ids_of
from sessions_app.turns.problems import ContentRefused

# The length of an id; what follows it numbers the messages of one answer.
_ID_END = 36


def turn_input(run: wire.RunIn) -> TurnInput:
    """Return the turn that is asked for; raises a Problem that names what is wrong."""
    if run.resume:
        raise UnsupportedParameter("resume", "no run is interrupted here")
    return turn_of(_conversation(run.messages), run.tools or (), _instructions(run))


def shown(run: wire.RunIn, asked: TurnInput) -> Shown:
    answers = [message for message in run.messages if isinstance(message, wire.RunAnswer)]
    return Shown(
        thread_id=run.thread_id,
        answer_ids=ids_of(message.id[:_ID_END] for message in answers),
        request_ids=frozenset(_turns(answers)),
        user_messages=sum(message.role == "user" for message in asked.conversation or ()),
    )


def _turns(answers: Iterable[wire.RunAnswer]) -> Iterator[UUID]:
    for message in answers:
        for call in message.tool_calls or ():
            found = agent_turn(call.id) or request_id_of(call.id)
            if found is not None:
                yield found


def _instructions(run: wire.RunIn) -> Iterator[str]:
    for message in run.messages:
        if isinstance(message, wire.RunInstruction):
            yield message.content
    for each in run.context or ():
        yield f"{each.description}: {each.value}"


def _conversation(messages: Iterable[wire.RunMessage]) -> Iterator[ChatMessage]:
    """Yield the messages without the agent's own calls; a result must follow its call."""
    open_calls: set[str] = set()
    for message in messages:
        match message:
            case wire.RunUserMessage():
                yield _user_message(message)
            case wire.RunAnswer():
                calls = tuple(_client_calls(message))
                open_calls |= {call.id for call in calls}
                if calls or message.content:
                    yield ChatMessage("assistant", message.content or "", calls=calls)
            case wire.RunToolMessage() if not agent_turn(message.tool_call_id):
                if message.tool_call_id not in open_calls:
                    raise Invalid.field(
                        "messages",
                        "a message with the role tool must follow the assistant's message with its "
                        f"call (toolCallId {message.tool_call_id[:64]})",
                    )
                yield _result(message)


def _client_calls(message: wire.RunAnswer) -> Iterator[ToolCall]:
    for call in message.tool_calls or ():
        if not agent_turn(call.id):
            arguments = call.function.arguments or NO_ARGUMENTS
            yield ToolCall(call.id, call.function.name, arguments, is_client=True)


def _result(message: wire.RunToolMessage) -> ChatMessage:
    text, attachments = _content(message.content)
    if attachments:
        raise ContentRefused("Images and files are read in messages of the user.")
    is_error = bool(message.error)
    return ChatMessage(
        "tool", text or message.error or "", call_id=message.tool_call_id, is_error=is_error
    )


def _user_message(message: wire.RunUserMessage) -> ChatMessage:
    text, attachments = _content(message.content)
    return ChatMessage("user", text, attachments)


def _content(content: str | list[wire.RunPart]) -> tuple[str, tuple[Attachment, ...]]:
    if isinstance(content, str):
        return content, ()
    texts = [part.text for part in content if isinstance(part, TextPart)]
    others = [part for part in content if not isinstance(part, TextPart)]
    return "\n".join(texts), tuple(map(_attachment, others))


def _attachment(part: wire.MediaPart | wire.BinaryPart) -> Attachment:
    match part:
        case wire.MediaPart(type="audio" | "video"):
            raise ContentRefused(
                "Audio and video are not read here; send text, images and PDF files."
            )
        case wire.MediaPart(source=wire.DataSource(value=data)):
            return Attachment(data=data)
        case wire.MediaPart(source=wire.URLSource(value=url)):
            return attachment_of(url)
        case wire.BinaryPart(url=str(url)):
            return attachment_of(url, name=part.filename or "")
        case wire.BinaryPart(data=str(data)):
            return Attachment(data=data, name=part.filename or "")
    raise ContentRefused("A file is sent as data or as a URL: no files are kept here.")
