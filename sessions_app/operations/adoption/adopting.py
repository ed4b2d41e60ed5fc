"""`manage.py adopt`: moves a database made by Alembic to Salient's schema, step by step."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from django.core.management import call_command
from django.db import connection, transaction

from accounts.tenancy.accounts import list_accounts
from accounts.tenancy.roles import grant_rights
from salient.management.base import Misused, Refused
from sessions_app.operations.adoption import digests, following, switching
from sessions_app.operations.adoption.carrying import Source, old_columns
from sessions_app.operations.adoption.check import Report, check, shape_of
from sessions_app.operations.adoption.choices import Choices
from sessions_app.operations.adoption.following import Progress
from sessions_app.operations.adoption.notes import keeps_first_account
from sessions_app.operations.adoption.rows import Catalog, reading
from sessions_app.operations.adoption.state import (
    BEFORE,
    NEXT,
    PROGRAM,
    State,
    Step,
    alone,
    begin,
    found_state,
    in_schema,
)
from sessions_app.usage import rollup, totals

# ruff: noqa: S608 - built from constants only
INTERRUPTED: Final = {
    Step.SWITCHED: "A switch was interrupted: run adopt --switch again, or adopt --undo.",
    Step.UNDONE: "An undo was interrupted: run adopt --undo again first.",
}
NOTHING: Final = "There is nothing to adopt here: these are not the tables of an Alembic database."


def carry(choices: Choices, progress: Progress, *, batches: int | None = None) -> Mapping[str, Any]:
    """Build, copy and follow; it goes on where one that was killed has ended.

    Raises Refused, with every fault, before anything is changed.
    """
    with alone():
        state = found_state() or _begun(choices)
        if choices != Choices() and choices != Choices.of(state.facts["choices"]):
            raise Misused("The adoption was begun with other options; --undo takes it back.")
        _refuse_interrupted(state, Step.SWITCHED, Step.UNDONE)
        _build_and_copy(state, progress, batches)
        return _report(state)


def _begun(choices: Choices) -> State:
    report = check(choices)
    if report is None:
        raise Refused(NOTHING)
    if report.faults:
        raise Refused(
            "this database cannot be adopted as it is; nothing was changed:\n"
            + "\n".join(f"- {line}" for line in report.faults)
        )
    catalog = Catalog(connection)
    tables = [*shape_of(catalog)]
    return begin(
        {
            "revision": report.revision,
            "rows": report.rows,
            "choices": choices.as_dict(),
            "tables": tables,
            "outside": switching.outside_keys(catalog, tables),
            "began": time.time(),
        }
    )


def source_of(state: State) -> Source:
    """Return what the steps work on, where the tables stand by now."""
    old, new = (state.home, NEXT)
    if state.step == Step.SETTLED:
        old, new = BEFORE, state.home
    columns = old_columns(state.catalog, old, state.facts["tables"])
    return Source(state.catalog, old, new, columns, Choices.of(state.facts["choices"]))


def _build_and_copy(state: State, progress: Progress, batches: int | None) -> None:
    if state.step == Step.BUILDING:
        progress("making today's tables beside the old ones")
        _build(state)
    if state.step == Step.COPYING:
        following.copy_all(state, source_of(state), progress, batches=batches)
    if state.step == Step.FOLLOWING:
        source = source_of(state)
        following.catch_up(state, source)
        if "figures" not in state.facts:
            progress("summing usage")
            with in_schema(NEXT):
                _sum(rollup.BEGINNING)
            state.store(figures=True, since=None)
        following.catch_up(state, source)


def _build(state: State) -> None:
    """Run today's migrations in a schema of their own; one that was killed goes on."""
    state.catalog.run(f"CREATE SCHEMA IF NOT EXISTS {NEXT}")
    with in_schema(NEXT):
        call_command("migrate", verbosity=0)
    source = source_of(state)
    with transaction.atomic():
        if source.has_tenants and not keeps_first_account(state.catalog, source.choices):
            # The account that a new database begins with is not theirs.
            state.catalog.run(f"DELETE FROM {NEXT}.agent_instances")
            state.catalog.run(f"DELETE FROM {NEXT}.accounts")
        switching.quiet(state, [*source.columns])
    following.watch(state, [*source.columns])
    state.store(Step.COPYING)


def _sum(since: date) -> None:
    for account in list_accounts():
        rollup.rebuild(account.pk, since)
    totals.store_all()


