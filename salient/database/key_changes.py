"""Changes of keys while servers run: a table is locked for a moment only, never for a scan.

Indexes are built concurrently, foreign keys are added NOT VALID and validated afterwards. What an
interrupted run has left is made again by the next one.

Stable: migrations use these operations. They need `atomic = False`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib.postgres.operations import NotInTransactionMixin
from django.db import OperationalError, models, transaction
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation
from psycopg.errors import DeadlockDetected, LockNotAvailable

from salient.database.constraints import CompositeForeignKey
from salient.database.indexes import drop_leftover

# Others wait behind a statement that waits for a lock: so it gives up soon and tries again.
LOCK_TIMEOUT = "1s"
TRIES = 60
PAUSE_SECONDS = 1.0

_PRIMARY_KEY = """
    SELECT quote_ident(conname), (
        SELECT string_agg(attname, ', ' ORDER BY place)
        FROM unnest(conkey) WITH ORDINALITY AS part (number, place)
        JOIN pg_attribute ON attrelid = conrelid AND attnum = number
    )
    FROM pg_constraint WHERE contype = 'p' AND conrelid = %s::regclass
"""


class KeyChange(NotInTransactionMixin, Operation):
    """Changes the database by the states before and after, in one direction as in the other."""

    reduces_to_sql = True
    reversible = True

    def __init__(self, model_name: str) -> None:
        self.model_name = model_name

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: Any,
        to_state: Any,
    ) -> None:
        self._ensure_not_in_transaction(schema_editor)
        model = self._model(app_label, to_state)
        if self.allow_migrate_model(schema_editor.connection.alias, model):
            self.change(schema_editor, app_label, from_state, to_state)

    database_backwards = database_forwards

    def change(
        self, schema_editor: BaseDatabaseSchemaEditor, app_label: str, before: Any, after: Any
    ) -> None:
        raise NotImplementedError

    def _model(self, app_label: str, state: Any) -> Any:
        return state.apps.get_model(app_label, self.model_name)

    def _constraints(self, app_label: str, state: Any) -> dict[str, Any]:
        found = state.models[app_label, self.model_name.lower()].options.get("constraints", ())
        return {constraint.name: constraint for constraint in found}

    def _set_constraints(self, app_label: str, state: Any, found: dict[str, Any]) -> None:
        """Let the state's model have these; it is rendered once, however many have changed."""
        name = self.model_name.lower()
        state.models[app_label, name].options["constraints"] = list(found.values())
        state.reload_model(app_label, name, delay=True)


class UniqueChange(KeyChange):
    """Brings the unique constraint `name` from the state before to the one after."""

    def __init__(self, model_name: str, name: str) -> None:
        super().__init__(model_name)
        self.name = name

    def change(
        self, schema_editor: BaseDatabaseSchemaEditor, app_label: str, before: Any, after: Any
    ) -> None:
        _replace_unique(
            schema_editor,
            self._model(app_label, after),
            self._constraints(app_label, before).get(self.name),
            self._constraints(app_label, after).get(self.name),
        )


class ReplaceUnique(UniqueChange):
    """Adds a unique constraint, in place of the one of the same name where there is one."""

    def __init__(self, model_name: str, constraint: models.UniqueConstraint) -> None:
        super().__init__(model_name, constraint.name)
        self.constraint = constraint

    def state_forwards(self, app_label: str, state: Any) -> None:
        found = self._constraints(app_label, state)
        self._set_constraints(app_label, state, found | {self.name: self.constraint})

    def describe(self) -> str:
        return f"Build the unique constraint {self.name} on {self.model_name}"


class RemoveUnique(UniqueChange):
    """Removes a unique constraint; the way back builds it concurrently."""

    def state_forwards(self, app_label: str, state: Any) -> None:
        state.remove_constraint(app_label, self.model_name.lower(), self.name)

    def describe(self) -> str:
        return f"Remove the unique constraint {self.name} from {self.model_name}"


class WidenPrimaryKey(KeyChange):
    """Makes the table's primary key (id, account_id); for Django it stays `id`.

    No foreign key may refer to the table yet.
    """

    def state_forwards(self, app_label: str, state: Any) -> None:
        """Change nothing: the models do not know of it."""

    def change(
        self, schema_editor: BaseDatabaseSchemaEditor, app_label: str, before: Any, after: Any
    ) -> None:
        self._swap(schema_editor, self._model(app_label, after)._meta.db_table, "id, account_id")

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: Any,
        to_state: Any,
    ) -> None:
        self._ensure_not_in_transaction(schema_editor)
        model = self._model(app_label, to_state)
        if self.allow_migrate_model(schema_editor.connection.alias, model):
            self._swap(schema_editor, model._meta.db_table, "id")

    def _swap(self, schema_editor: BaseDatabaseSchemaEditor, table: str, columns: str) -> None:
        index, found = f"{table}_pkey_new", _rows(schema_editor, _PRIMARY_KEY, [table])
        if [has for _, has in found] == [columns]:
            # An interrupted run has done it, and foreign keys may use it by now.
            return
        _build(schema_editor, index, table, columns)
        parts = [f"DROP CONSTRAINT {name}" for name, _ in found]
        parts.append(f"ADD CONSTRAINT {table}_pkey PRIMARY KEY USING INDEX {index}")
        _briefly(schema_editor, f"ALTER TABLE {table} {', '.join(parts)}")

    def describe(self) -> str:
        return f"Widen the primary key of {self.model_name} by its account"


