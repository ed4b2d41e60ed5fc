"""The files in which a process keeps its counts, with their space taken before it is written.

prometheus-client writes into mapped files with holes. Where the disk is full, such a write ends the
process (SIGBUS). Space that cannot be taken is an error instead: the process then counts in memory.
"""

from __future__ import annotations

import logging
import mmap
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from prometheus_client import values
from prometheus_client.mmap_dict import _INITIAL_MMAP_SIZE, MmapedDict

logger = logging.getLogger(__name__)

# More than an entry takes besides its key.
_ENTRY_BYTES: Final = 64


class ReservedDict(MmapedDict):
    """A file of counts that goes on in memory, where /metrics does not see it, on a full disk."""

    def __init__(self, filename: str, read_mode: bool = False) -> None:  # noqa: FBT001, FBT002 - as the base
        if read_mode or _reserve(filename):
            super().__init__(filename, read_mode)  # type: ignore[no-untyped-call]
            return
        memory = os.memfd_create("salient-metrics")
        super().__init__(f"/proc/self/fd/{memory}")  # type: ignore[no-untyped-call]
        os.close(memory)

    def _init_value(self, key: str) -> None:
        if self._used + len(key.encode()) + _ENTRY_BYTES > self._capacity:
            try:
                os.posix_fallocate(self._f.fileno(), 0, self._capacity * 2)
            except OSError as error:
                _report(self._fname, error)
                self._move_to_memory()
        super()._init_value(key)  # type: ignore[no-untyped-call]

    def _move_to_memory(self) -> None:
        """Go on in memory; the file keeps what was counted until now."""
        file = os.fdopen(os.memfd_create("salient-metrics"), "a+b")
        file.write(bytes(self._m))
        file.flush()
        self._f.close()
        self._f, self._m = file, mmap.mmap(file.fileno(), self._capacity)


def _reserve(filename: str) -> bool:
    """Take the space of a new file; False, and no file, where there is none."""
    try:
        with Path(filename).open("ab") as file:
            if file.tell() == 0:
                os.posix_fallocate(file.fileno(), 0, _INITIAL_MMAP_SIZE)
    except OSError as error:
        _report(filename, error)
        # Whoever sums the files cannot read an empty one.
        with suppress(OSError):
            Path(filename).unlink()
        return False
    return True


def _report(filename: str, error: OSError) -> None:
    logger.error("%s: %s. This process counts in memory, and /metrics lacks it.", filename, error)


def use() -> None:
    """Have prometheus-client keep its counts in such files; other systems cannot reserve them."""
    if sys.platform == "linux":
        values.MmapedDict = ReservedDict  # type: ignore[attr-defined]
