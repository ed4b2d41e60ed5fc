"""Finds the rows of a database that Alembic made which today's tables cannot hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

from sessions_app.operations.adoption.shapes import UNIQUE, WORDS, Shape

MOST_NAMED: Final = 10
SHORT: Final = {"character varying": "varchar", "timestamp with time zone": "timestamptz"}
NAIVE: Final = "timestamp without time zone"
FLOATS: Final = ("real", "double precision")
FIRST, LAST = "0001-01-02", "9999-12-30"
# The costs of one request stay below this.
DEAREST: Final = 10_000


class Catalog:
    """Reads the database's rows and catalog, and changes them."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection

    def rows(self, query: sql.Composable | str, values: Any = None) -> list[Any]:
        with self.connection.cursor() as cursor:
            cursor.execute(query, values)
            return list(cursor.fetchall())

    def run(self, statement: sql.Composable | str, values: Any = None) -> int:
        """Run a statement and return the number of rows that it changed."""
        with self.connection.cursor() as cursor:
            cursor.execute(statement, values)
            return int(cursor.rowcount)

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


@contextmanager
def reading(connection: BaseDatabaseWrapper) -> Iterator[Catalog]:
    """Open a read-only transaction, unless the caller has opened one already."""
    catalog = Catalog(connection)
    if connection.in_atomic_block:
        yield catalog
        return
    with transaction.atomic(using=connection.alias):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield catalog


def table_problems(catalog: Catalog, table: str) -> Iterator[str]:
    [(kind, may_alter, owner, schema, is_first, is_filtered)] = catalog.rows(
        "SELECT relkind, pg_has_role(current_user, relowner, 'USAGE'), relowner::regrole::text, "
        "relnamespace::regnamespace::text, "
        "relnamespace::regnamespace = current_schema()::regnamespace, row_security_active(oid) "
        "FROM pg_class WHERE oid = to_regclass(%s)",
        [table],
    )
    if kind != "r":
        yield f"{table} is not a plain table"
    if not may_alter:
        yield f"{table} belongs to {owner}: migrate with that login"
    if not is_first:
        yield f"{table} is in the schema {schema}, which must be the first of the search_path"
    if is_filtered:
        yield f"row-level security hides rows of {table} from this login: switch it off before"


def fits(kind: str, wanted: str) -> bool:
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


type Columns = Mapping[str, tuple[str, bool, bool]]
# A column, what is wrong with it, and the condition.
type Rule = tuple[str, str, sql.Composable]


def row_problems(
    catalog: Catalog, shape: Shape, more: Callable[[str, Columns], Iterator[Rule]]
) -> Iterator[str]:
    """Yield the rows on which a migration, or the code that reads them later, would fail.

    `more` adds rules to a table, given the columns that it has.
    """
    for table in shape:
        there = catalog.columns(table)
        if "id" not in there:
            continue
        yield from broken_rules(catalog, table, [*rules(shape[table], there), *more(table, there)])
        yield from repeated(catalog, table, there)
        if {"session_id", "id"} <= {*there} and there["session_id"][0] == there["id"][0]:
            yield from dangling(catalog, table)


def rules(wanted_columns: Mapping[str, str], there: Columns) -> Iterator[Rule]:
    for column, wanted in wanted_columns.items():
        if column not in there:
            continue
        kind, not_null, _ = there[column]
        name = sql.Identifier(column)
        if not wanted.endswith("?") and not not_null:
            yield column, "without a value", sql.SQL("{} IS NULL").format(name)
        for what, text in _RULES.get(kind.partition("(")[0], ()):
            yield column, what, sql.SQL(text).format(name)


_MOMENTS = (
    "with a moment that is infinite, before the year 1 or after 9999",
    f"NOT isfinite({{0}}) OR {{0}} NOT BETWEEN '{FIRST}' AND '{LAST}'",
)
_NEGATIVE = ("with a negative number", "{0} < 0")
_AMOUNT = f"{{0}} = 'NaN' OR abs({{0}}) >= {DEAREST}"
_AMOUNTS = ("with NaN, an infinite amount or one beyond numeric(12, 8)", _AMOUNT)
# jsonb has no NUL and no half of a surrogate pair; json keeps both as they were written.
_ESCAPES = r"replace({0}::text, '\\', '')"
_PAIRS = r"'\\u[dD][89abAB][0-9a-fA-F]{{2}}\\u[dD][c-fC-F][0-9a-fA-F]{{2}}'"
_NO_TEXT = (
    "with \\u0000 or half of a surrogate pair, which jsonb cannot hold",
    rf"{_ESCAPES} ~ '\\u0000' "
    rf"OR regexp_replace({_ESCAPES}, {_PAIRS}, '', 'g') ~ '\\u[dD][89a-fA-F]'",
)
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
    "json": (_NO_TEXT,),
}


def broken_rules(catalog: Catalog, table: str, rules: list[Rule]) -> Iterator[str]:
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
    is_word = (table, where.partition(".")[2]) in WORDS
    values = f" ({_words(catalog, where, rule)})" if is_word else ""
    return f"{where}: {rows} {what}{values}: {ids}{more}"


def _words(catalog: Catalog, where: str, rule: sql.Composable) -> str:
    """Return the unknown words, quoted as SQL to correct them needs them."""
    query = sql.SQL("SELECT DISTINCT {}::text FROM {} WHERE {} ORDER BY 1 LIMIT {}")
    table, _, column = where.partition(".")
    found = catalog.rows(
        query.format(*map(sql.Identifier, (column, table)), rule, sql.Literal(MOST_NAMED))
    )
    return ", ".join(repr(word) for (word,) in found)


def repeated(catalog: Catalog, table: str, there: Mapping[str, Any]) -> Iterator[str]:
    """Yield rows with equal values in a unique column; if it has a unique index there are none."""
    for column in UNIQUE[table]:
        if column not in there or is_unique(catalog, table, column):
            continue
        rule = sql.SQL(
            "{column} IN (SELECT {column} FROM {table} GROUP BY 1 HAVING count(*) > 1)"
        ).format(column=sql.Identifier(column), table=sql.Identifier(table))
        yield from broken_rules(
            catalog, table, [(column, "with a value that others have too", rule)]
        )


def is_unique(catalog: Catalog, table: str, column: str) -> bool:
    query = """
        SELECT 1 FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]
        WHERE indrelid = to_regclass(%s) AND indisunique AND indisvalid AND indnatts = 1
            AND indpred IS NULL AND attname = %s
    """
    return bool(catalog.rows(query, [table, column]))


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


def dangling(catalog: Catalog, table: str) -> Iterator[str]:
    if any(is_valid for _, is_valid in foreign_keys(catalog, table)):
        return
    rule = sql.SQL(
        "session_id IS NOT NULL AND NOT EXISTS (SELECT FROM sessions AS s WHERE s.id = session_id)"
    )
    yield from broken_rules(
        catalog, table, [("session_id", "with a session that is not there", rule)]
    )