class AddForeignKeys(KeyChange):
    """Adds foreign keys, NOT VALID at first; what an interrupted run has added is added anew."""

    def __init__(self, model_name: str, keys: Sequence[CompositeForeignKey]) -> None:
        super().__init__(model_name)
        self.keys = keys

    def state_forwards(self, app_label: str, state: Any) -> None:
        found = self._constraints(app_label, state)
        self._set_constraints(app_label, state, found | {key.name: key for key in self.keys})

    def change(
        self, schema_editor: BaseDatabaseSchemaEditor, app_label: str, before: Any, after: Any
    ) -> None:
        model, known = self._model(app_label, after), self._constraints(app_label, after)
        table = schema_editor.quote_name(model._meta.db_table)
        added = [key for key in self.keys if key.name in known]
        parts = [f"DROP CONSTRAINT IF EXISTS {key.name}" for key in self.keys]
        parts += [f"ADD {key.constraint_sql(model, schema_editor)} NOT VALID" for key in added]
        _briefly(schema_editor, f"ALTER TABLE {table} {', '.join(parts)}")
        # Checks the rows that were there before; nobody who reads or writes rows waits for it.
        for key in added:
            schema_editor.execute(
                f"ALTER TABLE {table} VALIDATE CONSTRAINT {key.name}", params=None
            )

    def describe(self) -> str:
        return f"Add foreign keys to {self.model_name}"


def _replace_unique(
    schema_editor: BaseDatabaseSchemaEditor,
    model: Any,
    before: models.UniqueConstraint | None,
    after: models.UniqueConstraint | None,
) -> None:
    """Build the new index beside the old one, then put it in its place."""
    table, statements = model._meta.db_table, []
    if after is not None:
        where = after._get_condition_sql(model, schema_editor)  # type: ignore[attr-defined]
        columns = ", ".join(_columns(model, after))
        _build(schema_editor, f"{after.name}_new", table, columns, where)
    for old in (before, after):
        if old is not None and _is_index(old):
            statements.append(f"DROP INDEX IF EXISTS {old.name}")
        elif old is not None:
            statements.append(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {old.name}")
    if after is not None and _is_index(after):
        statements.append(f"ALTER INDEX {after.name}_new RENAME TO {after.name}")
    elif after is not None:
        unique = f"{after.name} UNIQUE USING INDEX {after.name}_new"
        statements.append(f"ALTER TABLE {table} ADD CONSTRAINT {unique}")
    _briefly(schema_editor, f"LOCK TABLE {table}", *dict.fromkeys(statements))


def _is_index(constraint: models.UniqueConstraint) -> bool:
    """Whether Django makes an index of it and no constraint of the table."""
    return bool(constraint.expressions) or constraint.condition is not None


def _columns(model: Any, constraint: models.UniqueConstraint) -> Iterable[str]:
    for field in constraint.fields or constraint.expressions:
        yield model._meta.get_field(getattr(field, "name", field)).column


def _build(
    schema_editor: BaseDatabaseSchemaEditor,
    name: str,
    table: str,
    columns: str,
    where: str | None = None,
) -> None:
    drop_leftover(schema_editor, name)
    condition = f" WHERE {where}" if where else ""
    schema_editor.execute(
        f"CREATE UNIQUE INDEX CONCURRENTLY {name} ON {table} ({columns}){condition}", params=None
    )


def _briefly(schema_editor: BaseDatabaseSchemaEditor, *statements: str) -> None:
    """Run them as one transaction; where a lock is not free, let others pass and try again."""
    for tries_left in reversed(range(TRIES)):
        try:
            with transaction.atomic(schema_editor.connection.alias):
                schema_editor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
                for statement in statements:
                    schema_editor.execute(statement, params=None)
        except OperationalError as error:
            is_busy = isinstance(error.__cause__, (LockNotAvailable, DeadlockDetected))
            if not tries_left or not is_busy:
                raise
            time.sleep(PAUSE_SECONDS)
        else:
            return


def _rows(schema_editor: BaseDatabaseSchemaEditor, query: str, values: Any) -> list[Any]:
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(query, values)
        return list(cursor.fetchall())
