"""The server processes that hold turns."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from salient.ids import uuid7


class ServerProcess(models.Model):
    """One server process; its row belongs to no account."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # The machine and the process namespace of the pid; "" where the system cannot tell.
    host = models.CharField(max_length=255, blank=True, db_default="")
    pid = models.IntegerField()
    # In kernel ticks: the same pid with another start is another process.
    pid_started = models.BigIntegerField(db_default=0)
    started_at = models.DateTimeField(db_default=Now(), editable=False)
    seen_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        db_table = "server_processes"

    def __str__(self) -> str:
        return f"process {self.pid}"
