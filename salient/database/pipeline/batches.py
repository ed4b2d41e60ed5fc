"""Calls that wait for a connection, the batches that are made of them, and their answers."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import psycopg
from django import db


class MaybeDone(psycopg.OperationalError):
    """The connection ended before the server reported the outcome of a statement that was sent."""


type Statement = tuple[bytes, Sequence[str]]
# As in Django's own wrapper, the most specific first.
_DJANGO_ERRORS: Sequence[tuple[type[Exception], type[Exception]]] = (
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
    """What a function of many values returns: an answer for each value, and one for all."""

    all: msgspec.Raw
    each: list[msgspec.Raw] = []


@dataclass(frozen=True, slots=True)
class Answer:
    """One value's part, as JSON: its own, the common one, and its place in the batch from 0."""

    own: bytes
    common: bytes
    place: int = 0


@dataclass(slots=True, eq=False)
class PendingCall:
    """Statements, the last of which returns one value, and the future that waits for it."""

    statements: Sequence[Statement]
    answer: asyncio.Future[Any]
    # Waiting calls with an equal key are coalesced; None: never.
    batch_key: Hashable = None
    # The statements before the last, if any: transactions of one context lock the same rows.
    context: Hashable = None
    # The calls of a batch are sorted by it, because they lock rows in this order.
    order: str = ""
    # Whether it has failed in a batch, and is sent alone now: the fault may be another call's.
    is_alone: bool = False

    @property
    def queue_key(self) -> Hashable:
        if self.batch_key is None:
            return self
        return ("alone", self.batch_key) if self.is_alone else self.batch_key

    @property
    def exclusive_context(self) -> Hashable:
        """The context that sends one batch at a time; a call that is sent alone may take long."""
        return None if self.is_alone else self.context

    def resolve(self, answer: str | Answer) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(as_django_error(error))


@dataclass(frozen=True, slots=True)
class Batch:
    """Calls that are sent over a connection as one transaction."""

    queue_key: Hashable
    context: Hashable
    calls: list[PendingCall]
    is_coalesced: bool

    def statements(self) -> Sequence[Statement]:
        *before, (text, values) = self.calls[0].statements
        if self.is_coalesced:
            values = [*values[:-1], json_array(call.statements[-1][1][-1] for call in self.calls)]
        return (*before, (text, values))

    def resolve(self, value: str) -> None:
        if not self.is_coalesced:
            self.calls[0].resolve(value)
            return
        for call, answer in zip(self.calls, split_answers(value, len(self.calls)), strict=True):
            call.resolve(answer)

    def fail(self, error: Exception) -> None:
        for call in self.calls:
            call.fail(error)


def json_array(values: Iterable[str]) -> str:
    """Write JSON values as one array."""
    return f"[{','.join(values)}]"


def split_answers(text: str, count: int) -> list[Answer]:
    """Read the Answers to so many values; without `each`, their own parts are empty."""
    answers = _decode(text)
    own = [bytes(each) for each in answers.each] or [b""] * count
    return [Answer(each, bytes(answers.all), place) for place, each in enumerate(own)]


_decode = msgspec.json.Decoder(Answers).decode


def as_django_error(error: Exception) -> Exception:
    """Return Django's error for one of psycopg's, with that one as its cause."""
    for psycopg_error, django_error in _DJANGO_ERRORS:
        if isinstance(error, psycopg_error):
            wrapped = django_error(*error.args)
            wrapped.__cause__ = error
            return wrapped
    return error
