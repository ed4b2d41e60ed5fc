"""What a stored turn's error code means, and what to do: the errors' own docstrings say it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from inspect import getdoc
from typing import Self

from accounts.auth.explain import ADVICE
from accounts.auth.revocation import Interrupted
from agents.runtime.errors import RUN_ERRORS, RunError
from salient.api.problems import InternalError, Problem, first_paragraph
from sessions_app.turns.problems import AnswerNotStored, TurnAbandoned
from sessions_app.turns.turn import CLIENT_LEFT

REMEDY = "What to do: "
# What to do about a refusal whose code has no advice of its own, by its status.
BY_STATUS = {
    400: "Correct the call: the answer's `detail` says what is wrong with it.",
    403: "Call with a key or role that has this right.",
    404: "Compare the names and ids of the call with those of the account.",
    408: "Send the call faster, or look at what is between the caller and the server.",
    409: "Read the thing's present state, and call again if the change is still wanted.",
    412: "Read it again, and repeat the change on what is there now.",
    422: "Correct the call: the answer says what is wrong with it.",
    428: "Send the header that the answer names.",
    429: "Wait as long as Retry-After says.",
    503: "Call again after a moment, as Retry-After says.",
}


@dataclass(frozen=True, slots=True)
class ErrorHelp:
    """When an error happens, and what to do about it; either may be empty."""

    meaning: str
    remedy: str

    @classmethod
    def of(cls, error: type[Exception]) -> Self:
        text = getdoc(error) or ""
        remedy = first_paragraph(text.partition(REMEDY)[2])
        return cls(plain(first_paragraph(text)), plain(remedy[:1].upper() + remedy[1:]))


def plain(text: str) -> str:
    """Return a text of a docstring with quotes for people around its code."""
    return re.sub(r"`([^`]*)`", r"“\1”", text)


def help_with(code: str) -> ErrorHelp | None:
    """Return the help with an error code of llm_requests; None for none and for an unknown one."""
    return all_help().get(code)


def help_with_refusal(code: str, status: int) -> ErrorHelp:
    """Return what a refused call's code means, and what to do about it."""
    known = all_help().get(code, ErrorHelp("", ""))
    remedy = ADVICE.get(code) or known.remedy or BY_STATUS.get(status, "")
    return ErrorHelp(plain(_meanings().get(code, known.meaning)), remedy)


@cache
def _meanings() -> dict[str, str]:
    """Return what the codes of all problems mean, each as its nearest class has it."""
    found: dict[str, str] = {}
    for problem in _below(Problem):
        for code, meaning in problem.meanings().items():
            found.setdefault(code, meaning)
    return found


@cache
def all_help() -> dict[str, ErrorHelp]:
    """Return the help with every code that a turn may be stored with."""
    errors: list[type[RunError] | type[Problem]] = [*RUN_ERRORS.values()]
    errors += [AnswerNotStored, TurnAbandoned, InternalError, *_below(Interrupted)]
    found = {error.code: ErrorHelp.of(error) for error in errors}
    left = "The client closed the connection before the answer was complete."
    return found | {CLIENT_LEFT: ErrorHelp(left, "Nothing: what was answered is stored.")}


def _below(base: type[Problem]) -> Iterator[type[Problem]]:
    for kind in base.__subclasses__():
        if "code" in vars(kind):
            yield kind
        yield from _below(kind)
