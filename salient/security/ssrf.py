"""Outbound requests to URLs that tenants choose: https and public addresses only.

The name is resolved once, every address must be public, and the socket connects to a checked
address. So a later answer of the name server changes nothing.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.streams import EMPTY_PAYLOAD
from django.conf import settings

from salient.observability.tracing import trace_configs

if TYPE_CHECKING:
    from aiohappyeyeballs.types import AddrInfoType

type Address = IPv4Address | IPv6Address
type Lookup = Callable[[str, int], Awaitable[list[str]]]

MAX_URL, MAX_HOST = 500, 200
LOOKUP_SECONDS: Final = 5.0
# How long checked addresses are cached.
DNS_SECONDS: Final = 60
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_URL = re.compile(r"[!-\[\]-~]+")  # printable ASCII without space and backslash
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# The last label is no number: browsers and C libraries read 0x7f.1 and 127.1 as addresses.
_NAME = re.compile(rf"(?:{_LABEL}\.)+(?!0x)[a-z][a-z0-9-]*[a-z0-9]")

# Networks that `is_global` accepts although they may lead to internal hosts.
_REFUSED = tuple(
    ip_network(text)
    for text in (
        "192.0.0.0/24",  # for protocols; some clouds keep their metadata here
        "192.88.99.0/24",  # the 6to4 relay
        "168.63.129.16/32",  # Azure's host, by a public address
        "::/96",  # IPv4-compatible
        "64:ff9b::/96",  # NAT64: any IPv4 address is inside
        "64:ff9b:1::/48",
        "2001::/23",  # Teredo and other protocols' own
        "2002::/16",  # 6to4
        "fec0::/10",  # site-local
        "3fff::/20",  # documentation
        "5f00::/16",  # segment routing
    )
)
_END_OF_HEAD = b"\r\n\r\n"
_ISATAP = frozenset({0x0000_5EFE, 0x0200_5EFE})


class UnsafeURL(ValueError):
    """A URL that tenants may not use; the message says why and may be shown."""


class UnsafeAddress(OSError):
    """A host whose address is not a public one; nothing was sent."""


@dataclass(frozen=True, slots=True)
class SafeURL:
    """A URL in its canonical form."""

    scheme: str
    host: str
    port: int
    path: str
    # Whether the operator lists this host and port for URLs of this kind.
    is_trusted: bool = False

    @property
    def origin(self) -> str:
        """The scheme, host and port, which a secret is bound to; the port is always included."""
        return f"{self.scheme}://{self.host}:{self.port}"

    def __str__(self) -> str:
        default_port = {"https": 443, "http": 80}[self.scheme]
        port = "" if self.port == default_port else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}{self.path}"


def check_url(
    text: str, *, with_query: bool = True, trusted: Collection[str] | None = None
) -> SafeURL:
    """Read a tenant's URL; raises UnsafeURL unless every part of it is plain and allowed.

    `trusted` are hosts with their ports ("vllm.internal:8000") that may be anywhere, without
    https; None is OUTBOUND_TRUSTED_HOSTS, which are for model connections.
    """
    if len(text) > MAX_URL or not _URL.fullmatch(text):
        raise UnsafeURL(
            f"Write the URL in at most {MAX_URL} ASCII characters, without spaces; "
            "an international name as xn--…"
        )
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise UnsafeURL("This is not a URL.") from error
    if "@" in parts.netloc:
        raise UnsafeURL("A URL must not hold a user name or a password.")
    if "#" in text or (not with_query and "?" in text):
        raise UnsafeURL("Leave out everything from “?” or “#” on.")
    if parts.scheme not in {"https", "http"}:
        raise UnsafeURL("The URL must begin with https://.")
    query = f"?{parts.query}" if parts.query else ""
    host = _host(parts.netloc)
    port = port if port is not None else {"https": 443, "http": 80}[parts.scheme]
    known = settings.OUTBOUND_TRUSTED_HOSTS if trusted is None else trusted
    url = SafeURL(parts.scheme, host, port, parts.path + query, f"{host}:{port}" in known)
    if not url.is_trusted:
        _check_public(url)
    return url


def _host(netloc: str) -> str:
    """The host in lower case, an IPv6 address in brackets."""
    host = netloc.rpartition("]")[0] + "]" if "[" in netloc else netloc.partition(":")[0]
    host = host.lower()
    if not host or len(host) > MAX_HOST:
        raise UnsafeURL("The URL names no host.")
    return host


def _check_public(url: SafeURL) -> None:
    if url.scheme != "https":
        raise UnsafeURL("The URL must begin with https://.")
    if url.port not in {443, *settings.OUTBOUND_PORTS}:
        raise UnsafeURL(f"Port {url.port} is not allowed.")
    try:
        address = ip_address(url.host.removeprefix("[").removesuffix("]"))
    except ValueError:
        if not _NAME.fullmatch(url.host):
            raise UnsafeURL("The host must be a full name such as api.example.com.") from None
        return
    if url.host != _written(address):
        raise UnsafeURL(f"Write the address as {_written(address)}.")
    if not is_public(address):
        raise UnsafeURL("The host is not a public address.")


def _written(address: Address) -> str:
    return f"[{address}]" if address.version == 6 else str(address)  # noqa: PLR2004 - IP version


def is_public(address: Address | str) -> bool:
    """Whether an address is public, also where IPv6 wraps an IPv4 address."""
    address = ip_address(address) if isinstance(address, str) else address
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return False
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if int(address) >> 32 & 0xFFFF_FFFF in _ISATAP or address.is_site_local:
            return False
    if any(address in network for network in _REFUSED if network.version == address.version):
        return False
    return address.is_global and not (
        address.is_multicast
        or address.is_private
        or address.is_loopback
        or address.is_link_local
        or address.is_reserved
        or address.is_unspecified
    )


# Threads of their own for tenants' names: a slow name server then delays no other look-up.
_threads = ThreadPoolExecutor(max_workers=16, thread_name_prefix="tenant-names")


async def look_up(host: str, port: int) -> list[str]:
    """Every address of a host, as the system resolves it."""
    loop = asyncio.get_running_loop()
    found = loop.run_in_executor(_threads, _getaddrinfo, host, port)
    try:
        return await asyncio.wait_for(found, LOOKUP_SECONDS)
    except TimeoutError as error:
        raise OSError("the name was not resolved in time") from error


def _getaddrinfo(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class CheckedResolver(AbstractResolver):
    """Returns a host's addresses if all of them are public; else raises UnsafeAddress."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        del family
        found = await self._lookup(host, port)
        if not found or not all(map(is_public, found)):
            raise UnsafeAddress("the host has an address that is not public")
        return [_resolved(host, port, address) for address in found]

    async def close(self) -> None:
        """Nothing is held."""


