from __future__ import annotations

import tempfile
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import mock

from django.test import TestCase, override_settings

from agents.config import read
from agents.connections import connections
from agents.models import AgentInstance, InstanceStatus, ProviderConnection
from tests.support.commands import refusal, run, run_json
from tests.support.database.stored import row_of, rows_of
from tests.support.factories import make_account, make_instance


class CreateInstanceTests(TestCase):
    def setUp(self) -> None:
        self.base = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.enterContext(override_settings(AGENT_CONFIG_DIR=self.base))
        (self.base / "defaults.yaml").write_text("model: scripted:echo\n")
        make_account("acme")

    def given(self, text: str) -> str:
        path = self.base / "given.yaml"
        path.write_text(text)
        return str(path)

    def instances(self) -> list[AgentInstance]:
        return rows_of(AgentInstance, account__slug="acme")

    def assert_nothing_made(self) -> None:
        self.assertEqual(self.instances(), [])
        self.assertFalse((self.base / "acme").exists())

    def test_makes_a_row_and_starter_files_that_work(self) -> None:
        report = run_json("create_instance", "acme", "help-desk", "--name", 'The "desk"')

        [instance] = self.instances()
        self.assertEqual(instance.display_name, 'The "desk"')
        self.assertEqual(report["files_written"], ["config.yaml", "system_prompt.md"])
        config = read("acme", "help-desk").config
        self.assertEqual((config.display_name, config.model), ('The "desk"', "scripted:echo"))

    def test_copies_a_given_file_and_takes_names_and_type_from_it(self) -> None:
        text = "display_name: Desk\nsystem_prompt: Be kind.\ntemperature: 0.5\n"
        run("create_instance", "acme", "desk", "--config", self.given(text))

        self.assertEqual((self.base / "acme/desk/config.yaml").read_text(), text)
        self.assertFalse((self.base / "acme/desk/system_prompt.md").exists())
        self.assertEqual(self.instances()[0].display_name, "Desk")
        self.assertEqual(read("acme", "desk").config.system_prompt, "Be kind.")

    def test_a_given_file_without_a_prompt_gets_the_starter_prompt(self) -> None:
        run("create_instance", "acme", "desk", "--config", self.given("temperature: 0.5\n"))

        self.assertIn("friendly", read("acme", "desk").config.system_prompt)

    def test_the_prompt_of_the_account_is_not_covered_by_a_starter(self) -> None:
        (self.base / "acme").mkdir()
        (self.base / "acme/account.yaml").write_text("system_prompt: Our voice.\n")

        run("create_instance", "acme", "desk")

        self.assertEqual(read("acme", "desk").config.system_prompt, "Our voice.")

    def test_a_broken_file_is_refused_with_file_line_and_key(self) -> None:
        path = self.given("temprature: 1\n")
        code, message = refusal("create_instance", "acme", "desk", "--config", path)

        self.assertEqual(code, 1)
        self.assertIn(f"{path}:1: temprature: unknown key", message)
        self.assertIn('did you mean "temperature"?', message)
        self.assert_nothing_made()

    def test_a_missing_file_is_refused(self) -> None:
        code, message = refusal("create_instance", "acme", "desk", "--config", "nowhere.yaml")

        self.assertEqual((code, message), (1, "nowhere.yaml: no such file or directory."))
        self.assert_nothing_made()

    def test_another_configuration_is_replaced_by_force_only(self) -> None:
        folder = self.base / "acme/desk"
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text("temperature: 1\n")
        path = self.given("temperature: 0\n")

        code, message = refusal("create_instance", "acme", "desk", "--config", path)
        self.assertEqual(code, 1)
        self.assertIn("--force", message)
        self.assertEqual((folder / "config.yaml").read_text(), "temperature: 1\n")
        self.assertEqual(self.instances(), [])

        run("create_instance", "acme", "desk", "--config", path, "--force")
        self.assertEqual((folder / "config.yaml").read_text(), "temperature: 0\n")

    def test_files_that_are_there_already_are_kept(self) -> None:
        folder = self.base / "acme/desk"
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text("system_prompt: Mine.\n")

        report = run_json("create_instance", "acme", "desk")

        self.assertEqual(report["files_written"], [])
        self.assertEqual(read("acme", "desk").config.system_prompt, "Mine.")

    def test_a_dry_run_checks_and_makes_nothing(self) -> None:
        report = run_json("create_instance", "acme", "desk", "--dry-run")

        self.assertEqual((report["created"], report["model"]), (False, "scripted:echo"))
        self.assert_nothing_made()

    def test_when_the_row_fails_the_files_are_taken_back(self) -> None:
        target = "agents.management.commands.create_instance.create_instance"
        with mock.patch(target, side_effect=RuntimeError), self.assertRaises(RuntimeError):
            run("create_instance", "acme", "desk")

        self.assert_nothing_made()

    def test_when_the_files_fail_there_is_no_row(self) -> None:
        (self.base / "acme").write_text("not a folder")

        code, _ = refusal("create_instance", "acme", "desk")

        self.assertEqual((code, self.instances()), (1, []))

    def test_a_folder_that_points_elsewhere_is_refused(self) -> None:
        outside = Path(self.enterContext(tempfile.TemporaryDirectory()))
        (self.base / "acme").symlink_to(outside)

        code, message = refusal("create_instance", "acme", "desk")

        self.assertEqual((code, self.instances()), (1, []))
        self.assertIn("outside", message)
        self.assertEqual(list(outside.iterdir()), [])

    def test_bad_names_are_refused(self) -> None:
        make_instance(slug="other")
        for account, slug, words in (
            ("acme", "../up", "slug: Use 1 to 63 lower-case letters"),
            ("acme", "stream", "slug: “stream” is a reserved name."),
            ("acm", "desk", "Did you mean “acme”?"),
        ):
            with self.subTest(account=account, slug=slug):
                code, message = refusal("create_instance", account, slug)
                self.assertEqual(code, 1)
                self.assertIn(words, message)
        self.assert_nothing_made()

    def test_a_taken_name_is_refused_and_its_files_stay(self) -> None:
        run("create_instance", "acme", "desk")
        path = self.given("temperature: 0\n")

        code, message = refusal("create_instance", "acme", "desk", "--config", path, "--force")

        self.assertEqual((code, len(self.instances())), (1, 1))
        self.assertEqual(message, "Account “acme” already has an agent “desk”.")
        self.assertNotIn("temperature", (self.base / "acme/desk/config.yaml").read_text())

    def test_an_unknown_type_is_misuse(self) -> None:
        code, message = refusal("create_instance", "acme", "desk", "--type", "simple_chatt")

        self.assertEqual(code, 2)
        self.assertIn("Did you mean “simple_chat”?", message)


