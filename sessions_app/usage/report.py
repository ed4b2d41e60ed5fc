"""What a caller is told of its account's use: of the agents that it may use, no others."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from accounts.auth.caller import Caller
from accounts.limits.status import limit_status
from accounts.tenancy.context import tenant_context
from agents.models import AgentInstance
from sessions_app.api.usage_schemas import By, FiguresOut, RowOut, UsageIn, UsageOut
from sessions_app.usage.queries import Figures, figures_by, total

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
        names = _slugs(caller.account_id) if wanted.by == By.INSTANCE else {}
    rows = sorted((str(names.get(key, key)), key) for key in found)
    return UsageOut(
        first=days.first,
        last=days.last,
        by=wanted.by,
        rows=[_row(name, found[key]) for name, key in rows],
        total=FiguresOut(**FiguresOut.facts(total(found))),
        budgets=[budget.as_dict() for budget in limit_status(caller).budgets],
    )


def _row(name: str, figures: Figures) -> RowOut:
    return RowOut(key=name, **FiguresOut.facts(figures))


def _slugs(account_id: UUID) -> dict[Any, str]:
    agents = AgentInstance.objects.filter(account_id=account_id)
    return dict(agents.values_list("pk", "instance_slug"))
