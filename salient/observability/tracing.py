"""Traces where OTEL_EXPORTER_OTLP_ENDPOINT is set; nothing of OpenTelemetry is imported otherwise."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from django.conf import settings

if TYPE_CHECKING:
    from salient.observability.spans import Tracer

# None where traces are off.
tracer: Tracer | None = None


def start() -> None:
    """Trace from now on, in this process."""
    global tracer  # noqa: PLW0603 - one for each process
    if settings.OTEL_EXPORTER_OTLP_ENDPOINT and tracer is None:
        tracer = import_module("salient.observability.spans").Tracer()


async def stop() -> None:
    """Send what has ended, within a few seconds, and trace no more."""
    global tracer  # noqa: PLW0603 - as above
    if tracer is not None:
        await tracer.stop()
        tracer = None
