"""The id of each request: in its answer's X-Request-Id and in every line of the log about it."""

from __future__ import annotations

import logging
import os
import re
from contextvars import ContextVar, Token
from typing import Any

# A key that was sent in the wrong header is not an id.
_SANE = re.compile(rb"(?!.*sal_)[A-Za-z0-9._:~-]{1,128}")
NONE = "-"
_current: ContextVar[str] = ContextVar("request_id", default=NONE)


def begin(scope: dict[str, Any]) -> Token[str]:
    """Note the client's own id, or a new one where that is none, for all that the request does."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE.fullmatch(value):
            return _current.set(value.decode("ascii"))
    return _current.set(new_id())


def new_id() -> str:
    return os.urandom(12).hex()


def current() -> str:
    """Return the id of the request that runs; “-” outside of any."""
    return _current.get()


def end(begun: Token[str]) -> None:
    _current.reset(begun)


def leave() -> None:
    """Belong to no request from now on: for a task that outlives the one which started it."""
    _current.set(NONE)


class RequestIds(logging.Filter):
    """Adds `request_id` to each record."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = _current.get()
        return True
