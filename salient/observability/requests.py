"""Records each request as a log line, a count and a span, each only where it is enabled."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings

from salient.api.routing import route_template
from salient.observability import context, metrics, tracing

if TYPE_CHECKING:
    from salient.observability.spans import Span

logger = logging.getLogger("salient.requests")

# Callers choose the word.
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def begin(scope: dict[str, Any]) -> Span | None:
    """Begin the span of a request, where traces are on; its context has begun before."""
    if tracing.tracer is None:
        return None
    route = route_template(scope["path"])
    return tracing.tracer.begin_request(_method(scope), route, scope["headers"])


def end(scope: dict[str, Any], span: Span | None) -> None:
    """Note how a request ended, and how long it took; of a stream, until its last chunk."""
    if metrics.recorder is None and span is None and not settings.LOG_REQUESTS:
        return
    ended = context.current()
    if ended is None:
        return
    method, route = _method(scope), route_template(scope["path"])
    if metrics.recorder is not None:
        metrics.recorder.request(method, route, ended.status)
    if span is not None:
        span.end_request(ended)
    if settings.LOG_REQUESTS:
        _log(ended, method, route)


def _method(scope: dict[str, Any]) -> str:
    return scope["method"] if scope["method"] in METHODS else "OTHER"


def _log(ended: context.Context, method: str, route: str) -> None:
    took = round((time.perf_counter() - ended.began) * 1000)
    facts = {"method": method, "route": route, "status": ended.status, "duration_ms": took}
    # The route, and not the path: that holds ids, and tokens of links.
    text = "%s %s: %s in %d ms"
    logger.info(text, method, route, ended.status or "left", took, extra={"fields": facts})
