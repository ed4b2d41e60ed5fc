"""Debian's nginx with the configuration that deploy/nginx.conf proposes, in front of servers."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from django.conf import settings

from tests.support.servers.certificates import certificate, client_context
from tests.support.servers.served import free_port

HOST = "agents.example.com"
INSTALL = "on Debian: apt-get install nginx-light"
# What Debian's own nginx.conf says around a file of conf.d, with all folders of our own.
AROUND = """
daemon off;
{user}
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/salient.conf;
}}
"""


def nginx() -> str | None:
    return shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")


def command(folder: Path) -> list[str]:
    return [str(nginx()), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]


class Proxy:
    """A running nginx; `port` is the one of HTTPS."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.plain = free_port(), free_port()

    def start(self) -> None:
        (self.folder / "certificate.pem").write_bytes(certificate(HOST))
        user = "user root;" if os.geteuid() == 0 else ""
        (self.folder / "nginx.conf").write_text(AROUND.format(folder=self.folder, user=user))
        subprocess.run([*command(self.folder), "-t"], check=True, capture_output=True)
        self.process = subprocess.Popen(command(self.folder))

    def configure(self, *servers: str) -> None:
        """Write the configuration with ports and a certificate of ours.

        A server is what nginx takes behind `server`, as in "127.0.0.1:8001 down".
        """
        text = (Path(settings.BASE_DIR) / "deploy/nginx.conf").read_text()
        for written, ours in (
            ("server 127.0.0.1:8000;", " ".join(f"server {each};" for each in servers)),
            ("listen 80;", f"listen 127.0.0.1:{self.plain};"),
            ("listen 443 ", f"listen 127.0.0.1:{self.port} "),
            (f"/etc/ssl/certs/{HOST}.pem", f"{self.folder}/certificate.pem"),
            (f"/etc/ssl/private/{HOST}.key", f"{self.folder}/certificate.pem"),
        ):
            assert written in text, written
            text = text.replace(written, ours)
        (self.folder / "salient.conf").write_text(text)

    def client(self, secret: str, **options: Any) -> aiohttp.ClientSession:
        """Return a client with this key; `options` are its connector's."""
        connector = aiohttp.TCPConnector(
            limit=0, resolver=Here(), ssl=client_context(certificate(HOST)), **options
        )
        return aiohttp.ClientSession(
            f"https://{HOST}:{self.port}",
            headers={"Authorization": f"Bearer {secret}"},
            connector=connector,
        )

    def reload(self) -> None:
        """Have new workers take over with the configuration as it is now."""
        self.process.send_signal(signal.SIGHUP)


class Here(AbstractResolver):
    """Resolves the installation's name to this machine."""

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        found = {"hostname": host, "host": "127.0.0.1", "port": port, "family": socket.AF_INET}
        return [ResolveResult(**found, proto=0, flags=0)]  # type: ignore[typeddict-item]

    async def close(self) -> None:
        pass


@contextmanager
def proxied(*upstream: int) -> Iterator[Proxy]:
    """Run nginx before the servers at these ports."""
    with tempfile.TemporaryDirectory() as name:
        proxy = Proxy(Path(name))
        proxy.configure(*(f"127.0.0.1:{port}" for port in upstream))
        proxy.start()
        try:
            yield proxy
        finally:
            proxy.process.terminate()
            proxy.process.wait()


async def eventually_answers(client: aiohttp.ClientSession) -> None:
    """Wait until nginx accepts connections."""
    async with asyncio.timeout(10):
        while True:
            try:
                async with client.get("/healthz"):
                    return
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.05)
