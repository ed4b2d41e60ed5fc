"""Pages of long lists by place: each begins after a row, so that no row before it is read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self
from uuid import UUID

from django.db.models import F, Model, QuerySet
from django.db.models.fields.tuple_lookups import Tuple, TupleGreaterThan, TupleLessThan


@dataclass(frozen=True, slots=True)
class Mark:
    """A row's place in a list: its time, and its id among the rows of the same moment."""

    moment: datetime
    id: UUID

    @classmethod
    def of(cls, text: str) -> Self:
        """Read what str() wrote; raises ValueError."""
        moment, _, key = text.partition("~")
        at = datetime.fromisoformat(moment)
        if at.tzinfo is None:
            raise ValueError("a moment without a time zone")
        return cls(at, UUID(key))

    def __str__(self) -> str:
        return f"{self.moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}~{self.id}"


def older[M: Model](rows: QuerySet[M], field: str, mark: Mark) -> QuerySet[M]:
    """Return the rows before the mark, as one range of an index on the field and the id."""
    return rows.filter(TupleLessThan(Tuple(F(field), F("id")), (mark.moment, mark.id)))


def newer[M: Model](rows: QuerySet[M], field: str, mark: Mark) -> QuerySet[M]:
    return rows.filter(TupleGreaterThan(Tuple(F(field), F("id")), (mark.moment, mark.id)))
