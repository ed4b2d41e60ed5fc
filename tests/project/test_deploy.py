"""compose.yaml and the image: who may do what with the database, and what stays outside."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml
from django.conf import settings
from django.test import SimpleTestCase

from accounts.tenancy.role_report import LOGIN

ROOT = Path(settings.BASE_DIR)


class ComposeTests(SimpleTestCase):
    def setUp(self) -> None:
        self.text = (ROOT / "compose.yaml").read_text()
        self.services: dict[str, Any] = yaml.safe_load(self.text)["services"]

    def test_only_the_migration_has_the_owners_login(self) -> None:
        for name in ("app", "worker"):
            environment = self.services[name]["environment"]
            with self.subTest(name):
                self.assertIn(f"//{LOGIN}:", environment["DATABASE_URL"])
                self.assertNotIn("POSTGRES_PASSWORD", str(self.services[name]))
                self.assertEqual(environment["LOGIN_PASSWORD"], "")
        self.assertIn("database_roles --apply", self.services["migrate"]["command"][-1])

    def test_what_it_passes_on_are_settings(self) -> None:
        documented = set(
            re.findall(r"^\| `([A-Z_]+)`", (ROOT / "README.md").read_text(), re.MULTILINE)
        )
        passed = set(self.services["app"]["environment"])

        self.assertLessEqual(passed, documented)
        wanted = {"EMAIL_URL", "PUBLIC_URL", "TRUSTED_PROXIES", "SECRET_KEY_FALLBACKS"}
        self.assertLessEqual(wanted, passed)

    def test_abandoned_turns_are_settled_and_providers_keys_come_from_a_file(self) -> None:
        self.assertEqual(self.services["worker"]["command"], ["python", "manage.py", "worker"])
        for name in ("app", "worker"):
            self.assertEqual(self.services[name]["environment"]["START_WORKER"], "false")
            [file] = self.services[name]["env_file"]
            self.assertEqual(file, {"path": "providers.env", "required": False})
        self.assertIn("providers.env", (ROOT / ".gitignore").read_text().splitlines())

    def test_every_image_has_a_tag_that_can_be_replaced_by_a_digest(self) -> None:
        for name in ("database", "adminer"):
            self.assertRegex(self.services[name]["image"], r"^\$\{\w+_IMAGE:-\w+:[0-9.]+\}$")
        self.assertIn("FROM ${PYTHON_IMAGE}", (ROOT / "Dockerfile").read_text())

    def test_the_image_has_the_programs_of_the_servers_version_for_backups(self) -> None:
        [server] = re.findall(r"postgres:(\d+)", self.services["database"]["image"])
        lines = (ROOT / "Dockerfile").read_text().splitlines()
        self.assertIn(f"ARG POSTGRES_VERSION={server}", lines)
        # The script of Debian's package keeps the name of its archive to itself.
        self.assertTrue(any('"postgresql-client-${POSTGRES_VERSION}"' in line for line in lines))


class ImageTests(SimpleTestCase):
    def is_sent(self, path: str) -> bool:
        """As docker reads .dockerignore: the last pattern that fits decides."""
        sent = True
        for line in (ROOT / ".dockerignore").read_text().splitlines():
            if not line or line.startswith("#"):
                continue
            pattern = line.removeprefix("!")
            parts = path.split("/")
            heads = ["/".join(parts[:n]) for n in range(1, len(parts) + 1)]
            if pattern.startswith("**/"):
                fits = any(fnmatch(part, pattern[3:]) for part in parts)
            else:
                fits = any(
                    fnmatch(head, pattern)
                    for head in heads
                    if head.count("/") == pattern.count("/")
                )
            if fits:
                sent = line.startswith("!")
        return sent

    def test_tenants_prompts_and_secrets_stay_out_of_it(self) -> None:
        for path in (
            "config/agent_configs/acme/bot/system_prompt.md",
            "config/agent_configs/acme/account.yaml",
            "config/agent_configs/default/shop-bot/config.yaml",
            "config/agent_configs/default/account.yaml",
            ".env",
            "providers.env",
            "salient/.env",
            "var/demo.json",
            ".git/config",
            "tests/conftest.py",
        ):
            with self.subTest(path):
                self.assertFalse(self.is_sent(path))

    def test_what_a_server_needs_is_in_it(self) -> None:
        for path in (
            "salient/settings.py",
            "config/agent_configs/defaults.yaml",
            "config/agent_configs/default/simple-chat/config.yaml",
            "gunicorn.conf.py",
            "manage.py",
            "requirements/base.txt",
            "static/favicon.svg",
        ):
            with self.subTest(path):
                self.assertTrue(self.is_sent(path))
