"""What a `migrate` will do to which tables, before it does it.

Each operation says by itself what it runs: Django collects its SQL as `sqlmigrate` does, and the
statements say what they lock. Nothing is written meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

from django.db import DatabaseError, connections
from django.db.migrations.exceptions import AmbiguityError
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.operations import RunPython

from salient.database.diagnosis import first_line
from salient.database.upgrades import statements
from salient.database.upgrades.lock import require_migratable
from salient.database.upgrades.statements import Column, Effect, Lock, Time

type Facts = dict[str, Any]

SIZES = """
    SELECT relname,
        CASE WHEN reltuples < 0 THEN pg_stat_get_live_tuples(oid) ELSE reltuples::bigint END,
        pg_total_relation_size(oid)
    FROM pg_class
    WHERE relkind IN ('r', 'p') AND relnamespace = current_schema()::regnamespace
"""
TYPES = """
    SELECT relname, attname, format_type(atttypid, atttypmod) FROM pg_attribute
    JOIN pg_class ON pg_class.oid = attrelid
    WHERE relkind IN ('r', 'p') AND relnamespace = current_schema()::regnamespace AND attnum > 0
"""
INDEXES = "SELECT indexname, tablename FROM pg_indexes WHERE schemaname = current_schema()"
NOT_SQL = "Python code, whose statements are known only when it runs: {}"


class UnknownTarget(Exception):
    """No migration, or several, have this name."""


def preflight(alias: str, app: str | None = None, name: str | None = None) -> Facts:
    """Return {"database", "migrations": [...]}, what migrating to the target would do, in order.

    A migration has `name`, `backwards`, `transaction` (all locks are held until its end) and
    `operations`; an operation has `does`, `reversible`, `loses_data`, `note` and `locks`, each with
    `table`, `rows` and `bytes` as PostgreSQL estimates them (None for a new table), `lock`, `time`.
    Raises UnknownTarget, and what keeps the database from being migrated at all.
    """
    connection = connections[alias]
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(_targets(executor, app, name))
    require_migratable(alias, plan)
    with _read_only(connection):
        preview = _Preview(connection)
        state = executor._create_project_state(with_applied_migrations=True)  # type: ignore[attr-defined]
        migrations = []
        for migration, backwards in plan:
            if backwards:
                key = migration.app_label, migration.name
                state = executor.loader.project_state(key, at_end=False)
            migrations.append(preview.of_migration(migration, state, backwards=backwards))
    return {"database": connection.settings_dict["NAME"], "migrations": migrations}


def _targets(executor: Any, app: str | None, name: str | None) -> Any:
    graph = executor.loader.graph
    if app is None:
        return graph.leaf_nodes()
    if app not in executor.loader.migrated_apps:
        raise UnknownTarget(f"There is no app “{app}” with migrations.")
    if name is None:
        return [key for key in graph.leaf_nodes() if key[0] == app]
    if name == "zero":
        return [(app, None)]
    try:
        return [(app, executor.loader.get_migration_by_prefix(app, name).name)]
    except (AmbiguityError, KeyError):
        raise UnknownTarget(f"No migration, or several, of {app} begin with “{name}”.") from None


@contextmanager
def _read_only(connection: Any) -> Iterator[None]:
    """Let PostgreSQL refuse whatever an operation would write past its schema editor."""
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET default_transaction_read_only")


class _Preview:
    """Collects what operations would run, with what the catalog says about the tables of today."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        with connection.cursor() as cursor:
            cursor.execute(SIZES)
            self._sizes = {table: (rows, size) for table, rows, size in cursor.fetchall()}
            cursor.execute(TYPES)
            types = {Column(table, name): kind for table, name, kind in cursor.fetchall()}
            cursor.execute(INDEXES)
            self._known = statements.Known(types, dict(cursor.fetchall()))

    def of_migration(self, migration: Any, state: Any, *, backwards: bool) -> Facts:
        """Describe a migration, and bring the state behind it where it is one forwards."""
        states = [state.clone()]
        for operation in migration.operations:
            operation.state_forwards(migration.app_label, state)
            states.append(state.clone())
        steps = list(zip(migration.operations, pairwise(states), strict=True))
        operations: list[Facts] = []
        editor = self._connection.schema_editor(collect_sql=True, atomic=migration.atomic)
        with editor:
            for operation, (before, after) in reversed(steps) if backwards else steps:
                begin = len(editor.collected_sql)
                there = (after, before) if backwards else (before, after)
                note = _collect(operation, migration.app_label, editor, there, backwards=backwards)
                collected = editor.collected_sql[begin:]
                operations.append(self._of_operation(operation, collected, note))
        deferred = editor.collected_sql[sum(each.pop("collected") for each in operations) :]
        if deferred:
            operations.append(self._of_sql("Keys and indexes of the tables above", deferred))
        return {
            "name": f"{migration.app_label}.{migration.name}",
            "backwards": backwards,
            "transaction": bool(migration.atomic),
            "operations": operations,
        }

    def _of_operation(self, operation: Any, collected: Sequence[str], note: str) -> Facts:
        return {
            **self._of_sql(operation.describe(), collected),
            "reversible": bool(operation.reversible),
            "note": note,
            "collected": len(collected),
        }

    def _of_sql(self, does: str, collected: Sequence[str]) -> Facts:
        parts = [part for text in collected for part in statements.split(text)]
        found = [effect for part in parts for effect in statements.effects(part, self._known)]
        return {
            "does": does,
            "reversible": True,
            "loses_data": any(map(statements.loses_data, parts)),
            "note": "",
            "locks": [self._lock(effect) for effect in dict.fromkeys(found)],
        }

    def _lock(self, effect: Effect) -> Facts:
        rows, size = self._sizes.get(effect.table, (None, None))
        return {
            "table": effect.table,
            "rows": rows,
            "bytes": size,
            "lock": str(effect.lock),
            "time": str(effect.time),
        }


