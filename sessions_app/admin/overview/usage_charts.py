"""The charts of the overview and of an account's page, drawn from the daily roll-up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from accounts.admin.formatting import list_address
from salient.formatting import (
    compact,
    count,
    duration,
    money,
    money_on_axis,
    short_day,
    short_days,
    spend,
)
from sessions_app.admin.overview.svg_charts import STYLES, Chart, Series, Table
from sessions_app.usage.queries import Days, Figures, by_day_and, by_part, largest

FAILED = "&completion_status__exact=error"
MODELS, OTHERS = len(STYLES) - 1, "other models"

type ByDay = Mapping[date, Figures]


def requests_page(
    first: date, last: date, account_id: UUID | None = None, *, failed: bool = False
) -> str:
    """Return the address of the rows behind a figure: the list of LLM requests, filtered."""
    lookups: dict[str, object] = {"from": first, "to": last}
    if failed:
        lookups["completion_status__exact"] = "error"
    if account_id is not None:
        lookups["account__id__exact"] = account_id
    return list_address("sessions_app_llmrequest", **lookups)


def links(days: Days, account_id: UUID | None) -> list[str]:
    """Return the address of the rows behind each column."""
    return [requests_page(part.first, part.last, account_id) for part in days.parts()]


def names(days: Days) -> list[str]:
    """Return what each column is called: "1 Sep", or of a week "1-7 Sep"."""
    return [
        short_day(part.first) if part.first == part.last else short_days(part.first, part.last)
        for part in days.parts()
    ]


def per(days: Days) -> str:
    return "per week" if days.are_weeks else "per day"


def charts(
    found: ByDay,
    models: Mapping[tuple[date, str], Figures],
    days: Days,
    account_id: UUID | None = None,
) -> dict[str, Any]:
    """Return what the template of the charts shows, for all accounts or for one."""
    rows = links(days, account_id)
    drawn = [
        spend_chart(models, days, rows, account_id),
        requests_chart(found, days, rows, account_id),
        latency_chart(found, days, rows),
        tokens_chart(found, days, rows),
    ]
    is_empty = all(chart.is_empty for chart in drawn)
    return {"charts": drawn, "table": None if is_empty else Table(drawn)}


def spend_chart(
    found: Mapping[tuple[date, str], Figures],
    days: Days,
    rows: list[str],
    account_id: UUID | None = None,
) -> Chart:
    """Draw the spend per day by model; `found` is by (day, model), `rows` are the `links`."""
    models = largest(by_day_and(found), MODELS, OTHERS)
    series = [
        Series(
            name,
            _values(figures, days, _spent),
            style,
            texts=[spend(each.cost, each.unpriced) for each in by_part(figures, days)],
            filters="" if name == OTHERS else "&" + urlencode({"model": name}),
        )
        for (name, figures), style in zip(models.items(), STYLES, strict=False)
    ]
    unknown = sum(figures.unpriced for figures in found.values())
    note = f"Without {count(unknown)} requests whose cost is unknown." if unknown else ""
    return Chart(
        "spend", f"Spend {per(days)} by model", names(days), series, money, rows,
        note=note, axis=money_on_axis, all_rows=requests_page(days.first, days.last, account_id),
    )  # fmt: skip


def _spent(figures: Figures) -> float | None:
    return None if figures.known_cost is None else float(figures.known_cost)


def requests_chart(
    found: ByDay, days: Days, rows: list[str], account_id: UUID | None = None
) -> Chart:
    series = [
        Series("ok", _values(found, days, lambda each: each.requests - each.failed), "s0"),
        Series("failed", _values(found, days, lambda each: each.failed), "failed", FAILED),
    ]
    return Chart(
        "requests", f"Requests {per(days)}", names(days), series, count, rows,
        all_rows=requests_page(days.first, days.last, account_id),
    )  # fmt: skip


def latency_chart(found: ByDay, days: Days, rows: list[str]) -> Chart:
    series = [
        Series("p50", _values(found, days, lambda each: each.percentile(0.5)), "s0"),
        Series("p95", _values(found, days, lambda each: each.percentile(0.95)), "s2"),
    ]
    return Chart("latency", "Latency", names(days), series, duration, rows, lines=True)


def tokens_chart(found: ByDay, days: Days, rows: list[str]) -> Chart:
    series = [
        Series("read", _values(found, days, lambda each: each.input_tokens), "s0"),
        Series("written", _values(found, days, lambda each: each.output_tokens), "s1"),
    ]
    title = f"Tokens {per(days)}"
    return Chart("tokens", title, names(days), series, compact, rows)


def _values(
    found: ByDay, days: Days, value: Callable[[Figures], float | None]
) -> list[float | None]:
    return [value(figures) for figures in by_part(found, days)]
