"""The cursor of every list: the place of a page's last row, as opaque text."""

from __future__ import annotations

from base64 import b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from struct import Struct, error
from typing import Any, Self
from uuid import UUID

from django.db.models import F, Model, QuerySet
from django.db.models.fields.tuple_lookups import Tuple, TupleGreaterThan, TupleLessThan

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# Microseconds since 1970 and the id: 24 bytes, which base64 writes without padding.
_PLACE = Struct(">q16s")
_UNREADABLE = "give back the cursor of the page before"
LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page ends: the moment of its last row and, among rows of one moment, its id.

    `str()` gives 32 characters of base64url. They are not signed: a caller who makes some up gets
    another page of the same list.
    """

    moment: datetime
    id: UUID

    def __str__(self) -> str:
        place = _PLACE.pack((self.moment - _EPOCH) // _MICROSECOND, self.id.bytes)
        return urlsafe_b64encode(place).decode()

    @classmethod
    def read(cls, text: object) -> Self:
        """Read what `str()` wrote; raises ValueError."""
        try:
            place = b64decode(str(text).encode("ascii"), altchars=b"-_", validate=True)
            microseconds, key = _PLACE.unpack(place)
            return cls(_EPOCH + microseconds * _MICROSECOND, UUID(bytes=key))
        except (ValueError, OverflowError, error):
            raise ValueError(_UNREADABLE) from None


@dataclass(frozen=True, slots=True)
class NameCursor:
    """Where a page of a list ends whose rows are ordered by names that are unique in it."""

    name: str

    def __str__(self) -> str:
        return urlsafe_b64encode(self.name.encode()).decode().rstrip("=")

    @classmethod
    def read(cls, text: object) -> Self:
        """Read what `str()` wrote; raises ValueError."""
        given = str(text)
        try:
            padded = given.encode("ascii") + b"=" * (-len(given) % 4)
            name = b64decode(padded, altchars=b"-_", validate=True).decode()
        except ValueError:
            raise ValueError(_UNREADABLE) from None
        if not name.isprintable() or not 1 <= len(name) <= LONGEST_NAME:
            raise ValueError(_UNREADABLE)
        return cls(name)


def older[Rows: QuerySet[Any]](rows: Rows, field: str, cursor: Cursor) -> Rows:
    """Return the rows before the cursor, as one range of an index on the field and the id."""
    return rows.filter(TupleLessThan(Tuple(F(field), F("id")), (cursor.moment, cursor.id)))


def newer[Rows: QuerySet[Any]](rows: Rows, field: str, cursor: Cursor) -> Rows:
    return rows.filter(TupleGreaterThan(Tuple(F(field), F("id")), (cursor.moment, cursor.id)))


def newest_page[Row: Model](
    rows: QuerySet[Row], field: str, cursor: Cursor | None, limit: int
) -> tuple[Sequence[Row], str | None]:
    """Return the page behind the cursor, the newest rows first, and the cursor of the next page."""
    found = rows if cursor is None else older(rows, field, cursor)
    return page_of(list(found.order_by(f"-{field}", "-id")[: limit + 1]), limit, field)


def oldest_rows[Row: Model](
    rows: QuerySet[Row], field: str, cursor: Cursor | None, limit: int | None
) -> list[Row]:
    """Return the rows behind the cursor, the oldest first; one more than `limit`, if there are."""
    found = rows if cursor is None else newer(rows, field, cursor)
    return list(found.order_by(field, "id")[: None if limit is None else limit + 1])


def page_of[Row: Model](
    rows: Sequence[Row], limit: int | None, field: str
) -> tuple[Sequence[Row], str | None]:
    """Return the page's rows and the cursor of the next page, None where there is none.

    `rows` are one more than the page holds, if there are more: that one is not on it. The rows are
    ordered by the field, which is a moment, and the id; without a limit they are all on the page.
    """
    if limit is None or len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    return rows[:limit], str(Cursor(getattr(last, field), last.pk))


def page_by_name[Row: Model](
    rows: Sequence[Row], limit: int | None, field: str
) -> tuple[Sequence[Row], str | None]:
    """Return the same of rows that are ordered by a name."""
    if limit is None or len(rows) <= limit:
        return rows, None
    return rows[:limit], str(NameCursor(getattr(rows[limit - 1], field)))
