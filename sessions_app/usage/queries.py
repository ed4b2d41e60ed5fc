"""Reads what was used: sums of the daily roll-up, never of the ledger itself."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, timedelta
from decimal import Decimal
from typing import Any, Self
from uuid import UUID

from django.db.models import QuerySet, Sum
from django.utils import timezone

from sessions_app.models.insights import LATENCY_BUCKETS, UsageDay

DAY = timedelta(days=1)
SUMS = (
    *("requests", "failed", "cancelled", "unpriced"),
    *("input_tokens", "cached_tokens", "output_tokens", "cost", "latency_ms"),
)


@dataclass(frozen=True, slots=True)
class Days:
    """The days from the first to the last, both of them included (UTC)."""

    first: date
    last: date

    @classmethod
    def until_today(cls, count: int) -> Self:
        last = today()
        return cls(last - (count - 1) * DAY, last)

    @classmethod
    def this_month(cls) -> Self:
        last = today()
        return cls(last.replace(day=1), last)

    def __iter__(self) -> Iterator[date]:
        return (self.first + n * DAY for n in range(len(self)))

    def __len__(self) -> int:
        return (self.last - self.first).days + 1

    def before(self) -> Days:
        """Return as many days that came before these."""
        return Days(self.first - len(self) * DAY, self.first - DAY)


def today() -> date:
    return timezone.now().astimezone(UTC).date()


@dataclass(frozen=True, slots=True)
class Figures:
    """What was used. `cost` sums the requests whose cost is known, all but `unpriced`."""

    requests: int = 0
    failed: int = 0
    cancelled: int = 0
    unpriced: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal = Decimal(0)
    latency_ms: int = 0
    buckets: tuple[int, ...] = ()

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    @property
    def error_rate(self) -> float | None:
        """The share of requests that failed, or None without requests."""
        return self.failed / self.requests if self.requests else None

    @property
    def known_cost(self) -> Decimal | None:
        """The cost as far as it is known; None when nothing that cost something is."""
        return None if self.unpriced and not self.cost else self.cost

    def percentile(self, share: float) -> int | None:
        """Return about how many milliseconds that share of the answers took at most."""
        return percentile(self.buckets, share)

    def __add__(self, other: Figures) -> Figures:
        sums = {
            each.name: getattr(self, each.name) + getattr(other, each.name)
            for each in fields(self)
            if each.name != "buckets"
        }
        return Figures(**sums, buckets=_added(self.buckets, other.buckets))


NOTHING = Figures()


def percentile(buckets: Sequence[int], share: float) -> int | None:
    """Read a percentile from the buckets, evenly spread inside each; the last has no end."""
    rank, passed = share * sum(buckets), 0
    if not rank:
        return None
    for place, count in enumerate(buckets):
        if count and passed + count >= rank:
            lower, upper = 2 ** (place / 2), 2 ** ((place + 1) / 2)
            inside = 0 if place == LATENCY_BUCKETS - 1 else (rank - passed) / count
            return round(lower + (upper - lower) * inside)
        passed += count
    return None


def all_days() -> QuerySet[UsageDay]:
    return UsageDay.objects.all()


def figures_by(
    *columns: str,
    days: Days,
    account_id: UUID | None = None,
    accounts: Collection[UUID] | None = None,
    instances: Collection[UUID] | None = None,
    latency: bool = False,
) -> dict[Any, Figures]:
    """Sum the days by these columns of usage_days; a key is a tuple when there are several.

    Inside a door. Latencies are summed where they are asked for: they are 34 more sums.
    """
    rows = UsageDay.objects.filter(day__gte=days.first, day__lte=days.last)
    if account_id is not None:
        rows = rows.filter(account_id=account_id)
    if accounts is not None:
        rows = rows.filter(account_id__in=accounts)
    if instances is not None:
        rows = rows.filter(agent_instance_id__in=instances)
    return summed(rows, columns, latency=latency)


def summed(
    rows: QuerySet[Any, Any], columns: tuple[str, ...], *, latency: bool
) -> dict[Any, Figures]:
    """Sum these rows by these columns."""
    sums = {f"sum_{name}": Sum(name) for name in SUMS}
    counts = {f"bucket_{i}": Sum(f"latency_buckets__{i}") for i in _places(latency=latency)}
    found = rows.values(*columns).annotate(**sums, **counts).order_by(*columns)
    return {_key(row, columns): _figures(row, latency=latency) for row in found}


def total(found: Mapping[Any, Figures]) -> Figures:
    return sum(found.values(), NOTHING)


def by_day(found: Mapping[date, Figures], days: Days) -> list[tuple[date, Figures]]:
    """Give every day, also those on which nothing happened."""
    return [(day, found.get(day, NOTHING)) for day in days]


def by_day_and(found: Mapping[tuple[date, Any], Figures]) -> dict[Any, dict[date, Figures]]:
    """Sort figures by (day, key) by their key."""
    sorted_: dict[Any, dict[date, Figures]] = {}
    for (day, key), figures in found.items():
        sorted_.setdefault(key, {})[day] = figures
    return sorted_


def largest(
    found: Mapping[str, dict[date, Figures]], count: int, rest: str
) -> dict[str, dict[date, Figures]]:
    """Keep those that cost most, and sum the others under one name."""
    order = sorted(found, key=lambda name: (-total(found[name]).cost, name))
    kept = {name: found[name] for name in order[:count]}
    others: dict[date, Figures] = {}
    for name in order[count:]:
        for day, figures in found[name].items():
            others[day] = others.get(day, NOTHING) + figures
    return kept | ({rest: others} if others else {})


def _places(*, latency: bool) -> range:
    return range(LATENCY_BUCKETS if latency else 0)


def _key(row: dict[str, Any], columns: tuple[str, ...]) -> Any:
    return row[columns[0]] if len(columns) == 1 else tuple(row[name] for name in columns)


def _figures(row: dict[str, Any], *, latency: bool) -> Figures:
    buckets = tuple(row[f"bucket_{i}"] for i in _places(latency=latency))
    return replace(NOTHING, **{name: row[f"sum_{name}"] for name in SUMS}, buckets=buckets)


def _added(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    if not one or not other:
        return one or other
    return tuple(a + b for a, b in zip(one, other, strict=True))
