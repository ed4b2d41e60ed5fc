"""The usage page: what a month cost, by account, agent, model and key; and the same as CSV."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from functools import partial
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import path, reverse
from django.views.decorators.http import require_safe

from accounts.admin import registry
from accounts.admin.lists.filters import ACCOUNT, FROM, TO
from accounts.admin.registry import Link
from accounts.audit.csv_export import note_export
from accounts.models import Account
from accounts.tenancy.replica import read_as_platform
from salient.api.problems import Invalid
from salient.formatting import count, day, spend
from sessions_app.admin.filters import UsageFilters
from sessions_app.admin.overview.page import may_see
from sessions_app.admin.overview.usage_charts import requests_page
from sessions_app.models import UsageDay
from sessions_app.usage.months import Part, Usage, latest_months, month_of, name_of
from sessions_app.usage.queries import DAY, Days, Figures, today

MOST_SHOWN = 200
# Months before and after other days do not exist.
YEARS = range(2000, 3000)
BY, MONTH = "by", "month"
COLUMNS = ("Requests", "Failed", "Cancelled", "Tokens read", "Written", "Spend")
USUAL = (Part.ACCOUNT, Part.AGENT, Part.MODEL)


class MonthFilters(UsageFilters):
    """The month or the days, the account, and what a row is."""

    month = forms.ChoiceField(required=False)
    by = forms.MultipleChoiceField(
        label="a row for each",
        required=False,
        choices=[(part.value, part.value) for part in Part],
        widget=forms.CheckboxSelectMultiple,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        months = [(name_of(each), f"{each.first:%B %Y}") for each in latest_months()]
        month: Any = self.fields[MONTH]
        month.choices = [("", "the days below"), *months]
        self.fields = {MONTH: self.fields.pop(MONTH), **self.fields}

    def clean(self) -> dict[str, Any]:
        values = super().clean()
        if Part.KEY in values.get(BY, []) and self.account is None and ACCOUNT not in self.errors:
            self.add_error(ACCOUNT, "Keys are summed for one account: choose it.")
        for name in (FROM, TO):
            if (chosen := values.get(name)) and chosen.year not in YEARS:
                self.add_error(name, f"Choose a day of {YEARS[0]} to {YEARS[-1]}.")
        return values

    def days(self) -> Days:
        """Return the chosen month, else the chosen days."""
        if text := self.cleaned_data.get(MONTH):
            return month_of(date.fromisoformat(f"{text}-01"))
        first, last = (self.cleaned_data.get(name) for name in (FROM, TO))
        last = last or max(today(), first or today())
        return Days(first or last.replace(day=1), last)

    def parts(self) -> list[Part]:
        return [Part(name) for name in self.cleaned_data.get(BY, [])]


def _asked(request: HttpRequest) -> QueryDict:
    """Return what the address asks for: without days this month, in the usual rows."""
    query = request.GET.copy()
    if not any(query.get(name) for name in (MONTH, FROM, TO)):
        query[MONTH] = name_of(month_of(today()))
    if not query.getlist(BY):
        query.setlist(BY, list(USUAL))
    return query


def usage_page(request: HttpRequest) -> HttpResponse:
    """Show the use of the chosen days, or send it as CSV."""
    wants_keys = Part.KEY in request.GET.getlist(BY)
    if not may_see(request) or (wants_keys and not request.user.has_perm("accounts.view_apikey")):
        raise PermissionDenied
    form = MonthFilters(_asked(request), model=UsageDay, moment="day")
    usage = _usage(form)
    if usage is not None and request.GET.get("format") == "csv":
        return _as_csv(request, form, usage)
    context = {
        **admin.site.each_context(request),
        "title": "Usage",
        "form": form,
        **(_shown(form, usage) if usage else {}),
    }
    return render(request, "admin/usage.html", context)


def _usage(form: MonthFilters) -> Usage | None:
    """Return what was used; None where the form says what is wrong with it."""
    if not form.is_valid():
        return None
    try:
        return read_as_platform(partial(Usage.of, form.days(), form.parts(), form.account))
    except Invalid as problem:
        form.add_error(FROM, problem.detail.partition(": ")[2])
        return None


def _as_csv(request: HttpRequest, form: MonthFilters, usage: Usage) -> HttpResponse:
    """Send the rows in a file that is named by its account and month."""
    chosen = {"from": str(usage.days.first), "to": str(usage.days.last)}
    if form.account is not None:
        chosen["account"] = form.account.slug
    note_export(request, form.account, UsageDay._meta.db_table, chosen)
    name = f"usage-{form.account.slug if form.account else 'all'}-{name_of(usage.days)}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return HttpResponse(usage.as_csv(), content_type="text/csv; charset=utf-8", headers=headers)


def _shown(form: MonthFilters, usage: Usage) -> dict[str, Any]:
    days, account = usage.days, form.account
    chosen: list[tuple[str, str]] = [(BY, part.value) for part in form.parts()]
    if account is not None:
        chosen.append((ACCOUNT, str(account.pk)))
    rows = usage.dearest(MOST_SHOWN)
    return {
        "usage": usage,
        "days_named": f"{days.first:%B %Y}" if days == month_of(days.first) else _named(days),
        "account_named": account.name if account else "all accounts",
        "steps": list(_steps(days, chosen)),
        # Each name with what it is a name of: on a phone a row is a block of lines.
        "rows": [
            (list(zip(usage.parts, row.names, strict=True)), _columns(row.figures)) for row in rows
        ],
        "total_cells": _columns(usage.total),
        "left_out": len(usage.rows) - len(rows),
        "all_rows": requests_page(days.first, days.last, account.pk if account else None),
        "csv": _address(days, [*chosen, ("format", "csv")]),
    }


def _named(days: Days) -> str:
    return f"{day(days.first)} to {day(days.last)}"


def _steps(days: Days, chosen: list[tuple[str, str]]) -> Iterable[Link]:
    """Lead to the month before these days, and to the one after."""
    before = month_of(days.first - DAY)
    yield f"{before.first:%B %Y}", _address(before, chosen)
    after = month_of(days.last + DAY)
    if after.first <= today():
        yield f"{after.first:%B %Y}", _address(after, chosen)


def _address(days: Days, chosen: list[tuple[str, str]]) -> str:
    if days in latest_months():
        return "?" + urlencode([(MONTH, name_of(days)), *chosen])
    return "?" + urlencode([(FROM, str(days.first)), (TO, str(days.last)), *chosen])


def _columns(figures: Figures) -> list[tuple[str, str]]:
    numbers = (figures.requests, figures.failed, figures.cancelled)
    tokens = (figures.input_tokens, figures.output_tokens)
    cells = [*map(count, (*numbers, *tokens)), spend(figures.cost, figures.unpriced)]
    return list(zip(COLUMNS, cells, strict=True))


def _overview_link(request: HttpRequest) -> Iterable[Link]:
    if may_see(request):
        yield "Usage by month", reverse("admin:usage")


def _account_link(request: HttpRequest, account: Account) -> Iterable[Link]:
    if may_see(request):
        yield "Usage", f"{reverse('admin:usage')}?{urlencode({ACCOUNT: account.pk})}"


registry.overview.add_links(_overview_link)
registry.account_page.add_links(_account_link)
registry.own_pages.append(
    path("usage/", admin.site.admin_view(require_safe(usage_page)), name="usage")
)
