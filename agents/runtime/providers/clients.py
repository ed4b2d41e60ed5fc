"""The HTTP clients of the model servers: two for each process and event loop, kept open."""

import asyncio
from collections.abc import Callable
from functools import partial

import aiohttp

from salient.security.ssrf import plain_session, safe_session

type Clients = dict[asyncio.AbstractEventLoop, aiohttp.ClientSession]

_plain_session = partial(plain_session, ttl_dns_cache=300)
_sessions: Clients = {}
_safe_sessions: Clients = {}


def client() -> aiohttp.ClientSession:
    """The running loop's client for servers that the operator has chosen.

    Each call sets its own connect timeout; the run applies the other timeouts. The number of
    calls at once is limited by the accounts' limits, not here.
    """
    return _shared(_sessions, _plain_session)


def safe_client() -> aiohttp.ClientSession:
    """The running loop's client for servers that tenants chose: it reaches public ones only."""
    return _shared(_safe_sessions, safe_session)


async def close_client() -> None:
    for sessions in (_sessions, _safe_sessions):
        session = sessions.pop(asyncio.get_running_loop(), None)
        if session is not None:
            await session.close()


def _shared(sessions: Clients, make: Callable[[], aiohttp.ClientSession]) -> aiohttp.ClientSession:
    loop = asyncio.get_running_loop()
    session = sessions.get(loop)
    if session is None or session.closed:
        for ended in [each for each in sessions if each.is_closed()]:
            del sessions[ended]
        session = sessions[loop] = make()
    return session
