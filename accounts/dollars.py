"""Dollars in words for people and programs: exact, and never as 0E-8."""

from decimal import Decimal


def dollars(amount: Decimal) -> str:
    return f"{amount.normalize():f}"
