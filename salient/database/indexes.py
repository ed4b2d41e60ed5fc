"""Indexes that are built while the platform writes; one that was interrupted is built again.

They are our own because a killed `migrate` leaves an index that is INVALID, or valid but not
recorded, and Django's operations then always fail on its name.
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
    """Drops an index of the same name that an interrupted run has left, then builds it."""

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


def drop_leftover(schema_editor: BaseDatabaseSchemaEditor, name: str) -> None:
    schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {schema_editor.quote_name(name)}")


@checks.register(checks.Tags.database)
def check_indexes(
    *, databases: Sequence[str] | None = None, **_more: Any
) -> list[checks.CheckMessage]:
    """Warn about indexes that no query uses, because building them was interrupted."""
    return [
        checks.Warning(
            f"The index {index} of the table {table} is invalid: no query uses it, and every "
            "write still updates it.",
            hint=f"Run an interrupted “manage.py migrate” again, which builds it again. Otherwise "
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
