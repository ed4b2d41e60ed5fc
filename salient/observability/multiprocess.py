"""The folder in which the processes of one server share what they count.

gunicorn.conf.py makes it for each arbiter: it is empty at the start, the workers and the worker of
jobs inherit its name, and it ends with the arbiter. So several servers on one machine are apart,
and so are the two arbiters while one replaces the other (SIGUSR2): the counters begin at 0 again,
as after any restart. Nothing of prometheus-client is imported here: the arbiter needs none.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
PREFIX: Final = "salient-metrics-"


def make_folder() -> None:
    """Make this arbiter's folder, and remove those of arbiters that were killed."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if _is_left_over(left):
            shutil.rmtree(left, ignore_errors=True)
    os.environ[VARIABLE] = tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-")


def _is_left_over(folder: Path) -> bool:
    number = folder.name.removeprefix(PREFIX).partition("-")[0]
    if not number.isdigit():
        return False
    # In a container the arbiter has the number of the one before it.
    return int(number) == os.getpid() or not Path("/proc", number).exists()


def remove_folder() -> None:
    if folder := os.environ.pop(VARIABLE, ""):
        shutil.rmtree(folder, ignore_errors=True)


def forget_process(pid: int) -> None:
    """Let a process that has ended no longer say what is under way; what it counted stays."""
    if not (folder := os.environ.get(VARIABLE)):
        return
    for file in Path(folder).glob(f"gauge_live*_{pid}.db"):
        with suppress(FileNotFoundError):
            file.unlink()
