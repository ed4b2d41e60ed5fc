"""Counts what happens where METRICS_TOKEN is set; nothing is imported or counted otherwise."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from django.conf import settings

if TYPE_CHECKING:
    from salient.observability.recorder import Recorder

# None where metrics are off.
recorder: Recorder | None = None


def start() -> None:
    """Count from now on; the first import makes this process' files (see `multiprocess`)."""
    global recorder  # noqa: PLW0603 - one for each process
    if settings.METRICS_TOKEN and recorder is None:
        recorder = import_module("salient.observability.recorder").shared()


def count_refusal(code: str) -> None:
    if recorder is not None:
        recorder.refusal(code)


def count_abandoned() -> None:
    """Count a turn that a killed process left running."""
    if recorder is not None:
        recorder.turn_status("abandoned")
