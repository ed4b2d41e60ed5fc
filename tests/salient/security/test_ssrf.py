"""Tenants' URLs reach public addresses only, and no request goes anywhere else."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv6Address, ip_network
from unittest import mock

import aiohttp
from aiohttp import web
from aiohttp.client_proto import ResponseHandler
from aiohttp.streams import StreamReader
from django.test import SimpleTestCase, override_settings
from hypothesis import given
from hypothesis import strategies as st

from salient.security import ssrf as subject
from salient.security.ssrf import (
    CheckedResolver,
    Limits,
    UnsafeAddress,
    UnsafeURL,
    check_url,
    is_public,
    safe_fetch,
    safe_session,
)
from tests.support.servers.certificates import certificate, client_context, server_context

PUBLIC, PRIVATE = "93.184.216.34", "10.0.0.7"
INSIDE = [
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4",
    "255.255.255.255/32", "168.63.129.16/32", "::/128", "::1/128", "fc00::/7", "fe80::/10",
    "fec0::/10", "ff00::/8", "2001:db8::/32", "2001::/32", "2002::/16", "64:ff9b::/96",
    "::ffff:0:0/104", "::10.0.0.0/104",
]  # fmt: skip
V4_INSIDE = [network for network in INSIDE if ":" not in network]
GOOD = st.sampled_from([PUBLIC, "1.1.1.1", "2606:4700:4700::1111"])


def inside() -> st.SearchStrategy[IPv4Address | IPv6Address]:
    return st.sampled_from(INSIDE).flatmap(lambda network: st.ip_addresses(network=network))


def v4_inside() -> st.SearchStrategy[IPv4Address]:
    return st.sampled_from(V4_INSIDE).flatmap(
        lambda network: st.ip_addresses(network=network).map(lambda a: IPv4Address(int(a)))
    )


class AddressTests(SimpleTestCase):
    @given(inside())
    def test_no_address_of_a_special_network_is_public(
        self, address: IPv4Address | IPv6Address
    ) -> None:
        self.assertFalse(is_public(address))

    @given(v4_inside(), st.integers(0, 2**64 - 1))
    def test_an_inner_address_stays_inner_in_every_wrapping(
        self, inner: IPv4Address, noise: int
    ) -> None:
        number = int(inner)
        wrapped = {
            "mapped": 0xFFFF << 32 | number,
            "compatible": number,
            "nat64": 0x64FF9B << 96 | number,
            "6to4": 0x2002 << 112 | number << 80 | noise,
            "teredo": 0x2001_0000 << 96 | number << 64 | noise,
            "teredo client": 0x2001_0000 << 96 | (noise >> 32) << 64 | number ^ 0xFFFF_FFFF,
            "isatap": 0x2606_4700 << 96 | 0x5EFE << 32 | number,
        }
        let_through = [name for name, value in wrapped.items() if is_public(IPv6Address(value))]
        self.assertEqual(let_through, [])

    @given(st.ip_addresses(v=4))
    def test_a_mapped_address_is_checked_as_what_it_maps(self, address: IPv4Address) -> None:
        mapped = IPv6Address(0xFFFF << 32 | int(address))

        self.assertEqual(is_public(mapped), is_public(address))

    @given(st.ip_addresses())
    def test_public_means_global_unicast(self, address: IPv4Address | IPv6Address) -> None:
        if is_public(address):
            self.assertTrue(address.is_global)
            self.assertFalse(address.is_multicast)
            self.assertFalse(
                any(
                    address in ip_network(network)
                    for network in INSIDE
                    if ip_network(network).version == address.version
                )
            )

    def test_ordinary_addresses_are_public(self) -> None:
        for address in (PUBLIC, "1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1"):
            with self.subTest(address):
                self.assertTrue(is_public(address))

    def test_an_address_with_a_zone_is_not_public(self) -> None:
        self.assertFalse(is_public("2606:4700:4700::1111%eth0"))


class UrlTests(SimpleTestCase):
    def test_a_plain_url_is_read_and_written_in_one_form(self) -> None:
        url = check_url("https://API.Example.com:443/v1")

        self.assertEqual(str(url), "https://api.example.com/v1")
        self.assertEqual(url.origin, "https://api.example.com:443")
        self.assertEqual(str(check_url("https://[2606:4700:4700::1111]/v1")).count("["), 1)

    def test_what_is_not_plain_is_refused(self) -> None:
        for text in (
            "http://api.example.com/v1",
            "ftp://api.example.com/v1",
            "//api.example.com/v1",
            "https:///v1",
            "https://user@api.example.com/",
            "https://user:secret@api.example.com/",
            "https://api.example.com:22/",
            "https://api.example.com:0/",
            "https://api.example.com:99999/",
            "https://api.example.com./",
            "https://api..example.com/",
            "https://-api.example.com/",
            "https://localhost/",
            "https://metadata/",
            "https://api.example.com/a b",
            "https://api.example.com\\@127.0.0.1/",
            "https://api.example.com/\r\nHost: x",
            "https://api.example.com/#fragment",
            "https://exämple.com/",
            "https://api。example。com/",
            "https://api%2eexample.com/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[fe80::1%25eth0]/",
            "https://[2606:4700:4700:0::1111]/",
            "https://[v1.a]/",
            f"https://{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 63}.com/",
            "https://" + "a" * 500 + ".com/",
        ):
            with self.subTest(text), self.assertRaises(UnsafeURL):
                check_url(text)

    def test_no_written_form_of_an_address_slips_through_as_a_name(self) -> None:
        for host in (
            "127.0.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "127.1", "127.0.1",
            "017700000001", "0x7f.1", "127.0.0.1.", "1.1.1.1.", "127.0.0.01", "0", "0.0.0.1",
            "169.254.169.254", "10.0.0.1", "1.0x1", "example.0x7f", "1.1.257",
        ):  # fmt: skip
            with self.subTest(host), self.assertRaises(UnsafeURL):
                check_url(f"https://{host}/")

    @given(inside())
    def test_no_inner_address_can_be_written_as_a_host(
        self, address: IPv4Address | IPv6Address
    ) -> None:
        host = f"[{address}]" if address.version == 6 else str(address)
        with self.assertRaises(UnsafeURL):
            check_url(f"https://{host}/")

    @given(st.text(max_size=60))
    def test_any_text_is_refused_or_has_a_public_looking_host(self, text: str) -> None:
        for candidate in (text, f"https://{text}", f"https://{text}.example.com/"):
            try:
                url = check_url(candidate)
            except UnsafeURL:
                continue
            self.assertEqual((url.scheme, url.port), ("https", 443))
            self.assertEqual(check_url(str(url)), url)
            self.assertNotIn("@", url.host)

    def test_a_query_is_refused_where_a_path_will_follow(self) -> None:
        self.assertEqual(
            str(check_url("https://a.example.com/x?y=1")), "https://a.example.com/x?y=1"
        )
        for text in ("https://a.example.com/x?y=1", "https://a.example.com/x?"):
            with self.subTest(text), self.assertRaises(UnsafeURL):
                check_url(text, with_query=False)

    @override_settings(OUTBOUND_PORTS=[8443], OUTBOUND_TRUSTED_HOSTS=["vllm.internal:8000"])
    def test_the_operator_may_open_ports_and_name_hosts(self) -> None:
        self.assertEqual(check_url("https://a.example.com:8443/").port, 8443)
        self.assertTrue(check_url("http://vllm.internal:8000/v1").is_trusted)
        for text in ("http://vllm.internal:8001/", "http://other.internal:8000/",
                     "http://a.example.com:8443/"):  # fmt: skip
            with self.subTest(text), self.assertRaises(UnsafeURL):
                check_url(text)


class ResolverTests(SimpleTestCase):
    @given(st.lists(GOOD, max_size=3), inside(), st.integers(0, 3))
    def test_one_inner_address_among_many_is_enough_to_refuse(
        self, good: list[str], bad: IPv4Address | IPv6Address, place: int
    ) -> None:
        good.insert(place, str(bad))

        async def lookup(host: str, port: int) -> list[str]:
            return good

        with self.assertRaises(UnsafeAddress):
            asyncio.run(CheckedResolver(lookup).resolve("api.example.com", 443))

    async def test_every_public_address_is_given_as_it_is(self) -> None:
        async def lookup(host: str, port: int) -> list[str]:
            return [PUBLIC, "2606:4700:4700::1111"]

        found = await CheckedResolver(lookup).resolve("api.example.com", 443)

        self.assertEqual([each["host"] for each in found], [PUBLIC, "2606:4700:4700::1111"])
        self.assertEqual({each["hostname"] for each in found}, {"api.example.com"})

    async def test_a_host_without_an_address_is_refused(self) -> None:
        async def lookup(host: str, port: int) -> list[str]:
            return []

        with self.assertRaises(UnsafeAddress):
            await CheckedResolver(lookup).resolve("api.example.com", 443)


class Inside:
    """A server on loopback, in the place of the internal hosts that no tenant may reach."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.connections = 0
        self.port = 0
        self.location = ""
        self.body = b"secret of an internal server"

    async def answer(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        headers = {"Location": self.location} if self.location else {}
        return web.Response(status=302 if headers else 200, body=self.body, headers=headers)


@asynccontextmanager
async def server(name: str = "") -> AsyncIterator[Inside]:
    """Serve on loopback; with a certificate when a name is given."""
    inside = Inside()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", inside.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    context = server_context(certificate(name)) if name else None
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    inside.port = runner.addresses[0][1]
    try:
        yield inside
    finally:
        await runner.cleanup()


class Names:
    """A name server whose answers change: each is given once, and the last one from then on."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.lookups = 0

    async def __call__(self, host: str, port: int) -> list[str]:
        self.lookups += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class ConnectionTests(SimpleTestCase):
    async def test_a_name_that_leads_inside_is_not_connected_to(self) -> None:
        async with server() as internal:
            with (
                override_settings(OUTBOUND_PORTS=[internal.port]),
                self.assertRaises(aiohttp.ClientConnectorDNSError) as caught,
            ):
                await safe_fetch(
                    f"https://rebind.example.com:{internal.port}/", lookup=Names(["127.0.0.1"])
                )

        self.assertIsInstance(caught.exception.os_error, UnsafeAddress)
        self.assertEqual(internal.requests, [])

    async def test_a_name_that_is_rebound_after_the_check_is_not_followed(self) -> None:
        """The first answer is public and is the one connected to; the second is refused."""
        names = Names([PUBLIC], ["127.0.0.1"])
        tried: list[str] = []

        def no_network(info: tuple[int, int, int, str, tuple[str, int]]) -> socket.socket:
            tried.append(info[4][0])
            raise OSError("unreachable here")

        with mock.patch.object(subject, "checked_socket", no_network):
            for _ in range(2):
                with self.assertRaises(aiohttp.ClientConnectorError):
                    await safe_fetch("https://rebind.example.com/", lookup=names)

        self.assertEqual(tried, [PUBLIC])
        self.assertEqual(names.lookups, 2)

    async def test_a_resolver_that_lies_meets_the_socket_that_checks(self) -> None:
        async with server() as internal:
            with mock.patch.object(subject, "all", return_value=True, create=True):
                async with safe_session(Names(["127.0.0.1"])) as session:
                    with self.assertRaises(aiohttp.ClientConnectorError) as caught:
                        await session.get(f"http://api.example.com:{internal.port}/")

        self.assertIsInstance(caught.exception.os_error, UnsafeAddress)
        self.assertEqual(internal.requests, [])

    async def test_an_address_in_the_url_meets_the_socket_that_checks(self) -> None:
        async with server() as internal, safe_session(Names([PUBLIC])) as session:
            for host in ("127.0.0.1", "[::ffff:127.0.0.1]", "[::1]"):
                with self.subTest(host), self.assertRaises(aiohttp.ClientError):
                    await session.get(f"http://{host}:{internal.port}/")

        self.assertEqual(internal.requests, [])

    async def test_the_environments_proxy_is_not_used(self) -> None:
        async with server() as internal:
            proxy = f"http://127.0.0.1:{internal.port}"
            with (
                mock.patch.dict("os.environ", {"HTTPS_PROXY": proxy, "https_proxy": proxy}),
                mock.patch.object(subject, "checked_socket", side_effect=OSError("no network")),
                self.assertRaises(aiohttp.ClientConnectorError),
            ):
                await safe_fetch("https://api.example.com/", lookup=Names([PUBLIC]))

        self.assertEqual(internal.requests, [])


class ChunkedAnswerTests(SimpleTestCase):
    """An answer in HTTP chunks, as every stream of a model is one."""

    @asynccontextmanager
    async def answer(self, chunks: list[bytes]) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send all chunks at once."""
        sent = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + sent)
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        address, port = server.sockets[0].getsockname()
        async with (
            server,
            subject.plain_session() as session,
            session.get(f"http://{address}:{port}/") as response,
        ):
            yield response

    async def calls_of(self, kind: type[object], method: str) -> int:
        """Return how often the method is called for an answer of 40 chunks in a packet."""
        with mock.patch.object(
            kind, method, autospec=True, side_effect=getattr(kind, method)
        ) as called:
            async with self.answer([b"x" * 20] * 40) as response:
                body = await response.read()
        self.assertEqual(body, b"x" * 800)
        return called.call_count

    async def test_chunks_that_came_together_are_parsed_together(self) -> None:
        self.assertLess(await self.calls_of(ResponseHandler, "data_received"), 10)

    async def test_chunks_that_came_together_are_read_together(self) -> None:
        self.assertLess(await self.calls_of(StreamReader, "_read_nowait_chunk"), 10)

    async def test_what_a_slow_reader_has_left_is_not_read_through_for_each_packet(self) -> None:
        passes = 0

        class Pieces(deque[bytes]):
            def __iter__(self) -> Iterator[bytes]:
                nonlocal passes
                passes += 1
                return super().__iter__()

        async with subject.plain_session() as session:
            assert isinstance(session.connector, aiohttp.TCPConnector)
            connection = session.connector._factory()
            connection.connection_made(mock.Mock(spec=asyncio.Transport))
            connection.set_response_params(read_until_eof=True)
            connection.data_received(b"HTTP/1.1 200 OK\r\n\r\n")
            body = connection._payload
            assert body is not None
            body._buffer = Pieces()
            for _ in range(20):
                connection.data_received(b"x")

        self.assertEqual((passes, body.total_bytes), (0, 20))

    async def test_a_reader_that_comes_late_gets_all_of_a_large_answer(self) -> None:
        async with self.answer([b"x" * 1_000] * 4_000) as response:
            connection = response.connection
            assert connection is not None
            assert connection.protocol is not None
            async with asyncio.timeout(20):
                # As much as is held for a reader; then the server has to wait.
                while not connection.protocol._reading_paused:  # noqa: ASYNC110 - aiohttp's flag
                    await asyncio.sleep(0.001)
                body = await response.read()

        self.assertEqual(len(body), 4_000_000)


