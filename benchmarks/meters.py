"""Reads CPU seconds and memory of a server and its workers from /proc."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Self

TICKS = os.sysconf("SC_CLK_TCK")
PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024
PROC = Path("/proc")
# Fields of /proc/stat: idle and waiting for a disk.
IDLE = (3, 4)


def tree(pid: int) -> list[int]:
    """The process and all that descend from it."""
    found, new = [], [pid]
    while new:
        found += new
        new = [child for parent in new for child in _children(parent)]
    return found


def _children(pid: int) -> list[int]:
    try:
        files = list((PROC / str(pid) / "task").glob("*/children"))
        return [int(child) for file in files for child in file.read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of all threads, and of ended children that their parent waited for."""
    return sum(_ticks(pid) for pid in pids) / TICKS


def _ticks(pid: int) -> int:
    try:
        stat = (PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    # The name in brackets may hold spaces.
    fields = stat.rpartition(")")[2].split()
    return sum(int(fields[at]) for at in (11, 12, 13, 14))


def machine_seconds() -> float:
    """CPU seconds of all processors since the machine started, time stolen by a host included."""
    fields = (PROC / "stat").read_text().split("\n", 1)[0].split()[1:]
    busy = [int(field) for at, field in enumerate(fields[:8]) if at not in IDLE]
    return sum(busy) / TICKS


def resident_kb(pids: Iterable[int]) -> int:
    """Memory in RAM; shared pages count for each process, so only differences are meaningful."""
    total = 0
    for pid in pids:
        try:
            total += int((PROC / str(pid) / "statm").read_text().split()[1]) * PAGE_KB
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total


def proportional_kb(pids: Iterable[int]) -> int:
    """Memory in RAM, each shared page divided among its processes; slow to read."""
    total = 0
    for pid in pids:
        try:
            lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total


class Watch(threading.Thread):
    """Reads a number repeatedly and keeps the largest."""

    def __init__(self, ask: Callable[[], int], every: float = 0.25) -> None:
        super().__init__(daemon=True)
        self._ask, self._every = ask, every
        self._over = threading.Event()
        self.most = 0

    def run(self) -> None:
        while not self._over.wait(self._every):
            self.most = max(self.most, self._ask())

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()
