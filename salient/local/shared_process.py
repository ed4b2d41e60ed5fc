"""A server process that several processes of this machine share; it lives while one of them does.

Three locks, all `flock`, so that the kernel releases them even after `kill -9`:
- users: shared by every process that uses the server. Forked children share it with their parent
  and count as users; started programs do not, for the file is closed on exec.
- supervisor (the file keeper.lock): held by the one process that starts the server, restarts it
  when it dies and stops it when no user is left.
- starting: held by the user who starts the supervisor.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Protocol

ROOT = Path(__file__).resolve().parent.parent.parent
# Not `-m`: then this module would exist twice in the supervisor, and its exceptions with it.
LAUNCH = "import sys; from salient.local.shared_process import main; main(sys.argv[1])"
POLL = 0.05
# A log that grew past this is set aside when the server starts anew.
LOG_LIMIT = 5_000_000

# The users' locks that this process holds, by file; open until the process ends.
_held: dict[Path, int] = {}
_holding = threading.Lock()


class SharedProcessError(Exception):
    """The server cannot be used; the message is one line for the terminal."""


class Server(Protocol):
    """What a supervisor runs. All methods run in the supervisor's process."""

    stop_signal: signal.Signals

    def start(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        """Prepare and start the server, its output going to the log.

        Raises `SharedProcessError` when it cannot be started.
        """

    def ready(self, process: subprocess.Popen[bytes]) -> dict[str, Any] | None:
        """What users must know (address, key …) as soon as it answers, else None."""

    def start_failure(self, log: str) -> str:
        """One line that says why the server ended before it was ready, from the log's end."""


@dataclass(frozen=True)
class SharedProcess:
    """A named shared server: where its files are and how its supervisor finds it."""

    name: str
    directory: Path
    # "package.module:function"; the function takes the directory and returns a `Server`.
    factory: str
    start_timeout: float = 60.0
    # How long the server waits for another user before it stops.
    grace: float = 3.0

    @property
    def state_file(self) -> Path:
        return self.directory / "state.json"

    @property
    def log_file(self) -> Path:
        return self.directory / "log"

    def ensure(self) -> dict[str, Any]:
        """Use the server until this process ends, and start it if need be; return its state."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            with _holding:
                self._become_user()
            return self._running() or self._start()
        except SharedProcessError:
            self._leave()
            raise
        except OSError as error:
            self._leave()
            raise SharedProcessError(f"{self.name} cannot be used: {error}") from error

    def _become_user(self) -> None:
        path = self.directory / "users.lock"
        if path in _held:
            return
        descriptor = _open(path)
        # Waits while a supervisor that found no users stops its server.
        if not _lock(descriptor, fcntl.LOCK_SH, timeout=self.start_timeout):
            os.close(descriptor)
            raise SharedProcessError(f"{self.name} does not stop: see {self.log_file}")
        _held[path] = descriptor

    def _leave(self) -> None:
        """Who could not get the server is no user of it."""
        with _holding:
            descriptor = _held.pop(self.directory / "users.lock", None)
        if descriptor is not None:
            os.close(descriptor)

    def _running(self) -> dict[str, Any] | None:
        """The state of a server whose supervisor is alive; None when there is no such server."""
        state = self._read_state()
        if "error" in state or not state or not self._is_supervisor_alive():
            return None
        return state

    def _is_supervisor_alive(self) -> bool:
        with _opened(self.directory / "keeper.lock") as descriptor:
            return not _lock(descriptor, fcntl.LOCK_SH)

    def _read_state(self) -> dict[str, Any]:
        with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
            return dict(json.loads(self.state_file.read_text()))
        return {}

    def _start(self) -> dict[str, Any]:
        with _opened(self.directory / "starting.lock") as descriptor:
            if not _lock(descriptor, fcntl.LOCK_EX, timeout=2 * self.start_timeout):
                raise SharedProcessError(f"{self.name} does not start: see {self.log_file}")
            deadline = time.monotonic() + self.start_timeout
            if not self._is_supervisor_alive():
                self._start_supervisor()
            while time.monotonic() < deadline:
                if state := self._running():
                    return state
                if not self._is_supervisor_alive():
                    raise SharedProcessError(self._error())
                time.sleep(POLL)
        raise SharedProcessError(
            f"{self.name} did not answer within {self.start_timeout:g} s: see {self.log_file}"
        )

    def _start_supervisor(self) -> None:
        """Start a supervisor; on return it holds its lock and has left our process group."""
        self.state_file.unlink(missing_ok=True)
        launch = [sys.executable, "-c", LAUNCH, json.dumps(self._as_json())]
        done = subprocess.run(  # noqa: S603 - our own module, by our own interpreter
            launch, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise SharedProcessError(f"{self.name} cannot be started: {reason}")

    def _error(self) -> str:
        return str(self._read_state().get("error", f"{self.name} ended: see {self.log_file}"))

    def _as_json(self) -> dict[str, Any]:
        return {**self.__dict__, "directory": str(self.directory)}


class Supervisor:
    """The process that keeps one shared server."""

    def __init__(self, shared: SharedProcess) -> None:
        self.shared = shared
        self.lock = _open(shared.directory / "keeper.lock")
        self.users = _open(shared.directory / "users.lock")
        self.server: Server
        self.process: subprocess.Popen[bytes]
        self.asked_to_stop = False
        self.started_at = 0.0

    def run(self) -> None:
        """Keep the server running until no process uses it, then remove its state."""
        signal.signal(signal.SIGTERM, self._on_sigterm)
        try:
            module, _, function = self.shared.factory.partition(":")
            self.server = getattr(import_module(module), function)(self.shared.directory)
            self._start_server()
            self._watch()
        except SharedProcessError as error:
            self._write_state({"error": str(error)})
        except Exception as error:
            self._write_state({"error": f"{self.shared.name}: {type(error).__name__}: {error}"})
            raise
        else:
            self.shared.state_file.unlink(missing_ok=True)
        finally:
            # First the supervisor's lock: who waits for the users' lock must find no supervisor.
            os.close(self.lock)
            os.close(self.users)

    def _on_sigterm(self, *_: object) -> None:
        self.asked_to_stop = True

    def _start_server(self) -> None:
        self.started_at = time.monotonic()
        with _open_log(self.shared.log_file) as log:
            begin = log.tell()
            self.process = self.server.start(log)
        deadline = time.monotonic() + self.shared.start_timeout
        while time.monotonic() < deadline and not self.asked_to_stop:
            if self.process.poll() is not None:
                raise SharedProcessError(
                    self.server.start_failure(read_from(self.shared.log_file, begin))
                )
            if (state := self.server.ready(self.process)) is not None:
                self._write_state({**state, "pid": self.process.pid, "keeper": os.getpid()})
                return
            time.sleep(POLL)
        self._stop_server()
        raise SharedProcessError(f"{self.shared.name} was stopped before it answered")

    def _watch(self) -> None:
        """Return when the server was stopped because it is needed no more."""
        last_used = time.monotonic()
        while not (self.asked_to_stop or self._files_are_gone()):
            if self.process.poll() is not None:
                self._restart_server()
            if self._is_used():
                last_used = time.monotonic()
            elif time.monotonic() - last_used >= self.shared.grace and self._lock_users_out():
                break
            time.sleep(POLL * 4)
        self._stop_server()

    def _restart_server(self) -> None:
        """Start a server that died again, at most once a second."""
        self.shared.state_file.unlink(missing_ok=True)
        time.sleep(max(0.0, self.started_at + 1 - time.monotonic()))
        self._start_server()

    def _files_are_gone(self) -> bool:
        """Whether the directory was deleted: then no process can find this server any more."""
        try:
            return not os.path.samestat(
                (self.shared.directory / "keeper.lock").stat(), os.fstat(self.lock)
            )
        except FileNotFoundError:
            return True

    def _is_used(self) -> bool:
        unused = self._lock_users_out()
        if unused:
            fcntl.flock(self.users, fcntl.LOCK_UN)
        return not unused

    def _lock_users_out(self) -> bool:
        """Take the users' lock if there are no users; new ones then wait until it is let go."""
        return _lock(self.users, fcntl.LOCK_EX)

    def _stop_server(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(self.server.stop_signal)
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def _write_state(self, state: dict[str, Any]) -> None:
        draft = self.shared.state_file.with_suffix(".new")
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                json.dump(state, file)
            draft.replace(self.shared.state_file)


def die_with_supervisor(death_signal: signal.Signals) -> None:
    """For `Popen(preexec_fn=…)` in a server's `start`: no server outlives its supervisor."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, death_signal.value)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = _open(path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _lock(descriptor: int, kind: int, *, timeout: float = 0.0) -> bool:
    """Take a lock within the time, or say that it could not be had."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL)
        else:
            return True


def read_from(file: Path, begin: int) -> str:
    """Return what a log says from this byte on."""
    with file.open("rb") as log:
        log.seek(begin)
        return log.read().decode(errors="replace")


def _open_log(path: Path) -> IO[bytes]:
    if path.exists() and path.stat().st_size > LOG_LIMIT:
        path.replace(path.with_suffix(".old"))
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def main(definition: str) -> None:
    """Become the supervisor of the server, unless it has one."""
    fields = json.loads(definition)
    supervisor = Supervisor(SharedProcess(**{**fields, "directory": Path(fields["directory"])}))
    # The lock belongs to the open file, so that the child has it when the parent is gone. Somebody
    # who only looks whether a supervisor lives holds it for an instant, so wait briefly.
    if not _lock(supervisor.lock, fcntl.LOCK_EX, timeout=1) or os.fork():
        os._exit(0)
    os.setsid()
    _leave_terminal(supervisor.shared.log_file)
    supervisor.run()


def _leave_terminal(log_file: Path) -> None:
    """Close the caller's pipes, because a reader of them waits until all copies are closed."""
    with _open_log(log_file) as log, Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
