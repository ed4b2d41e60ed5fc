"""Looks at a database that Alembic made before `migrate` adopts it, and refuses it whole.

Every fault is named with the table, the column and the rows, in one read-only look, before anything
is changed. Names of keys and indexes do not matter: `carry_names` gives them those that the
migrations know.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from django.apps import apps
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

from salient.commands import Refused
from sessions_app.adoption.names import INDEXES, carry_names, foreign_keys, going
from sessions_app.models import Role

REVISION: Final = "4360c1de944b"
NAMED: Final = 10
# What follows the name of a column: its type in the baseline, and "?" where it may be null.
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
# No two rows may share these: the migrations make unique indexes of them.
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
# What total_cost numeric(12, 8) holds.
DEAREST: Final = 10_000
# Where the tables of before get their tenants, and where their rules are made.
TENANCY, CONSTRAINTS = ("sessions_app", "0002_tenancy"), ("sessions_app", "0004_constraints")
BACKFILL: Final = ("sessions_app", "0003_backfill")


class Look:
    """One read-only look at the database."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection

    def rows(self, query: sql.Composable | str, values: Any = None) -> list[Any]:
        with self.connection.cursor() as cursor:
            cursor.execute(query, values)
            return list(cursor.fetchall())

    def columns(self, table: str) -> dict[str, tuple[str, bool, bool]]:
        """Each column's type, whether it refuses null, and whether it fills itself."""
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
    """Say what keeps the database from being adopted; nothing where there is nothing to adopt."""
    with _reading(connections[alias]) as look:
        applied = look.applied()
        if CONSTRAINTS in applied or not look.tables([*BASELINE]):
            return []
        shape = [] if TENANCY in applied else [*_shape_problems(look, applied)]
        return [*shape, *_row_problems(look, applied)]


def adopt(alias: str) -> None:
    """Refuse the database with all its faults, or give its keys and indexes their names."""
    if found := problems(alias):
        raise Refused(
            "this database cannot be adopted as it is; nothing was changed:\n"
            + "\n".join(f"- {line}" for line in found)
        )
    with transaction.atomic(using=alias):
        look = Look(connections[alias])
        if look.tables([*BASELINE]) and CONSTRAINTS not in look.applied():
            carry_names(look)


@contextmanager
def _reading(connection: BaseDatabaseWrapper) -> Iterator[Look]:
    """A transaction of its own that can write nothing, unless the caller has one already."""
    look = Look(connection)
    if connection.in_atomic_block:
        yield look
        return
    with transaction.atomic(using=connection.alias):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield look


def _shape_problems(look: Look, applied: set[tuple[str, str]]) -> Iterator[str]:
    """Say how the tables differ from those that the first migration takes them for."""
    if missing := sorted({*BASELINE} - {*look.tables([*BASELINE])}):
        yield f"tables are missing: {', '.join(missing)}"
        return
    if look.tables(["alembic_version"]):
        revisions = [str(revision) for (revision,) in look.rows("SELECT * FROM alembic_version")]
        if revisions != [REVISION]:
            found = ", ".join(revisions) or "none"
            yield f"alembic_version is {found}: only databases at {REVISION} are adopted"
    if (encoding := look.rows("SHOW server_encoding")[0][0]) != "UTF8":
        yield f"the database's encoding is {encoding}, not UTF8: dump it, and restore it into one"
    begun = {app for app, _ in applied}
    models = apps.get_models(include_auto_created=True)
    ours = {m._meta.db_table for m in models if m._meta.app_label not in begun}
    if taken := look.tables(sorted(ours - {*BASELINE})):
        yield f"tables of these names are there already: {', '.join(taken)}"
    for table in BASELINE:
        yield from _table_problems(look, table)
        yield from _column_problems(look, table)
    yield from _view_problems(look)
    yield from _name_problems(look)


def _table_problems(look: Look, table: str) -> Iterator[str]:
    [(kind, may_alter, owner)] = look.rows(
        "SELECT relkind, pg_has_role(current_user, relowner, 'USAGE'), relowner::regrole::text "
        "FROM pg_class WHERE oid = to_regclass(%s)",
        [table],
    )
    if kind != "r":
        yield f"{table} is not a plain table"
    if not may_alter:
        yield f"{table} belongs to {owner}: migrate with that login"


def _column_problems(look: Look, table: str) -> Iterator[str]:
    found = look.columns(table)
    for column, wanted in BASELINE[table].items():
        if column not in found:
            yield f"{table}.{column} is missing"
            continue
        kind, not_null, _ = found[column]
        if not _fits(kind, wanted.removesuffix("?")):
            yield (
                f"{table}.{column} is of the type {kind}, not {wanted.removesuffix('?')}"
                f"{_advice(kind)}"
            )
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
    """Tell whether a column of this type holds what a column of the wanted one does."""
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


