"""Settings that stop a production server; each line names the setting and what to do."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

from django.conf import settings
from django.core.checks import run_checks
from django.core.management import call_command
from django.test import SimpleTestCase, override_settings

from salient.api import lifespan
from salient.asgi import application
from salient.security.checks import check_settings, faults, refusals

GOOD: dict[str, Any] = {
    "DEBUG": False,
    "SECRET_KEY": secrets.token_urlsafe(48),
    "SECRET_KEY_FALLBACKS": [],
    "API_KEY_PEPPER": secrets.token_urlsafe(48),
    "SECRET_ENCRYPTION_KEYS": [secrets.token_urlsafe(48)],
    "ALLOWED_HOSTS": ["salient.example"],
    "CSRF_TRUSTED_ORIGINS": ["https://salient.example"],
    "DEMO": False,
    "HTTPS": True,
    "ALLOW_HTTP": False,
    "ALLOW_OPEN_DEBUG": False,
}
KEY = GOOD["SECRET_KEY"]


class RefusalTests(SimpleTestCase):
    def refused(self, **bad: Any) -> list[str]:
        with override_settings(**(GOOD | bad)):
            return refusals()

    def test_good_settings_are_not_refused(self) -> None:
        self.assertEqual(self.refused(), [])

    def test_each_bad_setting_is_one_line_that_names_it(self) -> None:
        for bad, name in (
            ({"SECRET_KEY": "insecure-tests-only"}, "SECRET_KEY"),
            ({"SECRET_KEY": "django-insecure-" + KEY}, "SECRET_KEY"),
            ({"SECRET_KEY": "short"}, "SECRET_KEY"),
            ({"SECRET_KEY": "a" * 60}, "SECRET_KEY"),
            ({"SECRET_KEY_FALLBACKS": ["old"]}, "SECRET_KEY"),
            ({"API_KEY_PEPPER": "changeme-" * 6}, "API_KEY_PEPPER"),
            ({"API_KEY_PEPPER": "short"}, "API_KEY_PEPPER"),
            ({"API_KEY_PEPPER": KEY}, "API_KEY_PEPPER is the same as SECRET_KEY"),
            ({"SECRET_ENCRYPTION_KEYS": []}, "SECRET_ENCRYPTION_KEYS is not set"),
            ({"SECRET_ENCRYPTION_KEYS": [*GOOD["SECRET_ENCRYPTION_KEYS"], "old"]}, "ENCRYPTION"),
            ({"SECRET_ENCRYPTION_KEYS": [KEY]}, "SECRET_ENCRYPTION_KEYS holds another"),
            ({"SECRET_ENCRYPTION_KEYS": [GOOD["API_KEY_PEPPER"]]}, "SECRET_ENCRYPTION_KEYS"),
            ({"ALLOWED_HOSTS": []}, "ALLOWED_HOSTS is empty"),
            ({"ALLOWED_HOSTS": ["a.example", "*"]}, "ALLOWED_HOSTS has “*”"),
            ({"DEMO": True}, "DEMO=false"),
            ({"HTTPS": False}, "HTTPS=true"),
            ({"CSRF_TRUSTED_ORIGINS": ["https://*.example"]}, "CSRF_TRUSTED_ORIGINS"),
        ):
            with self.subTest(bad):
                lines = self.refused(**bad)
                self.assertEqual(len(lines), 1)
                self.assertIn(name, lines[0])
                self.assertNotIn("\n", lines[0])

    def test_no_line_tells_a_secret(self) -> None:
        lines = self.refused(SECRET_KEY="canary-insecure", API_KEY_PEPPER="canary-insecure")

        self.assertGreaterEqual(len(lines), 3)
        self.assertNotIn("canary", " ".join(lines))

    def test_plain_http_needs_a_word(self) -> None:
        self.assertEqual(self.refused(HTTPS=False, ALLOW_HTTP=True), [])

    def test_a_development_machine_may_do_all_that_but_not_for_others(self) -> None:
        weak = {"DEBUG": True, "DEMO": True, "HTTPS": False, "SECRET_KEY": "x"}
        for host, refused in (
            ("127.0.0.1", 0),
            ("localhost", 0),
            ("::1", 0),
            ("0.0.0.0", 1),  # noqa: S104 - what is refused
            ("::", 1),
            ("192.168.1.5", 1),
        ):
            with self.subTest(host), mock.patch.dict(os.environ, {"HOST": host}):
                self.assertEqual(len(self.refused(**weak)), refused)
                self.assertEqual(self.refused(**weak, ALLOW_OPEN_DEBUG=True), [])

    def test_manage_py_meets_them_as_errors(self) -> None:
        with override_settings(**(GOOD | {"DEMO": True, "TESTING": False})):
            [error] = list(check_settings(None))
            found = [each for each in run_checks() if each.id == "salient.E008"]

        self.assertEqual((error.id, error.is_serious()), ("salient.E008", True))
        self.assertEqual(found, [error])


class StaticFileTests(SimpleTestCase):
    """Without its static files every page would be a 500."""

    def setUp(self) -> None:
        self.root = Path(self.enterContext(tempfile.TemporaryDirectory()))
        backend = "servestatic.storage.CompressedManifestStaticFilesStorage"
        storages = settings.STORAGES | {"staticfiles": {"BACKEND": backend}}
        self.enterContext(
            override_settings(**GOOD, STORAGES=storages, STATIC_ROOT=self.root, TESTING=False)
        )

    def test_missing_static_files_are_one_line_that_names_the_command(self) -> None:
        [line] = faults()
        self.assertIn(str(self.root), line)
        self.assertIn("manage.py collectstatic", line)

    def test_those_of_another_release_are_too(self) -> None:
        (self.root / "staticfiles.json").write_text('{"paths": {"old.js": "old.1.js"}}')
        [line] = faults()
        self.assertIn("another release", line)

    def test_those_that_were_collected_are_fine(self) -> None:
        folders = map(Path, settings.STATICFILES_DIRS)
        names = [str(path.relative_to(folder)) for folder in folders for path in folder.rglob("*")]
        manifest = {"paths": dict.fromkeys(names, "hashed")}
        (self.root / "staticfiles.json").write_text(json.dumps(manifest))
        self.assertEqual(faults(), [])

    def test_files_that_collectstatic_ignores_are_not_missed(self) -> None:
        source = Path(self.enterContext(tempfile.TemporaryDirectory()))
        for name in ("page.css", ".gitkeep", "page.css~"):
            (source / name).write_text("")
        with override_settings(STATICFILES_DIRS=[source]):
            call_command("collectstatic", verbosity=0, interactive=False)
            self.assertEqual(faults(), [])


class StartTests(SimpleTestCase):
    async def test_the_server_does_not_start_and_says_why(self) -> None:
        sent = await self.started(DEMO=True)

        self.assertEqual([message["type"] for message in sent], ["lifespan.startup.failed"])
        self.assertIn("DEMO=false", sent[0]["message"])

    async def test_the_server_starts_with_good_settings(self) -> None:
        sent = await self.started()

        self.assertEqual([message["type"] for message in sent], ["lifespan.startup.complete"])

    async def started(self, **bad: Any) -> list[Mapping[str, Any]]:
        sent: list[Mapping[str, Any]] = []
        waiting: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
        waiting.put_nowait({"type": "lifespan.startup"})

        async def send(message: Mapping[str, Any]) -> None:
            sent.append(message)

        # The server's background tasks (a heartbeat) are not started here.
        with override_settings(**(GOOD | bad)), mock.patch.object(lifespan, "_openers", []):
            running = asyncio.ensure_future(application({"type": "lifespan"}, waiting.get, send))
            while not sent:  # noqa: ASYNC110 - the message is the event
                await asyncio.sleep(0)
            running.cancel()
        return sent


class EnvironmentTests(SimpleTestCase):
    """With the settings as a process reads them."""

    def run_with(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        good = {
            "SECRET_KEY": KEY,
            "API_KEY_PEPPER": GOOD["API_KEY_PEPPER"],
            "SECRET_ENCRYPTION_KEYS": GOOD["SECRET_ENCRYPTION_KEYS"][0],
            "ALLOWED_HOSTS": "salient.example",
            "HTTPS": "true",
            "DEBUG": "false",
            "DEMO": "false",
            "EMAIL_URL": "smtp+tls://mail.example:587",
            "DATABASE_URL": "postgres://nobody@127.0.0.1:1/nothing",
            "PATH": os.environ["PATH"],
            "ENV_FILE": os.devnull,
        }
        return subprocess.run(
            [sys.executable, *command],
            cwd=settings.BASE_DIR,
            env=good | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def test_what_gunicorn_asks_first_refuses_with_lines_and_no_traceback(self) -> None:
        result = self.run_with("-m", "salient.environment", SECRET_KEY="short", DEMO="true")

        self.assertEqual(result.returncode, 1)
        lines = [line for line in result.stderr.splitlines() if "collectstatic" not in line]
        self.assertEqual(len(lines), 2)
        self.assertTrue(all(line.startswith("salient: ") for line in lines))

    def test_a_missing_secret_key_is_one_line_and_no_traceback(self) -> None:
        # The checkout's own .env may have one.
        code = "import environ, salient.security.checks as c; "
        code += "environ.Env.read_env = lambda *a, **k: None; import os, sys; "
        code += "del os.environ['SECRET_KEY']; sys.exit(c.main())"
        result = self.run_with("-c", code)

        self.assertEqual(result.returncode, 1)
        [line] = result.stderr.splitlines()
        self.assertIn("SECRET_KEY", line)

    def test_check_deploy_is_clean_with_good_settings(self) -> None:
        checked = self.run_with("manage.py", "check", "--deploy", "--fail-level", "WARNING")

        self.assertEqual((checked.returncode, checked.stderr), (0, ""))
