"""The messages of a conversation, in a form that every provider accepts."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import groupby, pairwise

from msgspec.structs import replace

from agents.runtime.events import ToolCall
from agents.runtime.providers.base import ChatMessage
from salient.texts import is_blank

BETWEEN_MESSAGES = "\n\n"
# The most unanswered messages that are sent again with the current one. Few, because one of them
# may be what makes the turns fail.
MOST_UNANSWERED = 2
NO_RESULT = "The result of this call was not sent."


def normalised(messages: Iterable[ChatMessage]) -> tuple[ChatMessage, ...]:
    """Return the messages as every provider takes them; the last of the user's stays the last.

    A user's message comes first, the roles alternate, and no message is blank. Messages of one
    side in a row become one message with blank lines between its parts. Calls of tools are
    followed by their results, each once, and the ids of the calls are those that every provider
    takes.
    """
    messages = tuple(messages)
    if _is_normal(messages):
        return messages
    if any(message.is_of_tools for message in messages):
        messages = _numbered(_paired(messages))
    rows = _rows(messages)
    while rows and rows[0][0].role != "user":
        del rows[0]
    while rows and rows[-1][0].role == "assistant":
        del rows[-1]
    return tuple(row[0] if len(row) == 1 else _joined(row) for row in rows)


def _is_normal(messages: Sequence[ChatMessage]) -> bool:
    """Whether the messages are as they should be already, as nearly all conversations are."""
    side = "user"
    for message in messages:
        text = message.content
        if message.role != side or message.calls or "\x00" in text or is_blank(text):
            return False
        side = "assistant" if side == "user" else "user"
    return side == "assistant"


def _joined(row: Sequence[ChatMessage]) -> ChatMessage:
    texts = [message.content for message in row if not is_blank(message.content)]
    return ChatMessage(
        row[0].role,
        BETWEEN_MESSAGES.join(texts),
        attachments=tuple(each for message in row for each in message.attachments),
        calls=row[-1].calls,
    )


def call_id(number: int) -> str:
    """Return nine letters and digits: Mistral accepts no other ids, and all others accept these."""
    return f"call{number:05}"


def calls_in(messages: Iterable[ChatMessage]) -> int:
    """Return how many calls of tools the messages hold."""
    return sum(len(message.calls) for message in messages)


def _paired(messages: Sequence[ChatMessage]) -> Iterator[ChatMessage]:
    """Let the results follow their calls; a result without a call is left out."""
    at = 0
    while at < len(messages):
        message = messages[at]
        at += 1
        if message.role == "tool":
            continue
        yield message
        if not message.calls:
            continue
        results: dict[str, ChatMessage] = {}
        while at < len(messages) and messages[at].role == "tool":
            results.setdefault(messages[at].call_id, messages[at])
            at += 1
        for call in message.calls:
            missing = ChatMessage("tool", NO_RESULT, call_id=call.id, is_error=True)
            yield results.get(call.id, missing)


def _numbered(messages: Iterable[ChatMessage]) -> tuple[ChatMessage, ...]:
    """Give the calls short ids in their order, and the results those of their calls."""
    known: dict[str, str] = {}
    found = []
    number = 0
    for message in messages:
        if message.calls:
            calls: list[ToolCall] = []
            for call in message.calls:
                number += 1
                known[call.id] = call_id(number)
                calls.append(replace(call, id=known[call.id]))
            message = replace(message, calls=tuple(calls))  # noqa: PLW2901 - the same, with new ids
        elif message.role == "tool":
            message = replace(message, call_id=known[message.call_id])  # noqa: PLW2901
        found.append(message)
    return tuple(found)


def has_unanswered(messages: Iterable[ChatMessage]) -> bool:
    """Whether the user sent another message before there was an answer."""
    messages = tuple(messages)
    return not _is_normal(messages) and any(
        one.role == other.role == "user" for one, other in pairwise(_readable(messages))
    )


def without_refused(
    messages: Iterable[ChatMessage], refused: Collection[str]
) -> tuple[ChatMessage, ...]:
    """Leave out the unanswered messages with these texts, and all but the newest of the others."""
    return tuple(
        message
        for row in _rows(messages)
        for message in (*(one for one in row[:-1] if one.content not in refused), row[-1])
    )


def answered_only(messages: Iterable[ChatMessage]) -> tuple[ChatMessage, ...]:
    """Leave out the user's unanswered messages, except the last one."""
    return tuple(row[-1] for row in _rows(messages))


def newest_half(messages: Sequence[ChatMessage]) -> tuple[ChatMessage, ...]:
    """Return the newest messages, as many as make up half of the text; at least the current."""
    sizes = [len(message.content.encode(errors="replace")) for message in messages]
    left, first = sum(sizes) / 2, len(messages)
    while first > 0 and (left := left - sizes[first - 1]) >= 0:
        first -= 1
    return tuple(messages[min(first, _current(messages)) :])


def only_current(messages: Sequence[ChatMessage]) -> tuple[ChatMessage, ...]:
    """Return the user's last message, with the calls of tools and the results that follow it."""
    return tuple(messages[_current(messages) :])


def _current(messages: Sequence[ChatMessage]) -> int:
    last = len(messages) - 1
    if last < 0 or messages[last].role != "tool":
        return last
    return next((at for at in range(last, -1, -1) if messages[at].role == "user"), 0)


def _readable(messages: Iterable[ChatMessage]) -> list[ChatMessage]:
    """Return those that are not blank, without NUL, which no provider takes."""
    return [
        replace(message, content=message.content.replace("\x00", ""))
        if "\x00" in message.content
        else message
        for message in messages
        if not is_blank(message.content) or message.attachments or message.is_of_tools
    ]


def _rows(messages: Iterable[ChatMessage]) -> list[list[ChatMessage]]:
    """Group the messages of one side in a row; a message that was sent again is included once."""
    rows: list[list[ChatMessage]] = []
    for side, row in groupby(_readable(messages), key=_side):
        different = [message for message, _ in groupby(row)]
        if side == "user":
            different = different[-MOST_UNANSWERED - 1 :]
        before = rows[-1][-1] if rows else None
        if before and different[0].calls and before.role == "assistant" and not before.calls:
            # What the model said before it called tools is part of the same answer.
            rows[-1] += different
        else:
            rows.append(different)
    return rows


def _side(message: ChatMessage) -> str:
    """What is joined in a row: calls and results stand for themselves."""
    if message.role == "tool":
        return f"result of {message.call_id}"
    if message.calls:
        return f"calls from {message.calls[0].id}"
    return message.role
