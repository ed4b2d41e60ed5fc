"""Dates and amounts in templates, written as everywhere (salient/formatting.py).

Every template has these filters; a missing value stays empty, for `|default:"never"`.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from django import template

from salient import formatting

register = template.Library()


@register.filter
def moment(time: datetime | None) -> str:
    return formatting.moment(time) if time else ""


@register.filter
def exact_moment(time: datetime | None) -> str:
    return formatting.exact_moment(time) if time else ""


@register.filter
def day(date: date | None) -> str:
    return formatting.day(date) if date else ""


@register.filter
def duration(milliseconds: float | None) -> str:
    return formatting.duration(milliseconds)


@register.filter
def count(number: float | None) -> str:
    return "" if number is None else formatting.count(number)


@register.filter
def money(dollars: Decimal | str | None) -> str:
    return "" if dollars is None else formatting.money(Decimal(dollars))
