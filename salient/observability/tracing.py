"""Traces where OTEL_EXPORTER_OTLP_ENDPOINT is set; else nothing of OpenTelemetry is imported."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import TYPE_CHECKING, Any

import aiohttp
from django.conf import settings

if TYPE_CHECKING:
    from salient.observability.spans import Span, Tracer

# None where traces are off.
tracer: Tracer | None = None


def start() -> None:
    """Trace from now on, in this process."""
    global tracer  # noqa: PLW0603 - one for each process
    if settings.OTEL_EXPORTER_OTLP_ENDPOINT and tracer is None:
        tracer = import_module("salient.observability.spans").Tracer()


async def stop() -> None:
    """Send what has ended, within a few seconds, and trace no more."""
    global tracer
    ending, tracer = tracer, None
    if ending is not None:
        await ending.stop()


def inside(
    name: str, attributes: dict[str, Any], *, is_client: bool = False
) -> AbstractContextManager[Span | None]:
    """Do a block inside a span, where traces are on."""
    if tracer is None:
        return nullcontext()
    return tracer.inside(name, attributes, is_client=is_client)


def takes_content(span: Span) -> bool:
    """Whether the span may hold what people, models and tools write."""
    return bool(settings.TRACE_CONTENT) and span.has_content


def outgoing_headers() -> dict[str, str]:
    """Return the headers that carry the trace to another server; none where traces are off."""
    return {} if tracer is None else tracer.outgoing_headers()


def trace_configs() -> list[aiohttp.TraceConfig] | None:
    """Return what makes an HTTP client of ours carry the trace; None where traces are off."""
    if tracer is None:
        return None
    config = aiohttp.TraceConfig()
    config.on_request_start.append(_carry)
    return [config]


async def _carry(
    _session: aiohttp.ClientSession, _context: Any, params: aiohttp.TraceRequestStartParams
) -> None:
    params.headers.update(outgoing_headers())
