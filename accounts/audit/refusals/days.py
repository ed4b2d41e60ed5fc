"""The daily sums of refused calls: added to, read and forgotten."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Max, Q, Sum
from django.utils import timezone

from accounts.models import Account, RefusalDay
from accounts.tenancy.agents import agents_of
from accounts.tenancy.context import platform_context

DAY = timedelta(days=1)
# Thirteen months, so that a month can be compared with that of the year before.
KEPT = timedelta(days=400)
# In the order of the key, so that two processes wait for each other's rows and never mutually.
_ADD = """
    INSERT INTO refusal_days AS kept
        (account_id, day, code, caller, key_id, agent, status, times, last_at)
    SELECT account, day, code, caller, key_id, agent, max(status), sum(times), max(last)
    FROM jsonb_to_recordset(%s::jsonb) AS asked (
        account uuid, day date, code text, caller text, key_id text, agent text, status smallint,
        times bigint, last timestamptz
    )
    GROUP BY account, day, code, caller, key_id, agent
    ORDER BY account, day, code, caller, key_id, agent
    ON CONFLICT (account_id, day, code, caller, key_id, agent) DO UPDATE SET
        times = kept.times + excluded.times, status = excluded.status,
        last_at = greatest(kept.last_at, excluded.last_at)
"""


@dataclass(frozen=True, slots=True)
class Refused:
    """A sum of refusals; what they were not summed by is empty."""

    status: int
    code: str
    times: int
    today: int
    yesterday: int
    last_at: datetime
    account_id: UUID | None = None
    account_slug: str = ""
    caller: str = ""
    key_id: str = ""
    agent: str = ""


def add(rows: Iterable[dict[str, Any]]) -> None:
    """Add counted refusals to the sums; those of accounts that do not exist are dropped.

    A row has `account`, the id, or `name`, the slug from an address; and the columns. Agents that
    do not exist are left out of it: callers choose what they call.
    """
    rows = list(rows)
    with platform_context():
        names = {row["name"] for row in rows if row["name"]}
        ids = {row["account"] for row in rows if row["account"]}
        accounts = Account.objects.filter(Q(slug__in=names) | Q(pk__in=ids))
        by_name = {slug: str(pk) for pk, slug in accounts.values_list("pk", "slug")}
        agents = {(str(pk), slug) for pk, slug in agents_of([*map(UUID, by_name.values())])}
        known = set(by_name.values())
        found = [
            row
            | {
                "account": account,
                "agent": row["agent"] if (account, row["agent"]) in agents else "",
            }
            for row in rows
            if (account := row["account"] or by_name.get(row["name"])) in known
        ]
        if found:
            with connection.cursor() as cursor:
                cursor.execute(_ADD, [json.dumps(found)])


def refusals(
    *columns: str,
    first: date,
    last: date,
    most: int,
    account_id: UUID | None = None,
    key_id: str | None = None,
) -> list[Refused]:
    """Sum the refusals of these days by code and these columns, the most frequent first.

    `columns` are fields of RefusalDay and "account_slug". Call it inside a context.
    """
    rows = RefusalDay.objects.filter(day__gte=first, day__lte=last)
    if account_id is not None:
        rows = rows.filter(account_id=account_id)
    if key_id is not None:
        rows = rows.filter(key_id=key_id)
    paths = {name: name.replace("account_slug", "account__slug") for name in columns}
    today = timezone.now().date()
    sums = rows.values("status", "code", *paths.values()).annotate(
        sum=Sum("times"),
        sum_today=Sum("times", filter=Q(day=today), default=0),
        sum_yesterday=Sum("times", filter=Q(day=today - DAY), default=0),
        latest=Max("last_at"),
    )
    return [_refused(row, paths) for row in sums.order_by("-sum", "code", *paths.values())[:most]]


def _refused(row: Mapping[str, Any], paths: Mapping[str, str]) -> Refused:
    return Refused(
        row["status"],
        row["code"],
        row["sum"],
        row["sum_today"],
        row["sum_yesterday"],
        row["latest"],
        **{name: row[path] for name, path in paths.items()},
    )


def forget_old() -> int:
    """Delete the sums of days before KEPT; return how many rows they were."""
    with platform_context(statement_seconds=60):
        old = RefusalDay.objects.filter(day__lt=timezone.now().date() - KEPT)
        return old.delete()[0]
