"""Budgets and limits in the admin: staff type amounts and bounds in, never counters."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.http import HttpRequest

from accounts.admin.base import AccountFirstAdmin, PlatformModelAdmin, chosen_account
from accounts.admin.lists.private import SearchedList
from accounts.limits.budgets import check_percents, put_budget
from accounts.limits.overview import WHOLE_ACCOUNT
from accounts.limits.periods import current_period
from accounts.limits.quotas import forget_caps, grant, limit_of
from accounts.limits.registry import LIMITS, Limit
from accounts.models import AccountLimits, Budget
from accounts.models.account import default_alert_percents
from accounts.tenancy.agents import agent_slugs
from salient.formatting import count, exact_money, money

COUNTERS = ["bound", "was_spent", "is_reserved", "left", "period_start"]


class PercentsField(forms.CharField):
    """Percentages of a budget: whole numbers with commas between them."""

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(map(str, value)) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        words = (value or "").replace("%", " ").replace(",", " ").split()
        if not all(word.isdecimal() for word in words):
            raise ValidationError("Write whole numbers with commas between them, such as 80, 100.")
        percents = sorted({int(word) for word in words})
        check_percents(percents)
        return percents

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.to_python(data) != (initial or []))
        except ValidationError:
            return True


class BudgetForm(forms.ModelForm[Budget]):
    agent_instance_id = forms.TypedChoiceField(
        label="Budget of", required=False, coerce=UUID, empty_value=None
    )
    alert_percents = PercentsField(
        label="Alert at",
        required=False,
        initial=default_alert_percents,
        help_text="Percentages of the limit, such as 80, 100. The owners get an e-mail at each.",
    )

    class Meta:
        model = Budget
        fields = ("account", "agent_instance_id", "period", "limit", "alert_percents")
        widgets = {"account": forms.HiddenInput}

    # The chosen account's agents, by id.
    agents: Mapping[UUID, str] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "agent_instance_id" in self.fields:
            agents = sorted(self.agents.items(), key=lambda agent: agent[1])
            field: Any = self.fields["agent_instance_id"]
            field.choices = [("", WHOLE_ACCOUNT), *agents]
        if isinstance(limit := self.initial.get("limit"), Decimal):
            # As it was typed: the column has more digits.
            self.initial["limit"] = exact_money(limit).strip("$").replace(",", "")


class BudgetList(SearchedList):
    """Names the agents of all budgets in one query."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        slugs = agent_slugs(*{budget.account_id for budget in self.result_list})
        for budget in self.result_list:
            budget.agent_slug = slugs.get(budget.agent_instance_id)


@admin.register(Budget)
class BudgetAdmin(AccountFirstAdmin[Budget]):
    """A budget's account, agent and period stay as they are, and only turns change its counters."""

    whose = "Whose budget?"
    menu_group, menu_place = "Tenants", 7
    nothing_yet = "No budgets: accounts may spend without limit."
    changelist_class = BudgetList
    form = BudgetForm
    list_display = ["account", "agent", "period", "most", "was_spent", "is_reserved", "left"]
    list_select_related = ["account"]
    list_filter = ["period", "account"]
    search_fields = ["account__slug"]
    search_help_text = "A part of an account's slug."
    list_numbers = ("most", "was_spent", "is_reserved", "left")

    def get_form(
        self,
        request: HttpRequest,
        obj: Budget | None = None,
        change: bool = False,  # noqa: FBT001, FBT002
        **options: Any,
    ) -> Any:
        form: Any = super().get_form(request, obj, change, **options)
        account = chosen_account(request) if obj is None else None
        form.agents = agent_slugs(account.pk) if account else {}
        return form

    def get_fields(self, request: HttpRequest, obj: Budget | None = None) -> list[Any]:
        if obj is None:
            return list(BudgetForm.Meta.fields)
        limit = "limit" if self.has_change_permission(request, obj) else "most"
        return ["account", "agent", "period", limit, "alert_percents", *COUNTERS]

    def get_readonly_fields(self, request: HttpRequest, obj: Budget | None = None) -> list[str]:
        return ["account", "agent", "period", "most", *COUNTERS] if obj else []

    @admin.display(description="of")
    def agent(self, budget: Any) -> str:
        if budget.agent_instance_id is None:
            return WHOLE_ACCOUNT
        if not hasattr(budget, "agent_slug"):
            budget.agent_slug = agent_slugs(budget.account_id).get(budget.agent_instance_id)
        return budget.agent_slug or WHOLE_ACCOUNT

    @admin.display(description="limit", ordering="limit")
    def most(self, budget: Budget) -> str:
        return exact_money(budget.limit)

    @admin.display(description="the owners may set")
    def bound(self, budget: Budget) -> str:
        if budget.granted is None:
            return "what they like: it is their own"
        return f"at most {exact_money(budget.granted)}"

    @admin.display(description="spent", ordering="spent")
    def was_spent(self, budget: Budget) -> str:
        return money(budget.spent)

    @admin.display(description="reserved", ordering="reserved")
    def is_reserved(self, budget: Budget) -> str:
        return money(budget.reserved)

    @admin.display(description="left")
    def left(self, budget: Budget) -> str:
        return money(current_period(budget).remaining)

    def save_model(self, request: HttpRequest, obj: Budget, form: Any, change: Any) -> None:
        saved = put_budget(
            obj.account,
            period=obj.period,
            limit=obj.limit,
            instance_id=obj.agent_instance_id,
            alert_percents=obj.alert_percents,
            # The owners may have lowered it: then it is theirs that stays.
            is_grant=not change or obj.limit != Decimal(form.initial["limit"]),
        )
        obj.pk = saved.pk


