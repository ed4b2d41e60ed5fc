"""Checks a database that Alembic made before `migrate` adopts it; one fault refuses it.

A read-only transaction finds every fault, with its table, column and rows, before anything is
changed. The names of keys and indexes do not matter: `rename_all` gives them those of the
migrations.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from django.apps import apps
from django.db import connections, transaction
from psycopg import sql

from salient.management.base import Refused
from sessions_app.models import Role
from sessions_app.operations.adoption.names import INDEXES, rename_all, replaced_names
from sessions_app.operations.adoption.rows import (
    NAIVE,
    Catalog,
    Columns,
    Rule,
    encoding_problems,
    fits,
    reading,
    row_problems,
    table_problems,
)
from sessions_app.operations.adoption.shapes import BASELINE, RENAMED, REVISION

# The migration that makes, or finds, the old tables; the next one adopts them.
FIRST_MIGRATION: Final = "0001_initial"


def problems(alias: str) -> list[str]:
    """Return what keeps the database from being adopted; [] also if it has nothing to adopt."""
    with reading(connections[alias]) as catalog:
        if not _is_adoptable(catalog):
            return []
        return [*_shape_problems(catalog), *row_problems(catalog, BASELINE, _role_rules)]


def adopt(alias: str) -> None:
    """Raise Refused with all faults of the database, or rename its keys and indexes."""
    if found := problems(alias):
        raise Refused(
            "this database cannot be adopted as it is; nothing was changed:\n"
            + "\n".join(f"- {line}" for line in found)
        )
    with transaction.atomic(using=alias):
        catalog = Catalog(connections[alias])
        if _is_adoptable(catalog):
            rename_all(catalog)


def _is_adoptable(catalog: Catalog) -> bool:
    """Return whether the old tables are there, and no migration has changed them yet."""
    ours = {name for app, name in catalog.applied() if app == "sessions_app"}
    return ours <= {FIRST_MIGRATION} and bool(catalog.tables([*BASELINE]))


def _shape_problems(catalog: Catalog) -> Iterator[str]:
    """Yield how the tables differ from those of the first migration."""
    if missing := sorted({*BASELINE} - {*catalog.tables([*BASELINE])}):
        yield f"tables are missing: {', '.join(missing)}"
        return
    if catalog.tables(["alembic_version"]):
        revisions = [str(revision) for (revision,) in catalog.rows("SELECT * FROM alembic_version")]
        if revisions != [REVISION]:
            found = ", ".join(revisions) or "none"
            yield f"alembic_version is {found}: only databases at {REVISION} are adopted"
    yield from encoding_problems(catalog)
    begun = {app for app, _ in catalog.applied()}
    models = apps.get_models(include_auto_created=True)
    ours = {m._meta.db_table for m in models if m._meta.app_label not in begun}
    if existing := catalog.tables(sorted(ours - {*BASELINE})):
        yield f"tables of these names are there already: {', '.join(existing)}"
    for table in BASELINE:
        yield from table_problems(catalog, table)
        yield from _column_problems(catalog, table)
    yield from _view_problems(catalog)
    yield from _name_problems(catalog)


def _column_problems(catalog: Catalog, table: str) -> Iterator[str]:
    found = catalog.columns(table)
    for column, wanted in BASELINE[table].items():
        if column not in found:
            yield f"{table}.{column} is missing"
            continue
        kind, not_null, _ = found[column]
        if not fits(kind, wanted.removesuffix("?")):
            as_utc = ": ALTER COLUMN … TYPE timestamptz USING … AT TIME ZONE 'UTC', if it means UTC"
            advice = as_utc if kind == NAIVE else ""
            yield f"{table}.{column} is of the type {kind}, not {wanted.removesuffix('?')}{advice}"
        if not_null and wanted.endswith("?"):
            yield f"{table}.{column} is NOT NULL: Salient writes rows without it"
    model = next(m for m in apps.get_models() if m._meta.db_table == table)
    coming = {field.column for field in model._meta.concrete_fields} | {*RENAMED.values()}
    for column in sorted({*found} - {*BASELINE[table]}):
        _, not_null, fills_itself = found[column]
        if column in coming:
            yield f"{table}.{column} is there already: a migration makes a column of this name"
        elif not_null and not fills_itself:
            yield f"{table}.{column} is unknown, NOT NULL and without DEFAULT: no row can be added"


def _role_rules(table: str, there: Columns) -> Iterator[Rule]:
    if table == "messages" and "role" in there:
        wrong = sql.SQL("role::text <> ALL({})").format(sql.Literal([*Role.values]))
        yield "role", f"with a role besides {', '.join(Role.values)}", wrong


def _view_problems(catalog: Catalog) -> Iterator[str]:
    """Yield the views, triggers and policies that keep the columns of costs from changing type."""
    query = """
        SELECT DISTINCT pg_describe_object(classid, objid, 0), attname FROM (
            SELECT CASE WHEN d.classid = 'pg_rewrite'::regclass THEN 'pg_class'::regclass
                    ELSE d.classid END AS classid,
                CASE WHEN d.classid = 'pg_rewrite'::regclass
                    THEN (SELECT ev_class FROM pg_rewrite WHERE oid = d.objid)
                    ELSE d.objid END AS objid, attname
            FROM pg_depend AS d JOIN pg_attribute ON attrelid = refobjid AND attnum = refobjsubid
            WHERE refclassid = 'pg_class'::regclass AND refobjid = to_regclass('llm_requests')
                AND attname = ANY(%s)
                AND d.classid::regclass::text IN ('pg_rewrite', 'pg_trigger', 'pg_policy')
        ) AS of_costs ORDER BY 1, 2
    """
    for what, column in catalog.rows(query, [[*RENAMED]]):
        yield f"llm_requests.{column} is used by {what}: drop it before, and make it anew after"


def _name_problems(catalog: Catalog) -> Iterator[str]:
    """Yield the constraints and indexes whose names the migrations give to others."""
    rules = {
        each.name
        for model in apps.get_models()
        if model._meta.app_label == "sessions_app"
        for each in (*model._meta.constraints, *model._meta.indexes)
    }
    query = """
        SELECT relname FROM pg_class WHERE relname = ANY(%s)
            AND relnamespace = current_schema()::regnamespace
        UNION
        SELECT conname FROM pg_constraint WHERE conname = ANY(%s)
            AND connamespace = current_schema()::regnamespace
        ORDER BY 1
    """
    coming = sorted(rules - replaced_names(catalog) - {*INDEXES})
    for (name,) in catalog.rows(query, [coming, coming]):
        yield f"the name {name} is taken: rename that constraint or index"
