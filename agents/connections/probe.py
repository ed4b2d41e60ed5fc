"""Tests a model connection: the server, its key, and whether it has OpenAI's API.

It requests the list of models, which costs nothing. Of the answer only the number of models is
shown, because its text is not trusted.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp
import msgspec
from asgiref.sync import async_to_sync
from django.core.exceptions import ImproperlyConfigured

from agents.connections.connections import ready
from agents.models import ProviderConnection
from agents.runtime.errors import (
    ProviderAuth,
    ProviderProtocol,
    ProviderRateLimited,
    ProviderUnavailable,
    RunError,
    UnknownModel,
)
from agents.runtime.providers import Connection
from agents.runtime.providers.refusals import log_failure, refusal
from salient.api.problems import Invalid
from salient.formatting import duration
from salient.security.encryption import SecretUnreadable
from salient.security.ssrf import Fetched, Limits, UnsafeAddress, UnsafeURL, safe_fetch

# A page waits for it, and some servers list many models.
LIMITS = Limits(seconds=4.0, max_bytes=4 * 1024 * 1024)
OK = 200

WRONG_ADDRESS = (
    "Change the address. Servers of one's own network are listed by whoever runs the service, in "
    "OUTBOUND_TRUSTED_HOSTS and OUTBOUND_PORTS."
)
NOT_THERE = "See that the address is right and that the server takes calls from this one."
NOT_OPENAI = "The address is most likely a wrong one: that of OpenAI's API usually ends in /v1."
# What the server's answer means, and what to do about it.
REFUSALS: Mapping[type[RunError], tuple[str, str]] = {
    ProviderAuth: ("did not accept the key", "Type in a key that works there, and save it."),
    UnknownModel: ("has no list of models at this address", NOT_OPENAI),
    ProviderProtocol: ("did not answer as OpenAI's API does", NOT_OPENAI),
    ProviderRateLimited: ("accepts no more calls at the moment", "Try again later."),
    ProviderUnavailable: ("has an internal error", "Try again later, or ask who runs it."),
}
OTHERWISE = ("did not accept the request", NOT_OPENAI)


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What came of it, and what to do where it did not go well."""

    text: str
    advice: str = ""

    @property
    def is_good(self) -> bool:
        return not self.advice

    def __str__(self) -> str:
        return f"{self.text} {self.advice}".strip()


class _Models(msgspec.Struct):
    """The answer as far as OpenAI's API is known by it."""

    data: list[msgspec.Raw]


def probe_connection(row: ProviderConnection) -> ProbeResult:
    """Call the server with the stored key; every failure is in the result, none is raised."""
    try:
        connection = ready(row)
    except Invalid as error:
        return ProbeResult(f"The address is refused: {error.detail}", WRONG_ADDRESS)
    except (SecretUnreadable, ImproperlyConfigured):
        return ProbeResult(
            "The stored key cannot be opened.", "Type the key in again, and save it."
        )
    return async_to_sync(_ask)(connection)


async def _ask(connection: Connection) -> ProbeResult:
    host = urlsplit(connection.base_url).netloc
    headers = {"Authorization": f"Bearer {connection.key}"} if connection.key else {}
    began = time.perf_counter()
    try:
        fetched = await safe_fetch(f"{connection.base_url}/models", headers=headers, limits=LIMITS)
        count = _count(fetched)
    except RunError as error:
        log_failure(f"connection/{connection.name}", "models", error, key=connection.key)
        return _refused(error, f"{host} was reached in {_since(began)} and", connection)
    except UnsafeURL as error:
        return ProbeResult(f"The address is refused: {error}", WRONG_ADDRESS)
    except ValueError:
        return ProbeResult(f"{host} sent more than a list of models.", NOT_OPENAI)
    except (aiohttp.ClientError, OSError) as error:
        return _not_reached(error, host)
    took = "accepted the key" if connection.key else "needs no key"
    models = "1 model" if count == 1 else f"{count} models"
    return ProbeResult(f"{host} was reached in {_since(began)}, {took} and lists {models}.")


def _since(began: float) -> str:
    return duration((time.perf_counter() - began) * 1000)


def _count(fetched: Fetched) -> int:
    """Count the models of an answer; raises the RunError that a call would end with."""
    text = fetched.body.decode(errors="replace")
    if fetched.status != OK:
        raise refusal(fetched.status, text, fetched.headers)
    try:
        return len(msgspec.json.decode(fetched.body, type=_Models).data)
    except msgspec.MsgspecError as error:
        raise ProviderProtocol(f"not a list of models: {text}") from error


def _refused(error: RunError, reached: str, connection: Connection) -> ProbeResult:
    reason, advice = REFUSALS.get(type(error), OTHERWISE)
    if isinstance(error, ProviderAuth) and not connection.key:
        reason = "needs a key, but none is stored"
    return ProbeResult(f"{reached} {reason}.", advice)


def _not_reached(error: Exception, host: str) -> ProbeResult:
    cause = getattr(error, "os_error", error)
    if isinstance(cause, UnsafeAddress):
        return ProbeResult(
            f"{host} leads to an address that is not public: refused.", WRONG_ADDRESS
        )
    if isinstance(error, TimeoutError):
        return ProbeResult(f"{host} did not answer within {LIMITS.seconds:.0f} s.", NOT_THERE)
    if isinstance(error, aiohttp.ClientSSLError):
        return ProbeResult(
            f"{host} has no certificate that is trusted.", "Correct the certificate there."
        )
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return ProbeResult(f"The name {host} is not known.", NOT_THERE)
    return ProbeResult(f"{host} was not reached.", NOT_THERE)
