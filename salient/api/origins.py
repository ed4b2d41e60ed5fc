"""Web origins as browsers write them: `scheme://host[:port]`."""

import ipaddress
import re

from django.core.exceptions import ValidationError

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_ORIGIN = re.compile(
    rf"(?P<scheme>https?)://(?:(?P<name>{_LABEL}(?:\.{_LABEL})*)|\[(?P<six>[0-9a-f:.]+)\])"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?"
)
_DEFAULT_PORTS = {"http": "80", "https": "443"}
LONGEST, LAST_PORT = 255, 65_535


def is_origin(text: str) -> bool:
    """Whether a browser may send this text as its Origin; `null` is no origin.

    Only the spelling of browsers is accepted (RFC 6454, 6.2: lower case, no default port), so that
    origins can be compared as texts.
    """
    found = _ORIGIN.fullmatch(text)
    if found is None or len(text) > LONGEST:
        return False
    port = found["port"]
    if port is not None and (int(port) > LAST_PORT or port == _DEFAULT_PORTS[found["scheme"]]):
        return False
    return found["six"] is None or _is_written_short(found["six"])


def _is_written_short(address: str) -> bool:
    try:
        return ipaddress.IPv6Address(address).compressed == address
    except ValueError:
        return False


def validate_origin(text: str) -> None:
    """Raise Django's ValidationError, whose message shows how to write an origin."""
    if not is_origin(text):
        raise ValidationError(
            f"“{text}” is no origin. Write it as browsers do, in lower case and without a path: "
            "https://shop.example or http://localhost:3000.",
            code="invalid",
        )
