"""Computes the stored figures again from the ledger: usage by day, and the sessions' counters.

Settling adds to them turn by turn (`app_count_turns`). The results must equal, to the last
cent, what these statements sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import batched
from math import isqrt
from typing import Any
from uuid import UUID

from django.db import connection

from accounts.limits.quotas import lock_account
from accounts.tenancy.context import platform_context
from sessions_app.models.insights import LATENCY_BUCKETS
from sessions_app.usage import totals
from sessions_app.usage.queries import start_of

# A statement reads an account's whole ledger, which may take longer than a page may.
STATEMENT_SECONDS = 600
SESSIONS_AT_ONCE = 500
# A turn is settled within this time after it began, unless it was abandoned.
LONGEST_TURN = timedelta(days=1)
BEGINNING = date(1970, 1, 1)

# Where the buckets begin, in ms: the smallest whole number that is not below 2^(i/2).
BOUNDS = [isqrt(2**i - 1) + 1 for i in range(1, LATENCY_BUCKETS)]
MOMENT = "coalesce(settled_at, created_at)"
DAY_KEY = "account_id, agent_instance_id, day, model"
DAY_SUMS = (
    "requests, failed, cancelled, unpriced, input_tokens, cached_tokens, output_tokens, cost, "
    "latency_ms, latency_buckets"
)
# The number of requests in each bucket.
BUCKETS = ", ".join(
    f"coalesce(sum(n) FILTER (WHERE bucket = {i}), 0)::integer" for i in range(LATENCY_BUCKETS)
)
# The sums of some requests by bucket, and those of all buckets in the order of DAY_SUMS.
PARTS = f"""
            width_bucket(latency_ms, ARRAY{BOUNDS}) AS bucket,
            count(*) AS n,
            count(*) FILTER (WHERE completion_status IN ('error', 'partial')) AS failed,
            count(*) FILTER (WHERE completion_status = 'cancelled') AS cancelled,
            count(*) FILTER (WHERE total_cost IS NULL) AS unpriced,
            coalesce(sum(prompt_tokens), 0) AS input_tokens,
            coalesce(sum(cached_tokens), 0) AS cached_tokens,
            coalesce(sum(completion_tokens), 0) AS output_tokens,
            coalesce(sum(total_cost), 0) AS cost,
            coalesce(sum(latency_ms), 0) AS latency_ms
"""
WHOLE = f"""
        sum(n)::integer AS requests, sum(failed)::integer AS failed,
        sum(cancelled)::integer AS cancelled, sum(unpriced)::integer AS unpriced,
        sum(input_tokens)::bigint AS input_tokens, sum(cached_tokens)::bigint AS cached_tokens,
        sum(output_tokens)::bigint AS output_tokens, sum(cost) AS cost,
        sum(latency_ms)::bigint AS latency_ms,
        ARRAY[{BUCKETS}] AS latency_buckets
"""
DAY_OF_MOMENT = f"({MOMENT} AT TIME ZONE 'UTC')::date"
# ruff: noqa: S608 - built from constants of this module only
DAYS = f"""
    SELECT {DAY_KEY}, {WHOLE}
    FROM (
        SELECT account_id, agent_instance_id, {DAY_OF_MOMENT} AS day,
            provider || ':' || model AS model, {PARTS}
        FROM llm_requests
        WHERE completion_status <> 'running' {{which}}
        GROUP BY 1, 2, 3, 4, 5
    ) AS parts
    GROUP BY {DAY_KEY}
"""
INSERT_DAYS = f"INSERT INTO usage_days ({DAY_KEY}, {DAY_SUMS}) {DAYS}"
COUNTER_NAMES = ("turn_count", "total_cost", "unpriced_turns", "last_status")
COUNTERS = f"""
    count(*)::integer, coalesce(sum(total_cost), 0),
    (count(*) FILTER (WHERE total_cost IS NULL))::integer,
    coalesce((array_agg(completion_status ORDER BY {MOMENT} DESC, created_at DESC, id DESC))[1], '')
"""
COUNT_SESSIONS = f"""
    UPDATE sessions SET ({", ".join(COUNTER_NAMES)}) = (
        SELECT {COUNTERS} FROM llm_requests
        WHERE llm_requests.account_id = sessions.account_id
            AND llm_requests.session_id = sessions.id AND completion_status <> 'running'
    )
    WHERE {{which}}
"""

_WITHIN = f"""
    AND account_id = %(account)s AND {MOMENT} >= %(since)s AND {MOMENT} < %(until)s
"""
_RECENT = f"""
    AND account_id = %(account)s AND {MOMENT} >= %(since)s
    AND (created_at >= %(created)s OR id = ANY(%(late)s))
"""
_LATE = """
    SELECT id FROM llm_requests WHERE account_id = %(account)s AND created_at < %(created)s
        AND (settled_at >= %(since)s OR completion_status = 'running')
"""
_FORGET = """
    DELETE FROM usage_days
    WHERE account_id = %(account)s AND day >= %(first)s AND day < %(end)s
