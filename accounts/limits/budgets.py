"""Budgets: how many dollars an account, or one of its instances, may spend in a day or a month."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone

from accounts.limits.periods import start_of
from accounts.limits.quotas import lock_account
from accounts.models import Account, Budget, BudgetPeriod
from accounts.tenancy.context import tenant_context

MOST_PERCENT = 1000
COUNT = "SELECT spent, reserved FROM app_count_budget(%s, %s, %s)"


def set_budget(
    account: Account,
    *,
    period: str,
    limit: Decimal,
    instance_id: UUID | None = None,
    alert_percents: Sequence[int] | None = None,
) -> Budget:
    """Make or change a budget; what was spent in the period counts, also before it was made.

    Raises ValidationError.
    """
    with tenant_context(account.pk):
        return put_budget(
            account,
            period=period,
            limit=limit,
            instance_id=instance_id,
            alert_percents=alert_percents,
        )


def put_budget(
    account: Account,
    *,
    period: str,
    limit: Decimal,
    instance_id: UUID | None = None,
    alert_percents: Sequence[int] | None = None,
) -> Budget:
    """Do what set_budget does, inside the door that is open."""
    if period not in BudgetPeriod.values:
        raise ValidationError(f"A budget is for a {' or a '.join(BudgetPeriod.values)}.")
    budget = _locked(account, period, instance_id)
    budget.limit = limit
    if alert_percents is not None:
        budget.alert_percents = sorted(set(alert_percents))
    check_percents(budget.alert_percents)
    # What the new limit makes of the past is no news.
    budget.alerted_percent = _reached(budget)
    budget.full_clean()
    budget.save()
    return budget


def check_percents(percents: Sequence[int]) -> None:
    if any(not 1 <= percent <= MOST_PERCENT for percent in percents):
        raise ValidationError(f"An alert's percentage is a number from 1 to {MOST_PERCENT}.")


def remove_budget(account: Account, *, period: str, instance_id: UUID | None = None) -> bool:
    """Delete the budget; False when there was none."""
    with tenant_context(account.pk):
        found = Budget.objects.filter(
            account_id=account.pk, agent_instance_id=instance_id, period=period
        )
        return bool(found.delete()[0])


def _locked(account: Account, period: str, instance_id: UUID | None) -> Budget:
    """Return the budget's row, kept from the turns that spend of it, or a new one."""
    lock_account(account.pk)
    rows = Budget.objects.filter(account_id=account.pk, agent_instance_id=instance_id)
    found: Budget | None = rows.filter(period=period).select_for_update().first()
    if found is not None:
        return found
    start = start_of(BudgetPeriod(period), timezone.now())
    spent, reserved = _counted(account.pk, instance_id, start)
    return Budget(
        account=account,
        agent_instance_id=instance_id,
        period=period,
        period_start=start,
        spent=spent,
        reserved=reserved,
        alerted_percent=0,
    )


def _counted(account_id: UUID, instance_id: UUID | None, since: datetime) -> Any:
    """Return what the ledger says was spent since then, and what running turns have reserved."""
    with connection.cursor() as cursor:
        cursor.execute(COUNT, [account_id, instance_id, since])
        return cursor.fetchone()


def _reached(budget: Budget) -> int:
    if not budget.spent:
        return 0
    spent = budget.spent * 100
    return max((p for p in budget.alert_percents if spent >= p * budget.limit), default=0)
