"""Makes any value fit for a row: what PostgreSQL would refuse is replaced, by its type."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

# An `integer` column's range, and what fits a thousand times into a `numeric(20, 8)`.
MOST_INTEGER = 2**31 - 1
MOST_DECIMAL = Decimal(999_999_999)
_NOT_STORED = re.compile("[\x00\ud800-\udfff]")


def storable(value: Any) -> Any:
    """Return the value as it can be stored, at any depth of mappings and lists.

    Texts lose their NULs, and half a surrogate pair becomes U+FFFD. Numbers stay within their
    columns; a decimal that is no number is None. All else is returned as it is.
    """
    match value:
        case str():
            value = _text(value)
        case int() if not isinstance(value, bool):
            value = max(-MOST_INTEGER, min(value, MOST_INTEGER))
        case Decimal():
            value = _decimal(value)
        case Mapping():
            value = {storable(key): storable(each) for key, each in value.items()}
        case list() | tuple():
            value = [storable(each) for each in value]
    return value


def _text(text: str) -> str:
    # Most texts are ASCII without a NUL, which both tests see at once.
    if (text.isascii() and "\x00" not in text) or not _NOT_STORED.search(text):
        return str(text)
    # Two halves that belong together, such as from two pieces of JSON, become their character.
    whole = text.replace("\x00", "").encode("utf-16-le", "surrogatepass")
    return whole.decode("utf-16-le", "replace")


def _decimal(amount: Decimal) -> Decimal | None:
    if not amount.is_finite():
        return None
    return max(-MOST_DECIMAL, min(amount, MOST_DECIMAL))
