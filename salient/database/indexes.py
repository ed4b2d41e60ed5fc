"""Indexes that are built while the platform writes on: an interrupted one is made anew.

A `migrate` that is killed leaves such an index behind: INVALID, or valid but not recorded. Django's
own operations then fail on the name for ever.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.contrib.postgres import operations
from django.core import checks
from django.db import connections
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

INVALID = """
    SELECT indexrelid::regclass::text, indrelid::regclass::text FROM pg_index
    JOIN pg_class ON pg_class.oid = indexrelid
    WHERE NOT indisvalid AND relnamespace = current_schema()::regnamespace
        AND indexrelid NOT IN (SELECT index_relid FROM pg_stat_progress_create_index)
    ORDER BY 1
"""


class AddIndexConcurrently(operations.AddIndexConcurrently):
    """Drops what an interrupted run has left under the index' name, then makes the index."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: Any,
        to_state: Any,
    ) -> None:
        self._ensure_not_in_transaction(schema_editor)
        drop_leftover(schema_editor, self.index.name)
        super().database_forwards(app_label, schema_editor, from_state, to_state)


class RemoveIndexConcurrently(operations.RemoveIndexConcurrently):
    """Does so on the way back; the way there does not mind that the index is gone."""

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: Any,
        to_state: Any,
    ) -> None:
        self._ensure_not_in_transaction(schema_editor)
        drop_leftover(schema_editor, self.name)
        super().database_backwards(app_label, schema_editor, from_state, to_state)


def drop_leftover(schema_editor: BaseDatabaseSchemaEditor, name: str) -> None:
    schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {schema_editor.quote_name(name)}")


@checks.register(checks.Tags.database)
def check_indexes(
    *, databases: Sequence[str] | None = None, **_more: Any
) -> list[checks.CheckMessage]:
    """Name the indexes that no query uses: what was being built when it was interrupted."""
    return [
        checks.Warning(
            f"The index {index} of the table {table} is invalid: no query uses it, and every "
            "write still keeps it up.",
            hint=f"An interrupted “manage.py migrate” is run again, which makes it anew. Otherwise "
            f"run REINDEX INDEX CONCURRENTLY {index}, or drop it where its name ends with _ccnew.",
            id="salient.W001",
        )
        for alias in databases or ()
        for index, table in invalid_indexes(alias)
    ]


def invalid_indexes(alias: str) -> Iterator[tuple[str, str]]:
    with connections[alias].cursor() as cursor:
        cursor.execute(INVALID)
        yield from cursor.fetchall()
