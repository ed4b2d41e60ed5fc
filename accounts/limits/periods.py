"""The days and months of budgets, in UTC."""

from datetime import UTC, datetime, timedelta

from accounts.models import BudgetPeriod


def start_of(period: BudgetPeriod, moment: datetime) -> datetime:
    day = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return day if period == BudgetPeriod.DAY else day.replace(day=1)


def next_start(period: BudgetPeriod, moment: datetime) -> datetime:
    """Return when the period of this moment is over."""
    start = start_of(period, moment)
    if period == BudgetPeriod.DAY:
        return start + timedelta(days=1)
    return (start + timedelta(days=31)).replace(day=1)
