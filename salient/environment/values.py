"""Reads the settings that have a format: hosts, networks, addresses, URLs."""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.validators import validate_email

from salient.api.origins import is_origin
from salient.environment.reader import Environment, WrongValue
from salient.observability.logs import FORMATS, LEVELS

LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
NAME: Final = re.compile(rf"{LABEL}(?:\.{LABEL})*\.?", re.IGNORECASE)
LAST_PORT: Final = 65_535
# The largest private networks are 10.0.0.0/8 and fc00::/7: a wider one holds more than proxies.
WIDEST: Final = {4: 8, 6: 7}
MAKE_ONE: Final = "python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"
MAIL_SHAPE: Final = "smtp+tls://user:password@host:587"
READABLE_MAIL: Final = {
    "consolemail": "salient.mail.ConsoleBackend",
    "filemail": "salient.mail.FileBackend",
}
MAIL_WITHOUT_HOST: Final = ("consolemail", "filemail", "memorymail", "dummymail")


def is_host(text: str) -> bool:
    """Whether this is a host name or an address; an IPv6 address has no brackets here."""
    try:
        ip_address(text)
    except ValueError:
        # A text of digits and dots only is a malformed address.
        return bool(NAME.fullmatch(text)) and not re.fullmatch(r"[0-9.]+", text)
    return "%" not in text


def host_pattern(text: str) -> str:
    """An entry of ALLOWED_HOSTS: a name, an address, `.example.com` or `*`."""
    six = text.startswith("[") and text.endswith("]") and ":" in text
    if text == "*" or is_host(text.strip("[]") if six else text.removeprefix(".")):
        return text
    raise WrongValue("it must be a host name, without scheme, port and path")


def trusted_origin(text: str) -> str:
    """An entry of CSRF_TRUSTED_ORIGINS; `https://*.example.com` is one for Django."""
    if is_origin(text.replace("://*.", "://any.", 1)) or text == "*":
        return text
    raise WrongValue("it must be an origin, as in https://agents.example.com")


def proxy_network(text: str) -> str:
    try:
        network = ip_network(text)
    except ValueError:
        raise WrongValue("it must be a network without host bits, as in 10.0.0.0/8") from None
    if network.prefixlen < WIDEST[network.version]:
        raise WrongValue("it is so wide that it holds clients too, who could then forge addresses")
    return text


def port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) <= LAST_PORT:
        raise WrongValue(f"it must be a port from 1 to {LAST_PORT}")
    return int(text)


def host_and_port(text: str) -> str:
    """An entry of OUTBOUND_TRUSTED_HOSTS or WEBHOOK_TRUSTED_HOSTS."""
    host, colon, number = text.rpartition(":")
    if not colon or not is_host(host.removeprefix("[").removesuffix("]")):
        raise WrongValue("it must be host:port, as in vllm.internal:8000")
    port(number)
    return text


def public_url(text: str) -> str:
    """Where people reach the pages; a path may follow, a query or a fragment may not."""
    match = re.fullmatch(r"(?P<origin>[a-z]+://[^/?#\\\s]+)(/[^?#\\\s]*)?", text, re.IGNORECASE)
    if match is None or not is_origin(match["origin"].lower()):
        raise WrongValue("it must be a web address, as in https://agents.example.com")
    return text.rstrip("/")


def database_url(text: str) -> str:
    from salient.database.config import SHAPE, parsed  # noqa: PLC0415 - gunicorn.conf.py needs none

    try:
        known = parsed(text)
    except ImproperlyConfigured as error:
        name_is_missing = "names no database" in str(error)
        what = "it names no database: " if name_is_missing else ""
        raise WrongValue(f"{what}it must look like {SHAPE}") from None
    for number in filter(None, known["PORT"].split(",")):
        if not int(number) <= LAST_PORT:
            raise WrongValue(f"its port must be from 1 to {LAST_PORT}")
    return text


