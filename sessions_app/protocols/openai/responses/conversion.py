"""What clients of OpenAI's Responses API send, as the engine takes it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import msgspec
from msgspec.structs import replace

from agents.runtime.conversation import BETWEEN_MESSAGES
from agents.runtime.events import ToolCall, ToolResult
from agents.runtime.providers.base import (
    Attachment,
    ChatMessage,
    OutputFormat,
    ToolChoice,
    ToolSpec,
)
from salient.api.problems import Invalid
from salient.texts import is_blank, paragraphs
from sessions_app.inputs.exchanges import request_id_of
from sessions_app.inputs.turn_input import Sampling, TurnInput
from sessions_app.protocols.openai.conversion import (
    UnsupportedParameter,
    attachment_of,
    metadata_of,
    offered,
    require_sendable,
    split,
)
from sessions_app.protocols.openai.responses import ids
from sessions_app.protocols.openai.responses import schemas as wire
from sessions_app.turns.problems import ContentRefused, UnknownCall

INPUT = "input"


class Said(msgspec.Struct, frozen=True):
    """The input: what came before, and what is new. `instructions` are those among the items."""

    before: tuple[ChatMessage, ...]
    results: tuple[ToolResult, ...]
    last: ChatMessage | None
    instructions: str


class Chain(msgspec.Struct, frozen=True):
    """Where an earlier response left off.

    The next turn goes on in its session while no other message came after it. `conversation`,
    the messages up to that response, is read for a turn that cannot; `instructions` are those
    that stood among the input of the chain so far.
    """

    session_id: UUID
    is_newest: bool
    instructions: str = ""
    end_user: str | None = None
    conversation: tuple[ChatMessage, ...] = ()


def items_of(wanted: wire.ResponseIn) -> list[Any]:
    if isinstance(wanted.input, str):
        return [wire.MessageItem(role="user", content=wanted.input)]
    return list(wanted.input)


def without_known(items: Iterable[Any]) -> list[Any]:
    """Leave out what the stored conversation has: our own answers and calls, sent again."""
    return [
        item
        for item in items
        if not (
            isinstance(item, wire.ItemReference)
            or (isinstance(item, wire.FunctionCallItem) and request_id_of(item.call_id))
            or (
                isinstance(item, wire.MessageItem)
                and item.role == "assistant"
                and ids.read(item.id or "", ids.MESSAGE)
            )
        )
    ]


def said_of(items: Sequence[Any], *, goes_on: bool) -> Said:
    """Read the input; `goes_on` says that the conversation before it is a stored one."""
    messages = _messages(items, goes_on=goes_on)
    if goes_on:
        return Said(*_split_new(messages), _instructions(items))
    return Said(*split(messages, INPUT), _instructions(items))


def _instructions(items: Iterable[Any]) -> str:
    return paragraphs(
        _text(item.content)
        for item in items
        if isinstance(item, wire.MessageItem) and item.role in {"system", "developer"}
    )


def _text(content: str | list[Any]) -> str:
    if isinstance(content, str):
        return content
    texts = []
    for part in content:
        match part:
            case wire.InputText(text=text) | wire.InputRefusal(refusal=text):
                texts.append(text)
            case _:
                raise ContentRefused("Images and files are read in messages of the user.", INPUT)
    return "\n".join(texts)


def _messages(items: Iterable[Any], *, goes_on: bool) -> list[ChatMessage]:
    """Return the messages; calls in a row are one message with the text before them."""
    messages: list[ChatMessage] = []
    calls: set[str] = set()
    for item in items:
        match item:
            case wire.MessageItem(role="user"):
                messages.append(_user_message(item))
            case wire.MessageItem(role="assistant"):
                messages.append(ChatMessage("assistant", _text(item.content)))
            case wire.FunctionCallItem():
                calls.add(item.call_id)
                _add_call(messages, item)
            case wire.FunctionCallOutputItem():
                if not goes_on and item.call_id not in calls:
                    raise Invalid.field(
                        INPUT,
                        "an item function_call_output must follow the function_call that it is of "
                        f"(call_id {item.call_id[:64]})",
                    )
                messages.append(ChatMessage("tool", _text(item.output), call_id=item.call_id))
    return messages


def _add_call(messages: list[ChatMessage], item: wire.FunctionCallItem) -> None:
    call = ToolCall(item.call_id, item.name, item.arguments or "{}", is_client=True)
    # Some clients send each result right after its call.
    at = len(messages) - 1
    turn = request_id_of(item.call_id)
    while at >= 0 and messages[at].role == "tool" and turn is not None:
        at -= 1
    if at >= 0 and messages[at].role == "assistant":
        before = messages[at]
        is_last = at == len(messages) - 1
        if is_last or (before.calls and request_id_of(before.calls[0].id) == turn):
            messages[at] = replace(before, calls=(*before.calls, call))
            return
    messages.append(ChatMessage("assistant", "", calls=(call,)))


def _user_message(item: wire.MessageItem) -> ChatMessage:
    if isinstance(item.content, str):
        return ChatMessage("user", item.content)
    texts, attachments = [], []
    for part in item.content:
        match part:
            case wire.InputText(text=text) | wire.InputRefusal(refusal=text):
                texts.append(text)
            case _:
                attachments.append(_attachment(part))
    return ChatMessage("user", "\n".join(texts), tuple(attachments))


def _attachment(part: Any) -> Attachment:
    match part:
        case wire.InputImage(image_url=str(url)):
            detail = "" if part.detail in {None, "auto"} else str(part.detail)
            return attachment_of(url, detail=detail)
        case wire.InputFile(file_data=str(data)):
            return attachment_of(data, name=part.filename or "")
        case wire.InputFile(file_url=str(url)):
            return attachment_of(url, name=part.filename or "")
        case wire.InputAudio():
            raise ContentRefused("Audio is not read here; send text, images and PDF files.", INPUT)
    raise ContentRefused("Send an image_url, file_data or file_url: no files are kept here.", INPUT)


def _split_new(
    messages: list[ChatMessage],
) -> tuple[tuple[ChatMessage, ...], tuple[ToolResult, ...], ChatMessage | None]:
    """Split what continues a stored conversation: results first, then what the user says."""
    if not messages or messages[-1].role == "assistant":
        raise Invalid.field(INPUT, "the last item must be the user's, or the result of a tool")
    first = len(messages)
    while first and messages[first - 1].role == "user":
        first -= 1
    said = [message for message in messages[first:] if message.content or message.attachments]
    if messages[first:] and all(is_blank(m.content) and not m.attachments for m in said):
        raise Invalid.field(INPUT, "the last message is blank")
    results_from = first
    while results_from and messages[results_from - 1].role == "tool":
        results_from -= 1
    results = tuple(ToolResult(m.call_id, "", m.content) for m in messages[results_from:first])
    last = ChatMessage(
        "user",
        BETWEEN_MESSAGES.join(m.content for m in said if m.content),
        tuple(each for message in said for each in message.attachments),
    )
    return tuple(messages[:results_from]), results, last if said else None


def turn_input(
    wanted: wire.ResponseIn,
    said: Said,
    *,
    chain: Chain | None = None,
    session_id: UUID | None = None,
    end_user: str | None = None,
) -> TurnInput:
    """Return the turn that is asked for; raises a Problem that names what is wrong."""
    _refuse_unsupported(wanted)
    tools, choice = _tools(wanted)
    among = paragraphs([chain.instructions if chain else "", said.instructions])
    asked = TurnInput(
        message=said.last.content if said.last else "",
        attachments=said.last.attachments if said.last else (),
        results=said.results,
        instructions=paragraphs([wanted.instructions or "", among]),
        client_tools=tools,
        tool_choice=choice,
        parallel_tool_calls=wanted.parallel_tool_calls if tools else None,
        output_format=_output_format(wanted),
        sampling=Sampling(
            temperature=wanted.temperature,
            top_p=wanted.top_p,
            max_tokens=wanted.max_output_tokens,
        ),
        metadata=metadata_of(wanted.metadata),
        store=wanted.store is not False,
        kept=kept_of(wanted, among),
    )
    asked = _placed(asked, said, chain, session_id, end_user)
    require_sendable(asked)
    return asked


def _placed(
    asked: TurnInput,
    said: Said,
    chain: Chain | None,
    session_id: UUID | None,
    end_user: str | None,
) -> TurnInput:
    """Say where the turn goes on: in a stored session, or with a conversation in a new one."""
    if session_id is not None:
        if said.before:
            raise Invalid.field(
                INPUT, "a conversation goes on with the user's messages and results of tools only"
            )
        return replace(asked, session_id=session_id)
    if chain is None:
        return replace(
            asked, conversation=said.before, keeps_conversation=True, end_user=end_user or None
        )
    if chain.is_newest and not said.before:
        return replace(asked, session_id=chain.session_id)
    conversation = (*chain.conversation, *said.before)
    names = {call.id: call.name for message in conversation for call in message.calls}
    for result in asked.results:
        if result.id not in names:
            raise UnknownCall(result.id)
    return replace(
        asked,
        results=tuple(replace(result, name=names[result.id]) for result in asked.results),
        conversation=conversation,
        keeps_conversation=True,
        is_branch=True,
        end_user=end_user or chain.end_user,
    )


def _refuse_unsupported(wanted: wire.ResponseIn) -> None:
    include = wanted.include or []
    refusals = {
        "background": wanted.background
        and wanted.store is False
        and "a response that is not stored cannot be read later",
        "prompt": wanted.prompt is not None and "an agent has its own prompt",
        "top_logprobs": wanted.top_logprobs and "probabilities are not known here",
        "include": any("logprobs" in each for each in include)
        and "probabilities are not known here",
        "conversation": wanted.conversation is not None
        and wanted.previous_response_id is not None
        and "send it or previous_response_id, not both",
    }
    for name, why in refusals.items():
        if isinstance(why, str):
            raise UnsupportedParameter(name, why)


def _tools(wanted: wire.ResponseIn) -> tuple[tuple[ToolSpec, ...], ToolChoice]:
    functions = wanted.tools or ()
    match wanted.tool_choice:
        case wire.NamedFunctionTool(name=name):
            return offered(functions, "required", named=name)
        case wire.AllowedFunctionTools(mode=mode, tools=allowed):
            return offered(functions, mode, only=[tool.name for tool in allowed])
        case "required":
            return offered(functions, "required")
    return offered(functions, only=[] if wanted.tool_choice == "none" else None)


def _output_format(wanted: wire.ResponseIn) -> OutputFormat | None:
    match wanted.text.format if wanted.text else None:
        case wire.ObjectFormat():
            return OutputFormat()
        case wire.JSONSchemaFormat() as named:
            return OutputFormat(named.schema_, named.name, named.description or "", named.strict)
    return None


_SAID_AGAIN = (
    "previous_response_id",
    "instructions",
    "parallel_tool_calls",
    "temperature",
    "top_p",
    "max_output_tokens",
    "truncation",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "background",
)


def kept_of(wanted: wire.ResponseIn, among: str) -> dict[str, Any]:
    """Return what a response says again of its request; `among` are instructions in the input."""
    kept: dict[str, Any] = {"object": "response"}
    for name in _SAID_AGAIN:
        if (value := getattr(wanted, name)) is not None:
            kept[name] = value
    if wanted.conversation is not None:
        kept["conversation"] = True
    if among:
        kept["among_input"] = among
    if wanted.tools:
        kept["tools"] = [tool.model_dump() for tool in wanted.tools]
    if isinstance(wanted.tool_choice, str):
        kept["tool_choice"] = wanted.tool_choice
    elif wanted.tool_choice is not None:
        kept["tool_choice"] = wanted.tool_choice.model_dump()
    if wanted.text and wanted.text.format:
        kept["format"] = wanted.text.format.model_dump(by_alias=True)
    return kept
