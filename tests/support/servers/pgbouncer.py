"""Debian's PgBouncer with the configuration that deploy/pgbouncer.ini proposes."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from django.conf import settings
from django.db import connection

from tests.support.servers.served import free_port

LOGIN = "salient_app"
READY_WITHIN = 10


def pgbouncer() -> str | None:
    return shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")


@contextmanager
def pooled() -> Iterator[str]:
    """Run PgBouncer before the tests' database; gives its DATABASE_URL."""
    with tempfile.TemporaryDirectory() as name:
        folder, port, password = Path(name), free_port(), secrets.token_urlsafe()
        folder.chmod(0o755)
        _configure(folder, port, password)
        command = [*_other_user(), str(pgbouncer()), "--quiet", str(folder / "pgbouncer.ini")]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _wait_until_it_listens(process, port, folder / "log")
            database = quote(connection.settings_dict["NAME"])
            yield f"postgresql://{LOGIN}:{password}@127.0.0.1:{port}/{database}"
        finally:
            process.terminate()
            process.wait()


def _configure(folder: Path, port: int, password: str) -> None:
    known = connection.settings_dict
    parts = {"host": known["HOST"], "port": known["PORT"], "user": known["USER"]}
    parts |= {"password": known["PASSWORD"], "dbname": known["NAME"]}
    server = " ".join(f"{part}={value}" for part, value in parts.items() if value)
    text = (Path(settings.BASE_DIR) / "deploy/pgbouncer.ini").read_text()
    for written, ours in (
        ("salient = host=127.0.0.1 port=5432 dbname=salient", f"{known['NAME']} = {server}"),
        ("listen_port = 6432", f"listen_port = {port}"),
        ("/etc/pgbouncer/userlist.txt", f"{folder}/userlist.txt"),
        ("logfile = /var/log/postgresql/pgbouncer.log\n", ""),
        ("pidfile = /var/run/postgresql/pgbouncer.pid\n", ""),
        ("unix_socket_dir = /var/run/postgresql", "unix_socket_dir ="),
        # Fewer than the servers' threads, so that they take turns.
        ("default_pool_size = 20", "default_pool_size = 4"),
    ):
        assert written in text, written
        text = text.replace(written, ours)
    (folder / "pgbouncer.ini").write_text(text)
    (folder / "userlist.txt").write_text(f'"{LOGIN}" "{password}"\n')


def _other_user() -> list[str]:
    """PgBouncer refuses to run as root: let it be the user who may reach PostgreSQL's socket."""
    if os.geteuid() != 0:
        return []
    host = Path(connection.settings_dict["HOST"])
    uid = host.stat().st_uid if host.is_absolute() else 65_534
    reach = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", *reach, "--"]


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.02)
    raise TimeoutError(log.read_text())
