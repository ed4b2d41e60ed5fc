"""The cursor of every list that is ordered by a moment and an id: a row's place, as opaque text."""

from __future__ import annotations

from base64 import b64decode, urlsafe_b64encode
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
            raise ValueError("give back the `before` of the page above") from None


def older[Rows: QuerySet[Any]](rows: Rows, field: str, cursor: Cursor) -> Rows:
    """Return the rows before the cursor, as one range of an index on the field and the id."""
    return rows.filter(TupleLessThan(Tuple(F(field), F("id")), (cursor.moment, cursor.id)))


def newer[Rows: QuerySet[Any]](rows: Rows, field: str, cursor: Cursor) -> Rows:
    return rows.filter(TupleGreaterThan(Tuple(F(field), F("id")), (cursor.moment, cursor.id)))


def page_of[Row: Model](
    rows: QuerySet[Row], field: str, cursor: Cursor | None, limit: int
) -> tuple[list[Row], str | None]:
    """Return the page after the cursor, the newest first, and the next page's cursor or None."""
    rows = rows if cursor is None else older(rows, field, cursor)
    found = list(rows.order_by(f"-{field}", "-id")[: limit + 1])
    if len(found) <= limit:
        return found, None
    last = found[limit - 1]
    return found[:limit], str(Cursor(getattr(last, field), last.pk))
