"""What a stored turn's error code means, and what to do: the errors' own docstrings say it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from inspect import getdoc
from typing import Self

from accounts.auth.revocation import Interrupted
from agents.runtime.errors import RUN_ERRORS, RunError
from salient.api.problems import InternalError, Problem, first_paragraph
from sessions_app.turns.problems import AnswerNotStored, TurnAbandoned
from sessions_app.turns.turn import CLIENT_LEFT

REMEDY = "What to do: "


@dataclass(frozen=True, slots=True)
class ErrorHelp:
    """When an error happens, and what to do about it; either may be empty."""

    meaning: str
    remedy: str

    @classmethod
    def of(cls, error: type[Exception]) -> Self:
        text = getdoc(error) or ""
        remedy = first_paragraph(text.partition(REMEDY)[2])
        return cls(first_paragraph(text), remedy[:1].upper() + remedy[1:])


def help_with(code: str) -> ErrorHelp | None:
    """Return the help with an error code of llm_requests; None for none and for an unknown one."""
    return all_help().get(code)


def all_help() -> dict[str, ErrorHelp]:
    """Return the help with every code that a turn may be stored with."""
    found = {error.code: ErrorHelp.of(error) for error in _errors()}
    left = "The client closed the connection before the answer was complete."
    return found | {CLIENT_LEFT: ErrorHelp(left, "Nothing: what was answered is stored.")}


def _errors() -> Iterator[type[RunError] | type[Problem]]:
    yield from RUN_ERRORS.values()
    yield from (AnswerNotStored, TurnAbandoned, InternalError)
    yield from _below(Interrupted)


def _below(base: type[Problem]) -> Iterator[type[Problem]]:
    for kind in base.__subclasses__():
        if "code" in vars(kind):
            yield kind
        yield from _below(kind)
