"""Renames the keys and indexes of a database that Alembic made to the names of the migrations.

Naming conventions differ between SQLAlchemy projects, so each key and index is found in the
catalog by its table and column. Missing ones are made.
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


class Catalog(Protocol):
    connection: Any

    def rows(self, query: sql.Composable | str, values: Any = None) -> list[Any]: ...


def foreign_keys(catalog: Catalog, table: str) -> list[tuple[str, bool]]:
    """Return the keys from this table's session_id to sessions, and whether each is validated."""
    query = """
        SELECT conname, convalidated FROM pg_constraint
        JOIN pg_attribute ON attrelid = conrelid AND conkey = ARRAY[attnum]
        WHERE contype = 'f' AND conrelid = to_regclass(%s) AND confrelid = to_regclass('sessions')
            AND attname = 'session_id'
        ORDER BY convalidated DESC, conname
    """
    return list(catalog.rows(query, [table]))


def _primary_key(catalog: Catalog, table: str) -> list[tuple[str, list[str]]]:
    query = """
        SELECT conname, array(SELECT attname::text FROM pg_attribute
            WHERE attrelid = conrelid AND attnum = ANY(conkey))
        FROM pg_constraint WHERE contype = 'p' AND conrelid = to_regclass(%s)
    """
    return list(catalog.rows(query, [table]))


def _indexes(catalog: Catalog, table: str, column: str) -> list[tuple[str, bool, bool]]:
    """Return the plain indexes of a column: name, whether unique, whether a constraint owns it."""
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
    return list(catalog.rows(query, [table, column]))


def replaced_names(catalog: Catalog) -> set[str]:
    """Return the names that no longer exist after the renaming."""
    names = {name for table in REFERRING for name, _ in foreign_keys(catalog, table)}
    for index, (table, column, unique) in INDEXES.items():
        found = _indexes(catalog, table, column)
        if index not in {name for name, *_ in found}:
            names |= {name for name, is_unique, _ in found if is_unique == unique}
    return names


def rename_all(catalog: Catalog) -> None:
    """Rename keys and indexes, and make missing ones; call it after the rows were checked."""
    with catalog.connection.cursor() as cursor:
        for statement in _changes(catalog):
            cursor.execute(statement)


def _changes(catalog: Catalog) -> Iterator[sql.Composed]:
    for table in ("sessions", *REFERRING):
        yield from _of_primary_key(catalog, table)
    for table in REFERRING:
        yield from _of_foreign_key(catalog, table)
    for name in INDEXES:
        yield from _of_index(catalog, name)


def _of_primary_key(catalog: Catalog, table: str) -> Iterator[sql.Composed]:
    name = f"{table}_pkey"
    found = _primary_key(catalog, table)
    if not found:
        yield _on(table, "ADD CONSTRAINT {} PRIMARY KEY (id)", name)
    elif found[0][0] != name:
        yield _on(table, "RENAME CONSTRAINT {} TO {}", found[0][0], name)


def _of_foreign_key(catalog: Catalog, table: str) -> Iterator[sql.Composed]:
    """Keep one key; a second one would forbid what the key of the migrations allows."""
    name = f"{table}_session_id_fkey"
    found = [each for each, _ in foreign_keys(catalog, table)]
    stays = name if name in found else next(iter(found), None)
    for other in found:
        if other != stays:
            yield _on(table, "DROP CONSTRAINT {}", other)
    if stays is None:
        yield _on(
            table, "ADD CONSTRAINT {} FOREIGN KEY (session_id) REFERENCES sessions (id)", name
        )
    elif stays != name:
        yield _on(table, "RENAME CONSTRAINT {} TO {}", stays, name)


def _of_index(catalog: Catalog, name: str) -> Iterator[sql.Composed]:
    table, column, unique = INDEXES[name]
    found = _indexes(catalog, table, column)
    if (name, unique, False) in found:
        return
    # Another index that has the name is renamed first.
    if catalog.rows("SELECT 1 WHERE to_regclass(%s) IS NOT NULL", [name]):
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
        # The index of a constraint is dropped with the constraint only.
        yield _on(table, "DROP CONSTRAINT {}", each)


def _on(table: str, change: str, *names: str) -> sql.Composed:
    return _with("ALTER TABLE {} " + change, table, *names)


def _with(statement: str, *names: str) -> sql.Composed:
    return sql.SQL(statement).format(*map(sql.Identifier, names))
