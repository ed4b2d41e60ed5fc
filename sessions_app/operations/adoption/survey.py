"""Checks a database that Alembic made before `migrate` adopts it; one fault refuses it.

A read-only transaction finds every fault, with its table, column and rows, before anything is
changed. The names of keys and indexes do not matter: `rename_all` gives them those of the
migrations.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from django.apps import apps
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

from salient.management.base import Refused
from sessions_app.models import Role
from sessions_app.operations.adoption.names import INDEXES, foreign_keys, rename_all, replaced_names

REVISION: Final = "4360c1de944b"
MOST_NAMED: Final = 10
# The type of each column in the baseline; "?" where it may be null.
BASELINE: Final[Mapping[str, Mapping[str, str]]] = {
    "sessions": {
        "id": "uuid",
        "session_key": "varchar(255)",
        "email": "varchar(255)?",
        "is_anonymous": "boolean",
        "created_at": "timestamptz",
        "last_activity_at": "timestamptz",
        "meta": "jsonb?",
    },
    "messages": {
        "id": "uuid",
        "session_id": "uuid",
        "role": "varchar(20)",
        "content": "text",
        "meta": "jsonb?",
        "created_at": "timestamptz",
    },
    "llm_requests": {
        "id": "uuid",
        "session_id": "uuid",
        "provider": "varchar(50)",
        "model": "varchar(100)",
        "request_body": "jsonb?",
        "response_body": "jsonb?",
        "prompt_tokens": "integer?",
        "completion_tokens": "integer?",
        "total_tokens": "integer?",
        "unit_cost_prompt": "numeric?",
        "unit_cost_completion": "numeric?",
        "computed_cost": "numeric?",
        "latency_ms": "integer?",
        "created_at": "timestamptz",
    },
    "profiles": {
        "id": "uuid",
        "session_id": "uuid",
        "customer_name": "varchar(255)?",
        "phone": "varchar(50)?",
        "email": "varchar(255)?",
        "address_street": "varchar(500)?",
        "address_city": "varchar(100)?",
        "address_state": "varchar(50)?",
        "address_zip": "varchar(20)?",
        "products_of_interest": "varchar[]?",
        "services_of_interest": "varchar[]?",
        "preferences": "jsonb?",
        "updated_at": "timestamptz",
    },
}
# The names that 0002 gives to the columns of costs.
RENAMED: Final = {
    "unit_cost_prompt": "prompt_cost",
    "unit_cost_completion": "completion_cost",
    "computed_cost": "total_cost",
}
# The migrations make unique indexes of these columns.
UNIQUE: Final = {
    "sessions": ("id", "session_key"),
    "messages": ("id",),
    "llm_requests": ("id",),
    "profiles": ("id", "session_id"),
}
SHORT: Final = {"character varying": "varchar", "timestamp with time zone": "timestamptz"}
NAIVE: Final = "timestamp without time zone"
FLOATS: Final = ("real", "double precision")
FIRST, LAST = "0001-01-02", "9999-12-30"
# The costs of one request stay below this.
DEAREST: Final = 10_000
# The migration that makes, or finds, the old tables; the next one adopts them.
FIRST_MIGRATION: Final = "0001_initial"


class Catalog:
    """Reads the database's rows and catalog."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection

    def rows(self, query: sql.Composable | str, values: Any = None) -> list[Any]:
        with self.connection.cursor() as cursor:
            cursor.execute(query, values)
            return list(cursor.fetchall())

    def columns(self, table: str) -> dict[str, tuple[str, bool, bool]]:
        """Return each column's type, whether it is NOT NULL, and whether it has a default."""
        query = (
            "SELECT attname, format_type(atttypid, atttypmod), attnotnull, "
            "atthasdef OR attidentity <> '' FROM pg_attribute "
            "WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped"
        )
        return {name: tuple(rest) for name, *rest in self.rows(query, [table])}

    def tables(self, names: list[str]) -> list[str]:
        query = "SELECT name FROM unnest(%s::text[]) AS name WHERE to_regclass(name) IS NOT NULL"
        return [name for (name,) in self.rows(query, [names])]

    def applied(self) -> set[tuple[str, str]]:
        if not self.tables(["django_migrations"]):
            return set()
        return set(self.rows("SELECT app, name FROM django_migrations"))


