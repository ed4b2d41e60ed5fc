"""One server for several processes: started on demand, stopped after the last of them."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import TestCase

from salient.local.shared_process import ROOT, SharedProcessError
from tests.salient.sleeper import sleeper


class SharedProcessTests(TestCase):
    def setUp(self) -> None:
        self.directory = Path(self.enterContext(tempfile.TemporaryDirectory())) / "sleeper"
        self.addCleanup(self.until_stopped)

    def user(self, then: str = "wait") -> tuple[subprocess.Popen[str], int]:
        """A process that uses the server, and the number of the server it got."""
        user = self.start(then)
        assert user.stdout
        return user, int(user.stdout.readline())

    def start(self, then: str = "wait") -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.salient.sleeper", str(self.directory), then]
        user = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.addCleanup(end, user)
        return user

    def state(self) -> dict[str, Any]:
        try:
            return dict(json.loads((self.directory / "state.json").read_text()))
        except FileNotFoundError:
            return {}

    def until_stopped(self) -> None:
        until(lambda: "pid" not in self.state())

    def test_all_users_share_one_server_even_when_they_start_together(self) -> None:
        users = [self.start() for _ in range(4)]
        servers = {user.stdout.readline() for user in users if user.stdout}
        self.assertEqual(len(servers), 1)
        self.assertEqual(servers, {f"{self.state()['pid']}\n"})

    def test_it_outlives_the_user_who_started_it_and_stops_with_the_last(self) -> None:
        first, server = self.user()
        second, same = self.user()
        self.assertEqual(server, same)
        end(first)
        self.assertEqual(self.user()[1], server)
        end(second)

    def test_a_killed_user_counts_no_more(self) -> None:
        user, server = self.user()
        user.kill()
        until(lambda: not alive(server))
        self.assertEqual(self.state(), {})

    def test_a_forked_child_is_a_user(self) -> None:
        user, server = self.user("fork")
        user.wait()
        self.assertEqual(self.user()[1], server)

    def test_a_program_that_a_user_started_is_none(self) -> None:
        user, server = self.user("start")
        user.wait()
        until(lambda: not alive(server))

    def test_a_server_that_died_is_started_again(self) -> None:
        _, server = self.user()
        os.kill(server, signal.SIGKILL)
        until(lambda: self.state().get("pid", server) != server)
        self.assertTrue(alive(self.state()["pid"]))

    def test_after_a_killed_supervisor_the_next_user_starts_another_server(self) -> None:
        _, server = self.user()
        os.kill(self.state()["keeper"], signal.SIGKILL)
        until(lambda: not alive(server))
        self.assertNotEqual(self.user()[1], server)

    def test_a_server_whose_directory_is_deleted_stops(self) -> None:
        _, server = self.user()
        for file in self.directory.iterdir():
            file.unlink()
        until(lambda: not alive(server))

    def test_a_server_that_cannot_start_says_why_and_can_be_tried_again(self) -> None:
        for obstacle, reason in (("broken", "the sleeper is broken"), ("falls", "I fall")):
            with self.subTest(obstacle):
                self.directory.mkdir(exist_ok=True)
                (self.directory / obstacle).touch()
                with self.assertRaisesRegex(SharedProcessError, reason):
                    sleeper(self.directory).ensure()
                (self.directory / obstacle).unlink()
        self.assertTrue(alive(self.user()[1]))

    def test_a_directory_that_cannot_be_made_is_one_line(self) -> None:
        (self.directory.parent / "file").touch()
        with self.assertRaisesRegex(SharedProcessError, "the sleeper cannot be used"):
            sleeper(self.directory.parent / "file" / "below").ensure()


def alive(pid: int) -> bool:
    """Whether the process runs; one that only waits to be reaped does not."""
    try:
        os.kill(pid, 0)
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False


def end(user: subprocess.Popen[str]) -> None:
    for stream in (user.stdin, user.stdout):
        if stream:
            stream.close()
    user.wait()


def until(happened: Callable[[], bool]) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + 20
    while not happened():
        if time.monotonic() > deadline:
            raise AssertionError("it did not happen within 20 s")
        time.sleep(0.02)
