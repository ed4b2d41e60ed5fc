"""The usage that the API shows a caller: of the agents that the caller may use, and no others."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from typing import Any
from uuid import UUID

from accounts.audit.csv_export import BYTE_ORDER_MARK, as_csv
from accounts.audit.notes import note_callers_export
from accounts.auth.caller import Caller
from accounts.auth.decorators import require_scope
from accounts.keys.services import keys_of
from accounts.limits.status import limit_status
from accounts.models import Scope
from accounts.tenancy.agents import agent_slugs
from accounts.tenancy.replica import read_as_tenant
from salient.api.problems import Invalid, NotFound
from sessions_app.api.usage_schemas import AccountUsageOut, By, FiguresOut, RowOut, UsageIn
from sessions_app.models import UsageDay
from sessions_app.usage.queries import Figures, figures_by, total
from sessions_app.usage.requests import Column, Which, requests_by

type Found = Mapping[tuple[Any, ...], Figures]

MOST_ROWS = 10_000
SUMMED_COLUMNS = {By.DAY: "day", By.MODEL: "model", By.INSTANCE: "agent_instance_id"}
COLUMNS = {
    By.DAY: Column.DAY,
    By.MODEL: Column.MODEL,
    By.INSTANCE: Column.AGENT,
    By.KEY: Column.KEY,
    By.END_USER: Column.END_USER,
    By.TAG: Column.TAG,
}


def usage_of(caller: Caller, wanted: UsageIn) -> AccountUsageOut:
    """Sum what was used; raises Forbidden, Invalid, NotFound."""
    days = wanted.days()
    found, rows = read_as_tenant(caller.account_id, partial(_read, caller, wanted))
    return AccountUsageOut(
        first=days.first,
        last=days.last,
        by=wanted.by,
        then_by=wanted.then_by,
        tag=wanted.tag,
        rows=rows,
        total=FiguresOut.of(total(found)),
        budgets=[budget.as_dict() for budget in limit_status(caller).budgets],
    )


def usage_csv(caller: Caller, wanted: UsageIn) -> bytes:
    """Return the rows as CSV, and note it in the audit log; raises what `usage_of` raises."""
    chosen = wanted.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"format"})
    _, rows = read_as_tenant(
        caller.account_id,
        partial(_read, caller, wanted),
        then=partial(note_callers_export, caller, UsageDay._meta.db_table, chosen),
    )
    columns = {"key": wanted.by.value}
    if wanted.then_by is not None:
        columns["then_key"] = wanted.then_by.value
    if By.KEY in wanted.dimensions:
        columns["name"] = "key_name"
    columns |= {name: name for name in FiguresOut.model_fields}
    lines = [[getattr(row, name) for name in columns] for row in rows]
    return BYTE_ORDER_MARK + as_csv([columns.values(), *lines])


def _read(caller: Caller, wanted: UsageIn) -> tuple[Found, list[RowOut]]:
    found = _figures(caller, wanted)
    return found, _rows(caller, wanted, found)


def _figures(caller: Caller, wanted: UsageIn) -> Found:
    if wanted.reads_sessions:
        require_scope(caller, Scope.HISTORY_READ)
    instances = _instances(caller, wanted.agent)
    if wanted.reads_requests:
        which = Which(
            account_id=caller.account_id,
            days=wanted.days(),
            instances=instances,
            model=wanted.model,
            key=wanted.key,
            end_user=wanted.end_user,
            tag=wanted.tag,
        )
        return requests_by([COLUMNS[each] for each in wanted.dimensions], which)
    found = figures_by(
        *(SUMMED_COLUMNS[each] for each in wanted.dimensions),
        days=wanted.days(),
        account_id=caller.account_id,
        instances=instances,
        model=wanted.model,
        latency=True,
    )
    return found if wanted.then_by is not None else {(key,): found[key] for key in found}


def _instances(caller: Caller, slug: str | None) -> Collection[UUID] | None:
    """Return the agents whose usage is summed, None for all; raises NotFound."""
    if slug is None:
        return caller.instance_ids or None
    slugs = agent_slugs(caller.account_id)
    found = [pk for pk, name in slugs.items() if name == slug and caller.may_use(pk)]
    if not found:
        raise NotFound("agent")
    return found


def _rows(caller: Caller, wanted: UsageIn, found: Found) -> list[RowOut]:
    if len(found) > MOST_ROWS:
        raise Invalid.field("by", f"there are more than {MOST_ROWS} rows: ask for fewer days")
    slugs: dict[Any, str] = {}
    if By.INSTANCE in wanted.dimensions:
        slugs |= agent_slugs(caller.account_id)
    names = _key_names(caller, wanted, found)
    rows = []
    for key, figures in found.items():
        first, second = (*(_text(slugs.get(part, part)) for part in key), None)[:2]
        name = next((names[part] for part in key if part in names), None)
        rows.append(RowOut.of(figures, key=first, then_key=second, name=name))
    return sorted(rows, key=lambda row: (_place(row.key), _place(row.then_key)))


def _key_names(caller: Caller, wanted: UsageIn, found: Found) -> dict[Any, str]:
    """Return the names of the keys by their ids, as the rows have these."""
    if By.KEY not in wanted.dimensions or Scope.KEYS_READ not in caller.scopes:
        return {}
    place = wanted.dimensions.index(By.KEY)
    ids = {key[place] for key in found if key[place] is not None}
    return {str(key.pk): str(key) for key in keys_of(caller.account_id).filter(pk__in=ids)}


def _text(part: Any) -> str | None:
    return None if part is None else str(part)


def _place(text: str | None) -> tuple[bool, str]:
    """Order texts by themselves, and null after all of them."""
    return text is None, text or ""
