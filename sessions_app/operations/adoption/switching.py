"""Puts today's tables in the place of the old ones, and back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.db import IntegrityError, transaction
from psycopg import sql

from salient.management.base import Refused
from sessions_app.operations.adoption.carrying import Source
from sessions_app.operations.adoption.following import (
    are_few_left,
    catch_up,
    drop_triggers,
    follow,
    unwatch,
)
from sessions_app.operations.adoption.rows import Catalog
from sessions_app.operations.adoption.state import BEFORE, NEXT, State, Step, holding

# How often the switch may be put off because the old application writes faster than is carried.
SWITCH_TRIES: Final = 200
# What the names of the old tables begin with between the switch and the settling.
ASIDE: Final = "salient_old_"
_OUTSIDE: Final = """
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(pg_constraint.oid),
        confrelid::regclass::text
    FROM pg_constraint
    WHERE contype = 'f' AND confrelid = ANY(%s::regclass[]) AND conrelid <> ALL(%s::regclass[])
    ORDER BY 1, 2
"""


def outside_keys(catalog: Catalog, tables: list[str]) -> list[tuple[str, str, str, str]]:
    """Return the keys of other tables to the old ones: table, name, definition, the table meant."""
    return list(catalog.rows(_OUTSIDE, [tables, tables]))


def switch(state: State, source: Source) -> None:
    """Take the old tables away. Nobody waits longer than a few changes and some renames take.

    Moving the tables, with all their indexes, would take longer: `settle` does that.
    """
    tables = [*source.columns]
    held = [source.of_old(table) for table in tables]
    for _ in range(SWITCH_TRIES):
        catch_up(state, source)
        with holding(state.catalog, list(held), "ACCESS EXCLUSIVE"):
            began = time.monotonic()
            if are_few_left(source):
                follow(state, source)
                for table in tables:
                    _rename(state.catalog, sql.Identifier(state.home, table), ASIDE + table)
                state.store(Step.SWITCHED)
        if state.step == Step.SWITCHED:
            state.store(held_ms=round((time.monotonic() - began) * 1000))
            return
    raise Refused("The old application writes faster than its rows are carried: stop it.")


def _rename(catalog: Catalog, table: sql.Composable, name: str) -> None:
    catalog.run(sql.SQL("ALTER TABLE {} RENAME TO {}").format(table, sql.Identifier(name)))


def _exchange(
    catalog: Catalog, tables: list[str], out: tuple[str, str], into: tuple[str, str]
) -> None:
    for source, target in (out, into):
        for table in tables:
            _move(catalog, "TABLE", sql.Identifier(source, table), target)


def _move(catalog: Catalog, kind: str, name: sql.Composable, schema: str) -> None:
    catalog.run(
        sql.SQL("ALTER {} {} SET SCHEMA {}").format(sql.SQL(kind), name, sql.Identifier(schema))
    )


def settle(state: State) -> None:
    """Move the old tables and today's to their places; nobody uses any of them now."""
    catalog, home, tables = state.catalog, state.home, state.facts["tables"]
    with transaction.atomic():
        for table in tables:
            _move(catalog, "TABLE", sql.Identifier(home, ASIDE + table), BEFORE)
            _rename(catalog, sql.Identifier(BEFORE, ASIDE + table), table)
            drop_triggers(catalog, sql.Identifier(BEFORE, table))
            _move(catalog, "TABLE", sql.Identifier(NEXT, table), home)
            _triggers(catalog, sql.Identifier(home, table), "ENABLE")
        for kind, name in [*_things(catalog, NEXT)]:
            _move(catalog, kind, name, home)
        _rewrite_functions(catalog, NEXT, home)
        for key in state.facts["outside"]:
            _point(catalog, key)
        catalog.run(f"DROP SCHEMA {NEXT}")
        state.store(Step.SETTLED)
    ContentType.objects.clear_cache()


def quiet(state: State, tables: list[str]) -> None:
    """Let the rows that are carried start nothing: no audit entries, no webhooks."""
    for table in tables:
        _triggers(state.catalog, sql.Identifier(NEXT, table), "DISABLE")


def _triggers(catalog: Catalog, table: sql.Composable, what: str) -> None:
    catalog.run(sql.SQL("ALTER TABLE {} {} TRIGGER USER").format(table, sql.SQL(what)))


