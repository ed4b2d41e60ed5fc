"""A stand-in for a shared server: a process that sleeps. Runs in the supervisor."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import IO, Any

from salient.local.shared_process import SharedProcess, SharedProcessError, die_with_supervisor


class Sleeper:
    """Starts unless its directory has a file `broken`."""

    stop_signal = signal.SIGTERM

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.awake = directory / "awake"

    def start(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        if (self.directory / "broken").exists():
            raise SharedProcessError("the sleeper is broken")
        self.awake.unlink(missing_ok=True)
        code = "import sys, time; open(sys.argv[1], 'w').close(); time.sleep(600)"
        if (self.directory / "falls").exists():
            code = "raise SystemExit('I fall')"
        return subprocess.Popen(
            [sys.executable, "-S", "-c", code, str(self.awake)],
            stdout=log,
            stderr=log,
            preexec_fn=partial(die_with_supervisor, self.stop_signal),  # noqa: PLW1509
        )

    def ready(self, process: subprocess.Popen[bytes]) -> dict[str, Any] | None:
        return {"address": f"process {process.pid}"} if self.awake.exists() else None

    def start_failure(self, log: str) -> str:
        return f"the sleeper said: {log.strip()}"


def sleeper(directory: Path) -> SharedProcess:
    return SharedProcess(
        name="the sleeper",
        directory=directory,
        factory="tests.salient.sleeper:Sleeper",
        start_timeout=20,
        grace=0.1,
    )


def use(directory: str, then: str) -> None:
    """A user's process: prints the server's number, then waits for the end of its input."""
    state = sleeper(Path(directory)).ensure()
    sys.stdout.write(f"{state['pid']}\n")
    sys.stdout.flush()
    if then == "fork" and os.fork():
        os._exit(0)
    if then == "start":
        subprocess.Popen(["/bin/cat"], close_fds=False)
        os._exit(0)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    use(*sys.argv[1:])
