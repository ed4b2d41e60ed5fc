"""Problems that only the Responses API has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from salient.api.problems import Invalid, Problem

# How the engine calls what this API calls otherwise.
_NAMES = {
    "messages": "input",
    "message": "input",
    "tool_call_id": "input",
    "response_format": "text.format",
}


class PreviousResponseNotFound(Problem):
    """No stored response of this id that the caller may see."""

    code = "previous_response_not_found"
    extensions = {"param": str}

    def __init__(self) -> None:
        super().__init__(
            "There is no stored response of this id here.", param="previous_response_id"
        )


@contextmanager
def named_as_sent() -> Iterator[None]:
    """Name the fields of problems as this API calls them."""
    try:
        yield
    except Invalid as problem:
        faults = [
            (_NAMES.get(fault["field"], fault["field"]), fault["message"])
            for fault in problem.members["errors"]
        ]
        raise Invalid.fields(faults) from problem
    except Problem as problem:
        if "param" in problem.members:
            param = problem.members["param"]
            problem.members["param"] = _NAMES.get(param, param)
        raise
