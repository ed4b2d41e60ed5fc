"""`python -m salient.tasks`: keeps a worker running beside the server that started this process.

It imports nothing of Salient, so that it costs little and no change of code concerns it. It ends,
and its worker with it, on SIGTERM and with the server. SIGHUP starts the worker anew.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parent.parent.parent
COMMAND = [sys.executable, str(ROOT / "manage.py"), "worker"]
# The server's own start comes first: a second of CPU is not taken from it.
DELAY_SECONDS = 2.0
POLL_SECONDS = 0.5
# Between two starts of a worker that ends by itself: doubled up to the most.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
# How long a worker may take to end.
STOP_SECONDS = 15.0
PR_SET_PDEATHSIG = 1


class Supervisor:
    """Starts the worker again whenever it ends."""

    def __init__(self) -> None:
        self._server = os.getppid()
        self._is_stopping = self._is_restarting = False
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGHUP, self._restart)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._is_stopping = True

    def _restart(self, _number: int, _frame: FrameType | None) -> None:
        self._is_restarting = True

    @property
    def _must_end(self) -> bool:
        return self._is_stopping or os.getppid() != self._server

    def run(self) -> None:
        pause = FIRST_PAUSE
        self._wait(DELAY_SECONDS)
        while not self._must_end:
            began = time.monotonic()
            self._run_worker()
            if self._is_restarting or time.monotonic() - began > LONGEST_PAUSE:
                self._is_restarting, pause = False, FIRST_PAUSE
            self._wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self._must_end and not self._is_restarting and time.monotonic() < end:
            time.sleep(POLL_SECONDS)

    def _run_worker(self) -> None:
        """Run it until it ends, or must."""
        worker = subprocess.Popen(COMMAND, cwd=ROOT, preexec_fn=_end_with_parent)  # noqa: PLW1509, S603 - this process has no threads
        while not self._must_end and not self._is_restarting:
            try:
                worker.wait(POLL_SECONDS)
            except subprocess.TimeoutExpired:
                continue
            return
        worker.terminate()
        try:
            worker.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


def _end_with_parent() -> None:
    """Have the kernel end the worker if this process is killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


if __name__ == "__main__":
    Supervisor().run()
