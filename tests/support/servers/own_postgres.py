"""A PostgreSQL of a test's own, with our schema, that it may stop, kill, pause and fill up."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from unittest import mock

from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.db import connection

from accounts.tenancy.roles import CREATE_ROLE, ROLES
from salient.database import embedded
from salient.database.embedded import EmbeddedServer

ROOT = Path(settings.BASE_DIR)
READY_WITHIN = 60
# As production has it: a commit that was answered outlives a crash.
SAFE = {"synchronous_commit": "on"}
DISK_BYTES = 16 * 1024 * 1024
TABLESPACE_TABLES = ("messages", "llm_requests", "sessions")


@cache
def may_mount() -> bool:
    """Whether this user may mount a small disk, as root or by sudo; containers often forbid it."""
    if os.geteuid() != 0 and shutil.which("sudo") is None:
        return False
    with tempfile.TemporaryDirectory() as folder, suppress(subprocess.CalledProcessError):
        _as_root("mount", "-t", "tmpfs", "-o", "size=4096", "tmpfs", folder)
        _as_root("umount", folder)
        return True
    return False


class OwnPostgres:
    """A running server; `pids` are its processes."""

    def __init__(self, folder: Path) -> None:
        self._server = EmbeddedServer(folder)
        self._disk = folder / "disk"
        self._process: subprocess.Popen[bytes]

    @property
    def host(self) -> str:
        return str(self._server.sockets)

    def start(self) -> None:
        """Start it, also after a crash, and wait until it answers."""
        with (
            (self._server.directory / "log").open("ab") as log,
            mock.patch.dict(embedded.SETTINGS, SAFE),
        ):
            self._process = self._server.start(log)
        deadline = time.monotonic() + READY_WITHIN
        while self._server.ready(self._process) is None:
            is_starting = self._process.poll() is None and time.monotonic() < deadline
            assert is_starting, (self._server.directory / "log").read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it as an administrator does, who disconnects everybody."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(READY_WITHIN)

    def crash(self) -> None:
        """Kill all of its processes at once, as a power cut does."""
        self._signal(signal.SIGKILL)
        self._process.wait(READY_WITHIN)

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    def fill(self) -> None:
        """Leave no byte on the disk that has the tables of conversations."""
        with suppress(OSError), (self._disk / "filler").open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass

    def empty(self) -> None:
        (self._disk / "filler").unlink()

    def end(self) -> None:
        if self._process.poll() is None:
            self._signal(signal.SIGCONT)
            self.stop()

    def _signal(self, number: signal.Signals) -> None:
        """Send it to the server first, so that it replaces none of its children."""
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for each in (pid, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(each, number)

    @contextmanager
    def small_disk(self) -> Iterator[None]:
        """Give the tables of conversations a disk of their own, where one may be mounted."""
        if not may_mount():
            yield
            return
        self._disk.mkdir(mode=0o700)
        owner = self._server.data.stat().st_uid
        options = f"size={DISK_BYTES},mode=700,uid={owner}"
        _as_root("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self._disk))
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"CREATE TABLESPACE small LOCATION '{self._disk}'")
                for table in TABLESPACE_TABLES:
                    cursor.execute(f"ALTER TABLE {table} SET TABLESPACE small")
            yield
        finally:
            self.end()
            _as_root("umount", str(self._disk))


def _as_root(*command: str) -> None:
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    subprocess.run([*prefix, *command], check=True)


@contextmanager
def own_postgres() -> Iterator[OwnPostgres]:
    """Start a server, copy the tests' database into it, and let Django use it."""
    with tempfile.TemporaryDirectory() as folder:
        server = OwnPostgres(Path(folder))
        before = dict(connection.settings_dict)
        dump = _dump()
        server.start()
        try:
            _use({"HOST": server.host, "PORT": "", "USER": embedded.NAME, "NAME": embedded.NAME})
            with connection.cursor() as cursor:
                for role in ROLES:
                    cursor.execute(CREATE_ROLE.format(role=role))
            _load(server.host, dump)
            with server.small_disk():
                yield server
        finally:
            _use(before)
            server.end()


def _dump() -> bytes:
    known = connection.settings_dict
    place = {"PGHOST": known["HOST"], "PGPORT": str(known["PORT"]), "PGUSER": known["USER"]}
    place |= {"PGPASSWORD": known["PASSWORD"], "PGDATABASE": known["NAME"]}
    given = {name: value for name, value in place.items() if value}
    command = [str(embedded.binaries() / "pg_dump"), "--no-owner"]
    made = subprocess.run(command, env=os.environ | given, check=True, capture_output=True)
    return made.stdout


def _load(host: str, dump: bytes) -> None:
    place = {"PGHOST": host, "PGUSER": embedded.NAME, "PGDATABASE": embedded.NAME}
    command = [str(embedded.binaries() / "psql"), "--quiet", "--set=ON_ERROR_STOP=1"]
    subprocess.run(
        command, env=os.environ | place, input=dump, check=True, stdout=subprocess.DEVNULL
    )


def _use(known: dict[str, object]) -> None:
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]
    connection.settings_dict.update(known)
    ContentType.objects.clear_cache()
