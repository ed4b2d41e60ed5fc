"""Drops indexes and keys of tables while they are filled, then creates and checks them again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

# Dropped in this order, created again in the opposite one.
_FOREIGN_KEYS = """
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE contype = 'f'
        AND (conrelid = ANY (%(tables)s::regclass[]) OR confrelid = ANY (%(tables)s::regclass[]))
"""
_UNIQUE = """
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE contype = 'u' AND conrelid = ANY (%(tables)s::regclass[])
"""
# Primary keys stay: their rows come in order, so they cost little.
_INDEXES = """
    SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
    WHERE indrelid = ANY (%(tables)s::regclass[]) AND NOT indisprimary
"""

type Row = tuple[str, ...]


@contextmanager
def without_indexes(connection: psycopg.Connection[Any], tables: Sequence[str]) -> Iterator[None]:
    """Drop the tables' indexes, keys and triggers inside the block, in one transaction.

    Creating them again reads every row, and fails when one violates a constraint.
    """
    keys = _read(connection, _FOREIGN_KEYS, tables)
    unique = _read(connection, _UNIQUE, tables)
    for table, name, _ in keys + unique:
        _run(connection, "ALTER TABLE {} DROP CONSTRAINT {}", table, name)
    indexes = _read(connection, _INDEXES, tables)
    for name, _ in indexes:
        _run(connection, "DROP INDEX {}", name)
    for table in tables:
        _run(connection, "ALTER TABLE {} DISABLE TRIGGER USER", table)
    yield
    for table in tables:
        _run(connection, "ALTER TABLE {} ENABLE TRIGGER USER", table)
    for _, definition in indexes:
        connection.execute(definition.encode())
    for table, name, definition in unique + keys:
        _run(connection, f"ALTER TABLE {{}} ADD CONSTRAINT {{}} {definition}", table, name)


def _read(connection: psycopg.Connection[Any], query: str, tables: Sequence[str]) -> list[Row]:
    return connection.execute(query.encode(), {"tables": list(tables)}).fetchall()


def _run(connection: psycopg.Connection[Any], statement: str, *names: str) -> None:
    quoted = (sql.Identifier(name) for name in names)
    connection.execute(sql.SQL(statement).format(*quoted))
