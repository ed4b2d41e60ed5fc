"""The days and months of budgets, in UTC, and what counts in the one that runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
from django.utils import timezone

from accounts.models import Budget, BudgetPeriod


class CurrentPeriod(msgspec.Struct, frozen=True):
    """A budget's period that runs now; US dollars. `remaining` is never below zero."""

    resets_at: datetime
    spent: Decimal
    remaining: Decimal


def current_period(budget: Budget, now: datetime | None = None) -> CurrentPeriod:
    """Return what counts now: the row has the period before until a turn begins the next one."""
    period = BudgetPeriod(budget.period)
    begun = start_of(period, now or timezone.now())
    spent = budget.spent if budget.period_start >= begun else Decimal(0)
    return CurrentPeriod(
        # The clock of this process may be behind the database's.
        next_start(period, max(begun, budget.period_start)),
        spent,
        max(Decimal(0), budget.limit - spent - budget.reserved),
    )


def start_of(period: BudgetPeriod, moment: datetime) -> datetime:
    day = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return day if period == BudgetPeriod.DAY else day.replace(day=1)


def next_start(period: BudgetPeriod, moment: datetime) -> datetime:
    """Return when the period of this moment is over."""
    start = start_of(period, moment)
    if period == BudgetPeriod.DAY:
        return start + timedelta(days=1)
    return (start + timedelta(days=31)).replace(day=1)
