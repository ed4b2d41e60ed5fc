"""What waits for a connection, what travels together, and who gets which part of the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import psycopg
from django import db


class MaybeDone(psycopg.OperationalError):
    """The connection ended before the server said what became of a statement that was sent."""


type Statement = tuple[bytes, Sequence[str]]
# As Django's own wrapper does it, most special first.
_DJANGOS: Sequence[tuple[type[Exception], type[Exception]]] = (
    (psycopg.DataError, db.DataError),
    (psycopg.OperationalError, db.OperationalError),
    (psycopg.IntegrityError, db.IntegrityError),
    (psycopg.InternalError, db.InternalError),
    (psycopg.ProgrammingError, db.ProgrammingError),
    (psycopg.NotSupportedError, db.NotSupportedError),
    (psycopg.DatabaseError, db.DatabaseError),
    (psycopg.InterfaceError, db.InterfaceError),
)


class Answers(msgspec.Struct):
    """What a function of many values gives: an answer for each of them, and one for all."""

    all: msgspec.Raw
    each: list[msgspec.Raw] = []


@dataclass(frozen=True, slots=True)
class Answer:
    """One value's part: its own, what all have in common, and its place among them from 0; JSON."""

    own: bytes
    common: bytes
    place: int = 0


@dataclass(slots=True, eq=False)
class Asked:
    """Statements with their values, the last of which gives one; and who waits for it."""

    statements: Sequence[Statement]
    answer: asyncio.Future[Any]
    # What it may travel with: None for nothing, else whatever waits with an equal one.
    batch_key: Hashable = None
    # What comes before, if anything: those who enter by the same door lock the same rows.
    door: Hashable = None
    # Those that travel together lock rows in this order.
    order: str = ""
    # It has failed in company, perhaps by somebody else's fault.
    alone: bool = False

    def lane(self) -> Hashable:
        if self.batch_key is None:
            return self
        return ("alone", self.batch_key) if self.alone else self.batch_key

    def entry(self) -> Hashable:
        """The door that it enters by in its turn; who goes alone may have to wait long."""
        return None if self.alone else self.door

    def give(self, answer: str | Answer) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(djangos(error))


@dataclass(frozen=True, slots=True)
class Batch:
    """What goes over a connection as one transaction."""

    lane: Hashable
    door: Hashable
    asked: list[Asked]
    many: bool

    def statements(self) -> Sequence[Statement]:
        *before, (text, values) = self.asked[0].statements
        if self.many:
            values = [*values[:-1], together(asked.statements[-1][1][-1] for asked in self.asked)]
        return (*before, (text, values))

    def give(self, value: str) -> None:
        if not self.many:
            self.asked[0].give(value)
            return
        for asked, answer in zip(self.asked, apart(value, len(self.asked)), strict=True):
            asked.give(answer)

    def fail(self, error: Exception) -> None:
        for asked in self.asked:
            asked.fail(error)


def together(values: Iterable[str]) -> str:
    """Write JSON values as one array."""
    return f"[{','.join(values)}]"


def apart(text: str, count: int) -> list[Answer]:
    """Read the Answers to so many values; who has none of its own has an empty one."""
    answers = _decode(text)
    own = [bytes(each) for each in answers.each] or [b""] * count
    return [Answer(each, bytes(answers.all), place) for place, each in enumerate(own)]


_decode = msgspec.json.Decoder(Answers).decode


def djangos(error: Exception) -> Exception:
    """Return Django's error for one of psycopg's, with that one as its cause."""
    for psycopgs, djangos_own in _DJANGOS:
        if isinstance(error, psycopgs):
            wrapped = djangos_own(*error.args)
            wrapped.__cause__ = error
            return wrapped
    return error
