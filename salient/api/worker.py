"""gunicorn's ASGI worker with limits on idle connections, and its refusals as problems.

The arbiter imports this module, and a reload does not renew what the arbiter has imported. So the
rest of Salient is imported only in functions that run in a worker.
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote_to_bytes

from gunicorn.asgi.parser import (
    InvalidHTTPVersion,
    InvalidRequestLine,
    UnsupportedTransferCoding,
)
from gunicorn.asgi.protocol import ASGIProtocol
from gunicorn.workers.gasgi import ASGIWorker

# The share of its connections that a worker gives to idle clients.
IDLE_SHARE = 0.75
# A worker that stops closes a connection that has been idle for so long. Closed at once, it could
# lose the request that a client is just sending.
LAST_REQUEST_SECONDS = 1
# How long a refused connection stays open: closed at once, the client could lose the refusal.
LINGER_SECONDS = 1
VERSIONS = "HTTP/"
_SCHEMES = (b"http://", b"https://")
type Headers = tuple[tuple[str, str], ...]


class Protocol(ASGIProtocol):  # type: ignore[misc]  # gunicorn has no types
    """One connection, with a time limit for each request's head; idle between two requests."""

    _closed: bool

    def __init__(self, worker: Worker) -> None:
        super().__init__(worker)
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_begun = False

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._time_head()
        super().connection_made(transport)
        self.worker.has_become_idle(self)

    def data_received(self, data: bytes) -> None:
        if self._closed:
            return
        self._head_begun = True
        super().data_received(data)
        # Most heads arrive in one piece and need no timer.
        if self._current_request is None and self._head_timer is None and not self._closed:
            self._cancel_keepalive_timer()
            self._time_head()

    def _time_head(self) -> None:
        """Start the time limit for the request line and all headers together."""
        seconds = self.worker.header_seconds
        self._head_timer = self.worker.loop.call_later(seconds, self._head_is_late)

    def _head_is_late(self) -> None:
        if self._head_begun:
            self._send_error_response(HTTPStatus.REQUEST_TIMEOUT, "")
        self.drop()

    def _on_headers_complete(self) -> Any:
        require_readable(self._callback_parser)
        self._stop_head_timer()
        self.worker.idle.pop(self, None)
        return super()._on_headers_complete()

    def _arm_keepalive_timer(self) -> None:
        """gunicorn calls this when it begins to wait for the next request."""
        super()._arm_keepalive_timer()
        self._head_begun = False
        self.worker.has_become_idle(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head_timer()
        self.worker.idle.pop(self, None)
        super().connection_lost(exc)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def close_soon(self) -> None:
        """Close the connection unless its next request begins within LAST_REQUEST_SECONDS."""
        self.worker.loop.call_later(LAST_REQUEST_SECONDS, self._drop_unused)

    def _drop_unused(self) -> None:
        if self in self.worker.idle and not self._head_begun:
            self.drop()

    def drop(self) -> None:
        """Close a connection that has no request."""
        self.worker.idle.pop(self, None)
        self._close_transport()
        # Wakes gunicorn's task, which waits for a request and then sees the closed connection.
        self._request_ready.set()

    def refuse(self) -> None:
        """Refuse a connection beyond the limit."""
        self._send_error_response(HTTPStatus.SERVICE_UNAVAILABLE, "", (("Retry-After", "5"),))
        self.drop()

    def _build_http_scope(self, request: Any, sockname: Any, peername: Any) -> dict[str, Any]:
        return in_origin_form(super()._build_http_scope(request, sockname, peername))

    def _will_close(self, request: Any, response_requires_close: Any) -> bool:
        """Close after each answer to HTTP/1.0: only its end says where a stream's body ends."""
        is_old = request.version < (1, 1)
        return is_old or bool(super()._will_close(request, response_requires_close))

    def _is_websocket_upgrade(self, request: Any) -> bool:
        """Ignore requests to upgrade, as RFC 9110, 7.8 allows: they are answered as HTTP."""
        del request
        return False

    def _close_transport(self) -> None:
        was_closed = self._closed
        super()._close_transport()
        if not was_closed and self.transport.get_write_buffer_size():
            # A client that does not read would keep the connection open for ever.
            self.worker.loop.call_later(self.worker.send_seconds, self.transport.abort)

    def _send_error_response(self, status: int, message: str, extra_headers: Headers = ()) -> None:
        """Write a problem document; close the connection when the client could have read it."""
        if self._closed:
            return
        if isinstance(sys.exception(), InvalidHTTPVersion) and message.startswith(VERSIONS):
            status = HTTPStatus.HTTP_VERSION_NOT_SUPPORTED
        self._safe_write(refusal(status, message, extra_headers))
        self._stop_head_timer()
        self._closed = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.worker.loop.call_later(LINGER_SECONDS, self.transport.abort)
        if self._request_ready is not None:
            self._request_ready.set()


class Worker(ASGIWorker):  # type: ignore[misc]  # gunicorn has no types
    """A worker that listens with the backlog of gunicorn.conf.py and limits idle connections."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Ordered: the connection that has been idle for longest comes first.
        self.idle: dict[Protocol, None] = {}
        self.most_idle = int(self.worker_connections * IDLE_SHARE)
        self.header_seconds = self.send_seconds = 0.0

    def _setup_event_loop(self) -> None:
        super()._setup_event_loop()
        # gunicorn does not pass the backlog on, and asyncio's default is 100.
        self.loop.create_server = partial(self._create_server, self.loop.create_server)

    async def _create_server(self, create_server: Any, _factory: Any, **options: Any) -> Any:
        from django.conf import settings  # noqa: PLC0415 - in the worker alone

        self.header_seconds = settings.HEADER_TIMEOUT_SECONDS
        self.send_seconds = settings.SEND_TIMEOUT_SECONDS
        return await create_server(lambda: Protocol(self), backlog=self.cfg.backlog, **options)

    async def _shutdown(self) -> None:
        """Wait for running requests, and not for clients that may never send another one."""
        for protocol in self.idle:
            protocol.close_soon()
        await super()._shutdown()

    def has_become_idle(self, protocol: Protocol) -> None:
        """Count a connection as idle; when there are too many, close the one idle for longest."""
        self.idle.pop(protocol, None)
        self.idle[protocol] = None
        if not self.alive:
            protocol.close_soon()
        is_full = self.nr_conns > self.worker_connections
        if not is_full and len(self.idle) <= self.most_idle:
            return
        oldest = next(iter(self.idle))
        if oldest is protocol:
            oldest.refuse()
        else:
            oldest.drop()


def require_readable(head: Any) -> None:
    """Raise gunicorn's error for a request target or a transfer coding that is not supported."""
    is_address = head.path.startswith(b"/") or head.path.lower().startswith(_SCHEMES)
    if not is_address:
        # "*" of OPTIONS, and the host:port of CONNECT.
        raise InvalidRequestLine("the target is neither a path nor an http address")
    for name, value in head.headers:
        # gunicorn would accept a compressed body and pass it on as it is.
        if name == b"transfer-encoding" and value.strip(b" \t").lower() != b"chunked":
            raise UnsupportedTransferCoding(value.decode("latin-1"))


def in_origin_form(scope: dict[str, Any]) -> dict[str, Any]:
    """Accept a whole URL as request target, as RFC 9112, 3.2.2 demands: its host counts."""
    target: bytes = scope["raw_path"]
    if target.startswith(b"/"):
        return scope
    host, _, path = target.partition(b"://")[2].partition(b"/")
    headers = [(name, value) for name, value in scope["headers"] if name != b"host"]
    return scope | {
        "path": unquote_to_bytes(b"/" + path).decode("utf-8", "replace"),
        "raw_path": b"/" + path,
        "headers": [(b"host", host), *headers],
    }


def refusal(status: int, reason: str, headers: Headers) -> bytes:
    """Return a whole HTTP response: no application sends it."""
    from salient.api.limits import api_headers  # noqa: PLC0415 - in the worker alone
    from salient.api.problems.server_refusals import refusal_of  # noqa: PLC0415
    from salient.observability.context import new_id  # noqa: PLC0415

    response = refusal_of(status, reason).as_response()
    lines = [f"HTTP/1.1 {response.status_code} {response.reason_phrase}"]
    lines += [f"{name}: {value}" for name, value in (*response.items(), *headers)]
    lines += [f"{name.decode()}: {value.decode()}" for name, value in api_headers()]
    lines.append(f"X-Request-Id: {new_id()}")
    lines += [f"Content-Length: {len(response.content)}", "Connection: close", "", ""]
    return "\r\n".join(lines).encode("latin-1") + response.content
