"""Spans by OpenTelemetry's SDK: of requests, of turns, and of what a turn calls.

A span's parent is the innermost one of the same request (`Context.span`), not OpenTelemetry's own
context: an answer is a generator whose steps may run in several contexts.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from salient.observability import context, genai

# How long a process that stops waits for its last spans to be taken.
STOP_SECONDS: Final = 3.0
_PROPAGATOR: Final = TraceContextTextMapPropagator()
_SERVER_ERROR: Final = 500
# What reports a collector that does not answer: at each attempt, and for each span that is dropped.
NOISY: Final = (
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.sdk._shared_internal",
)

# What warns of a wrong `tracestate` by repeating it: callers choose it, and how often.
QUOTING: Final = ("opentelemetry.trace.span", "opentelemetry.trace.propagation.tracecontext")

type Attributes = Mapping[str, Any]


class OneLine(logging.Filter):
    """Lets one line a minute through: a collector that is away is no more news than that."""

    def __init__(self, seconds: float = 60.0) -> None:
        super().__init__()
        self._seconds, self._next = seconds, 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        if record.created < self._next:
            return False
        self._next = record.created + self._seconds
        record.exc_info = record.exc_text = None
        return True


class Span:
    """A span under way, and the one around it; `has_content` is False where no text may be kept."""

    __slots__ = ("_context", "_parent", "error", "has_content", "span")

    def __init__(self, span: trace.Span, of: context.Context | None, *, has_content: bool) -> None:
        self.span, self.has_content = span, has_content
        # What went wrong within, for a span that ends with its block.
        self.error = ""
        self._context = of
        self._parent: Span | None = None
        if of is not None:
            self._parent, of.span = of.span, self

    def set(self, attributes: Attributes) -> None:
        """Set what is known of these: None is not."""
        self.span.set_attributes({k: v for k, v in attributes.items() if v is not None})

    def end(self, attributes: Attributes | None = None, *, error: str = "") -> None:
        """End it; `error` is a code, or the name of an exception."""
        self.set(attributes or {})
        if error:
            self.span.set_attribute(genai.ERROR_TYPE, error)
            self.span.set_status(trace.StatusCode.ERROR)
        self.span.end()
        if self._context is not None and self._context.span is self:
            self._context.span = self._parent

    def end_request(self, ended: context.Context) -> None:
        failed = str(ended.status) if ended.status >= _SERVER_ERROR else ""
        known = {genai.HTTP_STATUS: ended.status or None, genai.ACCOUNT: ended.account or None}
        self.end(known, error=failed)


class Tracer:
    """Makes spans and sends them in batches, from a thread of its own."""

    def __init__(self) -> None:
        # The exporter, the sampler and the resource read OpenTelemetry's own variables besides.
        named = Resource({genai.SERVICE_NAME: "salient"}).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=named, shutdown_on_exit=False)
        one_line = OneLine()
        for name in NOISY:
            logging.getLogger(name).addFilter(one_line)
        for name in QUOTING:
            logging.getLogger(name).setLevel(logging.ERROR)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("salient", schema_url=genai.SCHEMA_URL)

    def begin_request(
        self, method: str, route: str, headers: Iterable[tuple[bytes, bytes]]
    ) -> Span:
        """Begin the span of a request, in the trace that its header names, if it names one."""
        carrier = {
            name.decode(): value.decode("latin-1")
            for name, value in headers
            if name in {b"traceparent", b"tracestate"}
        }
        current = context.current()
        span = self._tracer.start_span(
            f"{method} {route}",
            context=_PROPAGATOR.extract(carrier) if carrier else None,
            kind=trace.SpanKind.SERVER,
            attributes={
                genai.HTTP_METHOD: method,
                genai.HTTP_ROUTE: route,
                genai.REQUEST_ID: context.request_id(),
            },
        )
        return Span(span, current, has_content=True)

    def begin(
        self, name: str, attributes: Attributes, *, is_client: bool = False, content: bool = True
    ) -> Span:
        """Begin a span inside the innermost one of the request; the caller ends it."""
        current = context.current()
        outer: Span | None = current.span if current is not None else None
        parent = None if outer is None else trace.set_span_in_context(outer.span)
        kind = trace.SpanKind.CLIENT if is_client else trace.SpanKind.INTERNAL
        known = {key: value for key, value in attributes.items() if value is not None}
        span = self._tracer.start_span(name, context=parent, kind=kind, attributes=known)
        return Span(span, current, has_content=content and (outer is None or outer.has_content))

    @contextmanager
    def inside(
        self, name: str, attributes: Attributes, *, is_client: bool = False
    ) -> Iterator[Span]:
        """Do the block inside a span that may run beside others of the same request."""
        with context.apart(name):
            span = self.begin(name, attributes, is_client=is_client)
            try:
                yield span
            except BaseException as problem:
                span.error = type(problem).__name__
                raise
            finally:
                span.end(error=span.error)

    def outgoing_headers(self) -> dict[str, str]:
        """Return the header that carries the trace to another server: ids, and nothing else.

        `tracestate` came from whoever called us, and is not passed on to providers.
        """
        current = context.current()
        if current is None or current.span is None:
            return {}
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier, trace.set_span_in_context(current.span.span))
        return {name: carrier[name] for name in carrier if name == "traceparent"}

    async def stop(self) -> None:
        """Send what has ended, for at most STOP_SECONDS."""
        thread = threading.Thread(target=self._provider.shutdown, daemon=True)
        thread.start()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + STOP_SECONDS
        while thread.is_alive() and loop.time() < deadline:  # noqa: ASYNC110 - a thread ends
            await asyncio.sleep(0.02)
