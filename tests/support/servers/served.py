"""A server process as production starts one, on the tests' database; ended by its own number."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import quote, urlencode

import aiohttp
from django.conf import settings
from django.db import connection

from tests.support.servers.prepared import Program, start

ROOT = Path(settings.BASE_DIR)
READY_WITHIN, GONE_WITHIN = 120, 60
# The real configuration, but for how long a worker that stops lets its streams run, and the arbiter
# such a worker; and the worker forgets its caches when it is asked to.
CONFIG = """
from pathlib import Path

exec(compile(Path({real!r}).read_text(), {real!r}, "exec"))
graceful_timeout += {cut_after} - CUT_STREAMS_AFTER
CUT_STREAMS_AFTER = {cut_after}
begin = post_worker_init


def post_worker_init(worker):
    from tests.support.servers.served import forget_when_asked

    begin(worker)
    forget_when_asked()
"""


def database_url() -> str:
    """The tests' database as libpq is told of it."""
    known = connection.settings_dict
    parts = {"host": known["HOST"], "port": known["PORT"], "user": known["USER"]}
    parts |= {"password": known["PASSWORD"]}
    given = urlencode({name: str(value) for name, value in parts.items() if value})
    return f"postgresql:///{quote(known['NAME'])}?{given}"


def environment(port: int) -> dict[str, str]:
    """A development server's: what the tests have made is readable to it, over plain HTTP."""
    return os.environ | {
        "ALLOWED_HOSTS": "127.0.0.1",
        "AGENT_CONFIG_DIR": str(settings.AGENT_CONFIG_DIR),
        "API_KEY_PEPPER": settings.API_KEY_PEPPER,
        "DATABASE_URL": database_url(),
        "DEBUG": "true",
        "HOST": "127.0.0.1",
        "HTTPS": "false",
        "LOG_LEVEL": "warning",
        "PORT": str(port),
        "SECRET_ENCRYPTION_KEYS": ",".join(settings.SECRET_ENCRYPTION_KEYS),
        "SECRET_KEY": settings.SECRET_KEY,
        "START_WORKER": "false",
        "WEB_CONCURRENCY": "1",
    }


class Served:
    """A running gunicorn with one worker."""

    def __init__(self, process: Program, port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.log = log
        self.url = f"http://127.0.0.1:{port}"

    def stop(self) -> None:
        """Ask it to end, as `docker stop` does."""
        self.process.send_signal(signal.SIGTERM)

    def forget(self) -> None:
        """Ask it to forget its caches, as between two tests."""
        for pid in self.workers():
            os.kill(pid, signal.SIGUSR2)

    def reload(self) -> None:
        """Ask it for a new worker in the place of the old one."""
        self.process.send_signal(signal.SIGHUP)

    def end(self) -> None:
        """Leave none of its processes, whatever state they are in."""
        for pid in (*self.workers(), self.process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with self.process:
            pass

    def workers(self) -> set[int]:
        pid = self.process.pid
        if self.process.poll() is not None:
            return set()
        return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))

    async def gone(self) -> int:
        """Wait until it has ended, and return its exit code."""
        return await asyncio.to_thread(self.process.wait, GONE_WITHIN)

    async def answers(self) -> bool:
        """Whether somebody takes connections on its port, and then whether it is well."""
        try:
            async with aiohttp.ClientSession() as client, client.get(f"{self.url}/healthz") as got:
                return got.status == 200
        except aiohttp.ClientConnectorError:
            return False

    async def until(self, *, answering: bool) -> None:
        async with asyncio.timeout(READY_WITHIN):
            while await self.answers() is not answering:
                assert not answering or self.process.poll() is None, self.log.read_text()
                await asyncio.sleep(0.05)


async def eventually(happened: Callable[[], bool], *, within: float = READY_WITHIN) -> None:
    """Wait for something that another process does."""
    async with asyncio.timeout(within):
        while not happened():  # noqa: ASYNC110 - no event of this process tells of it
            await asyncio.sleep(0.05)


@asynccontextmanager
async def served(*, cut_after: float, **more: str) -> AsyncIterator[Served]:
    """Start a server and wait until it answers; leaving the block ends it whatever happened.

    `more` are settings besides the usual ones, as they stand in the environment.
    """
    with tempfile.TemporaryDirectory() as folder:
        server = _start(Path(folder), cut_after, more)
        try:
            await server.until(answering=True)
            yield server
        finally:
            server.end()


def _start(folder: Path, cut_after: float, more: dict[str, str]) -> Served:
    port, log, config = free_port(), folder / "log", folder / "gunicorn.conf.py"
    config.write_text(CONFIG.format(real=str(ROOT / "gunicorn.conf.py"), cut_after=cut_after))
    with log.open("wb") as output:
        process = start(
            *("gunicorn", "--config", str(config)),
            environment=environment(port) | more,
            log=output.fileno(),
        )
    return Served(process, port, log)


def forget_when_asked() -> None:
    """Let this process, a worker, forget what tests forget between each other."""
    from accounts.audit.refusals.counting import forget_refusals  # noqa: PLC0415
    from agents.config import loader  # noqa: PLC0415
    from salient.ttl import clear_caches  # noqa: PLC0415

    def forget(*_: object) -> None:
        clear_caches()
        forget_refusals()
        loader.forget()

    signal.signal(signal.SIGUSR2, forget)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
