"""Runs management commands and programs: what they print, as text or as JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from io import StringIO
from typing import Any

from django.conf import settings
from django.core.management import CommandError, call_command


def run(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out, no_color=True)
    return out.getvalue()


def run_json(*arguments: str) -> Any:
    """Return the one JSON object that the command prints."""
    return json.loads(run(*arguments, "--json"))


def python(program: str, **environment: str) -> str:
    """Return what a program prints in a process of its own, which must end well."""
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=settings.BASE_DIR,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def reported(*arguments: str) -> tuple[Any, int]:
    """Return the one JSON object that the command prints, and its exit code."""
    out, code = StringIO(), 0
    try:
        call_command(*arguments, "--json", stdout=out)
    except SystemExit as stop:
        code = int(str(stop.code))
    return json.loads(out.getvalue()), code


def refusal(*arguments: str) -> tuple[int, str]:
    """Return the exit code and the message of a command that must fail."""
    try:
        printed = run(*arguments)
    except CommandError as error:
        return error.returncode, str(error)
    raise AssertionError(f"{arguments} did not fail but printed: {printed}")
