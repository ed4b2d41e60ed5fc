"""Sends what the outbox holds: many endpoints side by side, none of which delays another."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any, Final, NamedTuple
from uuid import UUID

import aiohttp
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from accounts.models import WebhookDelivery
from accounts.webhooks import outbox, signing
from accounts.webhooks.endpoints import allowed_url
from accounts.webhooks.outbox import Result
from salient.observability import genai, tracing
from salient.security.encryption import SecretUnreadable
from salient.security.ssrf import UnsafeAddress, UnsafeURL, plain_session, safe_session
from salient.tasks.worker import POLL_SECONDS, Stop, service

logger = logging.getLogger(__name__)

# How many deliveries one worker has under way.
MOST_AT_ONCE: Final = 64
TIMEOUT_SECONDS: Final = 15.0
# Of an answer's body so much is read, for the connection to be used again, and thrown away.
MOST_READ: Final = 16 * 1024
BODY_SECONDS: Final = 1.0
# A worker that ends waits so long for what is under way; the rest is sent again by another.
STOP_SECONDS: Final = 5.0
_SECONDS: Final = re.compile("[0-9]{1,7}")


class Sender:
    """Claims deliveries and sends them, until it is stopped."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        # Endpoints with something under way, and how much it is altogether.
        self._busy: dict[asyncio.Task[None], tuple[UUID, int]] = {}
        # One connection to the database, used by one statement after another.
        self._database = ThreadPoolExecutor(max_workers=1, thread_name_prefix="webhooks")

    async def run(self, *, once: bool) -> None:
        """Work until it is stopped, or, with `once`, until nothing is due."""
        async with safe_session() as public, plain_session() as trusted:
            clients = Clients(public, trusted)
            try:
                while not self._stop.is_set():
                    began = await self._begin(clients)
                    if once and not began and not self._busy:
                        return
                    await self._wait(POLL_SECONDS)
            finally:
                await self._end()

    async def _begin(self, clients: Clients) -> bool:
        """Start what is due; False where nothing is, or no more may be under way."""
        free = MOST_AT_ONCE - sum(number for _, number in self._busy.values())
        if free <= 0:
            return False
        busy = [endpoint for endpoint, _ in self._busy.values()]
        claimed = await self._in_database(lambda: outbox.claim(busy=busy, most=free))
        claimed.sort(key=lambda each: each.endpoint_id)
        for endpoint, group in groupby(claimed, key=lambda each: each.endpoint_id):
            deliveries = list(group)
            batch = asyncio.create_task(self._send_all(clients, deliveries))
            self._busy[batch] = endpoint, len(deliveries)
        return bool(claimed)

    async def _wait(self, seconds: float) -> None:
        """Wait until an endpoint is free again, or the time is over."""
        if not self._busy:
            await asyncio.sleep(seconds)
            return
        done, _ = await asyncio.wait(
            self._busy, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
        )
        for batch in done:
            del self._busy[batch]
            # What it raised is of the database: the service begins anew.
            batch.result()

    async def _end(self) -> None:
        if self._busy:
            await asyncio.wait(self._busy, timeout=STOP_SECONDS)
        for batch in self._busy:
            batch.cancel()
        await asyncio.gather(*self._busy, return_exceptions=True)
        await self._in_database(_close_connection)
        self._database.shutdown()

    async def _send_all(self, clients: Clients, deliveries: list[WebhookDelivery]) -> None:
        """Send one endpoint's batch side by side."""
        sent = [self._send(clients, each) for each in deliveries]
        for outcome in await asyncio.gather(*sent, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    async def _send(self, clients: Clients, delivery: WebhookDelivery) -> None:
        with tracing.inside("POST webhook", {genai.HTTP_METHOD: "POST"}, is_client=True) as span:
            result = await attempt(clients, delivery)
            if span is not None:
                span.error = result.error
                span.set({genai.HTTP_STATUS: result.status})
        if not result.is_delivered:
            reason = result.status or result.error
            logger.info("Webhook %s, try %d: %s", delivery.endpoint_id, delivery.tries, reason)
        await self._in_database(lambda: outbox.record(delivery, result))

    async def _in_database[Found](self, work: Callable[[], Found]) -> Found:
        return await asyncio.get_running_loop().run_in_executor(self._database, work)


def _close_connection() -> None:
    """Close the thread's own connection, which no other thread may."""
    connection.close()


class Clients(NamedTuple):
    """A client for each kind of host: public ones, and those that the service's owner trusts."""

    public: aiohttp.ClientSession
    trusted: aiohttp.ClientSession


async def attempt(clients: Clients, delivery: WebhookDelivery) -> Result:
    """Send one delivery; nothing of what can go wrong there is raised."""
    began, answered = time.monotonic(), dict[str, Any]()
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            answered = await _post(clients, delivery)
        error = ""
    except (SecretUnreadable, ImproperlyConfigured) as problem:
        logger.error("Webhook %s: %s", delivery.endpoint_id, problem)  # noqa: TRY400 - the reason is the whole story
        error = "secret_unreadable"
    except UnsafeURL:
        error = "unsafe_address"
    except TimeoutError:
        error = "timeout"
    except aiohttp.ClientSSLError:
        error = "tls"
    except (aiohttp.ClientError, OSError) as problem:
        error = "unsafe_address" if _is_unsafe(problem) else "connection"
    except Exception:
        # It would end the batches of all accounts, each time that this one is due.
        logger.exception("Unexpected error of webhook %s", delivery.endpoint_id)
        error = "internal"
    duration = int((time.monotonic() - began) * 1000)
    return Result(error=error, duration_ms=duration, **({"status": None} | answered))


async def _post(clients: Clients, delivery: WebhookDelivery) -> dict[str, Any]:
    """Send it; a redirect is not followed and counts as a failure."""
    endpoint, now = delivery.endpoint, datetime.now(UTC)
    url = allowed_url(endpoint.url)
    body = signing.body_of(delivery)
    keys = signing.secrets_of(endpoint, now)
    client = clients.trusted if url.is_trusted else clients.public
    async with client.post(
        str(url),
        data=body.encode(),
        headers=signing.headers_of(delivery.message_id, body, keys, now),
        allow_redirects=False,
    ) as response:
        found = {"status": response.status, "retry_after": _retry_after(response)}
        with contextlib.suppress(aiohttp.ClientError, OSError):
            # The status says it all, whatever comes of the body, and however late.
            async with asyncio.timeout(BODY_SECONDS):
                await response.content.read(MOST_READ)
        return found


def _retry_after(response: aiohttp.ClientResponse) -> timedelta | None:
    text = response.headers.get("Retry-After", "")
    return timedelta(seconds=int(text)) if _SECONDS.fullmatch(text) else None


def _is_unsafe(error: BaseException | None) -> bool:
    """Whether the address was refused: aiohttp wraps what the resolver raises."""
    while error is not None and not isinstance(error, UnsafeAddress):
        error = error.__cause__ or error.__context__
    return error is not None


@service("webhooks")
def deliver(stop: Stop, *, once: bool) -> None:
    """Deliver what is due."""
    asyncio.run(Sender(stop).run(once=once))
