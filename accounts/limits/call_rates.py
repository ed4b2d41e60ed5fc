"""The rates of calls that are no turns: each kind of them has its own, which a route names.

The account's own callers share one rate and its visitors another, so that visitors cannot keep the
account from its own data. Each caller gets a share of it. Reads are counted by each process for
itself, without a statement; everything else is counted in the database, exactly.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db import connection
from msgspec.structs import replace

from accounts.auth.caller import Caller, CallerKind
from accounts.limits.quotas import RateLimited, cached_caps, note_refused, refuse_known
from accounts.limits.rates import WINDOW_SECONDS, Rate, headers
from accounts.limits.registry import Rates
from accounts.tenancy.context import tenant_context
from salient.database import in_database
from salient.ttl import TTLCache

OWN = {CallerKind.SECRET_KEY, CallerKind.MEMBER, CallerKind.STAFF}
# The part of the account's rate that one of these may take: a half, a fifth, a twentieth.
PARTS = {"account": 1, "caller": 2, "visitors": 1, "network": 5, "visitor": 20}
# GCRA, as accounts/limits/rates.py: `arrival` is when all calls so far would be allowed. The rows
# are locked in the order of the subjects, of which the first is the same for all such callers.
TAKE = """
    INSERT INTO rate_states AS known (account_id, subject, arrival)
        SELECT %s, subject, now() + step * interval '1 microsecond'
        FROM unnest(%s::text[], %s::bigint[]) WITH ORDINALITY AS each (subject, step, place)
        ORDER BY place
    ON CONFLICT (account_id, subject) DO UPDATE
        SET arrival = greatest(known.arrival, now()) + (excluded.arrival - now())
    RETURNING subject, (extract(epoch FROM arrival - now()) * 1000000)::bigint
"""
if settings.DATABASE_DISTRIBUTED:
    TAKE = "SELECT * FROM app_take_rates(%s::uuid, %s::text[], %s::bigint[])"


class ProcessCounters[K: Hashable]:
    """How much of each rate is used up in this process, by whose it is; for the event loop."""

    def __init__(self, *, size: int = 50_000) -> None:
        # When all calls so far would be allowed, in microseconds of this process's clock. After a
        # window without a call, all of a rate is free again.
        self._arrivals: TTLCache[K, int] = TTLCache(
            seconds=WINDOW_SECONDS, size=size, of_rows=False
        )

    def now(self, whose: K, rate: Rate) -> Rate:
        """Return the rate as the next call finds it."""
        now = time.monotonic_ns() // 1000
        return replace(rate, ahead=max(0, (self._arrivals.get(whose) or now) - now))

    def put(self, whose: K, rate: Rate) -> None:
        """Store the rate as a call leaves it."""
        self._arrivals.put(whose, time.monotonic_ns() // 1000 + rate.ahead)


_reads: ProcessCounters[tuple[UUID, str]] = ProcessCounters()


@dataclass(frozen=True, slots=True)
class Counted:
    """A rate that a call counts under: whose it is in the database, and what it allows."""

    subject: str
    rate: Rate


async def count_call(caller: Caller, calls: str, *, times: int = 1) -> dict[str, str]:
    """Count a call of this kind (a member of Rates); return the headers of its rates.

    `times` says how many calls it counts as, for those that the database counts. A turn counts
    when it is opened, so nothing is counted for it here. Raises RateLimited, and then nothing is
    counted.
    """
    if calls == Rates.TURN:
        return {}
    caps = await cached_caps(caller.account_id)
    counted = list(_counted(caller, calls, caps.calls[Rates(calls)]))
    if calls == Rates.READ:
        return headers(_take_here(caller.account_id, counted))
    refuse_known(caller.account_id, [each.subject for each in counted])
    return headers(await in_database(_take, caller.account_id, counted, times))


def _counted(caller: Caller, calls: str, most: int) -> Iterator[Counted]:
    for whose, subject in _subjects(caller):
        quota = max(1, most // PARTS[whose])
        yield Counted(f"{calls}:{subject}", Rate.of(f"{calls}-{whose}", quota))


def _subjects(caller: Caller) -> Iterator[tuple[str, str]]:
    if caller.kind in OWN:
        yield "account", "account"
        yield "caller", caller.subject
        return
    yield "visitors", "visitors"
    if caller.network:
        yield "network", f"network:{caller.network}"
    # All visitors of a page have one publishable key.
    if caller.kind is not CallerKind.PUBLISHABLE_KEY:
        yield "visitor", caller.subject


def _take_here(account_id: UUID, counted: list[Counted]) -> list[Rate]:
    before = {each.subject: _reads.now((account_id, each.subject), each.rate) for each in counted}
    if any(rate.wait for rate in before.values()):
        raise note_refused(account_id, before)
    after = {subject: rate.after_calls() for subject, rate in before.items()}
    for subject, rate in after.items():
        _reads.put((account_id, subject), rate)
    return list(after.values())


def _take(account_id: UUID, counted: list[Counted], times: int) -> list[Rate]:
    """Take so many calls of each rate, or all that it has; a refusal rolls all of them back."""
    subjects = [each.subject for each in counted]
    steps = [each.rate.step * min(times, each.rate.quota) for each in counted]
    with tenant_context(account_id):
        with connection.cursor() as cursor:
            cursor.execute(TAKE, [account_id, subjects, steps])
            ahead = dict(cursor.fetchall())
        after = [replace(each.rate, ahead=ahead[each.subject]) for each in counted]
        if any(rate.ahead > rate.quota * rate.step for rate in after):
            before = [rate.after_calls(-1) for rate in after]
            if times > 1:
                # A smaller call may be allowed meanwhile.
                raise RateLimited(before)
            raise note_refused(account_id, dict(zip(subjects, before, strict=True)))
    return after
