"""The address of a client, its network, and the networks that a key allows."""

from __future__ import annotations

from collections.abc import Iterable
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

# What one household or office has: its people share a rate limit.
_SHARED_PREFIX = {4: 24, 6: 64}


def client_address(request: HttpRequest) -> Address | None:
    """Return the client's address, None where no trusted source names it.

    Behind proxies (settings.TRUST_PROXY_HEADERS) it is the right-most hop of X-Forwarded-For that
    is no trusted proxy: the client itself may have written the entries to the left of it.
    """
    hop = _address(request.META.get("REMOTE_ADDR", ""))
    if not settings.TRUST_PROXY_HEADERS:
        return hop
    proxies = settings.TRUSTED_PROXIES
    # Without a list, every peer is a proxy. So is a Unix socket, which has no address.
    if hop is not None and proxies and not is_within(hop, proxies):
        return hop
    for text in reversed(request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")):
        if text := text.strip():
            hop = _address(text)
            if hop is None or not is_within(hop, proxies):
                return hop
    return hop


def client_network(request: HttpRequest) -> str:
    """Return the client's /24 or /64, "" when its address is unknown."""
    return network_of(client_address(request))


@lru_cache(maxsize=4096)
def _address(text: str) -> Address | None:
    """Read an address; None for any other text. IPv4 inside IPv6 is read as IPv4."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


@lru_cache(maxsize=4096)
def network_of(address: Address | None) -> str:
    """Return the /24 or /64 of an address, "" for none."""
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
    # IPv4 inside IPv6 would never match: addresses are compared as IPv4.
    is_mapped = isinstance(network, IPv6Network) and network.network_address.ipv4_mapped is not None
    if network is None or "%" in text or is_mapped:
        raise ValidationError(
            f"“{text}” is no network. Write it in CIDR form, without host bits: 203.0.113.0/24, "
            "2001:db8::/32 or a single address.",
            code="invalid",
        )
    return network
