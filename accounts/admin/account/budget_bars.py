"""How full budgets are, as the staff's pages show it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from accounts.limits.periods import current_period
from accounts.models import Budget
from salient.formatting import money

SOON, FULL = 80, 100


@dataclass(frozen=True, slots=True)
class Bar:
    """What was spent of a budget in its period that runs now."""

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
        return f"{money(self.spent)} of {money(self.budget.limit)} this {self.budget.period}"


def bar_of(budget: Budget, now: datetime | None = None) -> Bar:
    return Bar(budget, current_period(budget, now).spent)


def account_bars(account_ids: Collection[UUID]) -> dict[UUID, Bar]:
    """Give each account the bar of its own budget, the fuller one of a month's and a day's."""
    own = Budget.objects.filter(account_id__in=account_ids, agent_instance_id=None)
    return _fullest(map(bar_of, own))


def _fullest(bars: Iterable[Bar]) -> dict[UUID, Bar]:
    found: dict[UUID, Bar] = {}
    for bar in sorted(bars, key=lambda bar: bar.percent):
        found[bar.budget.account_id] = bar
    return found
