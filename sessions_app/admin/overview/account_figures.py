"""What an account used, for the staff's pages of accounts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from django.http import HttpRequest

from accounts.admin.account.admin import AccountAdmin
from accounts.models import Account, User
from salient.formatting import count, spend
from sessions_app.admin.overview.page import (
    RIGHTS,
    chosen,
    latest_failures,
    now_and_before,
    ranges,
    tiles,
)
from sessions_app.admin.overview.svg_charts import sparkline
from sessions_app.admin.overview.usage_charts import (
    latency_chart,
    requests_chart,
    requests_page,
    spend_chart,
    tokens_chart,
)
from sessions_app.usage.queries import NOTHING, Days, Figures, by_day, by_day_and, figures_by, total

TREND_DAYS = 30


def row_figures(account_ids: Collection[UUID]) -> Mapping[UUID, dict[str, str]]:
    """Tell of each account's month and of its last days: two queries for any number of them."""
    month = figures_by("account_id", days=Days.this_month(), accounts=account_ids)
    days = Days.until_today(TREND_DAYS)
    trends = by_day_and(figures_by("day", "account_id", days=days, accounts=account_ids))
    return {
        key: told(month.get(key, NOTHING)) | trend(trends.get(key, {}), days) for key in account_ids
    }


def page_figures(request: HttpRequest, account: Account) -> dict[str, Any]:
    """Return what the account's page shows of its use, to who may see the rows behind it."""
    if not (isinstance(request.user, User) and request.user.has_perms(RIGHTS)):
        return {}
    days, key = Days.until_today(chosen(request)), account.pk
    now, before = now_and_before(days, key)
    return {
        "ranges": ranges(days),
        "tiles": tiles(total(now), total(before), days, key),
        "charts": [
            spend_chart(figures_by("day", "model", days=days, account_id=key), days, key),
            requests_chart(now, days, key),
            latency_chart(now, days, key),
            tokens_chart(now, days, key),
        ],
        "failures": latest_failures(now, days, key),
        "all_failures": requests_page(days.first, days.last, key, failed=True),
        "agent_figures": agent_figures(key),
    }


def agent_figures(account_id: UUID) -> dict[UUID, dict[str, str]]:
    """Tell of each agent's month and of its last days."""
    month = figures_by("agent_instance_id", days=Days.this_month(), account_id=account_id)
    days = Days.until_today(TREND_DAYS)
    trends = by_day_and(figures_by("day", "agent_instance_id", days=days, account_id=account_id))
    return {
        key: told(month.get(key, NOTHING)) | trend(trends.get(key, {}), days)
        for key in month.keys() | trends.keys()
    }


def told(figures: Figures) -> dict[str, str]:
    return {"requests": count(figures.requests), "spend": spend(figures.cost, figures.unpriced)}


def trend(found: Mapping[Any, Figures], days: Days) -> dict[str, str]:
    """Return the points of a line of requests, with what it says in words."""
    values = [figures.requests for _, figures in by_day(found, days)]
    words = f"{count(sum(values))} requests in {len(days)} days, {count(max(values))} at most"
    return {"points": sparkline(values) if any(values) else "", "words": words}


AccountAdmin.row_figures = staticmethod(row_figures)
AccountAdmin.page_figures = staticmethod(page_figures)
