"""The server without a view: idle connections end, and its own refusals are problem documents."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from django.test import SimpleTestCase, TransactionTestCase, override_settings
from gunicorn.config import Config

from salient.api import worker
from salient.api.worker import Protocol, Worker
from salient.asgi import application
from tests.support.servers.served import served

NEVER, SOON = 60.0, 0.05
SOMAXCONN = int(Path("/proc/sys/net/core/somaxconn").read_text())
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"


class Bare(Worker):
    """A worker whose connections run in this process."""

    def __init__(self, *, header_seconds: float, connections: int) -> None:
        self.cfg = Config()
        self.log = logging.getLogger("tests.worker")
        self.log.access_log_enabled = False  # type: ignore[attr-defined]
        self.asgi: Any = application
        self.loop = asyncio.get_running_loop()
        self.alive, self.nr, self.nr_conns, self.max_requests = True, 0, 0, 1_000_000
        self.state: dict[str, Any] = {}
        self.idle = {}
        self.worker_connections = connections
        self.servers: list[asyncio.Server] = []
        self.lifespan, self._quick_shutdown = None, False
        self.most_idle = max(1, int(connections * worker.IDLE_SHARE))
        self.header_seconds, self.send_seconds = header_seconds, NEVER


class Peer:
    """A client that writes bytes and reads what comes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def read_all(self) -> bytes:
        """Read until the server closes the connection."""
        async with asyncio.timeout(10):
            return await self.reader.read()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Read one answer with a length."""
        async with asyncio.timeout(10):
            return read(await self.reader.readuntil(b"\r\n\r\n"))


def read(raw: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, body = raw.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(status.split()[1]), headers, body


class Listener:
    """A listening worker, and the clients that connect to it."""

    def __init__(self, bare: Bare, port: int) -> None:
        self.worker, self._port = bare, port
        self._peers: list[Peer] = []

    async def connect(self, *sent: bytes) -> Peer:
        peer = Peer(*await asyncio.open_connection("127.0.0.1", self._port))
        self._peers.append(peer)
        for part in sent:
            peer.writer.write(part)
        await peer.writer.drain()
        return peer

    async def settle(self, idle: int) -> None:
        async with asyncio.timeout(10):
            while len(self.worker.idle) != idle:  # noqa: ASYNC110 - connections only count
                await asyncio.sleep(0.005)

    async def leave(self) -> None:
        for peer in self._peers:
            peer.writer.close()
            with suppress(OSError):
                await peer.writer.wait_closed()
        async with asyncio.timeout(10):
            while self.worker.nr_conns:  # noqa: ASYNC110 - connections only count
                await asyncio.sleep(0.005)


@asynccontextmanager
async def listening(
    *, header_seconds: float = NEVER, connections: int = 100
) -> AsyncIterator[Listener]:
    bare = Bare(header_seconds=header_seconds, connections=connections)
    server = await bare.loop.create_server(lambda: Protocol(bare), "127.0.0.1", 0)
    listener = Listener(bare, server.sockets[0].getsockname()[1])
    try:
        yield listener
    finally:
        await listener.leave()
        server.close()


class TimeTests(SimpleTestCase):
    async def test_who_connects_and_sends_nothing_is_disconnected(self) -> None:
        async with listening(header_seconds=SOON) as server:
            peers = [await server.connect() for _ in range(20)]
            self.assertEqual([await peer.read_all() for peer in peers], [b""] * 20)
            await server.settle(idle=0)
            self.assertEqual(server.worker.nr_conns, 0)

    async def test_half_a_head_has_one_time_however_often_a_byte_comes(self) -> None:
        async with listening(header_seconds=0.2) as server:
            peer = await server.connect(GET)

            async def drip() -> None:
                while True:
                    peer.writer.write(b"x: y\r\n")
                    await asyncio.sleep(0.02)

            dripping = asyncio.create_task(drip())
            try:
                status, headers, body = read(await peer.read_all())
            finally:
                dripping.cancel()
            self.assertEqual((status, json.loads(body)["code"]), (408, "headers_too_slow"))
            self.assertEqual(headers["connection"], "close")

    async def test_the_second_request_of_a_connection_has_its_time_too(self) -> None:
        async with listening(header_seconds=0.2) as server:
            peer = await server.connect(GET + b"\r\n")
            self.assertEqual((await peer.answer())[0], 200)
            await peer.reader.readexactly(len(b'{"status": "ok"}'))
            peer.writer.write(GET)
            status, _, body = read(await peer.read_all())
            self.assertEqual((status, json.loads(body)["code"]), (408, "headers_too_slow"))

    async def test_a_request_in_two_pieces_is_answered(self) -> None:
        async with listening() as server:
            peer = await server.connect(GET)
            await asyncio.sleep(0.02)
            peer.writer.write(b"Connection: close\r\n\r\n")
            status, _, body = read(await peer.read_all())
            self.assertEqual((status, body), (200, b'{"status": "ok"}'))


class ConnectionTests(SimpleTestCase):
    async def test_of_too_many_idle_connections_the_oldest_are_closed(self) -> None:
        async with listening(connections=4) as server:
            peers = [await server.connect() for _ in range(3)]
            await server.settle(idle=3)
            latest = await server.connect(GET + b"Connection: close\r\n\r\n")
            self.assertEqual(read(await latest.read_all())[0], 200)
            self.assertEqual(await peers[0].read_all(), b"")
            self.assertEqual(len(server.worker.idle), 2)

    async def test_one_connection_too_many_is_refused_with_a_message(self) -> None:
        async with listening(connections=1) as server:
            busy = await server.connect(
                b"POST /accounts/a/agents/b/chat HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Length: 9\r\n\r\n"
            )
            await asyncio.sleep(0.02)
            status, headers, body = read(await (await server.connect()).read_all())
            self.assertEqual((status, json.loads(body)["code"]), (503, "too_many_connections"))
            self.assertEqual(headers["retry-after"], "5")
            busy.writer.write(b"{}       ")
            self.assertEqual((await busy.answer())[0], 401)

    async def test_idle_connections_leave_room_for_requests(self) -> None:
        async with listening(connections=8) as server:
            for _ in range(50):
                await server.connect()
            peer = await server.connect(GET + b"Connection: close\r\n\r\n")
            self.assertEqual(read(await peer.read_all())[0], 200)
            self.assertLessEqual(len(server.worker.idle), 6)


class StoppingTests(SimpleTestCase):
    async def test_a_stopping_worker_waits_for_requests_and_not_for_idle_clients(self) -> None:
        async with listening() as server:
            server.worker.cfg.set("keepalive", 600)
            server.worker.cfg.set("graceful_timeout", 600)
            silent = await server.connect()
            idle = await server.connect(GET + b"\r\n")
            self.assertEqual((await idle.answer())[0], 200)
            await idle.reader.readexactly(len(b'{"status": "ok"}'))
            half = await server.connect(GET)
            await server.settle(idle=3)

            server.worker.alive = False
            stopping = asyncio.create_task(server.worker._shutdown())
            self.assertEqual([await silent.read_all(), await idle.read_all()], [b"", b""])
            # Whose request has begun is answered, and told that it was the last one.
            half.writer.write(b"\r\n")
            status, headers, body = read(await half.read_all())
            self.assertEqual((status, body), (200, b'{"status": "ok"}'))
            self.assertEqual(headers["connection"], "close")
            async with asyncio.timeout(10):
                await stopping

    async def test_a_client_that_connects_while_it_stops_has_time_for_one_request(self) -> None:
        async with listening() as server:
            server.worker.alive = False
            silent = await server.connect()
            late = await server.connect()
            await server.settle(idle=2)
            late.writer.write(GET + b"\r\n")
            self.assertEqual(read(await late.read_all())[0], 200)
            self.assertEqual(await silent.read_all(), b"")


class RefusalTests(SimpleTestCase):
    REFUSED = {
        b"GET /%s HTTP/1.1\r\n\r\n" % (b"x" * 9000): (414, "uri_too_long"),
        b"GET / HTTP/1.1\r\nHost: a\r\nBig: %s\r\n\r\n" % (b"x" * 9000): (431, "headers_too_large"),
        b"GET / HTTP/1.1\r\nHost: a\r\n%s\r\n" % (b"A: b\r\n" * 200): (431, "headers_too_large"),
        b"GET / HTTP/2.0\r\n\r\n": (505, "unknown_http_version"),
        b"GET / FTP/1.1\r\n\r\n": (400, "malformed_request"),
        b"nonsense\r\n\r\n": (400, "malformed_request"),
        b"get / HTTP/1.1\r\nHost: a\r\n\r\n": (400, "malformed_request"),
        b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n": (400, "malformed_request"),
        b"GET / HTTP/1.1\r\nHost: a\r\nNo colon\r\n\r\n": (400, "malformed_request"),
        b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \x01\r\n\r\n": (
            400,
            "malformed_request",
        ),
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n": (
            400,
            "malformed_request",
        ),
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n": (400, "malformed_request"),
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: nonsense, chunked\r\n\r\n": (
            501,
            "unknown_transfer_coding",
        ),
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n": (
            501,
            "unknown_transfer_coding",
        ),
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n": (400, "malformed_request"),
        b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n": (400, "malformed_request"),
        b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n": (400, "malformed_request"),
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n": (
            400,
            "malformed_request",
        ),
    }

    async def test_the_servers_own_refusals_are_problem_documents(self) -> None:
        async with listening() as server:
            for sent, (status, code) in self.REFUSED.items():
                with self.subTest(sent[:60]):
                    got, headers, body = read(await (await server.connect(sent)).read_all())
                    problem = json.loads(body)
                    self.assertEqual((got, problem["status"]), (status, status))
                    self.assertEqual(problem["code"], code)
                    self.assertEqual(headers["content-type"], "application/problem+json")
                    self.assertEqual(headers["x-content-type-options"], "nosniff")

    async def test_a_refusal_arrives_although_the_client_goes_on_sending(self) -> None:
        async with listening() as server:
            peer = await server.connect(b"GET /" + b"x" * 2_000_000)
            self.assertEqual(read(await peer.read_all())[0], 414)

    async def test_an_address_in_the_place_of_a_path_is_read(self) -> None:
        for target, (status, code) in {
            b"http://localhost/healthz": (200, None),
            b"HTTPS://localhost:8000/health%7A?x=1": (200, None),
            b"http://localhost/accounts/x/me": (401, "unauthenticated"),
            b"http://evil.example/accounts/x/me": (400, "unknown_host"),
            b"http://user@localhost/accounts/x/me": (400, "unknown_host"),
            b"http://[::1/accounts/x/me": (400, "unknown_host"),
            b"http:///accounts/x/me": (400, "unknown_host"),
        }.items():
            with self.subTest(target), override_settings(ALLOWED_HOSTS=["localhost"]):
                async with listening() as server:
                    head = b"GET %s HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n"
                    peer = await server.connect(head % target + b"Connection: close\r\n\r\n")
                    got, _, body = read(await peer.read_all())
                    self.assertEqual((got, json.loads(body).get("code")), (status, code), body)

    async def test_an_upgrade_that_is_not_known_is_ignored(self) -> None:
        for upgrade in (b"websocket", b"h2c", b"nonsense"):
            with self.subTest(upgrade):
                async with listening() as server:
                    peer = await server.connect(
                        GET + b"Upgrade: " + upgrade + b"\r\nConnection: Upgrade, close\r\n"
                        b"Sec-WebSocket-Version: 13\r\n"
                        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                    )
                    self.assertEqual(read(await peer.read_all())[0], 200)

    async def test_a_stream_over_http_1_0_ends_with_its_connection(self) -> None:
        async with listening() as server:
            server.worker.asgi = self.stream
            peer = await server.connect(
                b"GET / HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n"
            )
            status, headers, body = read(await peer.read_all())
        self.assertEqual((status, body), (200, b"onetwo"))
        self.assertEqual(headers.get("connection"), "close")

    @staticmethod
    async def stream(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await send({"type": "http.response.body", "body": b"two"})

    async def test_head_is_answered_as_get_is_without_a_body_or_a_warning(self) -> None:
        with self.assertNoLogs("tests.worker"):
            async with listening() as server:
                peer = await server.connect(
                    b"HEAD /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                )
                status, headers, body = read(await peer.read_all())
        self.assertEqual((status, headers["content-length"], body), (200, "16", b""))


class ListeningTests(TransactionTestCase):
    async def test_the_backlog_that_is_set_takes_effect(self) -> None:
        async with served(cut_after=1) as server:
            backlog = await listen_backlog(server.port)
        self.assertEqual(backlog, min(4096, SOMAXCONN))


async def listen_backlog(port: int) -> int:
    """The Send-Q of a listening socket is its backlog."""
    process = await asyncio.create_subprocess_exec(
        "ss", "-Hlnt", f"sport = :{port}", stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    return int(out.split()[2])
