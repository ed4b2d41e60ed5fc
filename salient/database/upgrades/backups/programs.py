"""PostgreSQL's own programs: which ones are used, and how they reach the database."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Self

import psycopg
from psycopg.conninfo import make_conninfo

from salient.database import embedded
from salient.database.diagnosis import parameters
from salient.local.shared_process import SharedProcessError

NAMES = ("pg_dump", "pg_restore", "psql")
# Where Debian's packages put those of each version.
VERSIONS = "/usr/lib/postgresql"


# How psql writes the server's errors with VERBOSITY=verbose, in any language: the severity and two
# spaces, the SQLSTATE, the message. Those of the classes 00 to 02 are notices and warnings.
_SERVER_ERROR = re.compile(r"(\w+):  ((?!0[0-2])[0-9A-Z]{5}): (.*)")


class BackupProblem(Exception):
    """Why there is no backup, or why it cannot be restored; one line.

    `sqlstate` is the server's code, where psql has told it.
    """

    def __init__(self, message: str, *, sqlstate: str = "") -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class Programs:
    """Those of one folder, for one database; passwords reach them by their environment only."""

    def __init__(self, folder: Path, database: str = "") -> None:
        self.folder = folder
        self._target = parameters()
        if database:
            self._target["dbname"] = database
        if "sslpassword" in self._target:
            raise BackupProblem(
                "The password of the client's key (sslpassword) cannot be handed to pg_dump; use a "
                "key without one."
            )
        self._password = self._target.pop("password", None)

    @classmethod
    def for_server(cls, major: int) -> Self:
        """Find them; raises BackupProblem where none is as new as the server."""
        found = dict(sorted(_installed()))
        fitting = [version for version in found if version >= major]
        if not fitting:
            have = f"only of {', '.join(map(str, found))}" if found else "not here"
            raise BackupProblem(
                f"The server is PostgreSQL {major}, and pg_dump, pg_restore and psql are {have}: "
                f"install postgresql-client-{major}."
            )
        # One that is much newer may write what the server does not know.
        return cls(found[fitting[0]])

    def start(self, name: str, *options: str, **files: Any) -> subprocess.Popen[bytes]:
        """Start one on the database, with Popen's arguments for its files."""
        known = {key: str(value) for key, value in self._target.items()}
        where = ["--no-password", "--dbname", make_conninfo("", **known)]
        return self.plain(name, *where, *options, **files)

    def plain(self, name: str, *options: str, **files: Any) -> subprocess.Popen[bytes]:
        """Start one that needs no database."""
        secret = {} if self._password is None else {"PGPASSWORD": str(self._password)}
        command = [str(self.folder / name), *options]
        return subprocess.Popen(  # noqa: S603 - PostgreSQL's programs
            command, env=os.environ | {"LC_MESSAGES": "C"} | secret, **files
        )

    def output(self, name: str, *options: str) -> bytes:
        """Return what one prints; raises BackupProblem with its error."""
        with TemporaryFile() as errors:
            process = self.start(name, *options, stdout=subprocess.PIPE, stderr=errors)
            text, _ = process.communicate()
            require_success(name, process, errors)
        return text

    def connect(self) -> psycopg.Connection[Any]:
        """Connect to their database, outside of Django and its pool."""
        secret = {} if self._password is None else {"password": self._password}
        return psycopg.connect(**self._target, **secret)


@contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """End the program with the block, whatever happened, and close its files."""
    try:
        yield process
    finally:
        process.kill()
        with suppress(BrokenPipeError), process:
            pass


def require_success(name: str, process: subprocess.Popen[bytes], errors: IO[bytes]) -> None:
    """Raise BackupProblem with the error that a program wrote, unless it ended well."""
    if process.wait() == 0:
        return
    errors.seek(0)
    lines = errors.read().decode(errors="replace").strip().splitlines()
    if told := next(filter(None, map(_SERVER_ERROR.search, lines)), None):
        severity, code, message = told.groups()
        raise BackupProblem(f"{name}: {severity}:  {message}", sqlstate=code)
    marked = [line for line in lines if re.search(r"error:|ERROR:|FATAL:", line)]
    reason = [*marked, *lines, f"it ended with {process.returncode}"][0]
    raise BackupProblem(f"{name}: {re.sub(rf'^{name}:(?:<stdin>:[0-9]+:)? ', '', reason)}")


def _installed() -> Iterator[tuple[int, Path]]:
    """Yield (major version, folder) of each set; of two of one version the first of PATH wins."""
    folders = [*Path(VERSIONS).glob("*/bin")]
    if found := shutil.which("pg_dump"):
        folders.append(Path(found).parent)
    with suppress(SharedProcessError):
        folders.append(embedded.binaries())
    for folder in folders:
        if all((folder / name).exists() for name in NAMES):
            version = subprocess.run(  # noqa: S603 - as above
                [str(folder / "pg_dump"), "--version"], capture_output=True, text=True, check=False
            )
            if number := re.search(r"\) (\d+)", version.stdout):
                yield int(number[1]), folder
