"""`manage.py config plan`, `apply` and `export`: the difference first, then all or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.management import CommandError
from django.test import TestCase

from accounts.models.audit import AuditEntry
from accounts.tenancy.context import tenant_context
from agents import config
from agents.config.versions import publishing
from agents.config.versions.current import current_config
from agents.config.versions.publishing import PublishCheckFailure
from agents.models import AgentInstance, ConfigPublication
from tests.agents.publishing_fixtures import PublishingFixtures
from tests.support.commands import refusal, run, run_json
from tests.support.database.stored import row_of
from tests.support.factories import make_account, make_instance


class ConfigCommandTestCase(PublishingFixtures, TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.tree = self.base / "tree-of-tests"

    def plan(self, *arguments: str) -> Any:
        return run_json("config", "plan", "acme", *arguments)

    def serve(self) -> None:
        instance = self.stored()
        config.forget()
        with tenant_context(instance.account_id):
            current_config("acme", instance)

    def put(self, text: str, name: str = "acme/bot") -> str:
        path = self.tree / name / "published.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(self.tree)


class PlanTests(ConfigCommandTestCase):
    def test_nothing_differs_where_the_files_serve(self) -> None:
        self.serve()

        self.assertEqual(run("config", "plan", "acme/bot").strip(), "same     acme/bot")
        self.assertFalse(self.plan()["differs"])

    def test_changes_on_disk_are_shown_with_their_file(self) -> None:
        self.serve()
        (self.base / "acme/bot/config.yaml").write_text("temperature: 1.5\n")

        self.assertIn("temperature: 0.5 -> 1.5  (config.yaml)", run("config", "plan", "acme"))
        (found,) = self.plan()["instances"]
        self.assertEqual(
            found["files"],
            [{"key": "temperature", "old": "0.5", "new": "1.5", "origin": "config.yaml"}],
        )

    def test_a_tree_is_compared_with_what_is_published(self) -> None:
        self.publish("retries: 1\n")
        self.serve()
        out = run("config", "plan", "acme", "--from", self.put("retries: 5\n"))

        self.assertIn("retries: 1 -> 5  (published here)", out)
        self.assertIn("-retries: 1", out)
        self.assertIn("+retries: 5", out)
        self.assertEqual(self.numbers(), [1])

    def test_a_difference_is_an_exit_code_where_it_is_asked_for(self) -> None:
        self.serve()
        run("config", "plan", "acme", "--exit-code")
        (self.base / "acme/bot/config.yaml").write_text("temperature: 1.5\n")
        run("config", "plan", "acme")
        with self.assertRaises(SystemExit) as ended:
            run("config", "plan", "acme", "--exit-code")

        self.assertEqual(ended.exception.code, 1)

    def test_broken_files_are_an_error(self) -> None:
        (self.base / "acme/bot/config.yaml").write_text("temperatur: 1.5\n")
        with self.assertRaises(SystemExit) as ended:
            run("config", "plan", "acme/bot")

        self.assertEqual(ended.exception.code, 1)

    def test_files_without_an_agent_are_reported(self) -> None:
        (self.base / "acme/ghost").mkdir()

        self.assertEqual(self.plan()["files_without_instance"], ["acme/ghost"])

    def test_an_unknown_name_is_a_wrong_call_with_a_guess(self) -> None:
        self.assertEqual(
            refusal("config", "plan", "acme/bott"),
            (2, "There is no agent “acme/bott”. Did you mean “acme/bot”?"),
        )


class ApplyTests(ConfigCommandTestCase):
    def apply(self, source: str, *more: str) -> Any:
        return run_json("config", "apply", source, *more, "--note", "From git")

    def test_a_tree_is_published_with_its_note(self) -> None:
        report = self.apply(self.put("# why\nretries: 5\n"))
        stored = row_of(ConfigPublication)
        entry = row_of(AuditEntry, object_type="config_publications")

        self.assertEqual(report["published"], {"acme/bot": 1})
        self.assertEqual(
            (stored.text, stored.note, stored.author_name),
            ("# why\nretries: 5\n", "From git", "manage.py config apply"),
        )
        self.assertEqual((entry.actor_kind, entry.actor), ("command", "config"))

    def test_the_difference_is_shown_first(self) -> None:
        out = run("config", "apply", self.put("retries: 5\n"), "--note", "From git")

        self.assertIn("retries: 2 -> 5  (published here)", out)
        self.assertLess(out.index("+retries: 5"), out.index("Published acme/bot as number 1."))

    def test_a_dry_run_needs_no_note_and_changes_nothing(self) -> None:
        out = run("config", "apply", self.put("retries: 5\n"), "--dry-run")

        self.assertIn("+retries: 5", out)
        self.assertEqual(self.numbers(), [])

    def test_what_is_in_force_is_not_published_again(self) -> None:
        self.apply(self.put("retries: 5\n"))

        self.assertEqual(self.apply(str(self.tree))["published"], {})

    def test_one_file_is_published_for_the_agent_that_is_named(self) -> None:
        path = self.base / "one.yaml"
        path.write_text("retries: 3\n")
        self.assertEqual(self.apply(str(path), "acme/bot")["published"], {"acme/bot": 1})

        code, output = refusal("config", "apply", str(path), "--note", "x")
        self.assertEqual(code, 2)
        self.assertIn("ACCOUNT/INSTANCE", output)

    def test_one_fault_and_nothing_is_published(self) -> None:
        make_instance(make_account("beta"), "bot")
        self.put("retries: 5\n")
        self.put("retrys: 5\n", "beta/bot")
        code, output = refusal("config", "apply", str(self.tree), "--note", "x")

        self.assertEqual((code, self.numbers()), (1, []))
        self.assertIn("beta/bot: published here:1: retrys: unknown key", output)

    def test_a_failed_publish_check_rolls_everything_back(self) -> None:
        other = make_instance(self.instance.account, "other")

        def publish_check(
            instance: AgentInstance, _: Mapping[str, Any]
        ) -> list[PublishCheckFailure]:
            return [PublishCheckFailure("greeting", "is rude")] if instance.pk == other.pk else []

        publishing.register_publish_check(publish_check)
        self.addCleanup(publishing._publish_checks.remove, publish_check)
        self.put("retries: 5\n")
        source = self.put("system_prompt: Hi\n", "acme/other")
        code, output = refusal("config", "apply", source, "--note", "x")
        self.assertEqual((code, self.numbers()), (1, []))
        self.assertIn("acme/other: greeting: is rude", output)
        report = self.apply(source, "--gate-reason", "It is old")

        self.assertEqual(report["published"], {"acme/bot": 1, "acme/other": 1})

    def test_wrong_calls_say_what_is_missing(self) -> None:
        for arguments, part in (
            ([self.put("retries: 5\n")], "--note"),
            ([str(self.base / "nowhere"), "acme/bot", "--note", "x"], "no such file"),
        ):
            with self.subTest(arguments=arguments):
                code, output = refusal("config", "apply", *arguments)
                self.assertEqual(code, 2)
                self.assertIn(part, output)
        code, output = refusal("config", "apply", self.put("a: 1", "acme/bott"), "--note", "x")
        self.assertEqual(code, 1)
        self.assertIn("Did you mean “acme/bot”?", output)


class ExportTests(ConfigCommandTestCase):
    def export(self, *more: str) -> Any:
        return run_json("config", "export", str(self.tree), *more)

    def test_what_is_published_is_written_as_it_was_typed_and_can_be_applied(self) -> None:
        self.publish("# why\nretries: 5\n")
        self.export()
        path = self.tree / "acme/bot/published.yaml"
        self.assertEqual(path.read_text(), "# why\nretries: 5\n")
        self.publish("retries: 1\n")
        run("config", "apply", str(self.tree), "--note", "Back")

        self.assertEqual(self.stored().override, {"retries": 5})

    def test_all_that_is_in_force_becomes_files_that_say_the_same(self) -> None:
        self.publish("retries: 5\ntimeouts: {stall: 9}\n")
        instance = self.stored()
        before = config.read("acme", "bot", override=instance.override)
        self.export("acme/bot", "--effective")
        (self.tree / "defaults.yaml").write_text("model: scripted:echo\n")
        after = config.read("acme", "bot", base=self.tree)

        self.assertEqual(after.digest, before.digest)
        self.assertNotIn("history_limit", (self.tree / "acme/bot/config.yaml").read_text())

    def test_nothing_is_overwritten_unasked(self) -> None:
        self.publish("retries: 5\n")
        self.put("retries: 1\n")
        code, output = refusal("config", "export", str(self.tree))
        self.assertEqual(code, 1)
        self.assertIn("--force overwrites", output)
        self.assertEqual((self.tree / "acme/bot/published.yaml").read_text(), "retries: 1\n")
        out = run("config", "export", str(self.tree), "--force")

        self.assertIn("-retries: 1", out)
        self.assertEqual((self.tree / "acme/bot/published.yaml").read_text(), "retries: 5\n")
        self.assertEqual(set(self.export()["files"].values()), {"same"})

    def test_a_dry_run_writes_nothing(self) -> None:
        self.publish("retries: 5\n")
        out = run("config", "export", str(self.tree), "--dry-run")

        self.assertIn("1 of 1 files would be written.", out)
        self.assertFalse(self.tree.exists())

    def test_a_place_that_can_not_be_written_is_reported(self) -> None:
        self.publish("retries: 5\n")
        self.tree.write_text("a file")
        with self.assertRaises(CommandError) as caught:
            run("config", "export", str(self.tree))

        self.assertEqual(caught.exception.returncode, 1)