class SetAgentStatusTests(TestCase):
    def setUp(self) -> None:
        self.instance = make_instance(make_account("acme"), "bot")

    def status(self) -> str:
        return str(row_of(AgentInstance, pk=self.instance.pk).status)

    def test_deactivates_activates_and_archives(self) -> None:
        for change, status in (
            ("deactivate", InstanceStatus.INACTIVE),
            ("activate", InstanceStatus.ACTIVE),
            ("archive", InstanceStatus.ARCHIVED),
        ):
            report = run_json("set_agent_status", "acme", "bot", change)
            self.assertEqual((report["status"], report["changed"]), (status, True))
            self.assertEqual(self.status(), status)

    def test_a_dry_run_and_what_is_so_already_change_nothing(self) -> None:
        report = run_json("set_agent_status", "acme", "bot", "archive", "--dry-run")
        self.assertFalse(report["changed"])
        self.assertIn("already", run("set_agent_status", "acme", "bot", "activate"))
        self.assertEqual(self.status(), InstanceStatus.ACTIVE)

    def test_an_unknown_agent_is_named(self) -> None:
        code, message = refusal("set_agent_status", "acme", "bott", "archive")
        self.assertEqual(code, 1)
        self.assertIn("Did you mean “bot”?", message)


class SetConnectionTests(TestCase):
    url = "https://models.example.com/v1"

    def setUp(self) -> None:
        self.account = make_account("acme")
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.key_file = folder / "key"
        self.key_file.write_text("sk-canary-0123456789abcdef\n")

    def rows(self) -> list[ProviderConnection]:
        return connections.connections_of(self.account.pk)

    def make(self, *options: str) -> Any:
        return run_json("set_connection", "acme", "own", "--base-url", self.url, *options)

    def test_makes_changes_shows_and_deletes_and_never_shows_the_key(self) -> None:
        made = self.make("--key-file", str(self.key_file))
        self.assertEqual((made["done"], made["has_key"], made["key_hint"]), ("made", True, "cdef"))
        shown = run("set_connection", "acme", "own")
        self.assertIn("with a key (ends with cdef)", shown)
        self.assertNotIn("canary", f"{made} {shown}")
        changed = run_json("set_connection", "acme", "own", "--base-url", "https://b.example.com")
        self.assertEqual((changed["done"], changed["has_key"]), ("changed", False))
        self.assertEqual(run_json("set_connection", "acme", "own", "--delete")["done"], "deleted")
        self.assertEqual(self.rows(), [])

    def test_a_key_is_read_from_standard_input_and_can_be_removed(self) -> None:
        with mock.patch("sys.stdin", StringIO("sk-from-a-pipe-0123456789\n")):
            self.assertTrue(self.make("--key-file", "-")["has_key"])
        self.assertFalse(run_json("set_connection", "acme", "own", "--no-key")["has_key"])

    def test_a_dry_run_checks_everything_and_changes_nothing(self) -> None:
        self.assertFalse(self.make("--dry-run")["changed"])
        self.assertEqual(self.rows(), [])
        self.make("--key-file", str(self.key_file))
        before = [(each.base_url, each.secret) for each in self.rows()]
        for options in (["--no-key"], ["--base-url", "https://b.example.com"], ["--delete"]):
            run_json("set_connection", "acme", "own", *options, "--dry-run")
            self.assertEqual([(each.base_url, each.secret) for each in self.rows()], before)
        code, message = refusal(
            "set_connection", "acme", "own", "--base-url", "ftp://b.example.com", "--dry-run"
        )
        self.assertEqual(code, 1)
        self.assertIn("base_url", message)

    def test_what_is_wrong_is_reported(self) -> None:
        self.make()
        self.key_file.write_text(" \n")
        for words, arguments in (
            ("give its --base-url", ("new", "--no-key")),
            ("Did you mean “own”?", ("owm",)),
            ("no such file", ("own", "--key-file", "nowhere")),
            ("no key in it", ("own", "--key-file", str(self.key_file))),
        ):
            code, message = refusal("set_connection", "acme", *arguments)
            self.assertEqual(code, 1)
            self.assertIn(words, message)
