"""`manage.py config import`: the old system's files become today's, and every loss is named."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from django.test import SimpleTestCase

from agents.config import parse_layer
from tests.support.commands import refusal, run, run_json

OLD = """\
agent_type: "sales"
account: acme
instance_name: bot
name: "Sales Agent"
description: "Sells"
prompts:
  system_prompt_file: "./prompt.md"
  closing: Bye
model_settings:
  model: "moonshotai/kimi-k2-0905"
  temperature: 3
  max_tokens: 2000
  top_p: 0.5
context_management:
  history_limit: 500
  summarization:
    enabled: true
tools:
  vector_search:
    enabled: true
    max_results: 5
  web_search: {enabled: false}
  current_time: {enabled: true, zone: UTC}
email:
  enabled: false
"""
LOST = [
    "config.yaml:1: agent_type: there is no type sales; the agent becomes simple_chat",
    "config.yaml:5: description: Salient has no such setting",
    "config.yaml:8: prompts.closing: Salient has no such setting",
    "config.yaml:13: model_settings.top_p: Salient has no such setting",
    "config.yaml:15: context_management.history_limit: 500 messages are more than 200, which it "
    "becomes",
    "config.yaml:17: context_management.summarization.enabled: Salient has no such setting",
    "config.yaml:19: tools.vector_search: there is no such tool",
    "config.yaml:23: tools.current_time.zone: this tool has no options",
    "config.yaml: temperature: must be less than or equal to 2, not 3",
]
CONTENT = {
    "display_name": "Sales Agent",
    "model": "openrouter:moonshotai/kimi-k2-0905",
    "max_tokens": 2000,
    "history_limit": 200,
    "tools": ["current_time"],
}


class ConfigImportTests(SimpleTestCase):
    def setUp(self) -> None:
        self.base = Path(self.enterContext(TemporaryDirectory()))
        self.enterContext(self.settings(AGENT_CONFIG_DIR=self.base))
        self.old = self.base / "old"
        self.put(OLD)
        (self.old / "acme" / "bot" / "prompt.md").write_text("You sell.\n")

    def put(self, text: str, name: str = "acme/bot") -> Path:
        folder = self.old / name
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "config.yaml"
        file.write_text(text)
        return file

    def written(self, name: str) -> Path:
        return self.base / "acme" / "bot" / name

    def test_a_tree_is_converted_and_each_loss_is_named_with_its_line(self) -> None:
        before = run_json("config", "import", str(self.old), "--dry-run")
        self.assertFalse(self.written("config.yaml").exists())
        self.assertFalse(before["written"])

        report = run_json("config", "import", str(self.old))

        [agent] = report["agents"]
        self.assertEqual((agent["name"], agent["not_taken_over"]), ("acme/bot", LOST))
        layer = parse_layer(self.written("config.yaml").read_bytes(), "config.yaml")
        self.assertEqual(layer.content, CONTENT)
        self.assertEqual(self.written("system_prompt.md").read_text(), "You sell.\n")
        lines = run("config", "import", str(self.old)).splitlines()
        self.assertIn(f"  not taken over: {LOST[0]}", lines)
        self.assertEqual(lines[-1], "Wrote 0 of 2 files.")

    def test_another_file_is_overwritten_with_force_only(self) -> None:
        self.written("config.yaml").parent.mkdir(parents=True)
        self.written("config.yaml").write_text("retries: 1\n")
        code, output = refusal("config", "import", str(self.old))
        self.assertEqual(code, 1)
        self.assertIn("--force overwrites", output)
        self.assertEqual(self.written("config.yaml").read_text(), "retries: 1\n")
        run("config", "import", str(self.old), "--force")
        self.assertIn("max_tokens: 2000", self.written("config.yaml").read_text())

    def test_other_shapes(self) -> None:
        shapes = {
            "llm:\n  provider: openai\n  model: gpt-5\n": {"model": "openai:gpt-5"},
            "model: openai:gpt-5\nhistory_limit: 5\n": {
                "model": "openai:gpt-5",
                "history_limit": 5,
            },
            "prompts: {system: You are kind., greeting: Hello}\n": {"opening_message": "Hello"},
            "tools: [current_time]\n": {"tools": ["current_time"]},
            "model_settings: {model: gpt-5}\n": {},
        }
        for text, content in shapes.items():
            with self.subTest(text):
                file = self.put(text, "beta/bot")
                report = run_json("config", "import", str(file), "--dry-run")
                [agent] = report["agents"]
                made = parse_layer(agent["files"].get("config.yaml", ""), "config.yaml")
                self.assertEqual(made.content, content)

    def test_wrong_calls(self) -> None:
        code, _ = refusal("config", "import", str(self.base / "nowhere"))
        self.assertEqual(code, 2)
        flat = self.base / "sales.yaml"
        flat.write_text("model: openai:gpt-5\n")
        code, output = refusal("config", "import", str(flat))
        self.assertEqual(code, 2)
        self.assertIn("ACCOUNT/INSTANCE", output)
        code, output = refusal("config", "import", str(self.put("a: [1", "beta/bot")))
        self.assertEqual(code, 1)
        self.assertIn(":1", output)

    def test_a_prompt_outside_of_the_folder_is_not_read(self) -> None:
        file = self.put("prompts: {system_prompt_file: ../../../secret.md}\n", "beta/bot")
        (self.base / "secret.md").write_text("secret")
        report = run_json("config", "import", str(file), "--dry-run")
        self.assertEqual(report["agents"][0]["files"], {})
        self.assertIn("there is no file", report["agents"][0]["not_taken_over"][0])
