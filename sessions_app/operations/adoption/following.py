"""Fills today's tables while the old application works: batches, then whatever changed since."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from psycopg import sql

from sessions_app.operations.adoption.carrying import (
    Source,
    carry_sessions,
    carry_tenants,
    forget_tenants,
    owner_id,
)
from sessions_app.operations.adoption.rows import Catalog
from sessions_app.operations.adoption.state import BEFORE, State, Step, holding, one_moment

# ruff: noqa: S608 - built from constants only
SESSIONS_AT_ONCE: Final = 500
# So few rows are carried while the old tables are held: a change may be of a long session.
FEW_ROWS: Final = 300
# A long session that is written all the time is never caught up with: it is left after so many
# rounds that have carried all.
MOST_ROUNDS: Final = 100
_NOTE: Final = """
    CREATE FUNCTION {before}.note_{what}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = pg_catalog, {before}, pg_temp AS $$
    BEGIN
        IF TG_OP <> 'INSERT' THEN INSERT INTO changes (session_id) VALUES ({old}); END IF;
        IF TG_OP = 'INSERT' OR (TG_OP = 'UPDATE' AND {new} <> {old}) THEN
            INSERT INTO changes (session_id) VALUES ({new});
        END IF;
        RETURN NULL;
    END $$
"""
_REFUSE: Final = f"""
    CREATE FUNCTION {BEFORE}.refuse_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'an adoption by Salient is under way: undo it first'; END $$