def problems(alias: str) -> list[str]:
    """Return what keeps the database from being adopted; [] also if it has nothing to adopt."""
    with _reading(connections[alias]) as catalog:
        if not _is_adoptable(catalog):
            return []
        return [*_shape_problems(catalog), *_row_problems(catalog)]


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


@contextmanager
def _reading(connection: BaseDatabaseWrapper) -> Iterator[Catalog]:
    """Open a read-only transaction, unless the caller has opened one already."""
    catalog = Catalog(connection)
    if connection.in_atomic_block:
        yield catalog
        return
    with transaction.atomic(using=connection.alias):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield catalog


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
    if (encoding := catalog.rows("SHOW server_encoding")[0][0]) != "UTF8":
        yield f"the database's encoding is {encoding}, not UTF8: dump it and restore it into one"
    begun = {app for app, _ in catalog.applied()}
    models = apps.get_models(include_auto_created=True)
    ours = {m._meta.db_table for m in models if m._meta.app_label not in begun}
    if existing := catalog.tables(sorted(ours - {*BASELINE})):
        yield f"tables of these names are there already: {', '.join(existing)}"
    for table in BASELINE:
        yield from _table_problems(catalog, table)
        yield from _column_problems(catalog, table)
    yield from _view_problems(catalog)
    yield from _name_problems(catalog)


def _table_problems(catalog: Catalog, table: str) -> Iterator[str]:
    [(kind, may_alter, owner)] = catalog.rows(
        "SELECT relkind, pg_has_role(current_user, relowner, 'USAGE'), relowner::regrole::text "
        "FROM pg_class WHERE oid = to_regclass(%s)",
        [table],
    )
    if kind != "r":
        yield f"{table} is not a plain table"
    if not may_alter:
        yield f"{table} belongs to {owner}: migrate with that login"


def _column_problems(catalog: Catalog, table: str) -> Iterator[str]:
    found = catalog.columns(table)
    for column, wanted in BASELINE[table].items():
        if column not in found:
            yield f"{table}.{column} is missing"
            continue
        kind, not_null, _ = found[column]
        if not _fits(kind, wanted.removesuffix("?")):
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


def _fits(kind: str, wanted: str) -> bool:
    """Return whether a column of this type holds every value of the wanted type."""
    for long, short in SHORT.items():
        kind = kind.replace(long, short)
    name, _, length = kind.partition("(")
    if wanted == "varchar[]":
        return kind in {"varchar[]", "text[]"} or kind.startswith("varchar(")
    if wanted.startswith("varchar("):
        least = int(wanted[8:-1])
        return kind in {"text", "varchar"} or (name == "varchar" and int(length[:-1]) >= least)
    if wanted == "text":
        return kind in {"text", "varchar"}
    return (name if wanted == "numeric" else kind) == wanted


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


type Rule = tuple[str, str, sql.Composable]


def _row_problems(catalog: Catalog) -> Iterator[str]:
    """Yield the rows on which a migration, or the code that reads them later, would fail."""
    for table in BASELINE:
        there = catalog.columns(table)
        if "id" not in there:
            continue
        yield from _broken_rules(catalog, table, [*_rules(table, there)])
        yield from _repeated(catalog, table, there)
        if {"session_id", "id"} <= {*there} and there["session_id"][0] == there["id"][0]:
            yield from _dangling(catalog, table)


def _rules(table: str, there: Mapping[str, tuple[str, bool, bool]]) -> Iterator[Rule]:
    for column, wanted in BASELINE[table].items():
        if column not in there:
            continue
        kind, not_null, _ = there[column]
        name = sql.Identifier(column)
        if not wanted.endswith("?") and not not_null:
            yield column, "without a value", sql.SQL("{} IS NULL").format(name)
        if column == "role":
            wrong = sql.SQL("{}::text <> ALL({})").format(name, sql.Literal([*Role.values]))
            yield column, f"with a role besides {', '.join(Role.values)}", wrong
        for what, text in _RULES.get(kind.partition("(")[0], ()):
            yield column, what, sql.SQL(text).format(name)


