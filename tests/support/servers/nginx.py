"""Debian's nginx with the configuration that deploy/nginx.conf proposes, in front of a server."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from tests.support.servers.certificates import certificate
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


def configure(folder: Path, upstream: int) -> int:
    """Write the configuration with ports and a certificate of ours; return where it listens."""
    port, plain = free_port(), free_port()
    text = (Path(settings.BASE_DIR) / "deploy/nginx.conf").read_text()
    (folder / "certificate.pem").write_bytes(certificate(HOST))
    for written, ours in (
        ("127.0.0.1:8000", f"127.0.0.1:{upstream}"),
        ("listen 80;", f"listen 127.0.0.1:{plain};"),
        ("listen 443 ", f"listen 127.0.0.1:{port} "),
        (f"/etc/ssl/certs/{HOST}.pem", f"{folder}/certificate.pem"),
        (f"/etc/ssl/private/{HOST}.key", f"{folder}/certificate.pem"),
    ):
        assert written in text, written
        text = text.replace(written, ours)
    (folder / "salient.conf").write_text(text)
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(AROUND.format(folder=folder, user=user))
    return port


@contextmanager
def proxied(upstream: int) -> Iterator[int]:
    """Run nginx before the server at this port; gives the port of HTTPS."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        port = configure(folder, upstream)
        subprocess.run([*command(folder), "-t"], check=True, capture_output=True)
        process = subprocess.Popen(command(folder))
        try:
            yield port
        finally:
            process.terminate()
            process.wait()
