"""What PostgreSQL's catalog says about tables, and what stands in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import connection
from psycopg import sql

COLUMNS = """
    SELECT relname, attname || ' ' || format_type(atttypid, atttypmod)
        || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END
        || coalesce(' DEFAULT ' || pg_get_expr(adbin, adrelid), '') || ' ' || attidentity::text
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE relname = ANY(%(tables)s) AND relnamespace = current_schema()::regnamespace
        AND relkind = 'r' AND attnum > 0 AND NOT attisdropped
"""
CONSTRAINTS = """
    SELECT relname, conname || ' ' || pg_get_constraintdef(pg_constraint.oid)
    FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid
    WHERE relname = ANY(%(tables)s) AND relnamespace = current_schema()::regnamespace
"""
INDEXES = """
    SELECT tablename, indexdef FROM pg_indexes
    WHERE tablename = ANY(%(tables)s) AND schemaname = current_schema()
"""
POLICIES = """
    SELECT tablename, concat_ws(' ', policyname, permissive, roles::text, cmd, qual, with_check,
        CASE WHEN relrowsecurity THEN 'enforced' END)
    FROM pg_policies JOIN pg_class ON pg_class.oid = tablename::regclass
    WHERE tablename = ANY(%(tables)s) AND schemaname = current_schema()
"""

type Fingerprints = dict[str, tuple[int, str]]


def rows(query: Any, params: Any = None) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(query, params)
        return list(cursor.fetchall())


def schema(tables: Iterable[str]) -> list[tuple[str, str]]:
    """Every column, constraint, index and policy of these tables, in words."""
    tables = list(tables)
    parts = (rows(query, {"tables": tables}) for query in (COLUMNS, CONSTRAINTS, INDEXES, POLICIES))
    return sorted(line for part in parts for line in part)


def names(tables: Iterable[str]) -> set[str]:
    """The names of these tables' constraints and indexes, without primary keys and NOT NULLs."""
    found = rows(
        """
        SELECT conname FROM pg_constraint
        WHERE conrelid::regclass::text = ANY(%(tables)s) AND contype NOT IN ('p', 'n')
        UNION
        SELECT indexrelid::regclass::text FROM pg_index
        WHERE indrelid::regclass::text = ANY(%(tables)s) AND NOT indisprimary
        """,
        {"tables": list(tables)},
    )
    return {name for (name,) in found}


def columns_of(tables: Iterable[str]) -> dict[str, list[str]]:
    with connection.cursor() as cursor:
        describe = connection.introspection.get_table_description
        return {table: [column.name for column in describe(cursor, table)] for table in tables}


def fingerprints(columns: Mapping[str, Iterable[str]]) -> Fingerprints:
    """Count the rows of each table and digest these columns; a number's trailing zeros are none."""
    return {table: _fingerprint(table, names) for table, names in columns.items()}


def _fingerprint(table: str, names: Iterable[str]) -> tuple[int, str]:
    query = sql.SQL(
        "SELECT count(*), coalesce(md5(string_agg(line, chr(10) ORDER BY line)), '') "
        "FROM (SELECT ROW({columns})::text AS line FROM {table}) AS lines"
    )
    columns = sql.SQL(", ").join(map(_exact, names))
    [(number, digest)] = rows(query.format(columns=columns, table=sql.Identifier(table)))
    return number, digest


def _exact(column: str) -> sql.Composable:
    name = sql.Identifier(column)
    is_cost = column.endswith("_cost") or column.startswith("unit_cost")
    return sql.SQL("trim_scale({})").format(name) if is_cost else name
