"""Where a client comes from: its address, its network, and which networks a key allows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import HttpRequest

type Address = IPv4Address | IPv6Address
type Network = IPv4Network | IPv6Network

# What one household or office has: its members share a rate.
_SHARED_PREFIX = {4: 24, 6: 64}


def client_address(request: HttpRequest) -> Address | None:
    """Return the address of the client, None when nobody trustworthy says it.

    Behind proxies (settings.TRUST_PROXY_HEADERS) it is the right-most hop that is no trusted
    proxy: what stands left of it in X-Forwarded-For was written by the client itself.
    """
    peer = request.META.get("REMOTE_ADDR", "")
    if not settings.TRUST_PROXY_HEADERS:
        return _address(peer)
    hop = _address(peer)
    # Without a list, whoever connects is the proxy. So is a Unix socket, which has no address.
    if hop is not None and settings.TRUSTED_PROXIES and not _is_proxy(hop):
        return hop
    for text in _hops(request):
        hop = _address(text)
        if hop is None or not _is_proxy(hop):
            return hop
    return hop


def _hops(request: HttpRequest) -> Iterator[str]:
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")
    return (hop.strip() for hop in reversed(forwarded.split(",")) if hop.strip())


def _is_proxy(address: Address) -> bool:
    return is_within(address, settings.TRUSTED_PROXIES)


@lru_cache(maxsize=4096)
def _address(text: str) -> Address | None:
    """Read an address; an IPv4 one inside IPv6 is the IPv4 one."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


@lru_cache(maxsize=4096)
def network_of(address: Address | None) -> str:
    """Return the client's /24 or /64, "" when the address is unknown."""
    if address is None:
        return ""
    return str(ip_network(f"{address}/{_SHARED_PREFIX[address.version]}", strict=False))


def is_within(address: Address | None, networks: Iterable[str]) -> bool:
    return address is not None and any(
        address.version == network.version and address in network
        for network in map(read_network, networks)
    )


@lru_cache(maxsize=4096)
def read_network(text: str) -> Network:
    """Read a network in CIDR form, or one address; raises ValidationError."""
    try:
        network = ip_network(text)
    except ValueError:
        network = None
    if network is None or "%" in text or _is_mapped(network):
        raise ValidationError(
            f"“{text}” is no network. Write it in CIDR form, without host bits: 203.0.113.0/24, "
            "2001:db8::/32 or a single address.",
            code="invalid",
        )
    return network


def _is_mapped(network: Network) -> bool:
    """IPv4 inside IPv6 never matches: addresses are compared as IPv4."""
    return isinstance(network, IPv6Network) and network.network_address.ipv4_mapped is not None
