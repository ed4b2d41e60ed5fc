"""What clients of OpenAI's chat API send, as the engine takes it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Literal, Protocol
from uuid import UUID

import msgspec

from agents.runtime.events import ToolCall, ToolResult
from agents.runtime.providers.base import (
    Attachment,
    ChatMessage,
    OutputFormat,
    ToolChoice,
    ToolSpec,
)
from salient.api.problems import Invalid, Problem
from salient.texts import is_blank, paragraphs
from sessions_app.inputs.turn_input import Sampling, TurnInput
from sessions_app.protocols.openai import schemas as wire
from sessions_app.turns.problems import ContentRefused

MOST_STOPS, LONGEST_STOP = 16, 500
MOST_METADATA, LONGEST_METADATA_KEY = 16, 64
LARGEST_TOOLS = 64 * 1024
NO_PARAMETERS: dict[str, Any] = {"type": "object", "properties": {}}


class UnsupportedParameter(Problem):
    """A field that asks for another answer than we can give."""

    code = "unsupported_parameter"
    extensions = {"param": str}

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name}: {why}", param=name)


def turn_input(
    wanted: wire.ChatCompletionIn, *, session_id: UUID | None = None, end_user: str | None = None
) -> TurnInput:
    """Return the turn that is asked for; raises a Problem that names what is wrong.

    With a session or an end user a stored conversation is continued, and only what is newest of
    the messages counts. Otherwise the messages are the conversation.
    """
    _refuse_unsupported(wanted)
    messages = list(_conversation(wanted.messages))
    before, results, last = split(messages)
    is_stored = session_id is not None or end_user is not None
    tools, choice = _tools(wanted)
    asked = TurnInput(
        message=last.content if last else "",
        attachments=last.attachments if last else (),
        results=results,
        conversation=None if is_stored else before,
        session_id=session_id,
        end_user=end_user,
        instructions=_instructions(wanted.messages),
        client_tools=tools,
        tool_choice=choice,
        parallel_tool_calls=wanted.parallel_tool_calls if tools else None,
        output_format=_output_format(wanted),
        sampling=_sampling(wanted),
        metadata=metadata_of(wanted.metadata),
        store=wanted.store is not False,
    )
    require_sendable(asked)
    return asked


def require_sendable(asked: TurnInput) -> None:
    """Raise Invalid for characters that can be neither sent to a model nor stored."""
    try:
        written = msgspec.json.encode(asked)
    except UnicodeEncodeError:
        raise Invalid.field("messages", "a text holds half a surrogate pair") from None
    if b"\\u0000" in written:
        raise Invalid.field("messages", "a text holds a NUL character")


def _refuse_unsupported(wanted: wire.ChatCompletionIn) -> None:
    refusals = {
        "n": wanted.n is not None and wanted.n != 1 and "one answer is given",
        "logprobs": wanted.logprobs and "probabilities are not known here",
        "top_logprobs": wanted.top_logprobs and "probabilities are not known here",
        "audio": wanted.audio is not None and "answers are text",
        "modalities": wanted.modalities not in (None, ["text"]) and "answers are text",
        "functions": wanted.functions is not None and "send tools instead",
        "function_call": wanted.function_call is not None and "send tool_choice instead",
        "web_search_options": wanted.web_search_options is not None
        and "an agent searches with its own tools",
    }
    for name, why in refusals.items():
        if isinstance(why, str):
            raise UnsupportedParameter(name, why)


def _instructions(messages: Iterable[Any]) -> str:
    return paragraphs(
        _text(message.content)
        for message in messages
        if isinstance(message, wire.InstructionMessage)
    )


def _text(content: str | Sequence[wire.TextPart | wire.RefusalPart] | None) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    parts: Sequence[Any] = content
    texts = (part.text if isinstance(part, wire.TextPart) else part.refusal for part in parts)
    return "\n".join(texts)


def _conversation(messages: Iterable[Any]) -> Iterator[ChatMessage]:
    """Yield the messages without instructions; a result must follow the call that it is of."""
    open_calls: set[str] = set()
    for message in messages:
        match message:
            case wire.UserMessage():
                yield _user_message(message)
            case wire.AssistantMessage():
                calls = tuple(
                    ToolCall(
                        call.id, call.function.name, call.function.arguments or "{}", is_client=True
                    )
                    for call in message.tool_calls or ()
                )
                open_calls |= {call.id for call in calls}
                text = _text(message.content) or message.refusal or ""
                yield ChatMessage("assistant", text, calls=calls)
            case wire.ToolMessage():
                if message.tool_call_id not in open_calls:
                    raise Invalid.field(
                        "messages",
                        "a message with the role tool must follow the assistant's message with its "
                        f"call (tool_call_id {message.tool_call_id[:64]})",
                    )
                yield ChatMessage("tool", _text(message.content), call_id=message.tool_call_id)


def _user_message(message: wire.UserMessage) -> ChatMessage:
    if isinstance(message.content, str):
        return ChatMessage("user", message.content)
    texts = [part.text for part in message.content if isinstance(part, wire.TextPart)]
    others = [part for part in message.content if not isinstance(part, wire.TextPart)]
    return ChatMessage("user", "\n".join(texts), tuple(map(_attachment, others)))


def _attachment(part: Any) -> Attachment:
    match part:
        case wire.ImagePart(image_url=image):
            detail = "" if image.detail in {None, "auto"} else str(image.detail)
            return attachment_of(image.url, detail=detail)
        case wire.FilePart(file=file) if file.file_data is not None:
            return attachment_of(file.file_data, name=file.filename or "")
        case wire.FilePart():
            raise ContentRefused("A file is sent as file_data: no files are kept here.")
    raise ContentRefused("Audio is not read here; send text, images and PDF files.")


def attachment_of(url_or_data: str, **fields: str) -> Attachment:
    """Return an attachment of a URL to fetch, a data URL, or base64."""
    scheme = url_or_data[:8].lower()
    is_url = scheme.startswith(("http:", "https:", "ftp:", "file:"))
    place = {"url": url_or_data} if is_url else {"data": url_or_data}
    return Attachment(**place, **fields)


def split(
    messages: list[ChatMessage], field: str = "messages"
) -> tuple[tuple[ChatMessage, ...], tuple[ToolResult, ...], ChatMessage | None]:
    """Return what came before, the results at the end, and the user's message at the end."""
    if not messages or messages[-1].role == "assistant":
        raise Invalid.field(field, "the last message must be the user's, or the result of a tool")
    last = messages[-1]
    if last.role == "user":
        if is_blank(last.content) and not last.attachments:
            raise Invalid.field(field, "the last message is blank")
        return tuple(messages[:-1]), (), last
    first = len(messages)
    while messages[first - 1].role == "tool":
        first -= 1
    names = {call.id: call.name for message in messages for call in message.calls}
    results = tuple(
        ToolResult(message.call_id, names[message.call_id], message.content)
        for message in messages[first:]
    )
    return tuple(messages[:first]), results, None


