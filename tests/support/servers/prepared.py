"""Starts programs of ours in processes that have imported the packages which a server takes.

One process imports them, for all programs that the tests of a worker start, and is forked for each.
Our own modules, which read the settings, are imported by each program itself.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
PACKAGES = (
    "aiohttp.web",
    "cryptography.fernet",
    "django.contrib.admin",
    "django.contrib.staticfiles.storage",
    "django.core.handlers.asgi",
    "django.db.backends.postgresql.base",
    "django.template.loader",
    "django_stubs_ext",
    "environ",
    "genai_prices",
    "gunicorn.app.wsgiapp",
    "gunicorn.workers.gasgi",
    "httpx2",
    "jsonschema_rs",
    "msgspec",
    "psycopg_pool",
    "pydantic",
    "servestatic",
    "sqlparse",
    "standardwebhooks",
    "uvloop",
    "yaml",
)
NUMBER = 4
PR_SET_PDEATHSIG = 1


class Program:
    """A running program, as `subprocess.Popen` has it; leaving its block waits for its end."""

    def __init__(self, pid: int, told: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        # Who waits for it tells its exit code here.
        self._told = told

    def poll(self) -> int | None:
        if self.returncode is None and select.select([self._told], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
            # Left where it is, for another thread that waits.
            self.returncode = _number(self._told.recv(NUMBER, socket.MSG_PEEK))
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        self.wait()
        self._told.close()


def start(module: str, *arguments: str, environment: dict[str, str], log: int) -> Program:
    """Start `python -m module arguments` in the checkout; what it writes goes to the file `log`."""
    told, tells = socket.socketpair()
    with tells:
        program = {"arguments": [module, *arguments], "environment": environment}
        socket.send_fds(_preparer(), [json.dumps(program).encode()], [tells.fileno(), log])
    return Program(_number(told.recv(NUMBER)), told)


@cache
def _preparer() -> socket.socket:
    """Start the process that is forked; it ends when this one has closed the socket."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, "-m", __name__, str(theirs.fileno())]
        process = subprocess.Popen(
            command, cwd=ROOT, pass_fds=[theirs.fileno()], start_new_session=True
        )
    # Nobody waits for it.
    process.returncode = 0
    return ours


def _number(sent: bytes) -> int:
    assert len(sent) == NUMBER, "the process that starts programs is gone"
    return int.from_bytes(sent, signed=True)


def main(asked: socket.socket) -> None:
    for package in PACKAGES:
        import_module(package)
    gc.collect()
    gc.freeze()
    # The kernel forgets the ended forks of this process, not those that they wait for.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    preparer = os.getpid()
    while (received := socket.recv_fds(asked, 1_000_000, 2))[0]:
        text, files, *_ = received
        if not os.fork():
            asked.close()
            _start_and_wait(preparer, json.loads(text), *files)
            return
        for file in files:
            os.close(file)


def _start_and_wait(preparer: int, program: dict[str, Any], tells: int, log: int) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _end_with_parent(signal.SIGKILL, preparer)
    waiting = os.getpid()
    if pid := os.fork():
        os.write(tells, pid.to_bytes(NUMBER, signed=True))
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.write(tells, code.to_bytes(NUMBER, signed=True))
        os._exit(0)
    _end_with_parent(signal.SIGTERM, waiting)
    os.dup2(log, sys.stdout.fileno())
    os.dup2(log, sys.stderr.fileno())
    os.close(tells)
    os.close(log)
    os.environ.clear()
    os.environ.update(program["environment"])
    module, *arguments = program["arguments"]
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _end_with_parent(number: int, parent: int) -> None:
    """Have the kernel send this process the signal when its parent ends.

    So nothing is left of a run of tests that was killed: the process that is forked ends with it.
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os._exit(1)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
