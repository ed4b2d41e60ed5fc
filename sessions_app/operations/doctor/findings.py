"""What a subject says of itself: ok, a warning, or a fault with what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: how it stands with a subject, and what to do."""

    status: Status
    text: str
    advice: str = ""


def ok(text: str) -> Finding:
    return Finding(Status.OK, text)


def warning(text: str, advice: str = "") -> Finding:
    return Finding(Status.WARNING, text, advice)


def fault(text: str, advice: str = "") -> Finding:
    return Finding(Status.FAULT, text, advice)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is looked at; what needs the database is left out while that cannot be used.

    `look` may raise anything: that is a fault of its subject alone.
    """

    name: str
    look: Callable[[], Iterator[Finding]]
    needs_database: bool = True
    needs_network: bool = False
