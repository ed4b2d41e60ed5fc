"""Point-in-time recovery, by the settings and the order that docs/operations.md names."""

from __future__ import annotations

import re
import shutil
import tempfile
import textwrap
import time
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from pathlib import Path

from django.core.management import call_command
from django.db import connection
from django.test import SimpleTestCase
from django.utils import timezone

from accounts.tenancy.context import platform_context
from salient.database import embedded
from sessions_app.models import CompletionStatus, LLMRequest, Message
from sessions_app.operations.integrity.service import check_integrity
from tests.support.database.stored import row_of
from tests.support.docs import ROOT
from tests.support.factories import (
    make_account,
    make_instance,
    make_llm_request,
    make_message,
    make_session,
)
from tests.support.servers.standby import Server, as_default, copy_schema

WITHIN = 60
PAGE = ROOT / "docs" / "operations.md"


def documented(folder: Path) -> tuple[str, list[str], str]:
    """Return what is set for archiving, the command of a base backup, and what is set to go back.

    In `folder` in the place of /backup.
    """
    section = PAGE.read_text().partition("### Point-in-time recovery")[2].partition("\n## ")[0]
    blocks = re.findall(r"(?:^ {8}.*\n)+", section, re.MULTILINE)
    [command] = re.findall(r"`(pg_basebackup [^`]+)`", section)
    placed = [part.replace("/backup", str(folder)) for part in (*blocks, command)]
    archiving, going_back = map(textwrap.dedent, placed[:2])
    return archiving, placed[2].replace("$(date +%F)", "tonight").split(), going_back


def until(is_so: Callable[[], bool], server: Server) -> None:
    deadline = time.monotonic() + WITHIN
    while not is_so():
        assert time.monotonic() < deadline, (server.directory / "log").read_text()
        time.sleep(0.05)


class PointInTimeTests(SimpleTestCase):
    databases = {"default"}

    def setUp(self) -> None:
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        folder.chmod(0o711)
        self.backup = folder / "backup"
        self.archiving, self.base_backup, self.going_back = documented(self.backup)
        self.server = Server(folder / "server")
        self.server.directory.mkdir()
        self.addCleanup(self.server.stop)
        self.server.run()
        self.uid = self.server.data.stat().st_uid
        for place in (self.backup, self.backup / "wal", self.backup / "base"):
            place.mkdir()
            embedded._give_to(self.uid, place)
        self.stop()
        self.set(self.archiving)
        self.server.run()
        copy_schema(self.server)
        self.server.fetch("CREATE ROLE archiver LOGIN REPLICATION")
        self.enterContext(as_default(self.server))

    def set(self, lines: str) -> None:
        with (self.server.data / "postgresql.conf").open("a") as file:
            file.write(f"\n{lines}")

    def stop(self) -> None:
        connection.close()
        connection.close_pool()  # type: ignore[attr-defined]
        self.server.stop()

    def backed_up(self) -> None:
        program, *options = self.base_backup
        command = [program, f"--host={self.server.sockets}", *options]
        with (self.server.directory / "log").open("ab") as log:
            self.assertEqual(self.server._launch(command, self.uid, log).wait(), 0)

    def restored(self) -> None:
        """Put the base backup in the place of the data directory."""
        self.server.data.rename(self.server.data.with_name("aside"))
        shutil.copytree(self.backup / "base" / "tonight", self.server.data)
        self.server.data.chmod(0o700)

    def test_the_rows_of_a_moment_come_back_and_its_running_turn_is_settled(self) -> None:
        account = make_account("acme")
        session = make_session(make_instance(account, "bot"))
        self.backed_up()
        running = make_llm_request(
            session,
            completion_status=CompletionStatus.RUNNING,
            created_at=timezone.now() - timedelta(days=1),
        )
        make_message(session, content="before", llm_request=running)
        [moment] = self.server.fetch("SELECT clock_timestamp()::text")
        make_message(session, content="after", llm_request=running)
        with platform_context():
            Message.objects.all().delete()
        self.stop()

        self.restored()
        self.set(re.sub(r"(?<=recovery_target_time = ').*(?=')", moment, self.going_back))
        (self.server.data / "recovery.signal").touch()
        embedded._give_to(self.uid, self.server.data)
        self.server.run()
        paused = "SELECT pg_get_wal_replay_pause_state() = 'paused'"
        until(lambda: bool(self.server.fetch(paused)[0]), self.server)
        self.assertEqual(
            self.server.fetch("SELECT array_agg(content) FROM messages"), (["before"],)
        )
        self.server.fetch("SELECT pg_wal_replay_resume()")
        until(lambda: not self.server.fetch("SELECT pg_is_in_recovery()")[0], self.server)

        call_command("settle_abandoned", stdout=StringIO())
        turn = row_of(LLMRequest, account_id=account.pk)
        self.assertEqual((turn.pk, turn.error_code), (running.pk, "abandoned"))
        wrong = {each.check.name for each in check_integrity() if each.status == "fault"}
        # The agent of this test has no configuration.
        self.assertEqual(wrong, {"configurations"})
        self.assertFalse((self.server.data / "recovery.signal").exists())
