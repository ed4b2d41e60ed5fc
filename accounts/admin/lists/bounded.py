"""What keeps a list from reading a large table whole: its time, and what it counts."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from django.core.paginator import Paginator
from django.db import OperationalError, transaction
from psycopg.errors import QueryCanceled

# So many rows of a list are counted and paged through.
MOST_COUNTED = 5_000


class BoundedPaginator(Paginator[Any]):
    """Counts the rows up to MOST_COUNTED; further ones are found by searching."""

    @cached_property
    def is_cut(self) -> bool:
        return self._counted > MOST_COUNTED

    @cached_property
    def count(self) -> int:
        return min(self._counted, MOST_COUNTED)

    @cached_property
    def _counted(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by()[: MOST_COUNTED + 1].count())


def in_time[Found](read: Callable[[], Found]) -> Found | None:
    """Return what is read; None where the database stopped it, because it took too long."""
    try:
        with transaction.atomic():
            return read()
    except OperationalError as error:
        if not isinstance(error.__cause__, QueryCanceled):
            raise
        return None
