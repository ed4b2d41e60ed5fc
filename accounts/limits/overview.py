"""An account's limits and budgets as pages show them: what holds, and how full each budget is."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from accounts.limits.own import limit_in_force
from accounts.limits.periods import current_period
from accounts.limits.quotas import own_limits
from accounts.limits.registry import LIMITS
from accounts.models import AccountLimits, Budget, BudgetPeriod
from accounts.tenancy.agents import agent_slugs
from salient.formatting import money

SOON, FULL = 80, 100
WHOLE_ACCOUNT = "the whole account"

# A limit's name, what holds, and whether it is the account's own.
type LimitRow = tuple[str, int | None, bool]


@dataclass(frozen=True, slots=True)
class Bar:
    """What was spent of a budget in its current period."""

    budget: Budget
    spent: Decimal

    @property
    def percent(self) -> int:
        limit = self.budget.limit
        if not limit:
            return FULL
        return int(self.spent * 100 / limit)

    @property
    def state(self) -> str:
        if self.percent >= FULL:
            return "bad"
        return "warn" if self.percent >= SOON else "ok"

    @property
    def shown(self) -> int:
        return min(self.percent, FULL)

    @property
    def text(self) -> str:
        when = "today" if self.budget.period == BudgetPeriod.DAY else "this month"
        return f"{money(self.spent)} of {money(self.budget.limit)} {when}"


def bar_of(budget: Budget, now: datetime | None = None) -> Bar:
    return Bar(budget, current_period(budget, now).spent)


def account_bars(account_ids: Collection[UUID]) -> dict[UUID, Bar]:
    """Return the bar of each account's own budget, the fuller one of a month's and a day's."""
    own = Budget.objects.filter(account_id__in=account_ids, agent_instance_id=None)
    bars = sorted(map(bar_of, own), key=lambda bar: bar.percent)
    return {bar.budget.account_id: bar for bar in bars}


def budget_bars(account_id: UUID) -> list[tuple[str, Bar]]:
    """Return the account's budgets: whose each is, and how full."""
    rows = Budget.objects.filter(account_id=account_id).order_by("agent_instance_id", "period")
    slugs = agent_slugs(account_id)
    return [
        (slugs.get(row.agent_instance_id or account_id, WHOLE_ACCOUNT), bar_of(row)) for row in rows
    ]


def limits_of(account_id: UUID) -> tuple[AccountLimits | None, list[LimitRow]]:
    """Return the account's own limits, and of each its name, what holds, and whether it is its own.

    None holds for the tokens of an answer where the agent's configuration decides.
    """
    row = own_limits(account_id)
    return row, [
        (limit.label, limit_in_force(row, name), getattr(row, name, None) is not None)
        for name, limit in LIMITS.items()
    ]