def mail_config(text: str) -> dict[str, Any]:
    """Django's MAILERS for an EMAIL_URL."""
    try:
        parts = urlsplit(text)
        found = environ.Env.email_url_config(text)
        has_place = found["EMAIL_HOST"] or parts.scheme in MAIL_WITHOUT_HOST
        is_good = has_place and is_host(found["EMAIL_HOST"] or "localhost") and parts.port != 0
    except (ImproperlyConfigured, ValueError, KeyError):
        is_good = False
    if not is_good:
        raise WrongValue(f"it must look like {MAIL_SHAPE}, or be consolemail://")
    if parts.scheme == "filemail":
        if not parts.path.strip("/"):
            raise WrongValue("it names no folder, as in filemail:///var/mail")
        options: dict[str, Any] = {"file_path": parts.path}
    else:
        options = _smtp(found) if parts.scheme.startswith("smtp") else {}
    backend = READABLE_MAIL.get(parts.scheme, found["EMAIL_BACKEND"])
    return {"default": {"BACKEND": backend, "OPTIONS": options}}


def _smtp(found: dict[str, Any]) -> dict[str, Any]:
    return {
        "host": found["EMAIL_HOST"],
        "port": found["EMAIL_PORT"] or 25,
        "username": found["EMAIL_HOST_USER"] or "",
        "password": found["EMAIL_HOST_PASSWORD"] or "",
        "use_tls": found.get("EMAIL_USE_TLS", False),
        "use_ssl": found.get("EMAIL_USE_SSL", False),
        "timeout": 10,
    }


def sender(text: str) -> str:
    """An e-mail address, or one behind a name: `Salient <salient@example.com>`."""
    name, bracket, rest = text.rpartition("<")
    address = rest.removesuffix(">") if bracket else text
    try:
        validate_email(address)
    except ValidationError:
        address = ""
    if not address or bool(bracket) != text.endswith(">") or not name.isprintable():
        raise WrongValue("it must be an e-mail address, as in Salient <salient@example.com>")
    return text


def level(text: str) -> str:
    if text.upper() not in LEVELS:
        raise WrongValue(f"it must be {', '.join(LEVELS[:-1])} or {LEVELS[-1]}")
    return text.upper()


def log_format(text: str) -> str:
    if text.lower() not in FORMATS:
        raise WrongValue(f"it must be {' or '.join(FORMATS)}")
    return text.lower()


def metrics_token(text: str) -> str:
    """A token that a header can hold, and that nobody guesses."""
    if not re.fullmatch(r"[!-~]{16,512}", text):
        raise WrongValue("it must have at least 16 letters, digits and signs, without blanks")
    return text


def collector_url(text: str) -> str:
    match = re.fullmatch(r"https?://[^/?#\\\s]+(/[^?#\\\s]*)?", text, re.IGNORECASE)
    if match is None or not text.isprintable():
        raise WrongValue("it must be a web address, as in http://collector:4318")
    return text


def folder(text: str) -> Path:
    """A folder that exists and can be read."""
    path = Path(text)
    try:
        next(path.iterdir(), None)
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise WrongValue(f"it must be a folder that can be read: {reason}") from None
    return path


def listening_host(text: str) -> str:
    host = text.removeprefix("[").removesuffix("]")
    if not is_host(host):
        raise WrongValue("it must be an address or a name of this machine, as in 127.0.0.1")
    return f"[{IPv6Address(host)}]" if ":" in host else host


def serving(env: Environment) -> tuple[str, int]:
    """Where a server listens, and with how many workers."""
    host = env.one("HOST", listening_host, default="127.0.0.1")
    number = env.one("PORT", port, default=8000)
    return f"{host}:{number}", env.integer("WEB_CONCURRENCY", default=1, least=1, most=512)


def start_worker(env: Environment) -> bool:
    """Tell whether a server has a worker beside it (salient/tasks)."""
    return env.boolean("START_WORKER", default=True)
