"""Makes whole characters of the halves that UTF-16 counts as two."""

import json
import re
from typing import Any

import msgspec

REPLACEMENT = "\ufffd"
_LONE = re.compile("[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]")


class CharacterJoin:
    """Joins the two halves of a character that came in two pieces of a text."""

    __slots__ = ("_half",)

    def __init__(self) -> None:
        self._half = ""

    def feed(self, text: str) -> str:
        if not self._half and text.isascii():
            return text
        text, self._half = self._half + text, ""
        if "\ud800" <= text[-1:] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return whole_characters(text)

    def close(self) -> str:
        """The replacement of a half whose other half never came."""
        half, self._half = self._half, ""
        return REPLACEMENT if half else ""


def whole_characters(text: str) -> str:
    """Join halves that stand together; a lone one becomes U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        whole = _LONE.sub(REPLACEMENT, text)
        return whole.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    return text


def clean[T](value: T) -> T:
    """Return a value of JSON with whole characters in all of its texts."""
    try:
        msgspec.json.encode(value)
    except UnicodeEncodeError:
        whole: Any = json.loads(whole_characters(json.dumps(value, ensure_ascii=False)))
        return whole  # type: ignore[no-any-return]
    return value
