"""Says what an adoption would do, and all that stands in its way, before anything is changed.

`manage.py check` and `migrate` ask here about a database that Alembic made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.apps import apps
from django.core import checks
from django.db import DEFAULT_DB_ALIAS, connection, connections
from psycopg import sql

from accounts.models.slugs import CHECK_PREFIX, RESERVED, SLUG_PATTERN
from accounts.tenancy.roles import ROLES
from salient.management.base import Refused
from sessions_app.operations.adoption.choices import KNOWN, SLUGS, Choices, word
from sessions_app.operations.adoption.notes import notes_of
from sessions_app.operations.adoption.rows import (
    NAIVE,
    Catalog,
    Columns,
    Rule,
    broken_rules,
    fits,
    reading,
    row_problems,
    table_problems,
)
from sessions_app.operations.adoption.shapes import (
    BASELINE,
    EARLY_TENANCY,
    RENAMED,
    REVISION,
    TENANCY,
    TENANCY_REVISIONS,
    WORDS,
    Shape,
)
from sessions_app.operations.adoption.state import NEXT, Step, found_state
from sessions_app.operations.adoption.switching import outside_keys

# What two busy cores carried: rows in a second, and the seconds that the tables themselves take.
ROWS_A_SECOND: Final = 2_500
SECONDS_AT_LEAST: Final = 15
# The roles that this login neither has nor may make or give to itself, as `migrate` tries to.
_NOT_TAKEN_ON: Final = """
    SELECT name FROM unnest(%(roles)s::text[]) AS name
    LEFT JOIN pg_roles AS role ON role.rolname = name
    JOIN pg_roles AS login ON login.rolname = current_user
    WHERE NOT login.rolsuper AND CASE
        WHEN role.oid IS NULL THEN NOT login.rolcreaterole
        WHEN current_setting('server_version_num')::int >= 160000
            THEN NOT pg_has_role(login.oid, role.oid, 'SET')
                AND NOT pg_has_role(login.oid, role.oid, 'MEMBER WITH ADMIN OPTION')
        ELSE NOT pg_has_role(login.oid, role.oid, 'MEMBER') AND NOT login.rolcreaterole
    END
    ORDER BY 1
