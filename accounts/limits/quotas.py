"""What a call takes of its account's limits: rates, running turns and dollars, all or nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from http import HTTPStatus
from typing import Any
from uuid import UUID

import msgspec
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import connection

from accounts.auth.caller import Caller, CallerKind
from accounts.limits.alerts import Alert
from accounts.limits.periods import next_start
from accounts.limits.rates import MICROSECONDS, Rate, headers
from accounts.limits.registry import CALL_RATES, LIMITS, RATES, Rates
from accounts.models import Account, AccountLimits, BudgetPeriod, RateState
from accounts.tenancy.context import platform_context, tenant_context
from salient.api.problems import Problem
from salient.database import in_database_once
from salient.formatting import dollars, utc
from salient.ttl import TTLCache

NOTHING = Decimal(0)
SEES_AMOUNTS = {CallerKind.SECRET_KEY, CallerKind.MEMBER}


class RateLimited(Problem):
    """Too many calls; `Retry-After` says when the next one is allowed."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "rate_limited"
    extensions = {"policy": str}

    def __init__(self, rates: Sequence[Rate]) -> None:
        least = max(rates, key=lambda rate: rate.wait)
        kind, _, whose = least.policy.rpartition("-")
        super().__init__(
            f"Too many {kind.replace('_', ' ') or 'calls'} (limit: {least.quota} a minute for "
            f"{'its' if whose == 'visitors' else 'this'} {whose}); "
            f"try again in {least.wait_seconds} s.",
            headers=headers(rates) | {"Retry-After": str(least.wait_seconds)},
            policy=least.policy,
        )


class TooManyTurns(Problem):
    """The account has reached its number of concurrent turns."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "too_many_turns"
    extensions = {"limit": int}

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"{limit} turns are already running; try again when one has ended.",
            headers={"Retry-After": "1"},
            limit=limit,
        )


class BudgetExceeded(Problem):
    """What the call may cost does not fit into a budget; `resets_at` says when the period ends.
    `unpriced_models` names models whose price is unknown.
    """

    status = HTTPStatus.PAYMENT_REQUIRED
    code = "budget_exceeded"
    # The amounts are US dollars as decimals, for the account's own callers.
    extensions = {
        "budget": str,
        "period": str,
        "resets_at": datetime,
        **dict.fromkeys(("limit", "spent", "reserved", "remaining", "needed"), str),
        "unpriced_models": list[str],
    }


@dataclass(frozen=True, slots=True)
class Caps:
    """How large a turn may be, and how many calls a minute of each other kind an account makes."""

    message_bytes: int
    history_messages: int
    output_tokens: int | None
    calls: Mapping[Rates, int] = field(default_factory=dict)

    def output(self, configured: int | None) -> int:
        """Return how many tokens the model may write; there is always a number."""
        given = [most for most in (configured, self.output_tokens) if most is not None]
        return min(given, default=settings.DEFAULT_OUTPUT_TOKENS)


class Reservation(msgspec.Struct, frozen=True):
    """What a turn holds until it is settled: one running turn, and dollars of each budget."""

    reserved: Decimal
    rates: tuple[Rate, ...]
    headers: dict[str, str] = msgspec.field(default_factory=dict)


class Settlement(msgspec.Struct, frozen=True):
    """When the database settled the cost, and the alerts that this set off."""

    moment: datetime
    alerts: list[Alert]


class RateLimit(msgspec.Struct, frozen=True):
    """A rate that a call counts under, with the field names of app_take_limits.

    `usual` holds where the account has no limit of its own.
    """

    policy: str
    subject: str
    usual: int


class Limits(msgspec.Struct, frozen=True):
    """All that limits a caller's turns; made once a turn and passed along.

    `rates` and `most_turns` are the installation's: the database reads the account's own.
    """

    caller: Caller
    rates: list[RateLimit]
    most_turns: int
    caps: Caps


_caps: TTLCache[UUID, Caps] = TTLCache()
# Who was refused and when: until the rate allows a call, the database is not asked again.
_refused: TTLCache[tuple[UUID, str], tuple[float, Rate]] = TTLCache()


def limits_of(caller: Caller) -> Limits:
    """Return the caller's limits; call it inside the tenant context."""
    return _limits(caller, caps_of(caller.account_id))


def known_limits(caller: Caller) -> Limits | None:
    """Return the caller's limits if this process knows them, without asking the database."""
    caps = _caps.get(caller.account_id)
    return None if caps is None else _limits(caller, caps)


