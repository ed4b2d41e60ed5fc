"""The commands of docs/operations.md are run in their order, as the page stands now."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from secrets import token_urlsafe
from unittest import mock

from django.conf import settings
from django.core.management import call_command
from django.test import SimpleTestCase, TransactionTestCase, override_settings

from accounts.tenancy.lookups import find_account
from agents.instances.services import create_instance
from salient.database import embedded
from salient.environment.values import mail_config
from sessions_app.models import Session
from tests.support.database.scratch_database import scratch_database
from tests.support.database.stored import count_of
from tests.support.docs import ROOT
from tests.support.factories import make_account, make_key, make_session, write_config
from tests.support.servers.served import database_url

PAGE = ROOT / "docs/operations.md"
# The programs with which a line begins that is a command.
PROGRAMS = re.compile(
    r"(?:\S*python[\d.]*|\S*/pip|manage\.py|\S*pg_\w+|psql|docker|systemctl|export) "
)
MANAGE = re.compile(r"(?:\S+ )?manage\.py (.*)")
# What cannot be run here, and why.
NOT_RUN = {
    r"python3\.13 -m venv": "the tests run in one",
    r"\S*/pip install": "it needs the network, and tests/project/test_bootstrap.py installs",
    r"\S+ -m salient$": "it serves without an end: tests/support/servers/served.py starts it",
    r"\S+ manage\.py migrate && systemctl": "there is no systemd here, and no service",
    r"\S+ manage\.py database_roles$": "it is 1 for a login that anybody shares, as the tests' is",
    r"\S+ manage\.py restore salient\.backup$": "it needs an empty database: see tests/upgrades",
    r"(?:export|docker) ": "there is no docker here; tests/project/test_deploy.py reads the files",
}
# What the reader fills in, and what the terminal asks for.
FILLED_IN = {"ACCOUNT": "acme"}
ANSWERED = {"createsuperuser": ["--noinput", "--email", "root@example.com"]}


def commands(page: Path) -> Iterator[str]:
    """Yield the commands of the page: indented lines that begin with a program."""
    for line in page.read_text().splitlines():
        if line.startswith("    ") and PROGRAMS.match(line.strip()):
            # What stands far behind a command explains it.
            yield re.split(r" {3,}", line.strip())[0]


class WalkThroughTests(TransactionTestCase):
    """In a database of its own, with one conversation in it."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        # With today's tables: tests/schema migrates from nothing.
        cls.enterClassContext(scratch_database(copied=True))

    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        # As the page has them set before it begins.
        settings_of = {
            "AGENT_CONFIG_DIR": self.folder / "configs",
            "API_KEY_PEPPER": token_urlsafe(48),
            "MAILERS": mail_config("smtp+tls://user:password@mail.example:587"),
            "SECRET_KEY": token_urlsafe(48),
            "STATIC_ROOT": self.folder / "static",
        }
        self.enterContext(override_settings(**settings_of))
        self.account = make_account("acme")
        make_session(create_instance(self.account, "bot"))
        self.key, _ = make_key(self.account)
        for folder in (("acme", "bot"), ("default", "simple-chat")):
            write_config(settings.AGENT_CONFIG_DIR, *folder, "model: scripted:echo\n")

    def test_the_page_can_be_followed(self) -> None:
        ran = []
        for line in commands(PAGE):
            if any(re.match(pattern, line) for pattern in NOT_RUN):
                continue
            with self.subTest(line):
                self.run_command(line)
                ran.append(line)
        self.assertTrue(any("restore salient.backup --check" in line for line in ran), ran)
        self.assertIsNotNone(find_account("acme"))
        self.assertEqual(count_of(Session), 1)

    def run_command(self, line: str) -> None:
        if not (found := MANAGE.fullmatch(line)):
            self.run_program(line)
            return
        words = [FILLED_IN.get(word, word) for word in shlex.split(found[1])]
        words = [self.key.key_id if word == "KEY_ID" else word for word in words]
        left = [word for word in words if re.fullmatch(r"[A-Z][A-Z_]+", word)]
        self.assertEqual(left, [], "say in FILLED_IN what stands for it")
        with (
            chdir(self.folder),
            mock.patch.dict(os.environ, {"DJANGO_SUPERUSER_PASSWORD": "correct horse battery"}),
            (self.folder / "out").open("w") as out,
        ):
            try:
                call_command(*words, *ANSWERED.get(words[0], ()), stdout=out, stderr=out)
            except SystemExit as end:
                self.assertEqual(end.code or 0, 0, (self.folder / "out").read_text())

    def run_program(self, line: str) -> None:
        path = f"{embedded.binaries()}:{os.environ['PATH']}"
        environment = os.environ | {"DATABASE_URL": database_url(), "PATH": path}
        done = subprocess.run(
            ["bash", "-c", line], cwd=self.folder, env=environment, capture_output=True, check=False
        )
        self.assertEqual(done.returncode, 0, done.stderr.decode())


class PageTests(SimpleTestCase):
    def test_what_is_not_run_is_still_there(self) -> None:
        lines = list(commands(PAGE))
        for pattern, why in NOT_RUN.items():
            self.assertTrue(any(re.match(pattern, line) for line in lines), (pattern, why))