def _advice(kind: str) -> str:
    if kind == NAIVE:
        return ": ALTER COLUMN … TYPE timestamptz USING … AT TIME ZONE 'UTC', if it means UTC"
    return ""


def _view_problems(look: Look) -> Iterator[str]:
    """What is made of a cost's column forbids that its type changes."""
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
    for what, column in look.rows(query, [[*RENAMED]]):
        yield f"llm_requests.{column} is used by {what}: drop it before, and make it anew after"


def _name_problems(look: Look) -> Iterator[str]:
    """Constraints and indexes that have a name which a migration gives to another."""
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
    coming = sorted(rules - going(look) - {*INDEXES})
    for (name,) in look.rows(query, [coming, coming]):
        yield f"the name {name} is taken: rename that constraint or index"


type Rule = tuple[str, str, sql.Composable]


def _row_problems(look: Look, applied: set[tuple[str, str]]) -> Iterator[str]:
    """Say which rows a migration, or the code that reads them later, would stumble over."""
    for table in BASELINE:
        there = look.columns(table)
        if "id" not in there:
            continue
        rules = [*_rules(table, there)]
        if "account_id" in there and BACKFILL in applied:
            # Alembic's application wrote on after 0003 had given every row an owner.
            rules.append(("account_id", "without an owner", sql.SQL("account_id IS NULL")))
        yield from _judged(look, table, rules)
        yield from _repeated(look, table, there)
        if {"session_id", "id"} <= {*there} and there["session_id"][0] == there["id"][0]:
            yield from _dangling(look, table)


def _rules(table: str, there: Mapping[str, tuple[str, bool, bool]]) -> Iterator[Rule]:
    for old, wanted in BASELINE[table].items():
        column = old if old in there else RENAMED.get(old, old)
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
# What a column of each type may not hold.
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


def _judged(look: Look, table: str, rules: list[Rule]) -> Iterator[str]:
    """Count what breaks each rule in one reading of the table, then name the first rows."""
    counts = [sql.SQL("count(*) FILTER (WHERE {})").format(rule) for _, _, rule in rules]
    query = sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(counts), sql.Identifier(table))
    [numbers] = look.rows(query)
    for number, (column, what, rule) in zip(numbers, rules, strict=True):
        if number:
            yield _line(look, table, f"{table}.{column}", number, what, rule)


def _line(look: Look, table: str, where: str, number: int, what: str, rule: sql.Composable) -> str:
    query = sql.SQL("SELECT id::text FROM {} WHERE {} ORDER BY id LIMIT {}")
    found = look.rows(query.format(sql.Identifier(table), rule, sql.Literal(NAMED)))
    ids = ", ".join(str(row_id) for (row_id,) in found)
    more = f" and {number - len(found)} more" if number > len(found) else ""
    rows = "1 row" if number == 1 else f"{number} rows"
    values = f" ({_roles(look, rule)})" if where == "messages.role" else ""
    return f"{where}: {rows} {what}{values}: {ids}{more}"


def _roles(look: Look, rule: sql.Composable) -> str:
    """The roles that were found, as they must be written to mend them."""
    query = sql.SQL("SELECT DISTINCT role::text FROM messages WHERE {} ORDER BY 1 LIMIT {}")
    return ", ".join(repr(role) for (role,) in look.rows(query.format(rule, sql.Literal(NAMED))))


def _repeated(look: Look, table: str, there: Mapping[str, Any]) -> Iterator[str]:
    """Rows that share what no two rows may share; where an index refuses them there are none."""
    for column in UNIQUE[table]:
        if column not in there or _is_unique(look, table, column):
            continue
        rule = sql.SQL(
            "{column} IN (SELECT {column} FROM {table} GROUP BY 1 HAVING count(*) > 1)"
        ).format(column=sql.Identifier(column), table=sql.Identifier(table))
        yield from _judged(look, table, [(column, "with a value that others have too", rule)])


def _is_unique(look: Look, table: str, column: str) -> bool:
    query = """
        SELECT 1 FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]
        WHERE indrelid = to_regclass(%s) AND indisunique AND indisvalid AND indnatts = 1
            AND indpred IS NULL AND attname = %s
    """
    return bool(look.rows(query, [table, column]))


def _dangling(look: Look, table: str) -> Iterator[str]:
    if any(is_valid for _, is_valid in foreign_keys(look, table)):
        return
    rule = sql.SQL(
        "session_id IS NOT NULL AND NOT EXISTS (SELECT FROM sessions AS s WHERE s.id = session_id)"
    )
    yield from _judged(look, table, [("session_id", "with a session that is not there", rule)])
