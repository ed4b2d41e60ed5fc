"""The admin's first page: what happens on the platform, and where to look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.http import HttpRequest

from accounts.admin import registry
from accounts.admin.formatting import row_address
from accounts.limits.overview import Bar, account_bars
from accounts.models import Account, User
from accounts.tenancy.accounts import find_accounts
from salient.formatting import compact, count, duration, money, share, spend
from sessions_app.admin.overview.open_feedback import MAY_SEE, open_of
from sessions_app.admin.overview.usage_charts import charts, requests_page
from sessions_app.usage.failures import latest_failures
from sessions_app.usage.queries import Days, Figures, figures_by, total, was_used
from sessions_app.usage.refused import refused_of_all
from sessions_app.usage.totals import Totals, each_day

type ByDay = dict[date, Figures]

RANGES, DEFAULT_DAYS = (7, 30, 90), 30
TOP_ACCOUNTS = 8
# Who may not see the rows does not see their sums.
RIGHTS = ("accounts.view_account", "sessions_app.view_llmrequest")


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure, with a note and its change since the period before."""

    name: str
    value: str
    note: str
    change: str
    href: str = ""


@dataclass(frozen=True, slots=True)
class TopAccount:
    account: Account
    figures: Figures
    bar: Bar | None
    href: str

    @property
    def requests(self) -> str:
        return count(self.figures.requests)

    @property
    def spend(self) -> str:
        return spend(self.figures.cost, self.figures.unpriced)


def now_and_before(days: Days, account_id: UUID) -> tuple[ByDay, ByDay]:
    """Return an account's figures of each of these days, and of as many before them; one query."""
    span = Days(days.before().first, days.last)
    return split(figures_by("day", days=span, account_id=account_id, latency=True), days)


def split(both: ByDay, days: Days) -> tuple[ByDay, ByDay]:
    return (
        {day: figures for day, figures in both.items() if day >= days.first},
        {day: figures for day, figures in both.items() if day < days.first},
    )


def ranges(days: Days) -> list[dict[str, Any]]:
    """Return the links between the pages of more or fewer days."""
    return [
        {"days": number, "chosen": number == len(days), "href": f"?days={number}"}
        for number in RANGES
    ]


def overview(request: HttpRequest) -> dict[str, Any]:
    """Return what the page shows, in a dozen queries however much was used."""
    if not may_see(request):
        return {}
    days = Days.until_today(chosen(request))
    totals = Totals.of(Days(days.before().first, days.last))
    by_model = totals.by_day_and_model()
    now, before = split(each_day(by_model), days)
    models = {key: figures for key, figures in by_model.items() if key[0] >= days.first}
    return {
        "is_unused": not (total(now).requests or total(before).requests or was_used()),
        "ranges": ranges(days),
        "days": days,
        "tiles": [*tiles(total(now), total(before), days), *feedback_tiles(request)],
        **charts(now, models, days),
        "top_accounts": top_accounts(totals.by_account(days)),
        "failures": latest_failures(now, days),
        "refusals": refused_of_all(days),
        "refusal_days": len(days),
        "all_failures": requests_page(days.first, days.last, failed=True),
    }


def may_see(request: HttpRequest) -> bool:
    return isinstance(request.user, User) and request.user.has_perms(RIGHTS)


def chosen(request: HttpRequest) -> int:
    """Return how many days the address asks for, the default for an unknown number."""
    text = request.GET.get("days", "")
    return int(text) if text in map(str, RANGES) else DEFAULT_DAYS


def tiles(now: Figures, before: Figures, days: Days, account_id: UUID | None = None) -> list[Tile]:
    unpriced = f"+ {count(now.unpriced)} unpriced" if now.unpriced else "all costs known"
    spent = money(now.cost) if now.cost or not now.unpriced else spend(now.cost, now.unpriced)
    everything = requests_page(days.first, days.last, account_id)
    failures = requests_page(days.first, days.last, account_id, failed=True)
    return [
        Tile(
            "Requests", count(now.requests), f"{count(now.cancelled)} cancelled",
            change(now.requests, before.requests), everything,
        ),
        Tile("Spend", spent, unpriced, spend_change(now, before), everything),
        Tile(
            "Error rate", share(now.error_rate), f"{count(now.failed)} failed",
            moved(now.error_rate, before.error_rate), failures,
        ),
        Tile(
            "Latency p95", duration(now.percentile(0.95)),
            f"p50 {duration(now.percentile(0.5))}",
            change(now.percentile(0.95), before.percentile(0.95)),
        ),
        Tile(
            "Tokens", compact(now.tokens), f"{compact(now.output_tokens)} written",
            change(now.tokens, before.tokens),
        ),
    ]  # fmt: skip


def feedback_tiles(request: HttpRequest, account_id: UUID | None = None) -> list[Tile]:
    """Return how much feedback is open, whatever the days, for who may see it."""
    if not request.user.has_perm(MAY_SEE):
        return []
    number, address = open_of(account_id)
    return [Tile("Open feedback", number, "bad ratings to look at", "", address)]


def change(now: float | Decimal | None, before: float | Decimal | None) -> str:
    """Compare with the period before, as a percentage of it."""
    if not before or now is None:
        return "nothing to compare with" if now else ""
    return _compared(f"{float(now) / float(before) - 1:+.0%}")


def spend_change(now: Figures, before: Figures) -> str:
    if now.unpriced or before.unpriced:
        return "not compared: some costs are unknown"
    return change(now.cost, before.cost)


def _compared(difference: str) -> str:
    """Say a difference; one that is rounded to nothing has no sign."""
    is_something = any(digit in difference for digit in "123456789")
    return f"{difference} vs the period before" if is_something else "as in the period before"


def moved(now: float | None, before: float | None) -> str:
    """Compare two shares, by points."""
    if now is None or before is None:
        return "" if now is before else "nothing to compare with"
    return _compared(f"{(now - before) * 100:+.1f} points")


def top_accounts(found: Mapping[UUID, Figures]) -> list[TopAccount]:
    """Return the accounts that spent most, each with its budget."""
    order = sorted(found, key=lambda key: (-found[key].cost, -found[key].requests, str(key)))
    order = order[:TOP_ACCOUNTS]
    accounts = {account.pk: account for account in find_accounts(order)}
    bars = account_bars(order)
    return [
        TopAccount(accounts[key], found[key], bars.get(key), row_address(Account, key))
        for key in order
    ]


registry.overview.add(overview, figures="admin/overview/figures.html")