class TlsTests(SimpleTestCase):
    """Loopback counts as public here, so that a real handshake can be tested."""

    def setUp(self) -> None:
        open_internet = mock.patch.object(subject, "is_public", return_value=True)
        open_internet.start()
        self.addCleanup(open_internet.stop)

    async def ask(self, internal: Inside, name: str) -> int:
        connector = {
            "resolver": CheckedResolver(Names(["127.0.0.1"])),
            "socket_factory": subject.checked_socket,
            "ssl": client_context(certificate("api.example.com")),
        }
        async with (
            subject.plain_session(**connector) as session,
            session.get(f"https://{name}:{internal.port}/v1") as response,
        ):
            return response.status

    async def test_the_certificate_is_checked_against_the_name_not_the_address(self) -> None:
        async with server("api.example.com") as internal:
            self.assertEqual(await self.ask(internal, "api.example.com"), 200)
            with self.assertRaises(aiohttp.ClientConnectorCertificateError):
                await self.ask(internal, "other.example.com")

        self.assertEqual(internal.requests[0].headers["Host"], f"api.example.com:{internal.port}")

    async def test_a_certificate_nobody_vouches_for_is_refused(self) -> None:
        async with server("api.example.com") as internal:
            with (
                override_settings(OUTBOUND_PORTS=[internal.port]),
                self.assertRaises(aiohttp.ClientConnectorCertificateError),
            ):
                await safe_fetch(
                    f"https://api.example.com:{internal.port}/", lookup=Names(["127.0.0.1"])
                )
        self.assertEqual(internal.requests, [])


