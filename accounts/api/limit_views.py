"""The API for an account's limits and budgets: its owners set them within what staff grant."""

from __future__ import annotations

from http import HTTPStatus

from django.http import HttpResponse

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
from accounts.models import Scope
from salient.api.schemas import path_uuid
from salient.database import in_database


# openapi: answer=LimitsOut
@api_view("GET", scope=Scope.LIMITS_READ)
async def limit_list(request: ApiRequest) -> HttpResponse:
    """List the account's limits, and the most that its owners may set."""
    found = await in_database(own.limits_of, request.caller.account_id)
    return LimitsOut(data=[LimitOut.of(each) for each in found]).as_response()


# openapi: body=LimitsIn, answer=LimitsOut
@api_view("PATCH", scope=Scope.LIMITS_WRITE)
async def limits_change(request: ApiRequest) -> HttpResponse:
    """Set limits within what the platform grants."""
    wanted = LimitsIn.of_body(request)
    changes = wanted.model_dump(include=wanted.model_fields_set)
    found = await in_database(own.change_limits, request.caller.account_id, changes)
    return LimitsOut(data=[LimitOut.of(each) for each in found]).as_response()


# openapi: answer=BudgetsOut
@api_view("GET", scope=Scope.LIMITS_READ)
async def budget_list(request: ApiRequest) -> HttpResponse:
    """List the budgets of the account and of the agents that the caller may use."""
    found = await in_database(own.budgets_of, request.caller)
    return BudgetsOut(data=[BudgetOut.of(each) for each in found]).as_response()


# openapi: body=BudgetIn, answer=BudgetOut, status=201, problems=(BudgetExists,)
@api_view("POST", scope=Scope.LIMITS_WRITE)
async def budget_make(request: ApiRequest) -> HttpResponse:
    """Make a budget; what was spent earlier in its period counts."""
    wanted = BudgetIn.of_body(request)
    made = await in_database(
        own.make_budget,
        request.caller.account_id,
        agent=wanted.agent,
        period=wanted.period.value,
        limit=wanted.limit,
        alert_percents=wanted.alert_percents,
    )
    response = BudgetOut.of(made).as_response()
    response.status_code = HTTPStatus.CREATED
    return response


# openapi: body=BudgetChangeIn, answer=BudgetOut
@api_view("PATCH", scope=Scope.LIMITS_WRITE)
async def budget_change(request: ApiRequest, budget_id: str) -> HttpResponse:
    """Change a budget's limit or alerts."""
    wanted = BudgetChangeIn.of_body(request)
    changed = await in_database(
        own.change_budget,
        request.caller.account_id,
        path_uuid(budget_id),
        limit=wanted.limit,
        alert_percents=wanted.alert_percents,
    )
    return BudgetOut.of(changed).as_response()


# openapi: status=204, problems=(BudgetGranted,)
@api_view("DELETE", scope=Scope.LIMITS_WRITE)
async def budget_delete(request: ApiRequest, budget_id: str) -> HttpResponse:
    """Delete a budget that the account's owners have made."""
    await in_database(own.delete_budget, request.caller.account_id, path_uuid(budget_id))
    return HttpResponse(status=HTTPStatus.NO_CONTENT)


account_limits = by_method(limit_list, limits_change)
all_budgets = by_method(budget_list, budget_make)
one_budget = by_method(budget_change, budget_delete)
