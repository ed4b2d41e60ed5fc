"""Writes an archive's rows into the tables, and looks which of them are there already."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import connection
from psycopg import sql

from sessions_app.operations.lifecycle.transfer.archive import DATA, ArchiveProblem, Reader
from sessions_app.operations.lifecycle.transfer.tables import (
    ACCOUNTS,
    CHANGED,
    HIDDEN,
    Table,
)

# So many rows, or so many characters of them and one row more, are in memory at a time.
BATCH: Final = 100
MOST_CHARACTERS: Final = 4 << 20
# Whatever a row says: an archive writes into no account but its own, under the chosen slug.
_SLUGS: Final = {(ACCOUNTS, "slug"), ("sessions", "account_slug"), ("llm_requests", "account_slug")}


@dataclass(frozen=True, slots=True)
class Target:
    """Into which account the rows go; `people` maps their ids in the archive to those here."""

    account_id: UUID
    slug: str
    people: Mapping[str, str]


def batches(lines: Iterator[str]) -> Iterator[list[str]]:
    """Collect lines; what it yields is let go before the next is read."""
    batch: list[str] = []
    size = 0
    for line in lines:
        batch.append(line)
        size += len(line)
        if len(batch) == BATCH or size > MOST_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def as_array(lines: list[str]) -> str:
    return f"[{','.join(lines)}]"


def write_rows(archive: Reader, table: Table, target: Target) -> int:
    """Insert the table's rows; return how many. Raises ArchiveProblem where some are missing."""
    written = 0
    values: dict[str, UUID | str] = {
        "account": target.account_id,
        "slug": target.slug,
        "people": json.dumps(target.people),
    }
    with connection.cursor() as cursor:
        for batch in batches(archive.lines(f"{DATA}{table.name}.jsonl")):
            _write(cursor, table, values | {"rows": as_array(batch)})
            written += cursor.rowcount
    if written != archive.rows(table.name):
        raise ArchiveProblem(f"{table.name}: {written} rows were written, which is not all.")
    return written


def _write(cursor: Any, table: Table, values: Mapping[str, UUID | str]) -> None:
    insert, comma = _insert(table), sql.SQL(", ")
    rows = sql.SQL(" FROM json_populate_recordset(NULL::{}, %(rows)s::json) r").format(
        sql.Identifier(table.name)
    )
    wanted = [_value(table, name) for name in table.columns]
    if not settings.DATABASE_DISTRIBUTED:
        cursor.execute(insert + sql.SQL("SELECT ") + comma.join(wanted) + rows, values)
        return
    # A cluster refuses INSERT … SELECT under row-level security: the values go as text, by row.
    texts = comma.join(sql.SQL("({})::text").format(each) for each in wanted)
    cursor.execute(sql.SQL("SELECT ") + texts + rows, values)
    places = comma.join([sql.Placeholder()] * len(wanted))
    cursor.executemany(insert + sql.SQL("VALUES ({})").format(places), cursor.fetchall())


def _insert(table: Table) -> sql.Composed:
    return sql.SQL("INSERT INTO {} ({}) ").format(
        sql.Identifier(table.name), sql.SQL(", ").join(map(sql.Identifier, table.columns))
    )


def _value(table: Table, name: str) -> sql.Composable:
    if name == table.owner:
        return sql.SQL("%(account)s::uuid")
    if (table.name, name) in _SLUGS:
        return sql.SQL("%(slug)s")
    if name in table.people:
        return sql.SQL("(%(people)s::jsonb ->> r.{}::text)::uuid").format(sql.Identifier(name))
    for known in (HIDDEN, CHANGED):
        if (value := known.get(table.name, {}).get(name)) is not None:
            return sql.SQL(value)
    return sql.SQL("r.{}").format(sql.Identifier(name))


def rows_here(archive: Reader, table: Table) -> tuple[int, str]:
    """Return how many of the table's ids are here already, in whatever account, and one of them."""
    if not table.has_id:
        return 0, ""
    is_same = "t.id = r.id" + (" OR t.key_id = r.key_id" if table.name == "api_keys" else "")
    query = sql.SQL(
        "SELECT count(*), min(t.id::text) FROM json_populate_recordset(NULL::{0}, %s::json) r "
        "JOIN {0} t ON {1}"
    ).format(sql.Identifier(table.name), sql.SQL(is_same))
    count, example = 0, ""
    with connection.cursor() as cursor:
        for batch in batches(archive.lines(f"{DATA}{table.name}.jsonl")):
            cursor.execute(query, [as_array(batch)])
            many, one = cursor.fetchone()
            count, example = count + many, example or one or ""
    return count, example
