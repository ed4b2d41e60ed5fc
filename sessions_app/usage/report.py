"""The usage that the API shows a caller: of the agents that the caller may use, and no others."""

from __future__ import annotations

from typing import Any

from accounts.auth.caller import Caller
from accounts.limits.status import limit_status
from accounts.tenancy.agents import agent_slugs
from accounts.tenancy.context import tenant_context
from sessions_app.api.usage_schemas import By, FiguresOut, RowOut, UsageIn, UsageOut
from sessions_app.usage.queries import figures_by, total

COLUMNS = {By.DAY: "day", By.MODEL: "model", By.INSTANCE: "agent_instance_id"}


def usage_of(caller: Caller, wanted: UsageIn) -> UsageOut:
    days = wanted.days()
    with tenant_context(caller.account_id):
        found = figures_by(
            COLUMNS[wanted.by],
            days=days,
            account_id=caller.account_id,
            instances=caller.instance_ids or None,
            latency=True,
        )
        names: dict[Any, str] = {}
        if wanted.by == By.INSTANCE:
            names |= agent_slugs(caller.account_id)
    rows = sorted((str(names.get(key, key)), key) for key in found)
    return UsageOut(
        first=days.first,
        last=days.last,
        by=wanted.by,
        rows=[RowOut.of(found[key], key=name) for name, key in rows],
        total=FiguresOut.of(total(found)),
        budgets=[budget.as_dict() for budget in limit_status(caller).budgets],
    )
