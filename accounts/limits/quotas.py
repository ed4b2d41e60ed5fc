"""What an account may take at once: rates, turns, dollars; taken and given back as one."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from http import HTTPStatus
from typing import Any
from uuid import UUID

import msgspec
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import connection

from accounts.auth.bearer import CACHE_TTL
from accounts.auth.caller import Caller, CallerKind
from accounts.limits.alerts import Alert
from accounts.limits.periods import next_start
from accounts.limits.rates import MICROSECONDS, WINDOW_SECONDS, Rate, headers
from accounts.models import Account, AccountLimits, BudgetPeriod, RateState
from accounts.tenancy.context import platform_context, tenant_context
from salient.api.problems import Problem
from salient.formatting import dollars
from salient.ttl import TTLCache

TAKE = "SELECT app_take_limits(%s, %s, %s, %s, 1, %s, %s, %s)"
RELEASE = "SELECT app_release_limits(%s, %s, 1, %s, %s, %s)"
QUOTAS = {
    "account": "requests_per_minute",
    "key": "requests_per_minute_per_key",
    "visitor": "requests_per_minute_per_visitor",
    "network": "requests_per_minute_per_network",
}
# The longest message that the API takes of anybody.
MAX_MESSAGE_BYTES = 32 * 1024
_MOST_REQUESTS = WINDOW_SECONDS * MICROSECONDS
# No account's own limit is above these, for something else holds there: the API's longest message,
# the longest history and answer of a configuration, one call each microsecond, the column's size.
HIGHEST = {
    **dict.fromkeys(QUOTAS.values(), _MOST_REQUESTS),
    "concurrent_turns": 2**31 - 1,
    "message_bytes": MAX_MESSAGE_BYTES,
    "history_messages": 200,
    "output_tokens": 1_000_000,
}
NOTHING = Decimal(0)
SEES_AMOUNTS = {CallerKind.SECRET_KEY, CallerKind.MEMBER}


class RateLimited(Problem):
    """Too many calls in a short time; Retry-After says when the next one is let through."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "rate_limited"

    def __init__(self, rates: Sequence[Rate]) -> None:
        least = max(rates, key=lambda rate: rate.wait)
        super().__init__(
            f"Too many calls (limit: {least.quota} a minute for this {least.policy}); "
            f"try again in {least.wait_seconds} s.",
            headers=headers(rates) | {"Retry-After": str(least.wait_seconds)},
            policy=least.policy,
        )


class TooManyTurns(Problem):
    """As many turns run at once as the account may have."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "too_many_turns"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"{limit} turns run at once already; try again when one has ended.",
            headers={"Retry-After": "1"},
            limit=limit,
        )


class BudgetExceeded(Problem):
    """What the turn may cost does not fit into what is left of a budget."""

    status = HTTPStatus.PAYMENT_REQUIRED
    code = "budget_exceeded"


@dataclass(frozen=True, slots=True)
class Caps:
    """How large a turn may be."""

    message_bytes: int
    history_messages: int
    output_tokens: int | None

    def output(self, configured: int | None) -> int:
        """Return how many tokens the model is told to write at most; there is always a number."""
        given = [most for most in (configured, self.output_tokens) if most is not None]
        return min(given, default=settings.DEFAULT_OUTPUT_TOKENS)


class Reservation(msgspec.Struct, frozen=True):
    """What a turn holds until it is settled: so many dollars of each budget, and one place."""

    reserved: Decimal
    rates: tuple[Rate, ...]
    headers: dict[str, str] = msgspec.field(default_factory=dict)


class Settlement(msgspec.Struct, frozen=True):
    """When the database settled the cost, and which alerts that set off."""

    moment: datetime
    alerts: list[Alert]


_caps: TTLCache[UUID, Caps] = TTLCache(seconds=CACHE_TTL)
# Who has just been refused stays refused until then, whoever counts: no need to ask again.
_refused: TTLCache[tuple[UUID, str], tuple[float, Rate]] = TTLCache(seconds=CACHE_TTL)


def known_caps(account_id: UUID) -> Caps | None:
    """Return the account's caps if they are believed, without asking the database."""
    return _caps.get(account_id)


def caps_of(account_id: UUID) -> Caps:
    """Return the account's caps; call it inside a door."""
    caps = _caps.get(account_id)
    if caps is None:
        row = own_limits(account_id)
        caps = Caps(
            message_bytes=limit_of(row, "message_bytes"),
            history_messages=limit_of(row, "history_messages"),
            output_tokens=row.output_tokens if row else None,
        )
        _caps.put(account_id, caps)
    return caps


def own_limits(account_id: UUID) -> AccountLimits | None:
    """Return what is set for this account, if anything is; call it inside a door."""
    found: AccountLimits | None = AccountLimits.objects.filter(account_id=account_id).first()
    return found


def limit_of(row: AccountLimits | None, name: str) -> int:
    """Return the account's own limit, else the installation's; never more than can hold."""
    own = getattr(row, name, None)
    return min(int(settings.DEFAULT_LIMITS[name] if own is None else own), HIGHEST[name])


def subjects_of(caller: Caller) -> dict[str, str]:
    """Return under which policies the call counts, and as whose.

    A network's limit is for people: a secret key's server has one address for all of them.
    """
    subjects = {"account": "account"}
    if caller.kind == CallerKind.SECRET_KEY:
        return subjects | ({"key": caller.subject} if caller.subject else {})
    subjects["visitor"] = caller.subject
    if caller.network:
        subjects["network"] = f"network:{caller.network}"
    return subjects


