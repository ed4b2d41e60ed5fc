"""Usage of all accounts by day: the sums of past days are stored.

A turn counts in the day in which it is settled, so that no turn adds to a day before yesterday. If
such a day changes all the same (a rebuilt roll-up, an erased account), a trigger of usage_days
deletes its sums (sql/app_forget_totals.sql); it waits for a transaction that is summing. On a
cluster, whose triggers reach no other server's rows, whoever changes it calls `forget`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Self
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import Min, QuerySet

from accounts.tenancy.context import platform_context
from salient.ttl import TTLCache
from sessions_app.models.insights import LATENCY_BUCKETS, UsageDay, UsageTotal
from sessions_app.usage.queries import NOTHING, SUMS, Days, Figures, summed, today

# Days none of which had to be summed a moment ago.
_complete: TTLCache[Days, Days] = TTLCache(seconds=60, of_rows=False)
# A page waits while this many days are summed; what remains is left to the next pages.
MOST_AT_ONCE = 31
STATEMENT_SECONDS = 600
# ruff: noqa: S608 - built from constants of this module only
_LOCK = "hashtextextended('usage_totals', 0)"
_OVER = "(now() AT TIME ZONE 'UTC')::date - 1"

_NAMES = ", ".join(SUMS)
_TOTALS = ", ".join(f"sum({name})" for name in SUMS)
_BUCKETS = ", ".join(f"sum(latency_buckets[{n + 1}])" for n in range(LATENCY_BUCKETS))
_UNKEPT = f"""
    SELECT day FROM (SELECT %(last)s::date - n AS day
        FROM generate_series(0, %(last)s::date - %(first)s::date) AS n) AS days
    WHERE day < {_OVER} AND NOT EXISTS (SELECT FROM usage_totals
        WHERE usage_totals.day = days.day AND account_id IS NULL)
"""
# Only days without stored sums are looked up in usage_days, each by its first row: a join would
# read the whole roll-up where that is small or not yet analysed.
_MISSING = f"""
    WITH unkept AS MATERIALIZED ({_UNKEPT})
    SELECT day FROM unkept
    WHERE (SELECT true FROM usage_days WHERE usage_days.day = unkept.day LIMIT 1)
    ORDER BY day DESC LIMIT %(most)s
"""
# A cluster asks the workers for a list of days, for the sums are not there.
_MISSING_ON_CLUSTER = f"""
    SELECT DISTINCT day FROM usage_days WHERE day = ANY (ARRAY({_UNKEPT}))
    ORDER BY day DESC LIMIT %(most)s
"""
INSERT = f"""
    INSERT INTO usage_totals (id, day, account_id, model, {_NAMES}, latency_buckets)
    SELECT gen_random_uuid(), day, NULL, model, {_TOTALS}, ARRAY[{_BUCKETS}]
        FROM usage_days WHERE {{which}} GROUP BY day, model
    UNION ALL
    SELECT gen_random_uuid(), day, account_id, '', {_TOTALS}, '{{{{}}}}'
        FROM usage_days WHERE {{which}} GROUP BY day, account_id
"""


@dataclass(frozen=True, slots=True)
class Totals:
    """The figures of all accounts in these days; read it inside the platform context."""

    days: Days
    # By day and model, of the days whose sums are stored; the others are summed each time.
    models: dict[tuple[date, str], Figures]

    @classmethod
    def of(cls, days: Days) -> Self:
        # A day whose sums are deleted meanwhile is read unsummed.
        if days not in _complete:
            store(days)
        found = UsageTotal.objects.filter(day__gte=days.first, day__lte=days.last, account=None)
        return cls(days, summed(found, ("day", "model"), latency=True))

    @property
    def stored(self) -> frozenset[date]:
        return frozenset(day for day, _ in self.models)

    def by_day_and_model(self) -> dict[tuple[date, str], Figures]:
        unstored = self._unstored(self.days)
        return self.models | summed(unstored, ("day", "model"), latency=True)

    def by_account(self, days: Days) -> dict[UUID, Figures]:
        """Return each account's figures in some of the days, without latencies."""
        stored = UsageTotal.objects.filter(account__isnull=False, day__in=self.stored & {*days})
        found = summed(stored, ("account_id",), latency=False)
        others = summed(self._unstored(days), ("account_id",), latency=False)
        return found | {key: found.get(key, NOTHING) + each for key, each in others.items()}

    def _unstored(self, days: Days) -> QuerySet[UsageDay]:
        return UsageDay.objects.filter(day__in={*days} - self.stored)


def store(days: Days, *, most: int = MOST_AT_ONCE) -> int:
    """Store the sums of those past days that have none yet; return how many days they were."""
    with connection.cursor() as cursor:
        missing_days = _MISSING_ON_CLUSTER if settings.DATABASE_DISTRIBUTED else _MISSING
        cursor.execute(missing_days, {"first": days.first, "last": days.last, "most": most})
        missing = [day for (day,) in cursor.fetchall()]
        if not missing:
            _complete.put(days, days)
            return 0
        cursor.execute(f"SELECT pg_try_advisory_xact_lock({_LOCK})")
        # A transaction that changes such a day has the lock: then the days are read unsummed.
        if not cursor.fetchone()[0]:
            return 0
        cursor.execute(INSERT.format(which="day = ANY(%(days)s)"), {"days": missing})
    return len(missing)


def forget(account_id: UUID) -> None:
    """Delete the sums of the account's days on a cluster, in the transaction that changes them.

    Call it in the platform context: before its rows are deleted, after they are written.
    """
    if not settings.DATABASE_DISTRIBUTED:
        return
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_advisory_xact_lock_shared({_LOCK})")
    days = list(UsageDay.objects.filter(account_id=account_id).values_list("day", flat=True))
    UsageTotal.objects.filter(day__in={*days}).delete()


def store_all() -> None:
    """Store the sums of every past day, some at a time; for commands, which may take long."""
    with platform_context():
        first = UsageDay.objects.aggregate(first=Min("day"))["first"] or today()
    summed_days = 1
    while summed_days:
        with platform_context(statement_seconds=STATEMENT_SECONDS):
            summed_days = store(Days(first, today()), most=MOST_AT_ONCE)


def each_day(found: Mapping[tuple[date, str], Figures]) -> dict[date, Figures]:
    """Sum the models of each day."""
    days: dict[date, Figures] = {}
    for (day, _), figures in found.items():
        days[day] = days.get(day, NOTHING) + figures
    return days
