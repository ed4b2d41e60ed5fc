"""Limits and budgets as an account's owners set them: within what the platform's staff grant.

What staff set (in the admin, by a command) is a grant. Owners may set less and go back to it. A
limit without a grant has the installation's default for one, and a budget without one is the
owners' own: they change and delete it as they like.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from http import HTTPStatus
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError

from accounts.auth.caller import Caller
from accounts.limits.budgets import MOST_PERCENT, put_budget, usable_budgets
from accounts.limits.quotas import forget_caps, limit_of, lock_account, own_limits
from accounts.limits.registry import LIMITS, Limit
from accounts.models import Account, AccountLimits, Budget
from accounts.tenancy.agents import agent_slugs
from accounts.tenancy.context import tenant_context
from salient.api.problems import Invalid, Problem, first_or_404
from salient.formatting import dollars


class BudgetExists(Problem):
    """There is a budget for this agent and period."""

    status = HTTPStatus.CONFLICT
    code = "budget_exists"
    detail = "There is such a budget already: change that one."


class BudgetGranted(Problem):
    """The platform has set the budget: it may be lowered, not deleted."""

    status = HTTPStatus.CONFLICT
    code = "budget_granted"

    def __init__(self, granted: Decimal) -> None:
        super().__init__(
            f"The platform has set this budget to {dollars(granted)} dollars: "
            "you may lower and restore it, but not remove it."
        )


@dataclass(frozen=True, slots=True)
class OwnLimit:
    """What holds, and the most that the owners may set.

    `limit` None: what an agent's configuration says.
    """

    registered: Limit
    limit: int | None
    most: int


def limits_of(account_id: UUID) -> list[OwnLimit]:
    """List what limits the account, in the order of the registry."""
    with tenant_context(account_id):
        return _limits(own_limits(account_id))


def change_limits(account_id: UUID, wanted: Mapping[str, int | None]) -> list[OwnLimit]:
    """Set limits by name; None puts one back to what is granted. Raises Invalid above that."""
    with tenant_context(account_id):
        row = lock_account(account_id)
        wrong = [
            (name, f"from 1 to {_most(row, name)}; the platform grants no more")
            for name, limit in wanted.items()
            if limit is not None and not 1 <= limit <= _most(row, name)
        ]
        if wrong:
            raise Invalid.fields(wrong)
        for name, limit in wanted.items():
            setattr(row, name, row.granted.get(name) if limit is None else limit)
        if wanted:
            # Never `running`: turns start and end meanwhile.
            row.save(update_fields=list(wanted))
    forget_caps()
    return _limits(row)


def _limits(row: AccountLimits | None) -> list[OwnLimit]:
    return [
        OwnLimit(limit, limit_in_force(row, name), _most(row, name))
        for name, limit in LIMITS.items()
    ]


def limit_in_force(row: AccountLimits | None, name: str) -> int | None:
    """Do as limit_of; None where neither the account nor the installation has such a limit."""
    has_one = getattr(row, name, None) is not None or LIMITS[name].default is not None
    return limit_of(row, name) if has_one else None


def _most(row: AccountLimits | None, name: str) -> int:
    limit, granted = LIMITS[name], row.granted.get(name) if row else None
    default = settings.DEFAULT_LIMITS.get(name)
    return min(limit.highest, granted or (limit.highest if default is None else default))


@dataclass(frozen=True, slots=True)
class OwnBudget:
    """A budget with the slug of its agent; None for the whole account's."""

    budget: Budget
    agent: str | None


def budgets_of(caller: Caller) -> list[OwnBudget]:
    """List the account's budgets and those of the agents that the caller may use."""
    with tenant_context(caller.account_id):
        return [OwnBudget(budget, agent) for budget, agent in usable_budgets(caller)]


def make_budget(
    account_id: UUID,
    *,
    agent: str | None,
    period: str,
    limit: Decimal,
    alert_percents: Sequence[int] | None,
) -> OwnBudget:
    """Make a budget; `agent` is a slug. Raises Invalid, BudgetExists."""
    with tenant_context(account_id):
        lock_account(account_id)
        instance_id = _agent_id(account_id, agent)
        same = Budget.objects.filter(agent_instance_id=instance_id, period=period)
        if same.exists():
            raise BudgetExists
        return OwnBudget(_put(account_id, instance_id, period, limit, alert_percents), agent)


def change_budget(
    account_id: UUID,
    budget_id: UUID,
    *,
    limit: Decimal | None = None,
    alert_percents: Sequence[int] | None = None,
) -> OwnBudget:
    """Change what is given; raises NotFound, and Invalid above what staff have set."""
    with tenant_context(account_id):
        budget = _locked(account_id, budget_id)
        limit = budget.limit if limit is None else limit
        if budget.granted is not None and limit > budget.granted:
            most = dollars(budget.granted)
            raise Invalid.field("limit", f"at most {most}; the platform grants no more")
        changed = _put(account_id, budget.agent_instance_id, budget.period, limit, alert_percents)
        # No agent has the account's id.
        agent = agent_slugs(account_id).get(changed.agent_instance_id or account_id)
        return OwnBudget(changed, agent)


def delete_budget(account_id: UUID, budget_id: UUID) -> None:
    """Delete a budget of the owners' own; raises NotFound, BudgetGranted."""
    with tenant_context(account_id):
        budget = _locked(account_id, budget_id)
        if budget.granted is not None:
            raise BudgetGranted(budget.granted)
        Budget.objects.filter(pk=budget.pk).delete()


def _locked(account_id: UUID, budget_id: UUID) -> Budget:
    lock_account(account_id)
    return first_or_404(Budget.objects.filter(pk=budget_id), "budget")


def _put(
    account_id: UUID,
    instance_id: UUID | None,
    period: str,
    limit: Decimal,
    alert_percents: Sequence[int] | None,
) -> Budget:
    if any(not 1 <= percent <= MOST_PERCENT for percent in alert_percents or ()):
        raise Invalid.field("alert_percents", f"each is a number from 1 to {MOST_PERCENT}")
    try:
        return put_budget(
            Account.objects.get(pk=account_id),
            period=period,
            limit=limit,
            instance_id=instance_id,
            alert_percents=alert_percents,
            is_grant=False,
        )
    except ValidationError as error:
        raise Invalid.of_rules(error) from error


def _agent_id(account_id: UUID, slug: str | None) -> UUID | None:
    if slug is None:
        return None
    for pk, known in agent_slugs(account_id).items():
        if known == slug:
            return pk
    raise Invalid.field("agent", f"the account has no agent “{slug}”")
