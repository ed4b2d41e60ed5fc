"""The HTTP client of the model servers: one for each process and event loop, kept open."""

import asyncio

import aiohttp

_sessions: dict[asyncio.AbstractEventLoop, aiohttp.ClientSession] = {}


def client() -> aiohttp.ClientSession:
    """The running loop's client; made by the first call, closed by `close_client`."""
    loop = asyncio.get_running_loop()
    session = _sessions.get(loop)
    if session is None or session.closed:
        _forget_closed_loops()
        session = _sessions[loop] = aiohttp.ClientSession(
            # How many calls may run at once is for the accounts' limits to say.
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=300),
            # A cookie that one account's call received must not go out with another's.
            cookie_jar=aiohttp.DummyCookieJar(),
            # Each call sets its own connect timeout; the run watches over the rest.
            timeout=aiohttp.ClientTimeout(total=None),
            headers={"User-Agent": "salient", "Accept-Encoding": "identity"},
        )
    return session


async def close_client() -> None:
    session = _sessions.pop(asyncio.get_running_loop(), None)
    if session is not None:
        await session.close()


def _forget_closed_loops() -> None:
    for loop in [loop for loop in _sessions if loop.is_closed()]:
        del _sessions[loop]
