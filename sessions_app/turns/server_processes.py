"""Which server processes have died.

A process writes its row every BEAT_SECONDS (sessions_app/turns/heartbeat.py), by the database's
clock. Of a process of this machine /proc says whether it still runs; of another one, its row.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from django.db import models
from django.db.models import ExpressionWrapper, Q
from django.db.models.functions import Now

from sessions_app.models import ServerProcess

BEAT_SECONDS = 2.0
# A process of another machine that has not written its row for so long is dead.
DEAD_AFTER = timedelta(seconds=10)
# The row of a dead process is not needed once its turns are settled.
FORGET_AFTER = timedelta(days=1)
ZOMBIE = "Z"


def this_process() -> ServerProcess:
    """Return the row of the running process; it is not stored."""
    pid = os.getpid()
    return ServerProcess(host=this_host(), pid=pid, pid_started=started_of(pid) or 0)


def this_host() -> str:
    """Name the machine's boot, the container and the process namespace; "" without /proc."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {socket.gethostname()} {Path('/proc/self/ns/pid').readlink()}"[:255]
    except OSError:
        return ""


def started_of(pid: int) -> int | None:
    """Return when a process of this machine began, in kernel ticks; None if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == ZOMBIE else int(fields[19])


def is_hidden(pid: int) -> bool:
    """Whether the process is another user's and /proc does not show it (hidepid, ProtectProc)."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return not Path(f"/proc/{pid}").exists()
    except OSError:
        return False
    return False


def dead_among(ids: Collection[UUID], *, may_trust_age: bool) -> set[UUID]:
    """Return those of the processes that have died; call it inside the platform context.

    `may_trust_age`: the caller has itself reached the database for a while. Otherwise an old row
    may only mean that the database did not answer, to any process.
    """
    late = ExpressionWrapper(Q(seen_at__lt=Now() - DEAD_AFTER), models.BooleanField())
    rows = ServerProcess.objects.filter(pk__in=ids).annotate(is_late=late)
    alive, here = set[UUID](), this_host()
    for row in rows:
        if row.host and row.host == here and not is_hidden(row.pid):
            runs = started_of(row.pid) == row.pid_started
        else:
            runs = not (may_trust_age and row.is_late)
        if runs:
            alive.add(row.pk)
    # A process that stops in order has removed its row, and no turn of it is left.
    return set(ids) - alive


def forget_dead() -> int:
    """Delete the rows of processes that died long ago, inside the platform context."""
    return ServerProcess.objects.filter(seen_at__lt=Now() - FORGET_AFTER).delete()[0]