"""


@dataclass(slots=True)
class Report:
    """What was found: `faults` stand in the way, `notes` say what is done with what is odd."""

    revision: str
    rows: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> int:
        return SECONDS_AT_LEAST + sum(self.rows.values()) // ROWS_A_SECOND

    def as_dict(self) -> dict[str, Any]:
        return {
            "revision": self.revision,
            "rows": self.rows,
            "estimated_seconds": self.seconds,
            "faults": self.faults,
            "notes": self.notes,
        }


def revision_of(catalog: Catalog) -> str | None:
    """Return the Alembic revision of a database that no migration has touched; "" is none."""
    if not catalog.tables([*BASELINE]) or any(
        app == "sessions_app" for app, _ in catalog.applied()
    ):
        return None
    if not catalog.tables(["alembic_version"]):
        return ""
    found = catalog.rows("SELECT version_num::text FROM alembic_version ORDER BY 1")
    return ", ".join(revision for (revision,) in found)


def shape_of(catalog: Catalog) -> Shape:
    if "account_id" not in catalog.columns("sessions"):
        return BASELINE
    return EARLY_TENANCY if {*RENAMED} & {*catalog.columns("llm_requests")} else TENANCY


def check(choices: Choices) -> Report | None:
    """Look at the whole database in one read-only transaction; None: there is nothing to adopt."""
    with reading(connection) as catalog:
        revision = revision_of(catalog)
        if revision is None:
            return None
        report = Report(revision)
        shape = shape_of(catalog)
        report.faults += _shape_faults(catalog, shape, revision, choices)
        if report.faults and any(not catalog.tables([table]) for table in shape):
            return report
        for table in shape:
            query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
            report.rows[table] = catalog.rows(query)[0][0]
        report.faults += _row_faults(catalog, shape, choices)
        # Of tables in another shape nothing more can be said.
        if not any(" is missing" in line for line in report.faults):
            faults, report.notes = notes_of(catalog, shape, choices)
            report.faults += faults
        return report


def faults(choices: Choices | None = None) -> list[str]:
    """Return what stands in the way of an adoption; [] also where there is nothing to adopt."""
    report = check(choices or Choices())
    return report.faults if report else []


def _shape_faults(catalog: Catalog, shape: Shape, revision: str, choices: Choices) -> Iterator[str]:
    known = (REVISION,) if shape is BASELINE else TENANCY_REVISIONS
    if revision and revision not in known:
        yield (
            f"alembic_version is {revision}: the tables look like those of "
            f"{' to '.join(dict.fromkeys((known[0], known[-1])))}, and only these are adopted"
        )
    if (encoding := catalog.rows("SHOW server_encoding")[0][0]) != "UTF8":
        yield f"the database's encoding is {encoding}, not UTF8: dump it and restore it into one"
    yield from _right_faults(catalog)
    if missing := sorted({*shape} - {*catalog.tables([*shape])}):
        yield f"tables are missing: {', '.join(missing)}"
        return
    models = apps.get_models(include_auto_created=True)
    ours = {model._meta.db_table for model in models} | {"django_migrations"}
    if existing := catalog.tables(sorted(ours - {*shape})):
        yield f"tables of these names are there already: {', '.join(existing)}"
    for table in shape:
        yield from table_problems(catalog, table)
        yield from _column_faults(catalog, shape, table, choices)
    yield from _dependent_faults(catalog, [*shape])


def _right_faults(catalog: Catalog) -> Iterator[str]:
    [(in_database, in_schema)] = catalog.rows(
        "SELECT has_database_privilege(current_database(), 'CREATE'), "
        "has_schema_privilege(current_schema(), 'CREATE')"
    )
    if not (in_database and in_schema):
        yield "this login may not create schemas and tables here: adopt with the database's owner"
    if roles := catalog.rows(_NOT_TAKEN_ON, {"roles": [*ROLES]}):
        yield (
            f"this login may not take on {' and '.join(role for (role,) in roles)}: have an "
            "administrator run what “manage.py database_roles --sql” prints"
        )


def _column_faults(catalog: Catalog, shape: Shape, table: str, choices: Choices) -> Iterator[str]:
    found = catalog.columns(table)
    for column, wanted in shape[table].items():
        if column not in found:
            yield f"{table}.{column} is missing"
            continue
        kind = found[column][0]
        if fits(kind, wanted.removesuffix("?")) or _is_cast(table, column, kind, wanted, choices):
            continue
        zone = "; --zone says in which time zone its values are" if kind == NAIVE else ""
        yield f"{table}.{column} is of the type {kind}, not {wanted.removesuffix('?')}{zone}"
    if "session_id" in shape[table] and not _is_indexed(catalog, table, "session_id"):
        yield (
            f"{table} has no index on session_id: CREATE INDEX CONCURRENTLY ON {table} (session_id)"
        )


def _is_cast(table: str, column: str, kind: str, wanted: str, choices: Choices) -> bool:
    """Return whether a column of another type is carried all the same; rows are looked at."""
    wanted = wanted.removesuffix("?")
    if wanted == "timestamptz":
        return kind == NAIVE and bool(choices.zone)
    if wanted == "jsonb":
        return kind == "json"
    return (table, column) in WORDS or (
        wanted.startswith("varchar(") and kind.startswith("character varying")
    )


def _is_indexed(catalog: Catalog, table: str, column: str) -> bool:
    query = """
        SELECT FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]
        WHERE indrelid = to_regclass(%s) AND indisvalid AND indpred IS NULL AND attname = %s
    """
    return bool(catalog.rows(query, [table, column]))


def _dependent_faults(catalog: Catalog, tables: list[str]) -> Iterator[str]:
    """Yield the views of the old tables, and keys of other tables that cannot be carried along."""
    query = """
        SELECT DISTINCT refobjid::regclass::text,
            pg_describe_object('pg_class'::regclass, ev_class, 0)
        FROM pg_depend JOIN pg_rewrite ON pg_rewrite.oid = objid
        WHERE classid = 'pg_rewrite'::regclass AND refclassid = 'pg_class'::regclass
            AND refobjid = ANY(%s::regclass[]) AND ev_class <> ALL(%s::regclass[])
        ORDER BY 1, 2
    """
    for table, what in catalog.rows(query, [tables, tables]):
        yield f"{table} is used by {what}: drop it before, and make it anew after"
    for table, name, _, meant in outside_keys(catalog, tables):
        if meant != "accounts":
            yield f"{table} refers to {meant} ({name}): drop this foreign key before"


def _row_faults(catalog: Catalog, shape: Shape, choices: Choices) -> Iterator[str]:
    def more(table: str, there: Columns) -> Iterator[Rule]:
        for column, wanted in shape[table].items():
            if column in there:
                yield from _text_rules(table, column, wanted, there[column][0], choices)

    yield from row_problems(catalog, shape, more)
    if shape is not BASELINE:
        yield from _repeated_slugs(catalog, choices)


def _text_rules(
    table: str, column: str, wanted: str, kind: str, choices: Choices
) -> Iterator[Rule]:
    name, place = sql.Identifier(column), (table, column)
    if place in KNOWN:
        wrong = sql.SQL("{} <> ALL({})").format(
            word(choices, table, column), sql.Literal([*KNOWN[place]])
        )
        what = "a role" if column == "role" else f"a {column}"
        yield column, f"with {what} besides {', '.join(KNOWN[place])}", wrong
    elif place in SLUGS:
        slug = word(choices, table, column)
        wrong = sql.SQL("{0} !~ {1} OR {0} = ANY({2}) OR starts_with({0}, {3})").format(
            slug,
            sql.Literal(f"^{SLUG_PATTERN}$"),
            sql.Literal([*RESERVED]),
            sql.Literal(CHECK_PREFIX),
        )
        yield (
            column,
            f"with a slug that is none or reserved (--map {table}.{column}:OLD=NEW)",
            wrong,
        )
    elif wanted.startswith("varchar("):
        most = int(wanted.removesuffix("?")[8:-1])
        # Today's column is wider.
        most = 255 if column == "model" else most
        length = kind.removeprefix("character varying(").removesuffix(")")
        is_short = length.isdecimal() and int(length) <= most
        if column != "session_key" and not is_short:
            rule = sql.SQL("char_length({}::text) > {}").format(name, sql.Literal(most))
            yield column, f"with more than {most} characters", rule


def _repeated_slugs(catalog: Catalog, choices: Choices) -> Iterator[str]:
    """Yield slugs that are equal, or differ in capitals only: people take them for one."""
    for table, column in sorted(SLUGS):
        slug = sql.SQL("lower({})").format(word(choices, table, column))
        within = sql.SQL("account_id, {}" if table == "agent_instances" else "{}").format(slug)
        rule = sql.SQL(
            "({within}) IN (SELECT {within} FROM {table} GROUP BY {within} HAVING count(*) > 1)"
        ).format(within=within, table=sql.Identifier(table))
        what = f"with a slug that others have too, capitals aside (--map {table}.{column}:OLD=NEW)"
        yield from broken_rules(catalog, table, [(column, what, rule)])


@checks.register(checks.Tags.database)
def check_adoption(
    *, databases: Sequence[str] | None = None, **_more: Any
) -> list[checks.CheckMessage]:
    """Return what keeps `adopt` from carrying the database over, without changing anything."""
    if DEFAULT_DB_ALIAS not in (databases or ()):
        return []
    return [checks.Error(line, id="sessions_app.E001") for line in faults()]


def refuse_migration(using: str) -> None:
    """Raise Refused where `migrate` would meet old tables: they are not its to change."""
    catalog = Catalog(connections[using])
    if catalog.rows("SELECT current_schema()::text") == [(NEXT,)]:
        return
    state = found_state()
    if state is not None and state.step != Step.SETTLED:
        raise Refused(
            "An adoption is under way here: end it with “manage.py adopt” and “adopt --switch”, "
            "or take it back with “adopt --undo”."
        )
    revision = revision_of(catalog)
    if revision is not None:
        raise Refused(
            f"Alembic made this database (revision {revision or 'none'}): carry it over with "
            "“manage.py adopt”; “adopt --check” says before what stands in the way."
        )