def _tools(wanted: wire.ChatCompletionIn) -> tuple[tuple[ToolSpec, ...], ToolChoice]:
    functions = [tool.function for tool in wanted.tools or ()]
    match wanted.tool_choice:
        case wire.NamedTool(function=function):
            return offered(functions, "required", named=function.name)
        case wire.AllowedToolsChoice(allowed_tools=allowed):
            only = [tool.function.name for tool in allowed.tools]
            return offered(functions, allowed.mode, only=only)
        case "required":
            return offered(functions, "required")
    return offered(functions, only=[] if wanted.tool_choice == "none" else None)


class Function(Protocol):
    """A function of the caller's, as both of OpenAI's APIs describe it."""

    name: str
    description: str | None
    parameters: dict[str, Any] | None
    strict: bool | None


def offered(
    functions: Iterable[Function],
    mode: Literal["auto", "required"] = "auto",
    *,
    named: str | None = None,
    only: Collection[str] | None = None,
) -> tuple[tuple[ToolSpec, ...], ToolChoice]:
    """Return the caller's tools that the model may call, of `only` those where that is given.

    `named` is the one that it must call. Raises Invalid for tools that cannot be offered, and where
    one is chosen that is not among them.
    """
    tools = tuple(
        ToolSpec(
            function.name,
            function.description or "",
            function.parameters or NO_PARAMETERS,
            strict=function.strict,
            is_client=True,
        )
        for function in functions
    )
    names = [tool.name for tool in tools]
    if len(set(names)) < len(names):
        raise Invalid.field("tools", "two tools have the same name")
    if len(msgspec.json.encode(tools)) > LARGEST_TOOLS:
        raise Invalid.field("tools", f"they are larger than {LARGEST_TOOLS} bytes")
    chosen = {*(only or ()), *([] if named is None else [named])}
    if not chosen <= set(names):
        raise Invalid.field("tool_choice", "it names a tool that is not in tools")
    if only is not None:
        tools = tuple(tool for tool in tools if tool.name in only)
    return tools, ToolChoice(mode, named or "")


def _output_format(wanted: wire.ChatCompletionIn) -> OutputFormat | None:
    match wanted.response_format:
        case wire.JSONFormat():
            return OutputFormat()
        case wire.SchemaFormat(json_schema=named):
            return OutputFormat(
                named.schema_ or {}, named.name, named.description or "", named.strict
            )
    return None


def _sampling(wanted: wire.ChatCompletionIn) -> Sampling:
    stop = [wanted.stop] if isinstance(wanted.stop, str) else wanted.stop or []
    if len(stop) > MOST_STOPS or any(not 1 <= len(text) <= LONGEST_STOP for text in stop):
        raise Invalid.field(
            "stop", f"send at most {MOST_STOPS} texts of 1 to {LONGEST_STOP} characters"
        )
    return Sampling(
        temperature=wanted.temperature,
        top_p=wanted.top_p,
        stop=tuple(stop),
        seed=wanted.seed,
        max_tokens=wanted.max_completion_tokens or wanted.max_tokens,
    )


def metadata_of(sent: dict[str, str] | None) -> dict[str, str]:
    metadata = sent or {}
    if len(metadata) > MOST_METADATA or any(len(k) > LONGEST_METADATA_KEY for k in metadata):
        raise Invalid.field(
            "metadata", f"send at most {MOST_METADATA} keys of {LONGEST_METADATA_KEY} characters"
        )
    return metadata
