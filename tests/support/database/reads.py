"""What the database was asked and read for a piece of work, by Django and PostgreSQL's counters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.db import connection
from django.test.utils import CaptureQueriesContext

# They count what every statement did, those inside functions and of foreign keys too, and also
# the rows that a filter threw away. They are the transaction's: read them before it ends.
_COUNTERS = """
    SELECT relkind = 'i', relname, coalesce(indrelid::regclass::text, relname),
        pg_stat_get_xact_numscans(oid), pg_stat_get_xact_tuples_returned(oid)
    FROM pg_class LEFT JOIN pg_index ON indexrelid = oid
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i')
"""


@dataclass
class Reads:
    """How often which index was used and which table was read from end to end, with its rows."""

    indexes: Counter[str] = field(default_factory=Counter)
    tables: Counter[str] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)
    # Of each table, in whichever way: from end to end and by its indexes.
    rows_of: Counter[str] = field(default_factory=Counter)


def queries_of[**P](call: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> int:
    """Return how many statements a call sends."""
    with CaptureQueriesContext(connection) as queries:
        call(*args, **kwargs)
    return len(queries)


@contextmanager
def reads() -> Iterator[Reads]:
    """Count what is read inside the block, which lies in a transaction, as a TestCase does."""
    assert connection.in_atomic_block
    before, found = _counted(), Reads()
    yield found
    after = _counted()
    found.indexes = after.indexes - before.indexes
    found.tables = after.tables - before.tables
    found.rows = after.rows - before.rows
    found.rows_of = after.rows_of - before.rows_of


def _counted() -> Reads:
    counted = Reads()
    with connection.cursor() as cursor:
        cursor.execute(_COUNTERS)
        for is_index, name, table, scans, rows in cursor.fetchall():
            (counted.indexes if is_index else counted.tables)[name] = scans
            counted.rows[name] = rows
            counted.rows_of[table] += rows
    return counted