def _resolved(host: str, port: int, address: str) -> ResolveResult:
    is_v6 = ip_address(address).version == 6  # noqa: PLR2004 - IP version
    return ResolveResult(
        hostname=host,
        host=address,
        port=port,
        family=socket.AF_INET6 if is_v6 else socket.AF_INET,
        proto=socket.IPPROTO_TCP,
        flags=socket.AI_NUMERICHOST,
    )


def checked_socket(info: AddrInfoType) -> socket.socket:
    """A socket for an address, as every connection makes it; raises UnsafeAddress."""
    family, kind, protocol, _, address = info
    if not is_public(str(address[0])):
        raise UnsafeAddress("the address is not public")
    return socket.socket(family=family, type=kind, proto=protocol)


def safe_session(lookup: Lookup = look_up) -> aiohttp.ClientSession:
    """A client that connects to public addresses only, however it is used; its owner closes it.

    Use it with `check_url`, because a client checks no schemes and ports, and without redirects.
    """
    return plain_session(
        resolver=CheckedResolver(lookup), socket_factory=checked_socket, ttl_dns_cache=DNS_SECONDS
    )


def plain_session(**connector: Any) -> aiohttp.ClientSession:
    """A client without cookies, proxies, netrc and unpacking, for hosts that are trusted."""
    return aiohttp.ClientSession(
        connector=_Connector(limit=0, **connector),
        # A cookie that one account's call received must not go out with another's.
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
        headers={"User-Agent": "salient", "Accept-Encoding": "identity"},
        # A small answer must not become a large one in memory.
        auto_decompress=False,
        trust_env=False,
        trace_configs=trace_configs(),
    )


