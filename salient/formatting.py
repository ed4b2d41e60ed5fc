"""Amounts as staff read them at a glance: rounded, with their unit, and unknown where unknown."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal

UNKNOWN, NONE = "unknown", "\N{EN DASH}"
SECOND = 1000
# From here on seconds with one digit would be written as 60.0.
MINUTE = 59_950
CENT = Decimal("0.01")
_STEPS = ((1_000_000_000, "B"), (1_000_000, "M"), (10_000, "k"))


def money(amount: Decimal | float | None) -> str:
    """Write US dollars: cents, or where that would be nothing, two digits that are something."""
    if amount is None:
        return UNKNOWN
    value = Decimal(amount)
    if not value or abs(value) >= CENT:
        return f"${value:,.2f}"
    return f"${value:.{1 - value.adjusted()}f}"


def money_on_axis(step: float) -> Callable[[float], str]:
    """Return how an axis writes US dollars: with the digits that its steps need, in all of them."""
    exponent = Decimal(f"{step:.6g}").normalize().as_tuple().exponent
    digits = max(2, -exponent) if isinstance(exponent, int) else 2
    return lambda amount: f"${amount:,.{digits}f}"


def spend(known: Decimal, unpriced: int) -> str:
    """Write a sum of which some parts may be of unknown cost: these are never shown as nothing."""
    if not unpriced:
        return money(known)
    return f"{money(known)} + {count(unpriced)} unpriced" if known else UNKNOWN


def exact_money(amount: Decimal) -> str:
    """Write US dollars as they were typed: cents, and more digits only where they say something."""
    cents = amount.quantize(CENT)
    return f"${cents:,.2f}" if cents == amount else f"${amount.normalize():,f}"


def count(number: float) -> str:
    return f"{number:,.0f}"


def compact(number: float) -> str:
    """Write a large number with three digits or so: 55.1 M."""
    for step, name in _STEPS:
        if number >= step:
            unit = 1000 if name == "k" else step
            return f"{number / unit:.1f} {name}"
    return count(number)


def duration(milliseconds: float | None) -> str:
    """Write a time that something took: 320 ms, 9.9 s, 2 min 5 s."""
    if milliseconds is None:
        return NONE
    if milliseconds < SECOND:
        return f"{milliseconds:.0f} ms"
    if milliseconds < MINUTE:
        return f"{milliseconds / SECOND:.1f} s"
    minutes, rest = divmod(round(milliseconds / SECOND), 60)
    return f"{minutes} min {rest} s"


def share(part: float | None) -> str:
    return NONE if part is None else f"{part:.1%}"


def dollars(amount: Decimal) -> str:
    return f"{amount.normalize():f}"


def moment(time: datetime) -> str:
    """Write a moment, to the minute and with its zone: 1 Sep 2026, 14:05 UTC."""
    return f"{day(time.astimezone(UTC))}, {time.astimezone(UTC):%H:%M} UTC"


def exact_moment(time: datetime) -> str:
    """Write a moment to the second, where the order of things matters."""
    return f"{day(time.astimezone(UTC))}, {time.astimezone(UTC):%H:%M:%S} UTC"


def day(date: date) -> str:
    return f"{short_day(date)} {date.year}"


def short_day(day: date) -> str:
    """Write a day of a year that is known: 1 Sep."""
    return f"{day.day} {day:%b}"


def short_days(first: date, last: date) -> str:
    """Write some days of a year that is known: 1-7 Sep, 29 Sep - 5 Oct."""
    if first.month == last.month:
        return f"{first.day}{NONE}{short_day(last)}"
    return f"{short_day(first)} {NONE} {short_day(last)}"


def utc(moment: datetime) -> str:
    """Write a moment as the API does: 2026-11-21T05:00:00Z."""
    return moment.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"
