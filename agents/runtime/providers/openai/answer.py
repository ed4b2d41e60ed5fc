"""Decodes an answer of OpenAI's chat API to the fields that are used.

Other fields are not named here: msgspec passes over them. Fields that some servers send as null,
or in another type than OpenAI does, are declared with `Any`.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from agents.runtime.errors import ProviderProtocol, ProviderUnavailable
from agents.runtime.providers.characters import clean

# Values in one event: a short text must not become a large structure, which takes long to build.
MAX_VALUES = 50_000
_SMALL_BYTES = 64 * 1024
DONE = b"[DONE]"
# Some gateways write the field's name twice.
_DATA = b"data:"
DONE_LENGTH = 32
# What only keeps a connection open; some servers write it where data belongs.
_PING = re.compile(
    r":.*|[\[<(]?(ping|pong|heart[ _-]?beat|keep[ _-]?alive|processing|connected|open|start)"
    r"[\])>]?",
    re.IGNORECASE,
)
_SPACE = re.compile(r"\s*")
_PAGE = re.compile(r"<[a-z!?]", re.IGNORECASE)


# The fields of a choice that hold a Message.
MESSAGE_FIELDS = ("delta", "message")
# The value of a field that was not sent.
NO_JSON = msgspec.Raw(b"")


class TooLarge(ProviderProtocol):
    """The answer is too large to be read any further."""


class Message(msgspec.Struct):
    """A message or a delta."""

    content: Any = None
    refusal: Any = None
    tool_calls: Any = None
    # The one call of a server that is older than `tool_calls`.
    function_call: Any = None
    # These go back with the tool calls, under the names by which they came.
    reasoning_content: Any = None
    reasoning: Any = None
    reasoning_details: Any = None
    reasoning_text: Any = None
    reasoning_opaque: Any = None
    thinking_blocks: Any = None
    extra_content: Any = None
    error: msgspec.Raw = NO_JSON


# PHP writes an empty object as an empty list.
type MessageField = Message | list[Any] | None


class Choice(msgspec.Struct):
    delta: MessageField = None
    message: MessageField = None
    # From a server with OpenAI's older completions API.
    text: Any = None
    finish_reason: Any = None
    # Moonshot sends the usage in the choice.
    usage: msgspec.Raw = NO_JSON
    error: msgspec.Raw = NO_JSON


class Answer(msgspec.Struct):
    """A whole answer or one chunk of it."""

    choices: list[Choice | None] | None = None
    # Some servers send it with every chunk.
    usage: msgspec.Raw = NO_JSON
    error: msgspec.Raw = NO_JSON


class PlainDelta(msgspec.Struct):
    """A delta that holds text and nothing else that is read."""

    content: str
    refusal: None = None
    tool_calls: None = None
    function_call: None = None
    reasoning_content: None = None
    reasoning: None = None
    reasoning_details: None = None
    reasoning_text: None = None
    reasoning_opaque: None = None
    thinking_blocks: None = None
    extra_content: None = None
    error: None = None


class PlainChoice(msgspec.Struct):
    delta: PlainDelta
    message: None = None
    text: None = None
    finish_reason: None = None
    usage: None = None
    error: None = None


class PlainChunk(msgspec.Struct):
    """A chunk as nearly all of a stream are: a piece of the text alone."""

    choices: tuple[PlainChoice]
    usage: None = None
    error: None = None


_decode = msgspec.json.Decoder(Answer, strict=False).decode
_decode_plain = msgspec.json.Decoder(PlainChunk).decode
# NaN and Infinity are no JSON, and nobody reads the fields that hold them.
_lenient = json.JSONDecoder(parse_constant=lambda _: None)


def is_done(data: bytes) -> bool:
    """Whether an event's data, of DONE_LENGTH at most, is [DONE], which ends the stream."""
    return data.strip().removeprefix(_DATA).strip(b' "').upper() == DONE


def plain_texts(events: Sequence[tuple[bytes, bytes]], first: int) -> list[str]:
    """Return the texts of the events from `first` on that are nothing but a piece of text each.

    Of such an event a text is all that `decode` and what reads its answer would find. The events
    end with the first other one, which is to be decoded.
    """
    texts: list[str] = []
    try:
        for place in range(first, len(events)):
            name, data = events[place]
            if name or len(data) > _SMALL_BYTES:
                break
            text = _decode_plain(data).choices[0].delta.content
            if not text:
                break
            texts.append(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return texts
    return texts


def decode(data: bytes) -> list[Answer]:
    """Read an event's data, a keep-alive as an empty list; raises ProviderProtocol."""
    if len(data) > _SMALL_BYTES and _values(data) > MAX_VALUES:
        raise TooLarge("the answer holds too many values")
    try:
        return [_decode(data)]
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _decode_leniently(data)
    except RecursionError as error:
        raise ProviderProtocol("the answer is nested too deep") from error


def text_of(content: object) -> str:
    """The text of a message; of a list of parts, the text of all but the thinking."""
    if isinstance(content, str):
        return content
    if content is None:
        return ""
    if isinstance(content, list):
        return "".join(map(_text_of_part, content))
    if isinstance(content, dict):
        return _text_of_part(content)
    raise ProviderProtocol(f"a message of type {type(content).__name__}")


def _text_of_part(part: object) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict) or str(part.get("type")).startswith(("thinking", "reasoning")):
        return ""
    for name in ("text", "refusal"):
        value = part.get(name)
        value = value.get("value") if isinstance(value, dict) else value
        if isinstance(value, str):
            return value
    return ""


def _values(data: bytes) -> int:
    """An upper bound of the number of values: commas and brackets within texts count too."""
    return data.count(b",") + data.count(b"[") + data.count(b"{")


def _decode_leniently(data: bytes) -> list[Answer]:
    """Read what msgspec does not: halves of characters, NaN, broken UTF-8, several values."""
    text = data.strip().removeprefix(_DATA).decode(errors="replace")
    text = text.strip("\ufeff\x00 \t\r\n")
    try:
        return [answer for document in _documents(text) for answer in _answers(document)]
    except (ValueError, RecursionError) as error:
        if _PAGE.match(text):
            raise ProviderUnavailable("a page instead of an answer") from error
        if _PING.fullmatch(text):
            return []
        raise ProviderProtocol(f"not an answer: {text[:2000]}") from error


def _documents(text: str) -> Iterator[object]:
    at = 0
    while at < len(text):
        document, at = _lenient.raw_decode(text, at)
        yield document
        at = _SPACE.match(text, at).end()  # type: ignore[union-attr]


def _answers(document: object) -> Iterator[Answer]:
    if document in (None, ""):
        return
    for answer in document if isinstance(document, list) else [document]:
        if isinstance(answer, dict):
            for place in _places(answer):
                _keep_raw(place)
        yield msgspec.convert(answer, Answer, strict=False)


def _places(answer: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The objects that may hold a usage or an error."""
    yield answer
    choices = answer.get("choices")
    for choice in choices if isinstance(choices, list) else []:
        if isinstance(choice, dict):
            yield choice
            messages = (choice.get(name) for name in MESSAGE_FIELDS)
            yield from (message for message in messages if isinstance(message, dict))


def _keep_raw(place: dict[str, Any]) -> None:
    """Encode what is read later: Answer has it as raw JSON."""
    for name in ("usage", "error"):
        if name in place:
            place[name] = msgspec.Raw(msgspec.json.encode(clean(place[name])))