class _Connector(aiohttp.TCPConnector):
    """Makes connections that keep what arrived of an answer with broken framing."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory = partial(_HeadFirst, loop=self._loop)  # type: ignore[assignment]


class _HeadFirst(ResponseHandler):
    """Passes an answer's head on before its body, and all chunks of a packet as one piece.

    aiohttp drops all that arrived in the same packet as a broken chunk, even the head, and does not
    report the fault to the reader of the body. It reads a body chunk by chunk: for a packet of
    twenty that took a twentieth of all function calls of a turn.
    """

    def data_received(self, data: bytes) -> None:
        if self._payload is None or self._payload.is_eof():
            end = data.find(_END_OF_HEAD) + len(_END_OF_HEAD)
            if len(_END_OF_HEAD) <= end < len(data):
                super().data_received(data[:end])
                data = data[end:]
        known = self._payload
        before = 0 if known is None or known is EMPTY_PAYLOAD else len(known._buffer)
        super().data_received(data)
        # The attribute: a call for each chunk of each stream would cost more than the check.
        broken, body = self._exception, self._payload
        if body is known and body is not None and body is not EMPTY_PAYLOAD:
            # From the end: what a slow reader has left may be thousands of pieces.
            added = len(body._buffer) - before
            if added > 1:
                newest_first = [body._buffer.pop() for _ in range(added)]
                body._buffer.append(b"".join(reversed(newest_first)))
        if broken is not None and body is not None and body.exception() is None:
            body.set_exception(aiohttp.ClientPayloadError(f"broken framing: {broken!r}"))

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002 - aiohttp's
        """Resume only what was paused.

        aiohttp calls this for each HTTP chunk that it hands on, and runs its parser on no data.
        """
        if self._reading_paused:
            super().resume_reading(resume_parser)


@dataclass(frozen=True, slots=True)
class Fetched:
    status: int
    headers: Mapping[str, str]
    body: bytes
    url: SafeURL


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one fetch with its redirects; with none allowed a redirect is returned as it is.

    With `only_public` the hosts that the operator trusts are no exception.
    """

    seconds: float = 10.0
    max_bytes: int = 1024 * 1024
    max_redirects: int = 0
    only_public: bool = False

    @property
    def trusted(self) -> Collection[str] | None:
        """The hosts that are an exception, as `check_url` takes them."""
        return () if self.only_public else None


async def safe_fetch(
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    data: bytes | None = None,
    limits: Limits = Limits(),
    lookup: Lookup = look_up,
) -> Fetched:
    """Fetch a tenant's URL, with the whole body.

    Each redirect is checked like the first URL; another origin gets neither headers nor data.
    Raises UnsafeURL, ValueError when the answer is too long, TimeoutError, OSError and aiohttp's
    ClientError.
    """
    step = _Step(method, check_url(url, trusted=limits.trusted), headers or {}, data)
    async with asyncio.timeout(limits.seconds):
        for _ in range(limits.max_redirects):
            fetched = await _fetch_once(step, limits, lookup)
            location = fetched.headers.get("Location")
            if fetched.status not in REDIRECTS or location is None:
                return fetched
            step = step.redirected(fetched.status, location, limits)
        return await _fetch_once(step, limits, lookup)


@dataclass(frozen=True, slots=True)
class _Step:
    method: str
    url: SafeURL
    headers: Mapping[str, str]
    data: bytes | None

    def redirected(self, status: int, location: str, limits: Limits) -> _Step:
        place = urljoin(str(self.url), location.partition("#")[0])
        url = check_url(place, trusted=limits.trusted)
        keeps = url.origin == self.url.origin
        headers = self.headers if keeps else {}
        if keeps and status in {307, 308}:
            return _Step(self.method, url, headers, self.data)
        return _Step("GET", url, headers, None)


async def _fetch_once(step: _Step, limits: Limits, lookup: Lookup) -> Fetched:
    is_trusted = step.url.is_trusted and not limits.only_public
    async with (
        plain_session() if is_trusted else safe_session(lookup) as client,
        client.request(
            step.method,
            str(step.url),
            headers=step.headers,
            data=step.data,
            allow_redirects=False,
        ) as response,
    ):
        body = await _read(response, limits.max_bytes)
        return Fetched(response.status, response.headers, body, step.url)


async def _read(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > max_bytes:
            raise ValueError(f"The answer is longer than {max_bytes} bytes.")
    return bytes(body)
