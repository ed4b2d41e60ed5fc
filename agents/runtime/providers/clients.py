"""The HTTP clients of the model servers: two for each process and event loop, kept open."""

import asyncio

import aiohttp

from salient.security.ssrf import plain_session, safe_session

type Clients = dict[asyncio.AbstractEventLoop, aiohttp.ClientSession]

_sessions: Clients = {}
_safe_sessions: Clients = {}


def client() -> aiohttp.ClientSession:
    """The running loop's client for servers that the operator has chosen.

    Each call sets its own connect timeout; the run applies the other timeouts. The accounts'
    limits say how many calls may run at once.
    """
    return _kept(_sessions) or _keep(_sessions, plain_session(ttl_dns_cache=300))


def safe_client() -> aiohttp.ClientSession:
    """The running loop's client for servers that tenants chose: it reaches public ones only."""
    return _kept(_safe_sessions) or _keep(_safe_sessions, safe_session())


async def close_client() -> None:
    for sessions in (_sessions, _safe_sessions):
        session = sessions.pop(asyncio.get_running_loop(), None)
        if session is not None:
            await session.close()


def _kept(sessions: Clients) -> aiohttp.ClientSession | None:
    session = sessions.get(asyncio.get_running_loop())
    return None if session is None or session.closed else session


def _keep(sessions: Clients, session: aiohttp.ClientSession) -> aiohttp.ClientSession:
    for loop in [loop for loop in sessions if loop.is_closed()]:
        del sessions[loop]
    sessions[asyncio.get_running_loop()] = session
    return session
