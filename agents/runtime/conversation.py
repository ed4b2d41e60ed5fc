"""The messages of a conversation, in a form that every provider accepts."""

import re
from collections.abc import Collection, Iterable, Sequence
from itertools import groupby, pairwise

from agents.runtime.providers.base import ChatMessage

BETWEEN_MESSAGES = "\n\n"
# Messages before the current one that nobody answered and that are sent again with it. Bounded,
# because one of them may be the reason why the turns fail.
MOST_UNANSWERED = 2
# White space, control characters, and characters that are drawn as nothing.
_VISIBLE = re.compile(
    r"[^\s\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    r"\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]"
)


def is_blank(text: str) -> bool:
    """Whether a reader would see nothing of it."""
    return _VISIBLE.search(text) is None


def normalised(messages: Iterable[ChatMessage]) -> tuple[ChatMessage, ...]:
    """Return the messages as every provider takes them; the last of the user's stays the last.

    A user's message comes first, the roles alternate, and no message is blank. What one side said
    in a row is one message with blank lines between its parts.
    """
    rows = [
        (role, [message.content for message in row])
        for role, row in groupby(_readable(messages), key=lambda message: message.role)
    ]
    if rows and rows[0][0] != "user":
        del rows[0]
    if rows and rows[-1][0] != "user":
        del rows[-1]
    return tuple(
        ChatMessage(role, BETWEEN_MESSAGES.join(_once_each(role, texts))) for role, texts in rows
    )


def has_unanswered(messages: Iterable[ChatMessage]) -> bool:
    """Whether the user said something more before there was an answer."""
    return any(one.role == other.role == "user" for one, other in pairwise(_readable(messages)))


def without_refused(
    messages: Sequence[ChatMessage], refused: Collection[str]
) -> tuple[ChatMessage, ...]:
    """Leave out the unanswered messages with these texts; the current message stays."""
    said = _readable(messages)
    return (
        *(
            one
            for one, other in pairwise(said)
            if not (one.role == other.role == "user" and one.content in refused)
        ),
        *said[-1:],
    )


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


def _once_each(role: str, texts: list[str]) -> list[str]:
    """Return the parts of one message; who sends a message again does not say it twice."""
    different = [text for text, _ in groupby(texts)]
    return different[-MOST_UNANSWERED - 1 :] if role == "user" else different
