"""The cursor of the API's lists: where a page ends, as text that callers send back unread."""

from __future__ import annotations

import struct
from base64 import b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self
from uuid import UUID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_PACKED = struct.Struct(">q16s")


@dataclass(frozen=True, slots=True)
class Cursor:
    """A row's place in a list: its moment, and its id among the rows of the same moment."""

    moment: datetime
    id: UUID

    def __str__(self) -> str:
        microseconds = (self.moment - _EPOCH) // _MICROSECOND
        return urlsafe_b64encode(_PACKED.pack(microseconds, self.id.bytes)).decode()

    @classmethod
    def read(cls, text: object) -> Self:
        """Read what str() wrote; raises ValueError for any other text."""
        try:
            packed = b64decode(str(text), altchars=b"-_", validate=True)
            microseconds, row_id = _PACKED.unpack(packed)
            moment = _EPOCH + microseconds * _MICROSECOND
        except (ValueError, OverflowError, struct.error):
            raise ValueError("give back the `before` of the previous page") from None
        return cls(moment, UUID(bytes=row_id))