def _limits(caller: Caller, caps: Caps) -> Limits:
    return Limits(caller, _rates(caller), settings.DEFAULT_LIMITS["concurrent_turns"], caps)


def _rates(caller: Caller) -> list[RateLimit]:
    return [
        RateLimit(policy, subject, settings.DEFAULT_LIMITS[RATES[policy].name])
        for policy, subject in subjects_of(caller).items()
    ]


def caps_of(account_id: UUID) -> Caps:
    """Return the account's caps; call it inside a context."""
    caps = _caps.get(account_id)
    if caps is None:
        row = own_limits(account_id)
        caps = Caps(
            message_bytes=limit_of(row, "message_bytes"),
            history_messages=limit_of(row, "history_messages"),
            output_tokens=row.output_tokens if row else None,
            calls={calls: limit_of(row, limit.name) for calls, limit in CALL_RATES.items()},
        )
        _caps.put(account_id, caps)
    return caps


async def cached_caps(account_id: UUID) -> Caps:
    """Return the account's caps, at most some seconds old; reads them where they are not known."""
    known = _caps.get(account_id)
    return await in_database_once(_load_caps, account_id) if known is None else known


def _load_caps(account_id: UUID) -> Caps:
    with tenant_context(account_id):
        return caps_of(account_id)


def own_limits(account_id: UUID) -> AccountLimits | None:
    """Return what is set for this account, if anything is; call it inside a context."""
    found: AccountLimits | None = AccountLimits.objects.filter(account_id=account_id).first()
    return found


def limit_of(row: AccountLimits | None, name: str) -> int:
    """Return the account's own limit, else the installation's; never above the highest."""
    own = getattr(row, name, None)
    return min(int(settings.DEFAULT_LIMITS[name] if own is None else own), LIMITS[name].highest)


def subjects_of(caller: Caller) -> dict[str, str]:
    """Return the subject of each policy that the caller's calls count under.

    A network's limit is for people: all users of a secret key's server share its address.
    """
    subjects = {"account": "account"}
    if caller.kind == CallerKind.SECRET_KEY:
        return subjects | ({"key": caller.subject} if caller.subject else {})
    subjects["visitor"] = caller.subject
    if caller.network:
        subjects["network"] = f"network:{caller.network}"
    return subjects


def refuse_at_once(caller: Caller) -> None:
    """Raise RateLimited for a caller who was refused a moment ago, without asking the database."""
    if _refused:
        refuse_known(caller.account_id, subjects_of(caller).values())


def refuse_known(account_id: UUID, subjects: Iterable[str]) -> None:
    """Raise RateLimited where one of these was refused a moment ago and would be again."""
    for subject in subjects:
        known = _refused.get((account_id, subject))
        if known is None:
            continue
        rate = known[1].after_time(int((time.monotonic() - known[0]) * MICROSECONDS))
        if rate.wait:
            raise RateLimited([rate])


def note_refused(account_id: UUID, rates: Mapping[str, Rate]) -> RateLimited:
    """Remember for each subject the rate that refused it; return the Problem."""
    now = time.monotonic()
    for subject, rate in rates.items():
        if rate.wait:
            _refused.put((account_id, subject), (now, rate))
    return RateLimited(list(rates.values()))


def reserve(
    caller: Caller,
    instance_id: UUID,
    cost: Decimal = NOTHING,
    *,
    turn: bool = True,
    at: datetime | None = None,
) -> Reservation:
    """Reserve one call of each rate, one running turn, and `cost` dollars of each budget.

    Not on the path of a turn, which reserves in app_open_turns: for ratings, repeated calls and
    the explanation of a call. One statement, inside the tenant context. It locks the account's row
    until the transaction ends: make it the last statement. Let a Problem roll it back: only then
    nothing is reserved.
    """
    answer = _call(
        "SELECT app_take_limits(%s, %s, %s, %s, 1, %s, %s, %s)",
        caller.account_id,
        instance_id,
        msgspec.json.encode(_rates(caller)).decode(),
        settings.DEFAULT_LIMITS["concurrent_turns"],
        int(turn),
        cost,
        at,
    )
    if answer["refused"]:
        raise refusal(caller, answer, cost)
    return reservation([Rate(**row) for row in answer["rates"]], cost)


def reservation(rates: Iterable[Rate], cost: Decimal, *, before: int = 0) -> Reservation:
    """Return what a call holds, of rates as they were `before` calls ago, this one not counted."""
    after = tuple(rate.after_calls(before + 1) for rate in rates)
    return Reservation(cost, after, headers(after))


