"""What accounts and their agents used: figures of the account's page and of lists."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from django.http import HttpRequest

from accounts.admin import registry
from accounts.models import Account
from agents.admin.page_base import instance_rows
from salient.formatting import count, spend
from sessions_app.admin.overview.page import (
    chosen,
    feedback_tiles,
    may_see,
    now_and_before,
    ranges,
    tiles,
)
from sessions_app.admin.overview.svg_charts import sparkline
from sessions_app.admin.overview.usage_charts import charts, requests_page
from sessions_app.usage.failures import latest_failures
from sessions_app.usage.queries import NOTHING, Days, Figures, by_day, by_day_and, figures_by, total
from sessions_app.usage.refused import refused_of_account

TREND_DAYS = 30


def account_figures(account_ids: Collection[UUID]) -> dict[UUID, dict[str, str]]:
    """Return each account's figures for its row; two queries for any number of accounts."""
    found = rows_by("account_id", accounts=account_ids)
    nothing = row_of(NOTHING, {})
    return {key: found.get(key, nothing) for key in account_ids}


def agent_figures(request: HttpRequest, account_id: UUID) -> dict[UUID, dict[str, str]]:
    """Return the figures of each of the account's agents, for who may see the rows behind them."""
    return rows_by("agent_instance_id", account_id=account_id) if may_see(request) else {}


def rows_by(column: str, **which: Any) -> dict[UUID, dict[str, str]]:
    """Return this month's figures and the last days' trend by a column of usage_days."""
    days = Days.until_today(TREND_DAYS)
    month = figures_by(column, days=Days.this_month(), **which)
    trends = by_day_and(figures_by("day", column, days=days, **which))
    return {
        key: row_of(month.get(key, NOTHING), trends.get(key, {})) for key in month.keys() | trends
    }


def row_of(month: Figures, trend: Mapping[Any, Figures]) -> dict[str, str]:
    """Return a row's figures: `requests` and `spend` of the month, and a line of requests.

    The line is given by its `points` and in `words`.
    """
    days = Days.until_today(TREND_DAYS)
    values = [figures.requests for _, figures in by_day(trend, days)]
    return {
        "requests": count(month.requests),
        "spend": spend(month.cost, month.unpriced),
        "points": sparkline(values) if any(values) else "",
        "words": f"{count(sum(values))} requests in {len(days)} days, {count(max(values))} at most",
    }


def page_figures(request: HttpRequest, account: Account) -> dict[str, Any]:
    """Return what the account's page shows of its use, to who may see the rows behind it."""
    if not may_see(request):
        return {}
    days, key = Days.until_today(chosen(request)), account.pk
    now, before = now_and_before(days, key)
    return {
        "ranges": ranges(days),
        "tiles": [*tiles(total(now), total(before), days, key), *feedback_tiles(request, key)],
        **charts(now, figures_by("day", "model", days=days, account_id=key), days, key),
        "failures": latest_failures(now, days, key),
        "all_failures": requests_page(days.first, days.last, key, failed=True),
    }


def refusals(request: HttpRequest, account: Account) -> dict[str, Any]:
    """Return the account's refused calls, to who may see its requests."""
    if not may_see(request):
        return {}
    days = Days.until_today(chosen(request))
    return {"refusals": refused_of_account(account.pk, days), "refusal_days": len(days)}


registry.account_rows.add(account_figures)
registry.account_page.add(
    page_figures, figures="admin/overview/account.html", panel="admin/overview/failures.html"
)
registry.account_page.add(refusals, panel="admin/overview/refusals.html")
instance_rows.add(agent_figures)
