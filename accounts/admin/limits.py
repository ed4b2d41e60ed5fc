"""The staff's pages for budgets and limits: amounts and bounds are typed in, counters never."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.admin.base import PlatformModelAdmin
from accounts.limits.budgets import check_percents, put_budget
from accounts.limits.periods import current_period
from accounts.limits.quotas import forget_caps, limit_of, lock_account
from accounts.limits.registry import LIMITS, Limit
from accounts.models import AccountLimits, Budget
from salient.formatting import exact_money, money

COUNTED = ("was_spent", "is_reserved", "left", "period_start")


class BudgetForm(forms.ModelForm[Budget]):
    class Meta:
        model = Budget
        fields = ("account", "agent_instance_id", "period", "limit", "alert_percents")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if isinstance(limit := self.initial.get("limit"), Decimal):
            # As it was typed, and not with all the digits that the column has.
            self.initial["limit"] = exact_money(limit).strip("$").replace(",", "")

    def clean_alert_percents(self) -> list[int]:
        percents: list[int] = self.cleaned_data["alert_percents"]
        check_percents(percents)
        return percents


@admin.register(Budget)
class BudgetAdmin(PlatformModelAdmin[Budget]):
    """A budget keeps its account, agent and period; what turns count in it stays theirs."""

    form = BudgetForm
    list_display = ["account", "agent", "period", "most", *COUNTED[:3]]
    list_select_related = ["account"]
    list_filter = ["period", "account"]
    search_fields = ["account__slug"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Budget]:
        return super().get_queryset(request).prefetch_related("account__agent_instances")

    def get_fields(self, request: HttpRequest, obj: Budget | None = None) -> list[Any]:
        if obj is None:
            return list(BudgetForm.Meta.fields)
        limit = "limit" if self.has_change_permission(request, obj) else "most"
        return ["account", "agent", "period", limit, "alert_percents", *COUNTED]

    def get_readonly_fields(self, request: HttpRequest, obj: Budget | None = None) -> list[str]:
        return ["account", "agent", "period", "most", *COUNTED] if obj else []

    @admin.display(description="of")
    def agent(self, budget: Budget) -> str:
        agents: Any = budget.account.agent_instances
        names = {agent.pk: str(agent.instance_slug) for agent in agents.all()}
        return names.get(budget.agent_instance_id, "the whole account")

    @admin.display(description="limit", ordering="limit")
    def most(self, budget: Budget) -> str:
        return exact_money(budget.limit)

    @admin.display(description="spent", ordering="spent")
    def was_spent(self, budget: Budget) -> str:
        return money(budget.spent)

    @admin.display(description="reserved", ordering="reserved")
    def is_reserved(self, budget: Budget) -> str:
        return money(budget.reserved)

    @admin.display(description="left")
    def left(self, budget: Budget) -> str:
        return money(current_period(budget).remaining)

    def save_model(self, request: HttpRequest, obj: Budget, form: Any, change: bool) -> None:  # noqa: FBT001
        kept = put_budget(
            obj.account,
            period=obj.period,
            limit=obj.limit,
            instance_id=obj.agent_instance_id,
            alert_percents=obj.alert_percents,
        )
        obj.pk = kept.pk


class LimitsForm(forms.ModelForm[AccountLimits]):
    """Every bound is above 0, or empty for the installation's."""

    class Meta:
        model = AccountLimits
        fields = ["account", *LIMITS]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, limit in LIMITS.items():
            if name in self.fields:
                self.fields[name].validators += [
                    MinValueValidator(1),
                    MaxValueValidator(limit.highest),
                ]
                self.fields[name].help_text = _help_text(limit)


def _help_text(limit: Limit) -> str:
    """Name what is counted, and what applies while the field is empty."""
    default = settings.DEFAULT_LIMITS.get(limit.name)
    if default is None:
        return f"{limit.unit}; empty: what the agent's configuration says"
    return f"{limit.unit}; empty: the installation's {default:,}"


@admin.register(AccountLimits)
class AccountLimitsAdmin(PlatformModelAdmin[AccountLimits]):
    form = LimitsForm
    list_display = ["account", "running_now", "concurrent_turns", "requests_per_minute"]
    list_select_related = ["account"]
    search_fields = ["account__slug"]

    def get_fields(self, request: HttpRequest, obj: AccountLimits | None = None) -> list[Any]:
        return ["account", *LIMITS, *(["running_now"] if obj else [])]

    def get_readonly_fields(
        self, request: HttpRequest, obj: AccountLimits | None = None
    ) -> list[str]:
        return ["account", "running_now"] if obj else []

    @admin.display(description="running now")
    def running_now(self, row: AccountLimits) -> str:
        return f"{row.running} of {limit_of(row, 'concurrent_turns')}"

    def has_delete_permission(self, request: HttpRequest, obj: AccountLimits | None = None) -> bool:
        return False

    def save_model(
        self,
        request: HttpRequest,
        obj: AccountLimits,
        form: Any,
        change: bool,  # noqa: FBT001
    ) -> None:
        lock_account(obj.account_id)
        # Never `running`: turns start and end while the form is open.
        AccountLimits.objects.filter(pk=obj.pk).update(
            **{name: getattr(obj, name) for name in LIMITS}
        )
        forget_caps()
