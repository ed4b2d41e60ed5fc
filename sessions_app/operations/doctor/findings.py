"""The result of a check: ok, a warning, or a fault with what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum, StrEnum


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


class Needs(IntEnum):
    """What must be there before a subject can be looked at."""

    NOTHING = 0
    DATABASE = 1
    SCHEMA = 2


@dataclass(frozen=True, slots=True)
class Subject:
    """What is looked at; `look` may raise anything, which is a fault of its subject alone."""

    name: str
    look: Callable[[], Iterator[Finding]]
    needs: Needs = Needs.SCHEMA
    needs_network: bool = False