class FetchTests(SimpleTestCase):
    """Fetches from a trusted host, as an operator lists it."""

    @asynccontextmanager
    async def internal(self) -> AsyncIterator[Inside]:
        async with server() as internal:
            with override_settings(OUTBOUND_TRUSTED_HOSTS=[f"127.0.0.1:{internal.port}"]):
                yield internal

    async def test_a_trusted_host_is_fetched_whole(self) -> None:
        async with self.internal() as internal:
            fetched = await safe_fetch(f"http://127.0.0.1:{internal.port}/a?b=c")

        self.assertEqual((fetched.status, fetched.body), (200, internal.body))
        self.assertEqual(internal.requests[0].path_qs, "/a?b=c")

    async def test_who_wants_public_hosts_only_is_led_to_no_trusted_one(self) -> None:
        async with self.internal() as internal:
            url = f"http://127.0.0.1:{internal.port}/a"
            with self.assertRaises(UnsafeURL):
                await safe_fetch(url, limits=Limits(only_public=True))
            step, limits = subject._Step("GET", check_url(url), {}, None), Limits(only_public=True)
            with self.assertRaises(UnsafeURL):
                step.redirected(302, url, limits)
            with self.assertRaises(OSError):
                await subject._fetch_once(step, limits, subject.look_up)
        self.assertEqual(internal.requests, [])

    async def test_an_endless_answer_is_given_up(self) -> None:
        async with self.internal() as internal:
            with self.assertRaisesRegex(ValueError, "longer than 5 bytes"):
                await safe_fetch(f"http://127.0.0.1:{internal.port}/", limits=Limits(max_bytes=5))

    async def test_a_redirect_is_an_answer(self) -> None:
        async with self.internal() as internal:
            internal.location = "https://api.example.com/"
            fetched = await safe_fetch(f"http://127.0.0.1:{internal.port}/")

        self.assertEqual((fetched.status, len(internal.requests)), (302, 1))

    async def test_a_followed_redirect_is_checked_again(self) -> None:
        for location in ("https://localhost/", "http://api.example.com/", "https://10.0.0.1/",
                         "file:///etc/passwd", "//169.254.169.254/"):  # fmt: skip
            with self.subTest(location):
                async with self.internal() as internal:
                    internal.location = location
                    with self.assertRaises(UnsafeURL):
                        await safe_fetch(
                            f"http://127.0.0.1:{internal.port}/", limits=Limits(max_redirects=3)
                        )
                self.assertEqual(len(internal.requests), 1)

    async def test_a_redirect_to_another_origin_carries_no_headers_and_no_data(self) -> None:
        async with server() as other, self.internal() as internal:
            internal.location = f"http://127.0.0.1:{other.port}/next"
            trusted = [f"127.0.0.1:{port}" for port in (internal.port, other.port)]
            with override_settings(OUTBOUND_TRUSTED_HOSTS=trusted):
                await safe_fetch(
                    f"http://127.0.0.1:{internal.port}/",
                    method="POST",
                    headers={"Authorization": "Bearer canary"},
                    data=b"canary",
                    limits=Limits(max_redirects=1),
                )

        self.assertEqual(internal.requests[0].headers["Authorization"], "Bearer canary")
        self.assertNotIn("Authorization", other.requests[0].headers)
        self.assertEqual(
            (other.requests[0].method, other.requests[0].can_read_body), ("GET", False)
        )
