"""A collector of traces on a loopback port: it takes OTLP over HTTP and keeps the spans."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True, slots=True)
class Span:
    """One span as it was sent; ids in hexadecimal, `parent` is "" for a root."""

    name: str
    kind: int
    id: str
    trace: str
    parent: str
    is_error: bool
    attributes: dict[str, Any]
    resource: dict[str, Any]
    schema: str


@dataclass
class OTLPSink:
    """Listens in a thread of its own; with a `status` that is no success it keeps nothing."""

    status: int = 200
    spans: list[Span] = field(default_factory=list)
    posts: int = 0
    url: str = ""

    def __enter__(self) -> Self:
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                sink.take(self.path, body)
                self.send_response(sink.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as above
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def take(self, path: str, body: bytes) -> None:
        self.posts += 1
        assert path == "/v1/traces", path
        if self.status != 200:
            return
        for sent in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = _attributes(sent.resource.attributes)
            for scope in sent.scope_spans:
                self.spans += [_span(each, resource, scope.schema_url) for each in scope.spans]

    def named(self, name: str) -> Span:
        """The one span of this name."""
        [found] = [span for span in self.spans if span.name == name]
        return found


def _span(sent: Any, resource: dict[str, Any], schema: str) -> Span:
    return Span(
        name=sent.name,
        kind=sent.kind,
        id=sent.span_id.hex(),
        trace=sent.trace_id.hex(),
        parent=sent.parent_span_id.hex(),
        is_error=sent.status.code == 2,
        attributes=_attributes(sent.attributes),
        resource=resource,
        schema=schema,
    )


def _attributes(sent: Any) -> dict[str, Any]:
    return {each.key: _value(each.value) for each in sent}


def _value(sent: Any) -> Any:
    kind = sent.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in sent.array_value.values]
    return getattr(sent, kind)