def _things(catalog: Catalog, schema: str) -> Iterator[tuple[str, sql.Composable]]:
    """Yield the tables, functions and statistics of a schema."""
    for kind, name in catalog.rows(
        """
        SELECT 'TABLE', oid::regclass::text FROM pg_class
        WHERE relnamespace = to_regnamespace(%(schema)s) AND relkind IN ('r', 'p')
        UNION ALL
        SELECT 'ROUTINE', oid::regprocedure::text FROM pg_proc
        WHERE pronamespace = to_regnamespace(%(schema)s)
        UNION ALL
        SELECT 'STATISTICS', format('%%I.%%I', %(schema)s::text, stxname)
        FROM pg_statistic_ext WHERE stxnamespace = to_regnamespace(%(schema)s)
        """,
        {"schema": schema},
    ):
        yield kind, sql.SQL(name)


def _rewrite_functions(catalog: Catalog, old: str, new: str) -> None:
    """Name the new schema in the functions that name theirs."""
    for (definition,) in catalog.rows(
        "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = to_regnamespace(%s) "
        "AND position(%s in pg_get_functiondef(oid)) > 0 AND prokind = 'f'",
        [new, old],
    ):
        catalog.run(_renamed_in(definition, old, new))


def _renamed_in(definition: str, old: str, new: str) -> str:
    """Write the new schema's name as SQL wants it: as a text in SET, as an identifier elsewhere."""
    text, name = sql.Literal(new).as_string(), sql.Identifier(new).as_string()
    return definition.replace(f"'{old}'", text).replace(f'"{old}"', old).replace(old, name)


def _point(catalog: Catalog, key: tuple[str, str, str, str]) -> None:
    """Make a key of another table anew: its text means the table that has the name now."""
    table, name, definition, _ = key
    catalog.run(
        sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}, ADD CONSTRAINT {} {} NOT VALID").format(
            sql.SQL(table),
            sql.Identifier(name),
            sql.Identifier(name),
            sql.SQL(definition.removesuffix(" NOT VALID")),
        )
    )


def validate_outside(state: State) -> None:
    """Validate the keys of other tables, also of a step that was killed before it did."""
    for table, name, _, meant in state.facts["outside"]:
        validate = sql.SQL("ALTER TABLE {} VALIDATE CONSTRAINT {}").format(
            sql.SQL(table), sql.Identifier(name)
        )
        try:
            state.catalog.run(validate)
        except IntegrityError as error:
            raise Refused(
                f"{table} has rows whose {meant} are not there ({name}): delete these rows, and "
                "run the same command again."
            ) from error


def take_back(state: State, source: Source) -> None:
    """Give the old tables their place again, and drop what the adoption made."""
    if state.step == Step.SETTLED:
        _restore(state, source)
    elif state.step != Step.UNDONE:
        unwatch(state, [*source.columns])
    validate_outside(state)
    with transaction.atomic():
        for schema in (NEXT, BEFORE):
            state.catalog.run(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    ContentType.objects.clear_cache()


def _restore(state: State, source: Source) -> None:
    catalog, home = state.catalog, state.home
    tables = [*source.columns]
    with transaction.atomic():
        catalog.run(f"CREATE SCHEMA IF NOT EXISTS {NEXT}")
        _exchange(catalog, tables, (home, NEXT), (BEFORE, home))
        for key in state.facts["outside"]:
            _point(catalog, key)
        for kind, name in [*_ours(catalog, home, tables)]:
            _move(catalog, kind, name, NEXT)
        # By the same transaction: who goes on after a kill must not take the old tables for ours.
        state.store(Step.UNDONE)


def _ours(catalog: Catalog, home: str, old: list[str]) -> Iterator[tuple[str, sql.Composable]]:
    """Yield what today's schema has besides the tables that were exchanged."""
    models: Any = apps.get_models(include_auto_created=True)
    names = {model._meta.db_table for model in models} | {"django_migrations"}
    for table in catalog.tables(sorted(names - {*old})):
        yield "TABLE", sql.Identifier(home, table)
    for (name,) in catalog.rows(
        r"SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = to_regnamespace(%s) "
        r"AND proname LIKE 'app\_%%'",
        [home],
    ):
        yield "ROUTINE", sql.SQL(name)


def finish(state: State) -> None:
    """Drop the old tables with the plain session keys; there is no way back from here."""
    state.catalog.run(f"DROP SCHEMA {BEFORE} CASCADE")
