"""An account with one agent whose files are in a folder of the test's own."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from django.test import SimpleTestCase, override_settings

from accounts.models import User
from accounts.tenancy.context import platform_context
from agents.config.versions import publishing
from agents.models import AgentInstance, ConfigPublication
from tests.support.database.stored import as_platform, rows_of
from tests.support.factories import make_account, make_instance, write_config
from tests.support.people import make_root


class PublishingFixtures(SimpleTestCase):
    base: Path
    instance: AgentInstance
    ann: User

    def setUp(self) -> None:
        super().setUp()
        self.base = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.enterContext(override_settings(AGENT_CONFIG_DIR=self.base))
        (self.base / "defaults.yaml").write_text("model: scripted:echo\n")
        write_config(self.base, "acme", "bot", "temperature: 0.5\n", prompt="Be kind.\nBe brief.")
        self.instance = make_instance(make_account("acme"), "bot")
        self.ann = make_root(email="ann@example.com")

    def publish(self, text: str, note: str = "Better", **more: Any) -> ConfigPublication:
        return as_platform(publishing.publish, self.instance, text, note, self.ann, **more)

    def stored(self) -> AgentInstance:
        with platform_context():
            found: AgentInstance = AgentInstance.objects.select_related("account").get(
                pk=self.instance.pk
            )
        return found

    def numbers(self) -> list[int]:
        rows = rows_of(ConfigPublication, "number", agent_instance_id=self.instance.pk)
        return [row.number for row in rows]
