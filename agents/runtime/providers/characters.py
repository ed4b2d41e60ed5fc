"""Joins characters that were cut in two: surrogate pairs of UTF-16, and CR LF line ends."""

import json
import re
from typing import Any

import msgspec

REPLACEMENT = "\ufffd"
_LONE = re.compile("[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]")


class CharacterJoin:
    """Joins the two halves of a character that came in two pieces of a text.

    Line ends become LF: an event stream has no other, so streamed and stored text are the same.
    """

    __slots__ = ("_follows_cr", "_half")

    def __init__(self) -> None:
        self._half = ""
        self._follows_cr = False

    def feed(self, text: str) -> str:
        if self._follows_cr or "\r" in text:
            text = self._with_line_feeds(text)
        if not self._half and text.isascii():
            return text
        text, self._half = self._half + text, ""
        if "\ud800" <= text[-1:] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return whole_characters(text)

    def _with_line_feeds(self, text: str) -> str:
        """Return a CR as LF at once, and leave out the LF that comes with the next piece."""
        if not text:
            return text
        if self._follows_cr:
            text = text.removeprefix("\n")
        self._follows_cr = text.endswith("\r")
        return text.replace("\r\n", "\n").replace("\r", "\n")

    def close(self) -> str:
        """The replacement of a half whose other half never came."""
        half, self._half = self._half, ""
        return REPLACEMENT if half else ""


def whole_characters(text: str) -> str:
    """Join the halves of each surrogate pair; a lone half becomes U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        whole = _LONE.sub(REPLACEMENT, text)
        return whole.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    return text


def clean[T](value: T) -> T:
    """Return a JSON value with whole characters in all of its texts."""
    try:
        msgspec.json.encode(value)
    except UnicodeEncodeError:
        whole: Any = json.loads(whole_characters(json.dumps(value, ensure_ascii=False)))
        return whole  # type: ignore[no-any-return]
    return value
