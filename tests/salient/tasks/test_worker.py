"""The worker as a process: killed while it delivers, ended in order, kept beside a server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.test import TransactionTestCase
from django_tasks_db.models import DBTaskResult

from accounts.models import DeliveryState
from tests.accounts.webhooks.fixtures import make_due, make_endpoint, publish, receiving, rows
from tests.support.factories import make_account
from tests.support.servers.served import ROOT, environment, free_port

WITHIN = 120.0


@contextmanager
def started(*command: str, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process on the tests' database; leaving the block ends it whatever happened."""
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment(free_port()) | more,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def until(happened: Any) -> None:
    deadline = time.monotonic() + WITHIN
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    try:
        return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    except OSError:
        return []


def runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


class WorkerProcessTests(TransactionTestCase):
    def setUp(self) -> None:
        self.account = make_account("acme")

    def test_a_worker_killed_while_it_delivers_loses_nothing(self) -> None:
        with receiving(answers=[200]) as receiver:
            make_endpoint(self.account, receiver.url)
            for number in range(3):
                publish(self.account, f"msg_{number}")
            trusted = {"WEBHOOK_TRUSTED_HOSTS": receiver.host}
            receiver.gate.clear()
            with started("manage.py", "worker", **trusted) as first:
                until(lambda: len(receiver.received) == 3)
                first.kill()
                first.wait()
            self.assertEqual({row.state for row in rows(self.account)}, {DeliveryState.PENDING})
            receiver.gate.set()
            # The lease ends.
            make_due(self.account)
            with started("manage.py", "worker", **trusted) as second:
                until(lambda: {row.state for row in rows(self.account)} == {"delivered"})
                second.send_signal(signal.SIGTERM)
                self.assertEqual(second.wait(WITHIN), 0)

        self.assertEqual(
            sorted(got.message_id for got in receiver.received),
            ["msg_0", "msg_0", "msg_1", "msg_1", "msg_2", "msg_2"],
        )
        self.assertEqual([row.tries for row in rows(self.account)], [2, 2, 2])

    def test_two_workers_send_nothing_twice(self) -> None:
        with receiving(answers=[200]) as receiver:
            make_endpoint(self.account, receiver.url)
            for number in range(40):
                publish(self.account, f"msg_{number}")
            command = ("manage.py", "worker")
            trusted = {"WEBHOOK_TRUSTED_HOSTS": receiver.host}
            with started(*command, **trusted), started(*command, **trusted):
                until(lambda: {row.state for row in rows(self.account)} == {"delivered"})
                until(lambda: DBTaskResult.objects.successful().count() >= 6)

        self.assertEqual(len(receiver.received), 40)
        paths = DBTaskResult.objects.successful().values_list("task_path", flat=True)
        self.assertEqual(len(paths), len(set(paths)))

    def test_the_supervisor_starts_a_worker_anew_and_ends_it_with_itself(self) -> None:
        with started("-m", "salient.tasks") as supervisor:
            until(lambda: children(supervisor.pid))
            [first] = children(supervisor.pid)
            os.kill(first, signal.SIGKILL)
            until(lambda: children(supervisor.pid) not in ([], [first]))
            [second] = children(supervisor.pid)
            supervisor.send_signal(signal.SIGHUP)
            until(lambda: children(supervisor.pid) not in ([], [second]))
            [third] = children(supervisor.pid)
            supervisor.send_signal(signal.SIGTERM)
            self.assertEqual(supervisor.wait(WITHIN), 0)
            self.assertEqual([pid for pid in (first, second, third) if runs(pid)], [])

    def test_a_killed_supervisor_leaves_no_worker(self) -> None:
        with started("-m", "salient.tasks") as supervisor:
            until(lambda: children(supervisor.pid))
            [worker] = children(supervisor.pid)
            supervisor.kill()
            until(lambda: not runs(worker))
