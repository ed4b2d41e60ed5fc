"""Reads usage: sums of the daily roll-up; sessions_app/usage/requests.py reads the requests."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from operator import add, attrgetter
from typing import Any, Self
from uuid import UUID

from django.db.models import QuerySet, Sum
from django.utils import timezone

from sessions_app.models.insights import LATENCY_BUCKETS, UsageDay

DAY = timedelta(days=1)
SUMS = (
    "requests",
    "failed",
    "cancelled",
    "unpriced",
    "input_tokens",
    "cached_tokens",
    "output_tokens",
    "cost",
    "latency_ms",
)
_sums_of = attrgetter(*SUMS)
# A chart shows a column for each day, or for each week of longer ranges.
MOST_SINGLE_DAYS, WEEK = 31, 7


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
        """Return the same number of days, just before these."""
        return Days(self.first - len(self) * DAY, self.first - DAY)

    @property
    def are_weeks(self) -> bool:
        return len(self) > MOST_SINGLE_DAYS

    def parts(self) -> list[Days]:
        """Return each of the days; of longer ranges the weeks that end as they do."""
        length = WEEK if self.are_weeks else 1
        ends = [self.last - n * DAY for n in range(0, len(self), length)]
        return [Days(max(self.first, end - (length - 1) * DAY), end) for end in reversed(ends)]


def was_used() -> bool:
    """Return whether any agent of the platform has ever answered."""
    return bool(UsageDay.objects.exists())


def today() -> date:
    return timezone.now().astimezone(UTC).date()


def start_of(day: date) -> datetime:
    """Return the first moment of a day (UTC)."""
    return datetime.combine(day, time(), UTC)


@dataclass(frozen=True, slots=True)
class Figures:
    """Sums of usage, in the order of SUMS; `cost` is of all requests but the `unpriced`."""

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
        """The cost as far as it is known; None if the cost of no request is known."""
        return None if self.unpriced and not self.cost else self.cost

    def percentile(self, share: float) -> int | None:
        """Return the milliseconds within which about that share of the answers was complete."""
        return percentile(self.buckets, share)

    def __add__(self, other: Figures) -> Figures:
        sums = map(add, _sums_of(self), _sums_of(other))
        buckets = self.buckets or other.buckets
        if self.buckets and other.buckets:
            buckets = tuple(map(add, self.buckets, other.buckets))
        return Figures(*(*sums, buckets))


NOTHING = Figures()


def percentile(buckets: Sequence[int], share: float) -> int | None:
    """Estimate a percentile in milliseconds, as if latencies were spread evenly in each bucket.

    The last bucket has no end: its begin is returned.
    """
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
    model: str | None = None,
    latency: bool = False,
) -> dict[Any, Figures]:
    """Sum the days by these columns of usage_days; a key is a tuple when there are several.

    Call it inside a context. `latency` adds the latency buckets, which are 34 more sums.
    """
    rows = UsageDay.objects.filter(day__gte=days.first, day__lte=days.last)
    if account_id is not None:
        rows = rows.filter(account_id=account_id)
    if accounts is not None:
        rows = rows.filter(account_id__in=accounts)
    if instances is not None:
        rows = rows.filter(agent_instance_id__in=instances)
    if model is not None:
        rows = rows.filter(model=model)
    return summed(rows, columns, latency=latency)


def summed(
    rows: QuerySet[Any, Any], columns: tuple[str, ...], *, latency: bool
) -> dict[Any, Figures]:
    """Sum these rows by these columns."""
    places = range(LATENCY_BUCKETS if latency else 0)
    sums = {f"sum_{name}": Sum(name) for name in SUMS}
    counts = {f"bucket_{i}": Sum(f"latency_buckets__{i}") for i in places}
    grouped = rows.values(*columns).annotate(**sums, **counts).order_by(*columns)
    width, end = len(columns), len(columns) + len(sums)
    return {
        row[:width] if width > 1 else row[0]: Figures(*(*row[width:end], row[end:]))
        for row in grouped.values_list(*columns, *sums, *counts)
    }


def total(found: Mapping[Any, Figures]) -> Figures:
    figures = iter(found.values())
    return sum(figures, next(figures, NOTHING))


def by_day(found: Mapping[date, Figures], days: Days) -> list[tuple[date, Figures]]:
    """Return every one of the days with its figures, also the days without usage."""
    return [(day, found.get(day, NOTHING)) for day in days]


def by_part(found: Mapping[date, Figures], days: Days) -> list[Figures]:
    """Return the figures of each of the parts in which a chart shows the days."""
    return [total({day: found[day] for day in part if day in found}) for part in days.parts()]


def by_day_and(found: Mapping[tuple[date, Any], Figures]) -> dict[Any, dict[date, Figures]]:
    """Turn figures by (day, key) into figures by day, by key."""
    by_key: dict[Any, dict[date, Figures]] = {}
    for (day, key), figures in found.items():
        by_key.setdefault(key, {})[day] = figures
    return by_key


def largest(
    found: Mapping[str, dict[date, Figures]], count: int, rest: str
) -> dict[str, dict[date, Figures]]:
    """Return the `count` that cost most, and the sum of the others under the name `rest`."""
    order = sorted(found, key=lambda name: (-total(found[name]).cost, name))
    top = {name: found[name] for name in order[:count]}
    others: dict[date, Figures] = {}
    for name in order[count:]:
        for day, figures in found[name].items():
            others[day] = others.get(day, NOTHING) + figures
    return top | ({rest: others} if others else {})
