"""Gives the keys and indexes of a database that Alembic made the names that the migrations know.

Naming conventions differ from one SQLAlchemy project to the next. What a key or an index is, the
catalog says; its name is carried over, and what is missing is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol

from psycopg import sql

# Index -> table, column, whether it is unique.
INDEXES: Final[Mapping[str, tuple[str, str, bool]]] = {
    "ix_sessions_email": ("sessions", "email", False),
    "ix_sessions_session_key": ("sessions", "session_key", True),
    "ix_messages_session_id": ("messages", "session_id", False),
    "ix_llm_requests_session_id": ("llm_requests", "session_id", False),
    "ix_profiles_email": ("profiles", "email", False),
    "ix_profiles_session_id": ("profiles", "session_id", True),
}
REFERRING: Final = ("messages", "llm_requests", "profiles")


class Reader(Protocol):
    connection: Any

    def rows(self, query: sql.Composable | str, values: Any = None) -> list[Any]: ...


def foreign_keys(look: Reader, table: str) -> list[tuple[str, bool]]:
    """The keys from this table's session_id to sessions, and whether each was validated."""
    query = """
        SELECT conname, convalidated FROM pg_constraint
        JOIN pg_attribute ON attrelid = conrelid AND conkey = ARRAY[attnum]
        WHERE contype = 'f' AND conrelid = to_regclass(%s) AND confrelid = to_regclass('sessions')
            AND attname = 'session_id'
        ORDER BY convalidated DESC, conname
    """
    return list(look.rows(query, [table]))


def _primary_key(look: Reader, table: str) -> list[tuple[str, list[str]]]:
    query = """
        SELECT conname, array(SELECT attname::text FROM pg_attribute
            WHERE attrelid = conrelid AND attnum = ANY(conkey))
        FROM pg_constraint WHERE contype = 'p' AND conrelid = to_regclass(%s)
    """
    return list(look.rows(query, [table]))


def _indexes(look: Reader, table: str, column: str) -> list[tuple[str, bool, bool]]:
    """The plain indexes of one column: name, whether unique, whether a constraint owns it."""
    query = """
        SELECT relname, indisunique, EXISTS (
            SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('u', 'p', 'x')
        )
        FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
        JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]
        WHERE indrelid = to_regclass(%s) AND attname = %s AND indnatts = 1 AND indisvalid
            AND indpred IS NULL AND relam = (SELECT oid FROM pg_am WHERE amname = 'btree')
        ORDER BY 3, 1
    """
    return list(look.rows(query, [table, column]))


def going(look: Reader) -> set[str]:
    """The names that are no longer there once all have been carried over."""
    names = {name for table in REFERRING for name, _ in foreign_keys(look, table)}
    for index, (table, column, unique) in INDEXES.items():
        found = _indexes(look, table, column)
        if index not in {name for name, *_ in found}:
            names |= {name for name, is_unique, _ in found if is_unique == unique}
    return names


def carry_names(look: Reader) -> None:
    """Rename, and make what is missing; whoever calls this has found the rows to be fit for it."""
    with look.connection.cursor() as cursor:
        for statement in _changes(look):
            cursor.execute(statement)


def _changes(look: Reader) -> Iterator[sql.Composed]:
    for table in ("sessions", *REFERRING):
        yield from _of_primary_key(look, table)
    for table in REFERRING:
        yield from _of_foreign_key(look, table)
    for name in INDEXES:
        yield from _of_index(look, name)


def _of_primary_key(look: Reader, table: str) -> Iterator[sql.Composed]:
    name = f"{table}_pkey"
    found = _primary_key(look, table)
    if not found:
        yield _on(table, "ADD CONSTRAINT {} PRIMARY KEY (id)", name)
    elif found[0][0] != name:
        yield _on(table, "RENAME CONSTRAINT {} TO {}", found[0][0], name)


def _of_foreign_key(look: Reader, table: str) -> Iterator[sql.Composed]:
    """One key stays; a second one would go on forbidding what the migrations' own allows."""
    name = f"{table}_session_id_fkey"
    found = [each for each, _ in foreign_keys(look, table)]
    kept = name if name in found else next(iter(found), None)
    for other in found:
        if other != kept:
            yield _on(table, "DROP CONSTRAINT {}", other)
    if kept is None:
        yield _on(
            table, "ADD CONSTRAINT {} FOREIGN KEY (session_id) REFERENCES sessions (id)", name
        )
    elif kept != name:
        yield _on(table, "RENAME CONSTRAINT {} TO {}", kept, name)


def _of_index(look: Reader, name: str) -> Iterator[sql.Composed]:
    table, column, unique = INDEXES[name]
    found = _indexes(look, table, column)
    if (name, unique, False) in found:
        return
    # What has the name without being it gives the name up.
    if look.rows("SELECT 1 WHERE to_regclass(%s) IS NOT NULL", [name]):
        yield _with("ALTER INDEX {} RENAME TO {}", name, f"{name}_before")
        found = [
            (f"{each}_before" if each == name else each, is_unique, owned)
            for each, is_unique, owned in found
        ]
    fit = [(each, owned) for each, is_unique, owned in found if is_unique == unique]
    if fit and not fit[0][1]:
        yield _with("ALTER INDEX {} RENAME TO {}", fit[0][0], name)
        return
    kind = "CREATE UNIQUE INDEX" if unique else "CREATE INDEX"
    yield _with(kind + " {} ON {} ({})", name, table, column)
    for each, _ in fit:
        # A constraint would refuse that its index goes.
        yield _on(table, "DROP CONSTRAINT {}", each)


def _on(table: str, change: str, *names: str) -> sql.Composed:
    return _with("ALTER TABLE {} " + change, table, *names)


def _with(statement: str, *names: str) -> sql.Composed:
    return sql.SQL(statement).format(*map(sql.Identifier, names))