def refusal(caller: Caller, answer: dict[str, Any], cost: Decimal) -> Problem:
    """Return the Problem for the database's refusal of a call that may cost `cost` dollars."""
    match answer["refused"]:
        case "rate_limited":
            subjects = subjects_of(caller)
            rates = [Rate(**row) for row in answer["rates"]]
            return note_refused(caller.account_id, {subjects[rate.policy]: rate for rate in rates})
        case "too_many_turns":
            return TooManyTurns(answer["facts"]["limit"])
        case _:
            return _budget_exceeded(caller, cost, answer["facts"])


def release(
    account_id: UUID,
    instance_id: UUID,
    *,
    reserved: Decimal | None,
    cost: Decimal | None,
    at: datetime | None = None,
) -> Settlement:
    """Release a turn's place and reservation, and count what it did cost.

    A cost of None is unknown: the whole reservation counts. Call it once a turn, inside a context,
    after everything else that the transaction locks.
    """
    reserved = reserved or NOTHING
    spent = reserved if cost is None else cost
    release = "SELECT app_release_limits(%s, %s, 1, %s, %s, %s)"
    return settlement(account_id, _call(release, account_id, instance_id, reserved, spent, at))


def settlement(account_id: UUID, answer: dict[str, Any]) -> Settlement:
    """Read the database's answer to a turn that was settled."""
    return Settlement(
        datetime.fromisoformat(answer["moment"]),
        [Alert.of(account_id, facts) for facts in answer["alerts"]],
    )


def set_limits(account: Account, **limits: int | None) -> AccountLimits:
    """Set the account's limits for the platform; None is the installation's default again.

    Raises ValidationError for a number below 1 or above the highest.
    """
    for name, limit in limits.items():
        highest = LIMITS[name].highest
        if limit is not None and not 1 <= limit <= highest:
            raise ValidationError(
                f"{name}: a limit is a whole number from 1 to {highest}, not {limit}."
            )
    with tenant_context(account.pk):
        row = grant(account.pk, limits)
    forget_caps()
    return row


def grant(account_id: UUID, limits: Mapping[str, int | None]) -> AccountLimits:
    """Let these limits hold, and be the most that the account's owners may set; in a context.

    Never `running`: turns start and end meanwhile. Call forget_caps afterwards.
    """
    row = lock_account(account_id)
    for name, limit in limits.items():
        setattr(row, name, limit)
        row.granted.pop(name, None)
        if limit is not None:
            row.granted[name] = limit
    row.save(update_fields=[*limits, "granted"])
    return row


def forget_caps() -> None:
    """Read the limits again from now on; other processes do so within seconds."""
    _caps.clear()
    _refused.clear()


def lock_account(account_id: UUID) -> AccountLimits:
    """Lock the account: none of its turns starts or settles until the transaction ends."""
    AccountLimits.objects.bulk_create([AccountLimits(account_id=account_id)], ignore_conflicts=True)
    row: AccountLimits = AccountLimits.objects.select_for_update().get(account_id=account_id)
    return row


def forget_past_rates(at: datetime) -> int:
    """Delete the rate states that are back at zero; for the periodic command."""
    with platform_context():
        return RateState.objects.filter(arrival__lt=at).delete()[0]


def _call(statement: str, *values: Any) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return json.loads(cursor.fetchone()[0])


def _budget_exceeded(caller: Caller, cost: Decimal, facts: dict[str, Any]) -> BudgetExceeded:
    """Name the budget that is short; its amounts are for the account's own, not its visitors."""
    scope = "account" if facts["instance"] is None else "instance"
    period = BudgetPeriod(facts["period"])
    resets_at = next_start(period, datetime.fromisoformat(facts["period_start"]))
    members: dict[str, Any] = {
        "budget": scope,
        "period": period.value,
        "resets_at": utc(resets_at),
    }
    if caller.kind in SEES_AMOUNTS:
        limit, spent, reserved = (Decimal(facts[name]) for name in ("limit", "spent", "reserved"))
        members |= {
            "limit": dollars(limit),
            "spent": dollars(spent),
            "reserved": dollars(reserved),
            "remaining": dollars(max(NOTHING, limit - spent - reserved)),
            "needed": dollars(cost),
        }
    return BudgetExceeded(
        f"The {scope}'s budget for this {period.value} does not cover what this call may cost.",
        **members,
    )
