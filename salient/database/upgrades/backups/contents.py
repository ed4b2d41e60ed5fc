"""The contents of a database: each table's rows, and a hash that their order does not change.

PostgreSQL computes it, so that tables of any size need no memory here. It is the sum of the rows'
MD5 hashes: it finds what was lost or broken, and is no proof against somebody who forges rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from psycopg import Connection, sql

# How values are written as text; a server or a login may have other settings.
AS_TEXT = (
    "SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, YMD'; "
    "SET LOCAL IntervalStyle = 'postgres'; SET LOCAL extra_float_digits = 1; "
    "SET LOCAL bytea_output = 'hex'; SET LOCAL statement_timeout = 0; "
    "SET LOCAL idle_in_transaction_session_timeout = 0"
)
# Ours and all others of the database, with the columns whose values are stored, by name.
TABLES = """
    SELECT nspname, relname,
        array_agg(attname::text ORDER BY attname) FILTER (WHERE attname IS NOT NULL)
    FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    LEFT JOIN pg_attribute
        ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
    WHERE relkind = 'r' AND relpersistence = 'p' AND nspname !~ '^pg_'
        AND nspname <> 'information_schema' AND NOT EXISTS (
            SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND deptype = 'e'
                AND objid = pg_class.oid)
    GROUP BY nspname, relname ORDER BY nspname, relname
"""
DIGEST = """
    SELECT count(*), md5(concat_ws(':', count(*),
        sum(('x' || left(line, 16))::bit(64)::bigint),
        sum(('x' || right(line, 16))::bit(64)::bigint)))
    FROM (SELECT md5(ROW({columns})::text) AS line FROM ONLY {table}) AS lines
"""
CHECK = """
    DO $check$
    DECLARE found record;
    BEGIN
        SELECT rows, hash INTO found FROM ({digest}) AS now (rows, hash);
        IF (found.rows, found.hash) <> ({rows}, {hash}) THEN
            RAISE EXCEPTION 'the table % is not as its manifest says: % rows for %',
                {name}, found.rows, {rows};
        END IF;
    END $check$;
"""
# A name that stands without quotes, and a table's name with its schema.
_PLAIN = re.compile(r'[^".]+')
_PARTS = re.compile(r'("(?:[^"]|"")+"|[^".]+)\.("(?:[^"]|"")+"|[^".]+)')


class Table(NamedTuple):
    """A table's rows and their hash; `columns` are those that are hashed."""

    rows: int
    hash: str
    columns: list[str]


def contents_of(connection: Connection[Any]) -> dict[str, Table]:
    """Return the tables by their names with the schema, as the connection's transaction sees them.

    A name is written as SQL has it: schema.table, in double quotes where it needs them.
    """
    connection.execute(AS_TEXT)
    return {
        full_name(schema, name): _table(connection, schema, name, columns or [])
        for schema, name, columns in connection.execute(TABLES).fetchall()
    }


def full_name(schema: str, name: str) -> str:
    return ".".join(
        part if _PLAIN.fullmatch(part) else sql.Identifier(part).as_string()
        for part in (schema, name)
    )


def _parts(name: str) -> list[str]:
    """Split what full_name has joined."""
    found = _PARTS.fullmatch(name)
    if found is None:
        raise ValueError(f"{name!r} is no table's name")
    return [part[1:-1].replace('""', '"') if part[0] == '"' else part for part in found.groups()]


def _table(connection: Connection[Any], schema: str, name: str, columns: list[str]) -> Table:
    [(rows, digest)] = connection.execute(_digest([schema, name], columns)).fetchall()
    return Table(rows, digest, columns)


def _digest(table: list[str], columns: list[str]) -> sql.Composed:
    return sql.SQL(DIGEST).format(
        columns=sql.SQL(", ").join(map(sql.Identifier, columns)), table=sql.Identifier(*table)
    )


def checks(tables: Mapping[str, Table]) -> Iterator[str]:
    """Yield statements that fail, in the transaction that runs them, where a table differs."""
    yield f"{AS_TEXT};"
    for name, table in tables.items():
        check = sql.SQL(CHECK).format(
            digest=_digest(_parts(name), table.columns),
            rows=sql.Literal(table.rows),
            hash=sql.Literal(table.hash),
            name=sql.Literal(name),
        )
        yield check.as_string(None)
