"""The messages of a conversation, in a form that every provider accepts."""

from collections.abc import Collection, Iterable, Sequence
from itertools import groupby, pairwise

from agents.runtime.providers.base import ChatMessage
from salient.texts import is_blank

BETWEEN_MESSAGES = "\n\n"
# The most unanswered messages that are sent again with the current one. Few, because one of them
# may be what makes the turns fail.
MOST_UNANSWERED = 2


def normalised(messages: Iterable[ChatMessage]) -> tuple[ChatMessage, ...]:
    """Return the messages as every provider takes them; the last of the user's stays the last.

    A user's message comes first, the roles alternate, and no message is blank. Messages of one
    side in a row become one message with blank lines between its parts.
    """
    rows = _rows(messages)
    if rows and rows[0][0].role != "user":
        del rows[0]
    if rows and rows[-1][0].role != "user":
        del rows[-1]
    return tuple(
        row[0]
        if len(row) == 1
        else ChatMessage(row[0].role, BETWEEN_MESSAGES.join(message.content for message in row))
        for row in rows
    )


def has_unanswered(messages: Iterable[ChatMessage]) -> bool:
    """Whether the user sent another message before there was an answer."""
    return any(one.role == other.role == "user" for one, other in pairwise(_readable(messages)))


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
    """Return the newest messages, as many as make up half of the text; at least the last one."""
    sizes = [len(message.content.encode(errors="replace")) for message in messages]
    left, first = sum(sizes) / 2, len(messages)
    while first > 0 and (left := left - sizes[first - 1]) >= 0:
        first -= 1
    return tuple(messages[min(first, len(messages) - 1) :])


def _readable(messages: Iterable[ChatMessage]) -> list[ChatMessage]:
    """Return those that are not blank, without NUL, which no provider takes."""
    return [
        ChatMessage(message.role, message.content.replace("\x00", ""))
        if "\x00" in message.content
        else message
        for message in messages
        if not is_blank(message.content)
    ]


def _rows(messages: Iterable[ChatMessage]) -> list[list[ChatMessage]]:
    """Group the messages of one side in a row; a message that was sent again is included once."""
    rows = []
    for role, row in groupby(_readable(messages), key=lambda message: message.role):
        different = [message for message, _ in groupby(row)]
        rows.append(different[-MOST_UNANSWERED - 1 :] if role == "user" else different)
    return rows