def refuse_at_once(caller: Caller) -> None:
    """Raise RateLimited for who was refused a moment ago and need not be asked about again."""
    for subject in subjects_of(caller).values():
        known = _refused.get((caller.account_id, subject))
        if known is None:
            continue
        rate = known[1].after(int((time.monotonic() - known[0]) * MICROSECONDS))
        if rate.wait:
            raise RateLimited([rate])


def take(
    caller: Caller,
    instance_id: UUID,
    cost: Decimal = NOTHING,
    *,
    turn: bool = True,
    at: datetime | None = None,
) -> Reservation:
    """Take one call of each rate, a place among the running turns, and `cost` of each budget.

    One statement, inside the tenant's door. It locks the account's row until the transaction ends:
    call it as the last thing before that. Let a Problem end the transaction: only then nothing is
    taken.
    """
    asked = request_of(caller)
    answer = _call(
        TAKE,
        caller.account_id,
        instance_id,
        json.dumps(asked.rates),
        asked.most_turns,
        int(turn),
        cost,
        at,
    )
    if answer["refused"]:
        raise refusal(caller, answer, cost)
    return reservation([Rate(**row) for row in answer["rates"]], cost)


class Asked(msgspec.Struct, frozen=True):
    """What the database is asked to take, in the words of its functions."""

    rates: list[dict[str, Any]]
    most_turns: int


def request_of(caller: Caller) -> Asked:
    """Say under which policies the call counts, and what holds where the account has no own."""
    usual = settings.DEFAULT_LIMITS
    rates = [
        {"policy": policy, "subject": subject, "usual": usual[QUOTAS[policy]]}
        for policy, subject in subjects_of(caller).items()
    ]
    return Asked(rates, usual["concurrent_turns"])


def reservation(rates: Iterable[Rate], cost: Decimal, *, before: int = 0) -> Reservation:
    """Say what was taken, and how much is left of each rate; so many calls were before this one."""
    after = tuple(rate.taken(before + 1) for rate in rates)
    return Reservation(cost, after, headers(after))


def refusal(caller: Caller, answer: dict[str, Any], cost: Decimal) -> Problem:
    """Return the Problem that the database's refusal is."""
    match answer["refused"]:
        case "rate_limited":
            rates = tuple(Rate(**row) for row in answer["rates"])
            _remember(caller, rates)
            return RateLimited(rates)
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
    """Give back a turn's place and reservation, and count what it did cost.

    A cost of None is one that nobody knows: the whole reservation counts. Call it once a turn,
    inside a door, after everything else that the transaction locks.
    """
    reserved = reserved or NOTHING
    spent = reserved if cost is None else cost
    return settlement(account_id, _call(RELEASE, account_id, instance_id, reserved, spent, at))


def settlement(account_id: UUID, answer: dict[str, Any]) -> Settlement:
    """Read what the database says of a turn that was settled."""
    return Settlement(
        datetime.fromisoformat(answer["moment"]),
        [Alert.of(account_id, facts) for facts in answer["alerts"]],
    )


def set_limits(account: Account, **limits: int | None) -> AccountLimits:
    """Set the account's own limits; None is the installation's default again.

    Raises ValidationError for a number below 1 or above HIGHEST.
    """
    check_limits(limits)
    with tenant_context(account.pk):
        row = lock_account(account.pk)
        for name, limit in limits.items():
            setattr(row, name, limit)
        row.full_clean()
        row.save(update_fields=list(limits))
    forget_caps()
    return row


def check_limits(limits: Mapping[str, int | None]) -> None:
    """Raise ValidationError for what is below 1, or so high that something else holds."""
    for name, limit in limits.items():
        if limit is not None and not 1 <= limit <= HIGHEST[name]:
            raise ValidationError(
                f"{name}: a limit is a whole number from 1 to {HIGHEST[name]}, not {limit}."
            )


def forget_caps() -> None:
    """Ask again what holds; other processes do so within seconds."""
    _caps.clear()
    _refused.clear()


def lock_account(account_id: UUID) -> AccountLimits:
    """Keep every turn of the account from starting and from settling until the transaction ends."""
    AccountLimits.objects.bulk_create([AccountLimits(account_id=account_id)], ignore_conflicts=True)
    row: AccountLimits = AccountLimits.objects.select_for_update().get(account_id=account_id)
    return row


def forget_past_rates(at: datetime) -> int:
    """Delete the rate states that say nothing any more; for the periodic command."""
    with platform_context():
        return RateState.objects.filter(arrival__lt=at).delete()[0]


def _call(statement: str, *values: Any) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return json.loads(cursor.fetchone()[0])


def _remember(caller: Caller, rates: Sequence[Rate]) -> None:
    now, subjects = time.monotonic(), subjects_of(caller)
    for rate in rates:
        if rate.wait:
            _refused.put((caller.account_id, subjects[rate.policy]), (now, rate))


def _budget_exceeded(caller: Caller, cost: Decimal, facts: dict[str, Any]) -> BudgetExceeded:
    """Say which budget is short; its amounts are for the account's own, not for its visitors."""
    scope = "account" if facts["instance"] is None else "instance"
    period = BudgetPeriod(facts["period"])
    resets_at = next_start(period, datetime.fromisoformat(facts["period_start"]))
    members: dict[str, Any] = {
        "budget": scope,
        "period": period.value,
        "resets_at": resets_at.isoformat(),
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
