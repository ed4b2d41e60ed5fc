"""Texts, and their invisible characters: finding, naming and removing them."""

from __future__ import annotations

import re
from collections.abc import Iterable

# White space, control and format characters, fillers and variation selectors: a class for patterns.
UNSEEN = (
    r"\s\0-\x1f\x7f-\xa0\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    r"\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_BLANK = re.compile(rf"[{UNSEEN}]*")


def is_blank(text: str) -> bool:
    """Whether a text has no visible character."""
    return _BLANK.fullmatch(text) is not None


def paragraphs(texts: Iterable[str]) -> str:
    """Join the texts that are not blank, with an empty line between them."""
    return "\n\n".join(text for text in texts if not is_blank(text))