def switch(progress: Progress, *, others: bool = False) -> Mapping[str, Any]:
    """Put today's tables in the place of the old ones, and compare both.

    Unless `others`, it refuses while anybody else is connected: the old application may not write
    into today's tables.
    """
    with alone():
        state = found_state()
        if state is None or state.step in {Step.BUILDING, Step.COPYING}:
            raise Refused("There is nothing to switch to yet: run adopt first.")
        _refuse_interrupted(state, Step.UNDONE)
        if state.step == Step.FOLLOWING:
            if not others:
                _refuse_others(state.catalog)
            # One that was killed may not have summed usage yet.
            _build_and_copy(state, progress, None)
            switching.switch(state, source_of(state))
            progress(f"switched; the old tables were held for {state.facts['held_ms']} ms")
        if state.step == Step.SWITCHED:
            switching.settle(state)
        if "after" not in state.facts:
            switching.validate_outside(state)
            grant_rights("default")
            if since := state.facts.get("since"):
                _sum(date.fromisoformat(since))
            progress("comparing")
            _compare(state)
        return _report(state)


def look(choices: Choices) -> Report | None:
    """Check a database, which is not changed; Refused says where one is that has been switched."""
    if (state := found_state()) is not None:
        _refuse_interrupted(state, Step.SWITCHED, Step.UNDONE)
        if state.step == Step.SETTLED:
            raise Refused("Today's tables are in place: adopt --finish or adopt --undo ends it.")
    return check(choices)


def _refuse_interrupted(state: State, *steps: Step) -> None:
    if state.step in steps:
        raise Refused(INTERRUPTED[state.step])


def _refuse_others(catalog: Catalog) -> None:
    found = catalog.rows(
        "SELECT usename, coalesce(nullif(application_name, ''), 'unnamed'), count(*) "
        "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        # Of another login's connections PostgreSQL tells only some this column: only clients have
        # a login there.
        "AND usename IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend' "
        "AND application_name IS DISTINCT FROM %s GROUP BY 1, 2 ORDER BY 1",
        [PROGRAM],
    )
    if found:
        who = ", ".join(f"{number} of {user} ({program})" for user, program, number in found)
        raise Refused(
            f"Others are connected: {who}. Stop the old application, and switch; --others switches "
            "all the same, and what it writes from then on fails, or goes into today's tables."
        )


def _compare(state: State) -> None:
    source = source_of(state)
    with reading(connection):
        before = digests.of_old(source, source.old)
        after = digests.of_new(source, source.new)
    state.store(before=before, after=after, ended=time.time())


def undo(*, discard: bool = False) -> Mapping[str, Any]:
    """Give the old tables their place again, as they were at the switch."""
    with alone():
        state = _required()
        if state.step == Step.SWITCHED:
            switching.settle(state)
        source = source_of(state)
        if state.step == Step.SETTLED and not discard and _have_gone_on(state, source):
            raise Refused(
                "Conversations have gone on since the switch, and the old tables do not have "
                "them: --discard gives these up."
            )
        switching.take_back(state, source)
        return {"ok": True, "undone": True, "rows": state.facts["rows"]}


def _have_gone_on(state: State, source: Source) -> bool:
    """Whether today's rows are neither as the switch noted them nor as the old ones are.

    A switch by another version may have noted other columns and tables.
    """
    with reading(connection):
        now = _listed(digests.of_new(source, source.new))
        if now == _listed(state.facts.get("after") or now):
            return False
        return now != _listed(digests.of_old(source, source.old))


def finish() -> Mapping[str, Any]:
    """Drop the old tables; from then on there is no way back."""
    with alone():
        state = _required()
        if state.step != Step.SETTLED or "after" not in state.facts:
            raise Refused("Today's tables are not in their place yet: adopt --switch comes first.")
        if not _is_whole(state):
            raise Refused("The rows differ from the old ones: look at them before.")
        switching.finish(state)
        return {**_report(state), "finished": True}


def _required() -> State:
    state = found_state()
    if state is None:
        raise Refused("No adoption is under way here, or it is finished.")
    return state


def _listed(found: Mapping[str, Any]) -> dict[str, list[Any]]:
    return {table: [*digest] for table, digest in found.items()}


def _is_whole(state: State) -> bool:
    return _listed(state.facts["before"]) == _listed(state.facts["after"])


def _report(state: State) -> Mapping[str, Any]:
    facts = state.facts
    report: dict[str, Any] = {"step": state.step.value, "revision": facts["revision"]}
    report |= {name: facts[name] for name in ("done", "followed", "held_ms") if name in facts}
    if "after" in facts:
        before, after = _listed(facts["before"]), _listed(facts["after"])
        report["ok"] = before == after
        report["tables"] = {
            table: {
                "rows_before": before[table][0],
                "rows_after": after[table][0],
                "hash_before": before[table][1],
                "hash_after": after[table][1],
            }
            for table in before
        }
        report["seconds"] = round(facts["ended"] - facts["began"], 1)
    return report