class LimitsForm(forms.ModelForm[AccountLimits]):
    """Each limit is above 0, or empty for the installation's default."""

    class Meta:
        model = AccountLimits
        fields = ("account", *LIMITS)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in self.fields.keys() & LIMITS:
            field, limit = self.fields[name], LIMITS[name]
            field.validators += [MinValueValidator(1), MaxValueValidator(limit.highest)]
            field.help_text = _help_text(limit)


def _help_text(limit: Limit) -> str:
    """Name what is counted, and what applies while the field is empty."""
    default = settings.DEFAULT_LIMITS.get(limit.name)
    if default is None:
        return f"{limit.unit}; empty: what the agent's configuration says"
    return f"{limit.unit}; empty: the installation's {default:,}"


@admin.register(AccountLimits)
class AccountLimitsAdmin(PlatformModelAdmin[AccountLimits]):
    menu_group, menu_place = "Tenants", 8
    nothing_yet = "Every account has the installation's limits."
    forbidden = frozenset({"delete"})
    form = LimitsForm
    list_display = ["account", "running_now", "most_at_once", "most_a_minute"]
    list_select_related = ["account"]
    search_fields = ["account__slug"]
    search_help_text = "A part of an account's slug."
    list_numbers = ("running_now", "most_at_once", "most_a_minute")

    def get_fields(self, request: HttpRequest, obj: AccountLimits | None = None) -> list[Any]:
        return ["account", *LIMITS, *(["grants", "running_now"] if obj else [])]

    def get_readonly_fields(
        self, request: HttpRequest, obj: AccountLimits | None = None
    ) -> list[str]:
        return ["account", "grants", "running_now"] if obj else []

    @admin.display(description="the owners may set")
    def grants(self, row: AccountLimits) -> str:
        granted = [f"{LIMITS[name].label}: {most:,}" for name, most in row.granted.items()]
        return f"at most {', '.join([*granted, 'of all others the default'])}"

    @admin.display(description="concurrent turns", ordering="concurrent_turns")
    def most_at_once(self, row: AccountLimits) -> str:
        return self._number(row.concurrent_turns)

    @admin.display(description="requests per minute", ordering="requests_per_minute")
    def most_a_minute(self, row: AccountLimits) -> str:
        return self._number(row.requests_per_minute)

    def _number(self, limit: int | None) -> str:
        return "installation's" if limit is None else count(limit)

    @admin.display(description="running now")
    def running_now(self, row: AccountLimits) -> str:
        return f"{count(row.running)} of {count(limit_of(row, 'concurrent_turns'))}"

    def save_model(self, request: HttpRequest, obj: AccountLimits, form: Any, change: Any) -> None:
        # Only what was typed in: the owners may have lowered the others.
        wanted = {name: getattr(obj, name) for name in LIMITS if name in form.changed_data}
        grant(obj.account_id, wanted)
        forget_caps()
