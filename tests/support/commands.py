"""Runs management commands as a program would: what is printed, as text or as JSON."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

from django.core.management import CommandError, call_command


def run(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out, no_color=True)
    return out.getvalue()


def run_json(*arguments: str) -> Any:
    """Return the one JSON object that the command prints."""
    return json.loads(run(*arguments, "--json"))


def refusal(*arguments: str) -> tuple[int, str]:
    """Return the exit code and the message of a command that must fail."""
    try:
        printed = run(*arguments)
    except CommandError as error:
        return error.returncode, str(error)
    raise AssertionError(f"{arguments} did not fail but printed: {printed}")
