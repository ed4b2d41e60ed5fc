"""Model servers and certificates: short calls that cost nothing, all of them side by side."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from urllib.parse import urlsplit

import aiohttp
from django.conf import settings

from accounts.tenancy.context import platform_context
from agents.connections.probe import probe_connection
from agents.models import ProviderConnection
from agents.runtime.providers import connection_name, model_problem
from agents.runtime.providers.openai.endpoints import Endpoint, find_endpoint
from salient.security.ssrf import check_url, is_public, plain_session
from sessions_app.operations.doctor.agents_in_use import models_in_use
from sessions_app.operations.doctor.findings import Finding, Subject, fault, ok, warning

SECONDS, ALL_SECONDS = 5.0, 6.0
MOST_CALLS = 16
DAYS_LEFT = 14
OK, UNAUTHORIZED, FORBIDDEN, SERVER_ERROR = 200, 401, 403, 500

type Look = Callable[[], Finding]


def _side_by_side(looks: Mapping[str, Look]) -> Iterator[Finding]:
    """Take some looks at once, and give up those that take too long."""
    pool = ThreadPoolExecutor(MOST_CALLS)
    futures: dict[str, Future[Finding]] = {name: pool.submit(look) for name, look in looks.items()}
    wait(futures.values(), timeout=ALL_SECONDS)
    pool.shutdown(wait=False, cancel_futures=True)
    for name, future in futures.items():
        if not future.done() or future.cancelled():
            yield warning(f"{name} was not checked in time", "Run it again.")
        elif (error := future.exception()) is not None:
            yield fault(f"{name}: {error}")
        else:
            yield future.result()


def _providers() -> Iterator[Finding]:
    models = models_in_use()
    names = {each.model.partition(":")[0]: each.model for each in models}
    own = {name: model for name, model in names.items() if connection_name(name) is None}
    looks: dict[str, Look] = {}
    for name, model in own.items():
        endpoint = find_endpoint(name)
        if problem := model_problem(model):
            yield fault(f"{model}: {problem}", "Set what it names in the server's environment.")
        elif endpoint is not None:
            looks[name] = _asking(endpoint)
        else:
            yield ok(f"{name} can be called")
    wanted = {
        (each.account_id, connected): each.account
        for each in models
        if (connected := connection_name(each.model)) is not None
    }
    with platform_context():
        rows = ProviderConnection.objects.filter(
            account_id__in=[account for account, _ in wanted], suspended_reason=""
        )
        found = {(row.account_id, row.name): row for row in rows}
    for key, account in wanted.items():
        name = f"{account}'s connection/{key[1]}"
        if key in found:
            looks[name] = _probing(name, found[key])
        else:
            yield fault(f"{name} does not exist or is suspended", "manage.py set_connection.")
    yield from _side_by_side(looks)


def _probing(name: str, row: ProviderConnection) -> Look:
    def look() -> Finding:
        result = probe_connection(row)
        text = f"{name}: {result.text}"
        return ok(text) if result.is_good else fault(text, result.advice)

    return look


def _asking(endpoint: Endpoint) -> Look:
    def look() -> Finding:
        return asyncio.run(_ask(endpoint))

    return look


async def _ask(endpoint: Endpoint) -> Finding:
    """Ask a server of the environment for its list of models, which costs nothing."""
    # Without a user and password, which some addresses hold.
    found = endpoint.settings
    host = urlsplit(found.url).netloc.rpartition("@")[2]
    headers = {"Authorization": f"Bearer {found.key}"} if found.key else {}
    limit = aiohttp.ClientTimeout(total=SECONDS)
    try:
        async with (
            plain_session() as client,
            client.get(f"{found.url}/models", headers=headers, timeout=limit) as answer,
        ):
            status = answer.status
    except TimeoutError:
        return fault(f"{endpoint.name}: {host} did not answer within {SECONDS:g} s", "Is it up?")
    except (aiohttp.ClientError, OSError) as error:
        reason = type(error).__name__
        return fault(f"{endpoint.name}: {host} cannot be reached ({reason})", "Is it up?")
    if status in {UNAUTHORIZED, FORBIDDEN}:
        return fault(f"{endpoint.name}: {host} refuses the key", f"Set {endpoint.key_variable}.")
    if status >= SERVER_ERROR:
        return fault(f"{endpoint.name}: {host} answers {status}", "Ask who runs it.")
    if status != OK:
        return warning(f"{endpoint.name}: {host} has no list of models ({status})")
    return ok(f"{endpoint.name}: {host} answers")


def _certificates() -> Iterator[Finding]:
    looks: dict[str, Look] = {}
    for url, only_public in _addresses():
        parts = urlsplit(url)
        if parts.scheme == "https" and parts.hostname:
            host, port = parts.hostname, parts.port or 443
            looks[f"{host}:{port}"] = _looking_at(host, port, only_public=only_public)
    if not looks:
        yield ok("none is in use")
    yield from _side_by_side(looks)


def _addresses() -> Iterable[tuple[str, bool]]:
    """Yield the addresses in use, and whether a tenant chose them, who may not choose any host."""
    if settings.PUBLIC_URL:
        yield settings.PUBLIC_URL, False
    models = models_in_use()
    for name in {each.model.partition(":")[0] for each in models}:
        if connection_name(name) is None and (endpoint := find_endpoint(name)) is not None:
            yield endpoint.settings.url, False
    wanted = {each.account_id for each in models}
    with platform_context():
        rows = ProviderConnection.objects.filter(account_id__in=wanted, suspended_reason="")
        urls = set(rows.values_list("base_url", flat=True))
    for url in urls:
        yield url, not check_url(url).is_trusted


def _looking_at(host: str, port: int, *, only_public: bool) -> Look:
    def look() -> Finding:
        try:
            days = days_left(host, port, only_public=only_public)
        except ssl.SSLCertVerificationError as error:
            return fault(f"{host}:{port}: {error.verify_message}", "Renew it, or mend its chain.")
        except OSError as error:
            return warning(f"{host}:{port} cannot be reached from here ({error})")
        if days < DAYS_LEFT:
            return warning(f"{host}:{port} ends in {days} days", "Renew it.")
        return ok(f"{host}:{port} has {days} days left")

    return look


def days_left(host: str, port: int, *, only_public: bool) -> int:
    """Return for how many days a server's certificate is good.

    Raises OSError, and ssl.SSLCertVerificationError for one that is not trusted.
    """
    known = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    address = str(known[0][4][0])
    if only_public and not is_public(address):
        raise OSError("its address is not public")
    with (
        socket.create_connection((address, port), timeout=SECONDS) as plain,
        ssl.create_default_context().wrap_socket(plain, server_hostname=host) as secure,
    ):
        certificate = secure.getpeercert() or {}
    ends = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    return int((ends - time.time()) // (24 * 3600))


SUBJECTS = (
    Subject("model servers", _providers, needs_network=True),
    Subject("certificates", _certificates, needs_network=True),
)
