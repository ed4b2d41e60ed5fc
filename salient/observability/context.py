"""What a line of the log and a trace are about: the request, its account, agent and turn.

One object for each request, shared by all tasks that the request starts: what is found out later
(the account by the decorator, the turn when it is stored) is seen by all of them.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Any, Final
from uuid import UUID

# A key that was sent in the wrong header is not an id.
_SANE = re.compile(rb"(?!.*sal_)[A-Za-z0-9._:~-]{1,128}")
NONE: Final = "-"
# The fields of a record, in the order in which they are written.
FIELDS: Final = ("request_id", "account", "agent", "session_id", "turn_id")


class Context:
    """The ids of one request, or of one job of the worker; slugs, and no text of people."""

    __slots__ = (*FIELDS, "began", "span", "status")

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self.account = self.agent = ""
        self.session_id: UUID | None = None
        self.turn_id: UUID | None = None
        self.began = time.perf_counter()
        # Of the answer, 0 until it begins.
        self.status = 0
        # The innermost span that is under way, where traces are on.
        self.span: Any = None


_current: ContextVar[Context | None] = ContextVar("context", default=None)


def begin(scope: dict[str, Any]) -> Token[Context | None]:
    """Take the client's own request id, or a new one where that is none."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE.fullmatch(value):
            return _current.set(Context(value.decode("ascii")))
    return _current.set(Context(new_id()))


def end(begun: Token[Context | None]) -> None:
    _current.reset(begun)


def new_id() -> str:
    return os.urandom(12).hex()


def current() -> Context | None:
    return _current.get()


def request_id() -> str:
    """Return the id of the request that runs; “-” outside of any."""
    context = _current.get()
    return NONE if context is None else context.request_id


def note(*, account: str, agent: str = "") -> None:
    """Note the slugs of what the request is about, once the caller may know that they exist."""
    if (context := _current.get()) is not None:
        context.account, context.agent = account, agent or context.agent


def note_turn(account: str, agent: str, session_id: UUID, turn_id: UUID) -> None:
    if (context := _current.get()) is not None:
        context.account, context.agent = account, agent
        context.session_id, context.turn_id = session_id, turn_id


def leave() -> None:
    """Belong to no request from now on: for a task that outlives the one which started it."""
    _current.set(None)


@contextmanager
def apart(name: str = "") -> Iterator[None]:
    """Give the block ids of its own: a job of the worker, or one of several turns of a request."""
    outer = _current.get()
    inner = Context(outer.request_id if outer is not None else f"{name}-{new_id()[:8]}")
    if outer is not None:
        inner.account, inner.agent, inner.span = outer.account, outer.agent, outer.span
    begun = _current.set(inner)
    try:
        yield
    finally:
        _current.reset(begun)


class ContextFilter(logging.Filter):
    """Adds the ids to each record, and `context`, which holds them all on one line."""

    def filter(self, record: logging.LogRecord) -> bool:
        context = _current.get()
        for name in FIELDS:
            setattr(record, name, "")
        record.context = NONE
        if context is not None:
            for name in FIELDS:
                setattr(record, name, str(getattr(context, name) or ""))
            record.context = _shown(context)
        return True


def _shown(context: Context) -> str:
    parts = [context.request_id]
    if context.account:
        parts.append(f"{context.account}/{context.agent}".rstrip("/"))
    if context.session_id is not None:
        parts += [f"session={context.session_id}", f"turn={context.turn_id}"]
    return " ".join(parts)
