"""The API for an account's limits and budgets: its owners set them within what staff grant."""

from __future__ import annotations

from http import HTTPStatus

from accounts.api.limit_schemas import (
    BudgetChangeIn,
    BudgetIn,
    BudgetOut,
    BudgetsOut,
    LimitOut,
    LimitsIn,
    LimitsOut,
)
from accounts.auth.decorators import ApiRequest, api_view, by_method
from accounts.limits import own
from accounts.limits.own import BudgetExists, BudgetGranted
from accounts.models import Scope
from salient.api.schemas import path_uuid
from salient.database import in_database


@api_view("GET", scope=Scope.LIMITS_READ, answer=LimitsOut)
async def limit_list(request: ApiRequest) -> LimitsOut:
    """List the account's limits, and the highest values that its owners may set."""
    found = await in_database(own.limits_of, request.caller.account_id)
    return LimitsOut.of_page([LimitOut.of(each) for each in found], None)


@api_view("PATCH", scope=Scope.LIMITS_WRITE, body=LimitsIn, answer=LimitsOut)
async def limits_change(request: ApiRequest, *, body: LimitsIn) -> LimitsOut:
    """Set limits within what the platform grants."""
    changes = body.model_dump(include=body.model_fields_set)
    found = await in_database(own.change_limits, request.caller.account_id, changes)
    return LimitsOut.of_page([LimitOut.of(each) for each in found], None)


@api_view("GET", scope=Scope.LIMITS_READ, answer=BudgetsOut)
async def budget_list(request: ApiRequest) -> BudgetsOut:
    """List the budgets of the account and of the agents that the caller may use."""
    found = await in_database(own.budgets_of, request.caller)
    return BudgetsOut.of_page([BudgetOut.of(each) for each in found], None)


@api_view(
    "POST",
    scope=Scope.LIMITS_WRITE,
    body=BudgetIn,
    answer=BudgetOut,
    status=HTTPStatus.CREATED,
    problems=(BudgetExists,),
)
async def budget_make(request: ApiRequest, *, body: BudgetIn) -> BudgetOut:
    """Make a budget; what was spent earlier in its period counts."""
    made = await in_database(
        own.make_budget,
        request.caller.account_id,
        agent=body.agent,
        period=body.period.value,
        limit=body.limit,
        alert_percents=body.alert_percents,
    )
    return BudgetOut.of(made)


@api_view("PATCH", scope=Scope.LIMITS_WRITE, body=BudgetChangeIn, answer=BudgetOut)
async def budget_change(request: ApiRequest, budget_id: str, *, body: BudgetChangeIn) -> BudgetOut:
    """Change a budget's limit or alerts."""
    changed = await in_database(
        own.change_budget,
        request.caller.account_id,
        path_uuid(budget_id, "budget"),
        limit=body.limit,
        alert_percents=body.alert_percents,
    )
    return BudgetOut.of(changed)


@api_view(
    "DELETE",
    scope=Scope.LIMITS_WRITE,
    status=HTTPStatus.NO_CONTENT,
    problems=(BudgetGranted,),
)
async def budget_delete(request: ApiRequest, budget_id: str) -> None:
    """Delete a budget that the account's owners have made."""
    await in_database(own.delete_budget, request.caller.account_id, path_uuid(budget_id, "budget"))


account_limits = by_method(limit_list, limits_change)
all_budgets = by_method(budget_list, budget_make)
one_budget = by_method(budget_change, budget_delete)
