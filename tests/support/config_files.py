"""A folder of configuration files for tests."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.test import SimpleTestCase

from agents import config

MODEL = "local:smollm2-135m"


class ConfigFiles(SimpleTestCase):
    """A base directory with the files of one agent, acme/bot, that is whole."""

    def setUp(self) -> None:
        self.base = Path(self.enterContext(TemporaryDirectory())) / "agent_configs"
        self.write("defaults.yaml", f"model: {MODEL}")
        self.write("acme/bot/system_prompt.md", "Be brief.\n")

    def write(self, path: str, text: str | bytes) -> Path:
        file = self.base / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        return file

    def read(self, **options: Any) -> config.EffectiveConfig:
        return config.read("acme", "bot", base=self.base, **options)

    def problems(self, **options: Any) -> list[str]:
        with self.assertRaises(config.ConfigError) as caught:
            self.read(**options)
        return [str(problem) for problem in caught.exception.problems]
