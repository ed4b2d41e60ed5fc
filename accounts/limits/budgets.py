"""Sets and removes budgets: the dollars that an account or an agent may spend in a day or a month.

Turns reserve and settle in the database: accounts/sql/app_take_limits.sql, app_release_limits.sql.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from accounts.auth.caller import Caller
from accounts.limits.periods import start_of
from accounts.limits.quotas import lock_account
from accounts.models import Account, Budget, BudgetPeriod
from accounts.tenancy.agents import agent_slugs
from accounts.tenancy.context import tenant_context

MOST_PERCENT = 1000


def set_budget(
    account: Account,
    *,
    period: str,
    limit: Decimal,
    instance_id: UUID | None = None,
    alert_percents: Sequence[int] | None = None,
) -> Budget:
    """Make or change a budget for the platform; what was spent earlier in its period counts.

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
    is_grant: bool = True,
) -> Budget:
    """Do what set_budget does, inside an open context.

    A grant is what the platform's staff set: the account's owners stay within it.
    """
    if period not in BudgetPeriod.values:
        raise ValidationError(f"A budget is for a {' or a '.join(BudgetPeriod.values)}.")
    budget = _locked(account, period, instance_id)
    budget.limit = limit
    if is_grant:
        budget.granted = limit
    if alert_percents is not None:
        budget.alert_percents = sorted(set(alert_percents))
    check_percents(budget.alert_percents)
    # No alert is sent for what was spent before the limit was set.
    budget.alerted_percent = max(
        (
            percent
            for percent in budget.alert_percents
            if budget.spent and budget.spent * 100 >= percent * budget.limit
        ),
        default=0,
    )
    budget.full_clean()
    budget.save()
    return budget


def budgets_of_agent(instance_id: UUID) -> QuerySet[Budget]:
    return Budget.objects.filter(agent_instance_id=instance_id)


def budgets_of_account(account_id: UUID) -> QuerySet[Budget]:
    """Return the budgets of the whole account, not of its agents; in a context."""
    return Budget.objects.filter(account_id=account_id, agent_instance_id=None)


def usable_budgets(caller: Caller) -> list[tuple[Budget, str | None]]:
    """Return the account's budgets and those of the agents that the caller may use; in a context.

    With each comes its agent's slug, None for a budget of the whole account.
    """
    known = agent_slugs(caller.account_id).items()
    agents: dict[UUID | None, str | None] = {pk: slug for pk, slug in known if caller.may_use(pk)}
    agents[None] = None
    rows = Budget.objects.filter(account_id=caller.account_id)
    return [
        (row, agents[row.agent_instance_id])
        for row in rows.order_by("agent_instance_id", "period")
        if row.agent_instance_id in agents
    ]


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
    """Return the budget's row, locked against turns that spend of it, or a new one."""
    lock_account(account.pk)
    rows = Budget.objects.filter(account_id=account.pk, agent_instance_id=instance_id)
    found: Budget | None = rows.filter(period=period).select_for_update().first()
    if found is not None:
        return found
    start = start_of(BudgetPeriod(period), timezone.now())
    with connection.cursor() as cursor:
        # From the requests: what was settled since the start, and what running turns reserve.
        count = "SELECT spent, reserved FROM app_count_budget(%s, %s, %s)"
        cursor.execute(count, [account.pk, instance_id, start])
        spent, reserved = cursor.fetchone()
    return Budget(
        account=account,
        agent_instance_id=instance_id,
        period=period,
        period_start=start,
        spent=spent,
        reserved=reserved,
        alerted_percent=0,
    )
