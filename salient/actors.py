"""Who acts: contexts pass the actor to the database, whose audit log names it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache

import msgspec
from django.db import connection


class Actor(msgspec.Struct, frozen=True):
    """`kind` is one of ActorKind; `name` is what people know it by; `reason` is in their words."""

    kind: str
    id: str = ""
    name: str = ""
    reason: str = ""


_actor: ContextVar[str] = ContextVar("actor", default="")


def current_actor() -> Actor:
    """Return who acts now; the system where nobody was named."""
    text = _actor.get()
    return msgspec.json.decode(text, type=Actor) if text else Actor("system")


def actor_text() -> str:
    """Return the actor as app.actor has it: JSON, "" without one."""
    return _actor.get()


@lru_cache(maxsize=1024)
def _text(actor: Actor) -> str:
    return msgspec.json.encode(actor).decode()


def now_acting(actor: Actor) -> None:
    """Name the actor for the rest of this request, whose context ends with it."""
    _actor.set(_text(actor))


@contextmanager
def acting(actor: Actor) -> Iterator[None]:
    token = _actor.set(_text(actor))
    try:
        yield
    finally:
        _actor.reset(token)


def set_transaction_actor(actor: Actor) -> None:
    """Name the actor inside a context that was opened before the caller was known."""
    now_acting(actor)
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('app.actor', %s, true)", [actor_text()])