def _collect(
    operation: Any, app: str, editor: Any, states: tuple[Any, Any], *, backwards: bool
) -> str:
    """Have the operation write its SQL into the editor; return what is not known, or ""."""
    if isinstance(operation, RunPython):
        return NOT_SQL.format(getattr(operation.code, "__name__", "?"))
    if backwards and not operation.reversible:
        return "cannot be undone: migrate will stop here"
    run = operation.database_backwards if backwards else operation.database_forwards
    try:
        run(app, editor, *states)
    except (DatabaseError, LookupError, ValueError) as error:
        return f"known only when what comes first has run ({first_line(error)})"
    return ""


def lines(report: Facts) -> Iterator[str]:
    """Word the report for a person; what nobody waits for is left out."""
    migrations = report["migrations"]
    if not migrations:
        yield f"No migration is pending in {report['database']}."
        return
    known = "1 migration" if len(migrations) == 1 else f"{len(migrations)} migrations"
    yield f"{known} would run in {report['database']}; nothing was changed."
    for migration in migrations:
        way = " (back)" if migration["backwards"] else ""
        held = "" if migration["transaction"] else ", each step by itself"
        yield f"{migration['name']}{way}{held}"
        for operation in migration["operations"]:
            yield from _operation_lines(operation)
    one_way = [m["name"] for m in migrations if not all(o["reversible"] for o in m["operations"])]
    yield f"Cannot be undone: {', '.join(one_way) or 'none'}."


def _operation_lines(operation: Facts) -> Iterator[str]:
    marks = [
        *(["cannot be undone"] if not operation["reversible"] else []),
        *(["deletes data"] if operation["loses_data"] else []),
        *([operation["note"]] if operation["note"] else []),
    ]
    yield f"  {operation['does']}{': ' if marks else ''}{'; '.join(marks)}"
    for lock in operation["locks"]:
        if lock["lock"] == Lock.UNKNOWN:
            yield "    runs a statement whose locks are not known"
        elif lock["bytes"] is not None:
            size = f"about {lock['rows']:,} rows, {lock['bytes'] / 2**20:,.1f} MB"
            meaning = f"{WAITING[lock['lock']]} {MEANINGS[lock['time']]} ({lock['lock']})"
            yield f"    {lock['table']}, {size}: {meaning}"


WAITING = {
    Lock.ROWS: "reads and writes go on",
    Lock.MAINTENANCE: "reads and writes go on",
    Lock.NO_WRITES: "writes wait",
    Lock.NO_WRITES_ALONE: "writes wait",
    Lock.ALL: "reads and writes wait",
}
MEANINGS = {
    Time.MOMENT: "for a moment",
    Time.SCAN: "while all of it is read",
    Time.REWRITE: "while all of it is written anew",
    Time.UNKNOWN: "for a time that is not known",
}
