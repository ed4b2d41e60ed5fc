"""`manage.py config check` validates the files, with reports for people, programs and CI."""

import json
import re
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import yaml
from django.conf import settings
from django.core.management import CommandError, call_command

from agents import config
from agents.config.layers import leaves
from agents.config.schema import code_defaults
from agents.runtime.tools import tool_names
from tests.support.commands import run
from tests.support.config_files import ConfigFiles
from tests.support.shipped import copy_agent_configs


class CheckTests(ConfigFiles):
    def run_check(self, *arguments: str) -> str:
        with self.settings(AGENT_CONFIG_DIR=self.base):
            return run("config", "check", *arguments)

    def failing(self, *arguments: str) -> tuple[str, CommandError]:
        out = StringIO()
        with self.settings(AGENT_CONFIG_DIR=self.base), self.assertRaises(CommandError) as caught:
            call_command("config", "check", *arguments, stdout=out, no_color=True)
        return out.getvalue(), caught.exception

    def as_json(self, *arguments: str) -> list[dict[str, Any]]:
        return list(json.loads(self.run_check("--json", *arguments)))

    def use_model_without_key(self) -> None:
        self.write("acme/bot/config.yaml", "retries: 1\nmodel: openai:gpt-5")
        environment = self.enterContext(patch.dict("os.environ"))
        environment.pop("OPENAI_API_KEY", None)

    def test_a_good_instance_shows_its_model_and_version(self) -> None:
        self.write("defaults.yaml", "model: scripted:echo")
        digest = self.read().digest
        self.assertEqual(
            self.run_check().splitlines(),
            ["ok       defaults.yaml", f"ok       acme/bot  scripted:echo  version {digest[:12]}"],
        )

    def test_errors_name_file_line_and_key_and_fail_the_command(self) -> None:
        self.write("acme/bot/config.yaml", "\ntemperatur: 1")
        out, error = self.failing()
        self.assertIn("error    acme/bot\n", out)
        self.assertIn(
            '         acme/bot/config.yaml:2: temperatur: unknown key; did you mean "temperature"?',
            out,
        )
        self.assertEqual((str(error), error.returncode), ("1 of 2 have errors.", 1))

    def test_a_missing_provider_key_is_a_warning(self) -> None:
        self.use_model_without_key()
        out = self.run_check("acme/bot")
        self.assertIn("warning  acme/bot  openai:gpt-5", out)
        self.assertIn('acme/bot/config.yaml:2: model: "openai:gpt-5" cannot be called here: ', out)
        self.assertIn("OPENAI_API_KEY", out)

    def test_a_key_with_a_line_end_inside_is_named_and_not_shown(self) -> None:
        self.write("acme/bot/config.yaml", "retries: 1\nmodel: openai:gpt-5")
        with patch.dict("os.environ", OPENAI_API_KEY="sk-canary\nb"):
            out = self.run_check("acme/bot")
        self.assertIn('model: "openai:gpt-5" cannot be called here: OPENAI_API_KEY holds', out)
        self.assertNotIn("canary", out)

    def test_names_that_are_never_read_are_warnings(self) -> None:
        self.write("acme/bot/config.yml", "")
        self.write("acme/acount.yaml", "")
        self.write("acme/Bad Name/config.yaml", "")
        self.write("acme/bot/README.md", "")
        out = self.run_check()
        for line in (
            'acme/bot/config.yml: is not read; did you mean "config.yaml"?',
            'acme/acount.yaml: is not read; did you mean "account.yaml"?',
            "acme/Bad Name: is not read: no valid slug",
        ):
            self.assertIn(f"         warning: {line}\n", out)
        self.assertNotIn("README", out)

    def test_shared_files_are_checked_without_any_instance(self) -> None:
        self.write("beta/account.yaml", "zzz: 1")
        out, _ = self.failing()
        self.assertIn("error    beta/account.yaml\n         beta/account.yaml:1: zzz: unknown", out)

    def test_only_what_was_asked_for_is_checked(self) -> None:
        self.write("beta/bot/config.yaml", "zzz: 1")
        self.write("acme/other/system_prompt.md", "x")
        self.assertEqual(
            [finding["subject"] for finding in self.as_json("acme")], ["acme/bot", "acme/other"]
        )
        self.assertEqual([finding["subject"] for finding in self.as_json("acme/bot")], ["acme/bot"])

    def test_an_unknown_account_or_instance_is_a_wrong_call_with_a_guess(self) -> None:
        for place, guess in [("acne", '"acme"'), ("acme/bt", '"acme/bot"')]:
            with self.subTest(place):
                out, error = self.failing(place)
                self.assertEqual((out, error.returncode), ("", 2))
                self.assertIn(f"did you mean {guess}?", str(error))
        _, error = self.failing("../../etc")
        self.assertIn("(there is: acme/bot)", str(error))

    def test_json_holds_every_problem_in_parts(self) -> None:
        self.write("acme/bot/config.yaml", "retrys: 1")
        out, _ = self.failing("acme/bot", "--json")
        self.assertEqual(
            json.loads(out),
            [
                {
                    "subject": "acme/bot",
                    "status": "error",
                    "digest": None,
                    "model": None,
                    "errors": [
                        {
                            "file": "acme/bot/config.yaml",
                            "message": "unknown key",
                            "line": 1,
                            "key": "retrys",
                            "suggestion": "retries",
                        }
                    ],
                    "warnings": [],
                }
            ],
        )

    def test_json_of_a_good_instance_has_its_digest(self) -> None:
        [finding] = self.as_json("acme/bot")
        self.assertEqual(finding["digest"], self.read().digest)

    def test_a_missing_directory_is_an_error(self) -> None:
        with (
            self.settings(AGENT_CONFIG_DIR=self.base / "nowhere"),
            self.assertRaisesMessage(CommandError, "1 of 1 have errors."),
        ):
            call_command("config", "check", stdout=StringIO())

    def test_a_sub_command_is_needed(self) -> None:
        with self.assertRaises(CommandError):
            call_command("config")


class ShippedFilesTests(ConfigFiles):
    def test_the_demo_s_files_are_good(self) -> None:
        shipped = Path(self.enterContext(TemporaryDirectory()))
        copy_agent_configs(shipped)
        effective = config.read("default", "simple-chat", base=shipped)
        self.assertEqual(effective.config.model, "local:smollm2-135m")
        self.assertEqual(effective.origins["system_prompt"], "system_prompt.md")
        self.assertTrue(effective.config.opening_message)


class DocumentationTests(ConfigFiles):
    def test_every_key_is_documented_with_its_default(self) -> None:
        text = (Path(settings.BASE_DIR) / "docs/configuration.md").read_text()
        rows = dict(re.findall(r"^\| `([\w.]+)` \| [^|]+ \| ([^|]+) \|", text, re.MULTILINE))
        for key, value in leaves(code_defaults()):
            with self.subTest(key):
                documented = rows[key].strip("`")
                self.assertEqual(yaml.safe_load(documented), value)
        self.assertLessEqual(set(config.AgentConfig.model_fields), set(rows))

    def test_every_tool_is_named(self) -> None:
        text = (Path(settings.BASE_DIR) / "docs/configuration.md").read_text()
        [named] = re.findall(r"^\| `tools` .*: ([^:|]+) \|$", text, re.MULTILINE)

        self.assertEqual(re.findall(r"`(\w+)`", named), tool_names())