"""
_OF: Final = {
    "session": ("OLD.id", "NEW.id"),
    "part": ("OLD.session_id", "NEW.session_id"),
    "tenant": ("NULL::uuid", "NULL::uuid"),
}
_KINDS: Final = {"sessions": "session", "accounts": "tenant", "agent_instances": "tenant"}

type Progress = Callable[[str], None]


def watch(state: State, tables: list[str]) -> None:
    """Have the old tables note each change from now on; writers wait for no longer than a moment.

    A trigger function runs with its owner's rights, so that the old application needs none.
    """
    catalog = state.catalog
    for what, (old, new) in _OF.items():
        catalog.run(f"DROP FUNCTION IF EXISTS {BEFORE}.note_{what}() CASCADE")
        catalog.run(_NOTE.format(before=BEFORE, what=what, old=old, new=new))
    catalog.run(f"DROP FUNCTION IF EXISTS {BEFORE}.refuse_truncate() CASCADE")
    catalog.run(_REFUSE)
    for table in tables:
        name = sql.Identifier(state.home, table)
        noting = sql.SQL(
            "CREATE TRIGGER salient_adoption AFTER INSERT OR UPDATE OR DELETE ON {} "
            "FOR EACH ROW EXECUTE FUNCTION {}()"
        ).format(name, sql.Identifier(BEFORE, f"note_{_KINDS.get(table, 'part')}"))
        refusing = sql.SQL(
            "CREATE TRIGGER salient_adoption_whole BEFORE TRUNCATE ON {} "
            "FOR EACH STATEMENT EXECUTE FUNCTION {}()"
        ).format(name, sql.Identifier(BEFORE, "refuse_truncate"))
        with holding(catalog, [name], "SHARE ROW EXCLUSIVE"):
            catalog.run(noting)
            catalog.run(refusing)


def unwatch(state: State, tables: list[str]) -> None:
    for table in tables:
        name = sql.Identifier(state.home, table)
        with holding(state.catalog, [name], "ACCESS EXCLUSIVE"):
            drop_triggers(state.catalog, name)


def drop_triggers(catalog: Catalog, table: sql.Composable) -> None:
    for trigger in ("salient_adoption", "salient_adoption_whole"):
        catalog.run(
            sql.SQL("DROP TRIGGER IF EXISTS {} ON {}").format(sql.Identifier(trigger), table)
        )


def copy_all(
    state: State, source: Source, progress: Progress, *, batches: int | None = None
) -> int:
    """Carry all sessions in the order of their ids; return the number of batches that it took.

    Each batch is one transaction with the mark up to which all is carried. `batches` stops early.
    """
    total, number = int(state.facts["rows"]["sessions"]), 0
    with transaction.atomic():
        carry_tenants(source)
    owner = owner_id(source)
    while batches is None or number < batches:
        mark = state.facts.get("mark")
        ids = _next_sessions(source, mark)
        if not ids:
            state.store(Step.FOLLOWING, done=state.facts.get("done", 0))
            return number
        with one_moment(state.catalog):
            carry_sessions(source, ids, owner)
            state.store(mark=str(ids[-1]), done=state.facts.get("done", 0) + len(ids))
        number += 1
        progress(f"{state.facts['done']} of {total} sessions")
    return number


def _next_sessions(source: Source, mark: str | None) -> list[UUID]:
    query = sql.SQL("SELECT id FROM {} WHERE {} ORDER BY id LIMIT {}").format(
        source.of_old("sessions"),
        sql.SQL("id > {}").format(sql.Literal(UUID(mark))) if mark else sql.SQL("true"),
        sql.Literal(SESSIONS_AT_ONCE),
    )
    return [row_id for (row_id,) in source.catalog.rows(query)]


def are_few_left(source: Source) -> bool:
    """Whether one call of `follow` carries all that is noted, and it is few rows."""
    noted = source.catalog.rows(
        f"SELECT session_id FROM {BEFORE}.changes ORDER BY number LIMIT {SESSIONS_AT_ONCE + 1}"
    )
    if len(noted) > SESSIONS_AT_ONCE:
        return False
    return _rows_of(source, {session_id for (session_id,) in noted}) <= FEW_ROWS


def _rows_of(source: Source, changed: set[UUID | None]) -> int:
    """Count the changed sessions with their rows, which are carried again; None: the tenants."""
    ids = [session_id for session_id in changed if session_id is not None]
    counts = [
        sql.SQL("(SELECT count(*) FROM {} WHERE session_id = ANY({}::uuid[]))").format(
            source.of_old(table), sql.Literal(ids)
        )
        for table in ("messages", "llm_requests", "profiles")
    ]
    if len(ids) < len(changed):
        counts += [
            sql.SQL("(SELECT count(*) FROM {})").format(source.of_old(table))
            for table in ("accounts", "agent_instances")
        ]
    [(rows,)] = source.catalog.rows(sql.SQL("SELECT {}").format(sql.SQL(" + ").join(counts)))
    return len(changed) + int(rows)


def follow(state: State, source: Source) -> int:
    """Carry the sessions of the oldest changes again, in the caller's transaction."""
    changed = state.catalog.rows(
        f"DELETE FROM {BEFORE}.changes WHERE number IN (SELECT number FROM {BEFORE}.changes "
        f"ORDER BY number LIMIT {SESSIONS_AT_ONCE}) RETURNING session_id"
    )
    if not changed:
        return 0
    ids = sorted({session_id for (session_id,) in changed if session_id is not None})
    tenants = any(session_id is None for (session_id,) in changed)
    if tenants:
        carry_tenants(source)
    moments = [_first_moment(source, ids)]
    carry_sessions(source, ids, owner_id(source))
    if tenants:
        forget_tenants(source)
    moments.append(_first_moment(source, ids))
    since = min((m for m in (*moments, state.facts.get("since")) if m), default=None)
    state.store(since=since, followed=state.facts.get("followed", 0) + len(changed))
    return len(changed)


def _first_moment(source: Source, ids: list[UUID]) -> str | None:
    """Return the day of the first request of these sessions, from which figures are old."""
    query = sql.SQL(
        "SELECT (min(created_at) AT TIME ZONE 'UTC')::date::text FROM {} WHERE session_id = ANY(%s)"
    ).format(source.of_new("llm_requests"))
    found: list[Any] = source.catalog.rows(query, [ids])
    return str(found[0][0]) if found[0][0] else None


def catch_up(state: State, source: Source) -> None:
    """Follow until no more than a few rows are left, whatever goes on."""
    rounds = 0
    while rounds < MOST_ROUNDS and not are_few_left(source):
        with one_moment(state.catalog):
            rounds += follow(state, source) < SESSIONS_AT_ONCE
    with one_moment(state.catalog):
        follow(state, source)
