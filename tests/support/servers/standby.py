"""A PostgreSQL of the tests' own with a streaming standby, from the wheel's programs."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any
from unittest import mock

import psycopg
from django.db import connection, connections
from django.test import override_settings

from accounts.tenancy.roles import ROLES
from salient.database import REPLICA, embedded, replica_config
from tests.support.database.scratch_database import connect_to
from tests.support.database.template_database import use_template

READY_WITHIN = 30
# What the embedded server of development does without; and nothing here must survive a power cut.
REPLICATING = {
    "wal_level": "replica",
    "max_wal_senders": "4",
    "synchronous_commit": "on",
    "fsync": "off",
    "shared_buffers": "16MB",
}


class Server(embedded.EmbeddedServer):
    """One of the two servers; it listens in a folder that only its user may enter."""

    process: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        with mock.patch.dict(embedded.SETTINGS, REPLICATING), self._log() as log:
            self.process = self.start(log)
        deadline = time.monotonic() + READY_WITHIN
        while self._answers() is False:
            assert time.monotonic() < deadline, (self.directory / "log").read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(self.stop_signal)
            self.process.wait()
            self.process = None

    def copy_to(self, other: Server) -> None:
        """Make the other one a standby of this one, with pg_basebackup."""
        uid = self.data.stat().st_uid
        other.directory.mkdir(mode=0o711)
        other.data.mkdir(mode=0o700)
        embedded._give_to(uid, other.data)
        target = ["-D", str(other.data), "--write-recovery-conf"]
        source = ["-h", str(self.sockets), "-U", embedded.NAME, "--checkpoint=fast", "--no-sync"]
        with self._log() as log:
            made = self._launch(["pg_basebackup", *target, *source], uid, log)
            assert made.wait() == 0, (self.directory / "log").read_text()

    def fetch(self, statement: str) -> Any:
        with psycopg.connect(self.url, autocommit=True) as session:
            found = session.execute(statement)
            return found.fetchone() if found.description else None

    @property
    def url(self) -> str:
        return f"postgresql://{embedded.NAME}@/{embedded.NAME}?host={self.sockets}"

    def _answers(self) -> bool:
        try:
            self.fetch("SELECT 1")
        except psycopg.OperationalError as error:
            if "does not exist" in str(error):
                return self.ready(self.process) is not None  # type: ignore[arg-type]
            return False
        return True

    def _log(self) -> IO[bytes]:
        return (self.directory / "log").open("ab")


@contextmanager
def replicated() -> Iterator[tuple[Server, Server]]:
    """Have Django work on a primary that has our schema, with a standby as its replica."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o711)
        primary, standby = Server(folder / "primary"), Server(folder / "standby")
        primary.directory.mkdir()
        for each in (primary, standby):
            stack.callback(each.stop)
        primary.run()
        copy_schema(primary)
        primary.copy_to(standby)
        standby.run()
        stack.enter_context(as_default(primary))
        stack.enter_context(_as_replica(standby))
        yield primary, standby


def copy_schema(primary: Server) -> None:
    """Give the server's database our schema, without rows."""
    use_template()
    known = connection.settings_dict
    place = {"host": known["HOST"], "port": known["PORT"], "username": known["USER"]}
    options = [f"--{name}={value}" for name, value in place.items() if value]
    for role in ROLES:
        primary.fetch(f"CREATE ROLE {role}")
    programs = embedded.binaries()
    dump = subprocess.run(
        [programs / "pg_dump", *options, "--no-owner", known["TEST"]["TEMPLATE"]],
        check=True,
        capture_output=True,
        env={"PGPASSWORD": known["PASSWORD"]},
    )
    command = [
        str(programs / "psql"),
        primary.url,
        "--quiet",
        "-v",
        "ON_ERROR_STOP=1",
        "-o/dev/null",
    ]
    subprocess.run(command, input=dump.stdout, check=True)


@contextmanager
def as_default(primary: Server) -> Iterator[None]:
    """Have Django work on this server."""
    before = connection.settings_dict["NAME"]
    with mock.patch.dict(connection.settings_dict):
        connect_to(before)
        connection.settings_dict["HOST"] = str(primary.sockets)
        connection.settings_dict |= {"NAME": embedded.NAME, "USER": embedded.NAME, "PORT": ""}
        try:
            yield
        finally:
            connect_to(before)


@contextmanager
def _as_replica(standby: Server) -> Iterator[None]:
    config = replica_config(standby.url, pool_size=2)
    connections.configure_settings({**connections.settings, REPLICA: config})
    with (
        mock.patch.dict(connections.settings, {REPLICA: config}),
        override_settings(DATABASE_ROUTERS=["accounts.tenancy.replica.ReplicaRouter"]),
    ):
        try:
            yield
        finally:
            opened: Any = connections[REPLICA]
            opened.close()
            opened.close_pool()
            del connections[REPLICA]