_MOMENTS = (
    "with a moment that is infinite, before the year 1 or after 9999",
    f"NOT isfinite({{0}}) OR {{0}} NOT BETWEEN '{FIRST}' AND '{LAST}'",
)
_NEGATIVE = ("with a negative number", "{0} < 0")
_AMOUNT = f"{{0}} = 'NaN' OR abs({{0}}) >= {DEAREST}"
_AMOUNTS = ("with NaN, an infinite amount or one beyond numeric(12, 8)", _AMOUNT)
# The values that a column of each type may not have.
_RULES: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "timestamp with time zone": (_MOMENTS,),
    NAIVE: (_MOMENTS,),
    "integer": (_NEGATIVE,),
    "numeric": (
        _AMOUNTS,
        ("with more than eight decimals", f"NOT ({_AMOUNT}) AND round({{0}}, 8) <> {{0}}"),
        _NEGATIVE,
    ),
    **dict.fromkeys(FLOATS, (_AMOUNTS, _NEGATIVE)),
}


def _broken_rules(catalog: Catalog, table: str, rules: list[Rule]) -> Iterator[str]:
    """Count the rows that break each rule in one reading of the table; name the first of them."""
    counts = [sql.SQL("count(*) FILTER (WHERE {})").format(rule) for _, _, rule in rules]
    query = sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(counts), sql.Identifier(table))
    [numbers] = catalog.rows(query)
    for number, (column, what, rule) in zip(numbers, rules, strict=True):
        if number:
            yield _line(catalog, table, f"{table}.{column}", number, what, rule)


def _line(
    catalog: Catalog, table: str, where: str, number: int, what: str, rule: sql.Composable
) -> str:
    query = sql.SQL("SELECT id::text FROM {} WHERE {} ORDER BY id LIMIT {}")
    found = catalog.rows(query.format(sql.Identifier(table), rule, sql.Literal(MOST_NAMED)))
    ids = ", ".join(str(row_id) for (row_id,) in found)
    more = f" and {number - len(found)} more" if number > len(found) else ""
    rows = "1 row" if number == 1 else f"{number} rows"
    values = f" ({_roles(catalog, rule)})" if where == "messages.role" else ""
    return f"{where}: {rows} {what}{values}: {ids}{more}"


def _roles(catalog: Catalog, rule: sql.Composable) -> str:
    """Return the unknown roles, quoted as SQL to correct them needs them."""
    query = sql.SQL("SELECT DISTINCT role::text FROM messages WHERE {} ORDER BY 1 LIMIT {}")
    return ", ".join(
        repr(role) for (role,) in catalog.rows(query.format(rule, sql.Literal(MOST_NAMED)))
    )


def _repeated(catalog: Catalog, table: str, there: Mapping[str, Any]) -> Iterator[str]:
    """Yield rows with equal values in a unique column; if it has a unique index there are none."""
    for column in UNIQUE[table]:
        if column not in there or _is_unique(catalog, table, column):
            continue
        rule = sql.SQL(
            "{column} IN (SELECT {column} FROM {table} GROUP BY 1 HAVING count(*) > 1)"
        ).format(column=sql.Identifier(column), table=sql.Identifier(table))
        yield from _broken_rules(
            catalog, table, [(column, "with a value that others have too", rule)]
        )


def _is_unique(catalog: Catalog, table: str, column: str) -> bool:
    query = """
        SELECT 1 FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]
        WHERE indrelid = to_regclass(%s) AND indisunique AND indisvalid AND indnatts = 1
            AND indpred IS NULL AND attname = %s
    """
    return bool(catalog.rows(query, [table, column]))


def _dangling(catalog: Catalog, table: str) -> Iterator[str]:
    if any(is_valid for _, is_valid in foreign_keys(catalog, table)):
        return
    rule = sql.SQL(
        "session_id IS NOT NULL AND NOT EXISTS (SELECT FROM sessions AS s WHERE s.id = session_id)"
    )
    yield from _broken_rules(
        catalog, table, [("session_id", "with a session that is not there", rule)]
    )
