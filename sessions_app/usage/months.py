"""What was used in a month, or in any days: by account, agent, model and key, with its total.

The figures are those of the daily sums; only the keys are summed from the requests themselves, of
one account. Call these functions inside a tenant or platform context.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from accounts.audit.csv_export import BYTE_ORDER_MARK, as_csv
from accounts.keys.services import keys_of
from accounts.models import Account
from accounts.tenancy.accounts import find_accounts
from accounts.tenancy.agents import agent_slugs
from salient.api.problems import Invalid
from sessions_app.usage.queries import DAY, NOTHING, Days, Figures, figures_by, today, total
from sessions_app.usage.requests import Column, Which, requests_by

MONTHS = 13
# Of the requests that are summed by key; a statement of a page may take five seconds.
MOST_REQUESTS = 400_000
NO_KEY = "no key: visitors, members, staff"
FIGURES = (*("requests", "failed", "cancelled", "input_tokens", "cached_tokens", "output_tokens"),)


class Part(StrEnum):
    """What the use is divided by."""

    ACCOUNT = "account"
    AGENT = "agent"
    MODEL = "model"
    KEY = "key"


# The columns of the daily sums, and those of the requests of one account.
SUMMED = {Part.ACCOUNT: "account_id", Part.AGENT: "agent_instance_id", Part.MODEL: "model"}
READ = {Part.AGENT: Column.AGENT, Part.MODEL: Column.MODEL, Part.KEY: Column.KEY}


@dataclass(frozen=True, slots=True)
class Used:
    """One row: the names of its parts, in the order of Part, and what was used."""

    names: tuple[str, ...]
    figures: Figures


@dataclass(frozen=True, slots=True)
class Usage:
    """What was used in these days; the rows are sorted by their names."""

    days: Days
    parts: tuple[Part, ...]
    rows: list[Used]
    total: Figures

    @classmethod
    def of(cls, days: Days, parts: Iterable[Part], account: Account | None = None) -> Self:
        """Sum it, of one account or of all.

        Raises Invalid where keys are asked for: without an account, or with too many requests.
        """
        chosen = set(parts)
        # An agent is named with its account, where there are several.
        if account is None and chosen & {Part.AGENT}:
            chosen |= {Part.ACCOUNT}
        wanted = tuple(part for part in Part if part in chosen)
        found = (_by_key if Part.KEY in wanted else _by_day)(days, wanted, account)
        rows = [Used(names, figures) for names, figures in _named(found, wanted, account)]
        return cls(days, wanted, sorted(rows, key=lambda row: row.names), total(found))

    def dearest(self, most: int) -> list[Used]:
        order = sorted(self.rows, key=lambda row: (-row.figures.cost, -row.figures.requests))
        return order[:most]

    def as_csv(self) -> bytes:
        heads = [*(part.value for part in self.parts), *FIGURES]
        heads += ["cost_usd", "requests_of_unknown_cost"]
        lines = [
            [
                *row.names,
                *(getattr(row.figures, name) for name in FIGURES),
                row.figures.known_cost,
                row.figures.unpriced,
            ]
            for row in self.rows
        ]
        return BYTE_ORDER_MARK + as_csv([heads, *lines])


def month_of(day: date) -> Days:
    """Return the whole month of the day."""
    first = day.replace(day=1)
    return Days(first, following(first) - DAY)


def following(first: date) -> date:
    """Return the first day of the next month."""
    return (first.replace(day=28) + 4 * DAY).replace(day=1)


def latest_months() -> list[Days]:
    """Return the months of the last year, the newest first."""
    months = [month_of(today())]
    while len(months) < MONTHS:
        months.append(month_of(months[-1].first - DAY))
    return months


def name_of(days: Days) -> str:
    """Name the days in a file's name: 2026-11, or 2026-11-01_2026-11-15."""
    if days == month_of(days.first):
        return f"{days.first:%Y-%m}"
    return f"{days.first}_{days.last}"


def _by_day(
    days: Days, parts: Sequence[Part], account: Account | None
) -> Mapping[tuple[Any, ...], Figures]:
    columns = [SUMMED[part] for part in parts]
    account_id = account.pk if account else None
    if not columns:
        found = total(figures_by("day", days=days, account_id=account_id))
        return {(): found} if found != NOTHING else {}
    sums = figures_by(*columns, days=days, account_id=account_id)
    return sums if len(columns) > 1 else {(key,): figures for key, figures in sums.items()}


def _by_key(
    days: Days, parts: Sequence[Part], account: Account | None
) -> Mapping[tuple[Any, ...], Figures]:
    if account is None:
        raise Invalid.field("account", "Keys are summed for one account: choose it.")
    which = Which(account_id=account.pk, days=days)
    columns = [READ[part] for part in parts if part is not Part.ACCOUNT]
    found = requests_by(columns, which, most=MOST_REQUESTS)
    if Part.ACCOUNT not in parts:
        return found
    return {(account.pk, *key): figures for key, figures in found.items()}


def _named(
    found: Mapping[tuple[Any, ...], Figures], parts: Sequence[Part], account: Account | None
) -> Iterable[tuple[tuple[str, ...], Figures]]:
    names: dict[Part, Mapping[Any, str]] = {}
    places = {part: place for place, part in enumerate(parts)}
    ids = {key[places[Part.ACCOUNT]] for key in found} if Part.ACCOUNT in places else set()
    if account is not None:
        ids.add(account.pk)
    if Part.ACCOUNT in places:
        names[Part.ACCOUNT] = {each.pk: each.slug for each in find_accounts(list(ids))}
    if Part.AGENT in places:
        names[Part.AGENT] = agent_slugs(*ids)
    if Part.KEY in places and account is not None:
        names[Part.KEY] = _key_names(account.pk)
    for key, figures in found.items():
        shown = (names.get(part, {}).get(each, each) for part, each in zip(parts, key, strict=True))
        yield tuple(NO_KEY if each is None else str(each) for each in shown), figures


def _key_names(account_id: UUID) -> dict[str, str]:
    """Return the account's keys by their ids as text, each with its name and public id."""
    return {str(key.pk): str(key) for key in keys_of(account_id)}