"""
_OTHER_DAYS = f"""
    SELECT {DAY_KEY} FROM (SELECT * FROM usage_days
        WHERE account_id = %(account)s AND day >= %(first)s) AS kept
    FULL JOIN ({DAYS.format(which=_WITHIN)}) AS counted USING ({DAY_KEY})
    WHERE ROW({", ".join("kept." + name for name in DAY_SUMS.split(", "))}) IS DISTINCT FROM
        ROW({", ".join("counted." + name for name in DAY_SUMS.split(", "))})
    ORDER BY day, model
"""
_OTHER_SESSIONS = f"""
    SELECT sessions.id FROM sessions
    LEFT JOIN (
        SELECT session_id, {COUNTERS} FROM llm_requests
        WHERE completion_status <> 'running' AND account_id = %(account)s GROUP BY session_id
    ) AS counted (session_id, {", ".join(COUNTER_NAMES)}) ON counted.session_id = sessions.id
    WHERE sessions.account_id = %(account)s AND sessions.last_activity_at >= %(since)s
        AND (sessions.turn_count, sessions.total_cost, sessions.unpriced_turns,
            sessions.last_status)
        IS DISTINCT FROM (coalesce(counted.turn_count, 0), coalesce(counted.total_cost, 0),
            coalesce(counted.unpriced_turns, 0), coalesce(counted.last_status, ''))
    ORDER BY sessions.id
"""
_LOCK_SESSIONS = """
    SELECT id FROM sessions WHERE account_id = %(account)s AND id = ANY(%(ids)s)
    ORDER BY id FOR NO KEY UPDATE
"""
_ONE_REBUILD_AT_ONCE = "SELECT pg_advisory_xact_lock(hashtextextended('rollup ' || %(account)s, 0))"


@dataclass(frozen=True, slots=True)
class Differences:
    """The stored figures of an account that differ from its ledger."""

    # (day, "provider:model")
    days: list[tuple[date, str]]
    sessions: list[UUID]

    def __bool__(self) -> bool:
        return bool(self.days or self.sessions)


def compare(account_id: UUID, since: date = BEGINNING) -> Differences:
    """Return what differs; one statement a table compares, so that turns can go on."""
    with platform_context(statement_seconds=STATEMENT_SECONDS):
        values = {
            "account": account_id,
            "first": since,
            "since": start_of(since),
            "until": "infinity",
        }
        days = [(day, model) for _, _, day, model in _rows(_OTHER_DAYS, values)]
        sessions = [row[0] for row in _rows(_OTHER_SESSIONS, values)]
    return Differences(days, sessions)


def rebuild(account_id: UUID, since: date = BEGINNING) -> Differences:
    """Compute an account's figures again while its turns go on; return what was corrected."""
    found = compare(account_id, since)
    recent = _rebuild_past(account_id, since)
    _rebuild_recent(account_id, max(recent, since))
    for ids in batched(found.sessions, SESSIONS_AT_ONCE, strict=False):
        _count_sessions(account_id, ids)
    return found


def _rebuild_past(account_id: UUID, since: date) -> date:
    """Count the days that no turn writes to any more; return the first day after them."""
    with platform_context(statement_seconds=STATEMENT_SECONDS):
        [[recent]] = _rows("SELECT (now() AT TIME ZONE 'UTC')::date - 1", {})
        values = {"account": account_id, "first": since, "end": recent}
        values |= {"since": start_of(since), "until": start_of(recent)}
        _rows(_ONE_REBUILD_AT_ONCE, values | {"account": str(account_id)})
        totals.forget(account_id)
        _rows(_FORGET, values)
        _rows(INSERT_DAYS.format(which=_WITHIN), values)
        totals.forget(account_id)
    return recent  # type: ignore[no-any-return]


def _rebuild_recent(account_id: UUID, first: date) -> None:
    """Count yesterday and today, to which turns are being settled; these wait for the lock.

    Settling locks the account's row before it counts. So a turn that was counted is committed and
    seen here, and any other is counted afterwards, on top. To keep the lock short, an index finds
    what is read under it: the turns of these days, and older ones that were listed before.
    """
    values: dict[str, Any] = {"account": account_id, "first": first, "end": date.max}
    values |= {"since": start_of(first), "created": start_of(first) - LONGEST_TURN}
    with platform_context(statement_seconds=STATEMENT_SECONDS):
        _rows(_ONE_REBUILD_AT_ONCE, values | {"account": str(account_id)})
        values["late"] = [row[0] for row in _rows(_LATE, values)]
        lock_account(account_id)
        _rows(_FORGET, values)
        _rows(INSERT_DAYS.format(which=_RECENT), values)


def _count_sessions(account_id: UUID, ids: Sequence[UUID]) -> None:
    """Count some sessions again, in a new statement after locking them, so that no turn is lost."""
    values = {"account": account_id, "ids": list(ids)}
    with platform_context(statement_seconds=STATEMENT_SECONDS):
        _rows(_LOCK_SESSIONS, values)
        _rows(COUNT_SESSIONS.format(which="account_id = %(account)s AND id = ANY(%(ids)s)"), values)


def _rows(statement: str, values: dict[str, Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall()) if cursor.description else []
