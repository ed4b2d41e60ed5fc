"""Replaces what PostgreSQL would refuse in a value; Django and psycopg raise for it instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

# An `integer` column's range, and what fits a thousand times into a `numeric(20, 8)`.
MOST_INTEGER = 2**31 - 1
MOST_DECIMAL = Decimal(999_999_999)
# As a whole number, which whole numbers are compared with four times as fast.
_MOST = int(MOST_DECIMAL)
# A NUL as JSON writes it; the same six signs in a text only cost a second look.
_NUL = b"\\u0000"
_NOT_STORED = re.compile("[\x00\ud800-\udfff]")


def storable(value: Any) -> Any:
    """Return the value as it can be stored, at any depth of mappings, structs and lists.

    Texts lose their NULs, and half a surrogate pair becomes U+FFFD. Numbers stay within their
    columns; a decimal that is no number is None. All else is returned as it is.
    """
    return _BY_TYPE[type(value)](value)


def storable_json(values: msgspec.Struct) -> str:
    """Write a struct as JSON with every value as `storable` returns it.

    Nearly all structs are storable as they are, and are written at once. Numbers deeper in them
    have no column, and stay.
    """
    try:
        written = msgspec.json.encode(values)
    except UnicodeEncodeError:
        written = _NUL
    if _NUL in written or not _numbers_fit(values):
        written = msgspec.json.encode(storable(values))
    return written.decode()


def _numbers_fit(values: msgspec.Struct) -> bool:
    try:
        for value in msgspec.structs.astuple(values):
            kind = type(value)
            if (kind is int or kind is Decimal) and not -_MOST <= value <= _MOST:
                return False
    except ArithmeticError:
        # A decimal that is no number.
        return False
    return True


def _text(text: str) -> str:
    # Most texts are ASCII without a NUL, which both tests see at once.
    if (text.isascii() and "\x00" not in text) or not _NOT_STORED.search(text):
        return text
    # Two halves of a pair, for example from two pieces of JSON, become their character.
    whole = text.replace("\x00", "").encode("utf-16-le", "surrogatepass")
    return whole.decode("utf-16-le", "replace")


def _integer(number: int) -> int:
    if -MOST_INTEGER <= number <= MOST_INTEGER:
        return number
    return MOST_INTEGER if number > 0 else -MOST_INTEGER


def _decimal(amount: Decimal) -> Decimal | None:
    if not amount.is_finite():
        return None
    return max(-MOST_DECIMAL, min(amount, MOST_DECIMAL))


def _mapping(values: Mapping[str, Any]) -> dict[str, Any]:
    by_type = _BY_TYPE
    return {
        key if key.isidentifier() else storable(key): by_type[type(value)](value)
        for key, value in values.items()
    }


def _struct(values: msgspec.Struct) -> dict[str, Any]:
    return _mapping(msgspec.structs.asdict(values))


def _list(values: Iterable[Any]) -> list[Any]:
    return [storable(value) for value in values]


def _unchanged(value: Any) -> Any:
    return value


class _ByType(dict[type, Callable[[Any], Any]]):
    """The function for values of a type; a subclass has that of its nearest base."""

    def __missing__(self, kind: type) -> Callable[[Any], Any]:
        self[kind] = next((self[base] for base in kind.__mro__ if base in self), _unchanged)
        return self[kind]


_BY_TYPE = _ByType(
    {
        str: _text,
        bool: _unchanged,
        int: _integer,
        Decimal: _decimal,
        dict: _mapping,
        msgspec.Struct: _struct,
        list: _list,
        tuple: _list,
    }
)
