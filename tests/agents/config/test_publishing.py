"""A publication is in force at once and can be rolled back; no work of others is lost."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import connection
from django.test import TestCase, TransactionTestCase
from django.test.utils import CaptureQueriesContext

from accounts.models.audit import AuditEntry
from accounts.tenancy.context import platform_context, tenant_context
from agents.api.decorators import _instances
from agents.config import ConfigError
from agents.config.versions import publishing
from agents.config.versions.current import AgentMisconfigured, CurrentConfig, current_config
from agents.config.versions.publishing import (
    NothingToPublish,
    PublishCheckFailure,
    PublishChecksFailed,
    Stale,
)
from agents.models import AgentInstance, ConfigDraft, ConfigPublication, ConfigVersion
from salient.ttl import clear_caches
from tests.agents.publishing_fixtures import PublishingFixtures
from tests.support.database.stored import as_platform, change_row, row_of
from tests.support.factories import make_connection, make_instance


class PublishingTestCase(PublishingFixtures, TestCase):
    def current(self, draft: Mapping[str, Any] | None = None) -> CurrentConfig:
        instance = self.stored()
        with tenant_context(instance.account_id):
            return current_config("acme", instance, draft=draft)

    def served(self) -> list[str]:
        with platform_context():
            rows = ConfigVersion.objects.served(self.instance)
            return list(rows.values_list("digest", flat=True))

    def saved(self, text: str, **more: Any) -> ConfigDraft:
        return as_platform(publishing.save_draft, self.instance, text, self.ann, **more)


class PublishTests(PublishingTestCase):
    def test_what_is_published_lies_over_the_files(self) -> None:
        self.publish("temperature: 1.5\n")
        effective = self.current().effective

        self.assertEqual(effective.config.temperature, 1.5)
        self.assertEqual(effective.origins["temperature"], "published here")
        self.assertEqual(effective.origins["system_prompt"], "system_prompt.md")

    def test_a_publication_keeps_who_why_and_which_version(self) -> None:
        made = self.publish("# calmer\ntemperature: 0\n", note="  Calmer answers ")
        stored = row_of(ConfigPublication, pk=made.pk)

        self.assertEqual(
            (stored.number, stored.note, stored.author_name, stored.override, stored.text),
            (
                1,
                "Calmer answers",
                "ann@example.com",
                {"temperature": 0},
                "# calmer\ntemperature: 0\n",
            ),
        )
        self.assertEqual(stored.config_version_id, self.current().version_id)

    def test_numbers_count_up_for_each_instance(self) -> None:
        for text in ("retries: 0", "retries: 1", "retries: 3"):
            self.publish(text)
        other = make_instance(self.instance.account, "other")
        made = as_platform(publishing.publish, other, "system_prompt: Hi\n", "First", None)

        self.assertEqual((self.numbers(), made.number), ([1, 2, 3], 1))

    def test_the_process_that_published_serves_it_in_the_next_turn(self) -> None:
        key = (self.instance.account_id, "bot")
        _instances.put(key, self.instance)
        with self.captureOnCommitCallbacks(execute=True):
            self.publish("retries: 4")

        self.assertIsNone(_instances.get(key))

    def test_an_empty_text_leaves_the_files_alone(self) -> None:
        self.publish("retries: 4")
        self.publish("# nothing\n")

        self.assertIsNone(self.stored().override)
        self.assertEqual(self.current().effective.config.retries, 2)

    def test_a_note_is_required(self) -> None:
        for note in ("", " \n", "x" * 2001):
            with self.subTest(note=note[:3]), self.assertRaises(ValidationError):
                self.publish("retries: 4", note=note)
        self.assertEqual(self.numbers(), [])

    def test_nothing_wrong_is_published(self) -> None:
        for text in ("retrys: 4", "model: opnai:x", "a: [", "model: connection/own:x"):
            with self.subTest(text=text), self.assertRaises(ConfigError):
                self.publish(text)
        self.assertEqual((self.numbers(), self.stored().override), ([], None))

    def test_a_model_at_a_connection_that_works_is_published(self) -> None:
        make_connection(self.instance.account, name="own")

        self.publish("model: connection/own:x")
        self.assertEqual(self.numbers(), [1])

    def test_what_is_in_force_is_not_published_again(self) -> None:
        self.publish("retries: 4")
        with self.assertRaises(NothingToPublish):
            self.publish("retries: 4")

    def test_it_is_in_the_audit_log_with_its_note(self) -> None:
        self.publish("retries: 4", note="Try harder")
        entry = row_of(AuditEntry, object_type="config_publications")

        self.assertEqual((entry.action, entry.object), ("created", "Try harder"))
        self.assertEqual(entry.changes["override"], [None, {"retries": 4}])


class StaleTests(PublishingTestCase):
    def test_the_second_of_two_who_publish_at_once_is_refused(self) -> None:
        self.publish("retries: 4", note="Mine", base=0)
        with self.assertRaisesMessage(
            Stale, "ann@example.com published number 1 meanwhile: “Mine”"
        ):
            self.publish("retries: 5", base=0)

        self.assertEqual(self.stored().override, {"retries": 4})

    def test_a_newer_draft_is_not_overwritten(self) -> None:
        seen = publishing.etag_of(self.saved("retries: 1"))
        self.saved("retries: 2", seen=seen)
        with self.assertRaisesMessage(Stale, "ann@example.com saved another draft"):
            self.saved("retries: 3", seen=seen)

        self.assertEqual(row_of(ConfigDraft).text, "retries: 2")

    def test_a_draft_that_is_published_is_done_with(self) -> None:
        self.saved("retries: 4")
        self.publish("retries: 4")
        self.assertIsNone(as_platform(publishing.draft_of, self.instance))

    def test_anothers_draft_outlives_a_publication(self) -> None:
        self.saved("retries: 5")
        self.publish("retries: 4")
        draft = as_platform(publishing.draft_of, self.instance)

        assert draft is not None
        self.assertEqual((draft.text, draft.base), ("retries: 5", 0))


class RollBackTests(PublishingTestCase):
    def roll_back(self, number: int, **more: Any) -> ConfigPublication:
        return as_platform(
            publishing.roll_back, self.instance, number, "It was better", self.ann, **more
        )

    def test_a_roll_back_is_a_new_publication_of_the_old_text(self) -> None:
        first = self.publish("# one\nretries: 1\n")
        self.publish("retries: 5")
        made = self.roll_back(1)

        self.assertEqual((made.number, made.restores, made.text), (3, 1, "# one\nretries: 1\n"))
        self.assertEqual(made.config_version_id, first.config_version_id)
        self.assertEqual(self.current().effective.config.retries, 1)

    def test_number_nought_is_the_files_alone(self) -> None:
        self.publish("retries: 5")
        made = self.roll_back(0)

        self.assertEqual((made.restores, self.stored().override), (0, None))

    def test_what_is_not_there_is_not_rolled_back_to(self) -> None:
        self.publish("retries: 5")
        with self.assertRaises(ConfigPublication.DoesNotExist):
            self.roll_back(7)

    def test_what_is_in_force_is_not_published_again(self) -> None:
        self.publish("retries: 1")
        self.publish("retries: 5")
        self.roll_back(1)
        for number in (1, 3):
            with self.assertRaises(NothingToPublish):
                self.roll_back(number)

    def test_it_is_refused_where_somebody_published_meanwhile(self) -> None:
        self.publish("retries: 1")
        self.publish("retries: 5")
        with self.assertRaises(Stale):
            self.roll_back(1, base=1)


class GateTests(PublishingTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.failures = [PublishCheckFailure("opening hours", "answers “never”")]
        self.checked: list[Mapping[str, Any]] = []
        publishing.register_publish_check(self.publish_check)
        self.addCleanup(publishing._publish_checks.remove, self.publish_check)

    def publish_check(
        self, instance: AgentInstance, override: Mapping[str, Any]
    ) -> list[PublishCheckFailure]:
        self.checked.append(override)
        return self.failures

    def test_a_failed_test_chat_holds_the_publication_back(self) -> None:
        with self.assertRaisesMessage(PublishChecksFailed, "opening hours: answers “never”"):
            self.publish("retries: 1", gate_reason="  ")

        self.assertEqual((self.numbers(), self.checked), ([], [{"retries": 1}]))

    def test_with_a_reason_it_is_published_and_the_reason_is_stored(self) -> None:
        made = self.publish("retries: 1", gate_reason=" The chat is out of date ")

        self.assertEqual(made.gate_reason, "The chat is out of date")

    def test_no_reason_is_kept_where_none_was_needed(self) -> None:
        self.failures = []

        self.assertEqual(self.publish("retries: 1", gate_reason="Why?").gate_reason, "")


class DraftTests(PublishingTestCase):
    def test_a_draft_is_tried_without_being_served(self) -> None:
        before = self.current()
        tried = self.current(draft={"temperature": 2})

        self.assertEqual(tried.effective.config.temperature, 2)
        self.assertEqual(self.served(), [before.effective.digest])
        self.assertEqual(self.current().version_id, before.version_id)

    def test_an_empty_draft_is_the_files_alone(self) -> None:
        self.publish("temperature: 2")

        self.assertEqual(self.current(draft={}).effective.config.temperature, 0.5)

    def test_a_broken_draft_is_reported_as_it_is(self) -> None:
        with self.assertRaisesMessage(AgentMisconfigured, "published here: retrys: unknown key"):
            self.current(draft={"retrys": 1})

    def test_a_draft_that_is_published_then_counts_as_served(self) -> None:
        tried = self.current(draft={"temperature": 2})
        self.publish("temperature: 2")
        served = self.current()

        self.assertEqual(served.version_id, tried.version_id)
        self.assertEqual(self.served()[0], tried.effective.digest)


class BrokenTests(PublishingTestCase):
    def break_it(self) -> None:
        """A key was published that a newer schema refuses."""
        change_row(self.instance, override={"retries": "gone"})

    def test_a_broken_override_leaves_the_last_good_version_serving(self) -> None:
        self.publish("retries: 4")
        good = self.current()
        self.break_it()
        clear_caches()
        with self.assertLogs("agents.config.versions.current", "ERROR"):
            current = self.current()

        self.assertEqual(current.version_id, good.version_id)
        self.assertEqual(current.effective.config.retries, 4)
        self.assertIn("published here: retries", current.effective.error or "")

    def test_a_draft_is_never_the_last_good_version(self) -> None:
        self.current(draft={"temperature": 2})
        self.break_it()
        with (
            self.assertRaises(AgentMisconfigured),
            self.assertLogs("agents.config.versions.current", "ERROR"),
        ):
            self.current()

    def test_a_version_that_no_longer_fits_gives_way_to_an_older_one(self) -> None:
        good = self.current()
        self.publish("retries: 4")
        newer = self.current()
        with platform_context():
            rows = ConfigVersion.objects.filter(pk=newer.version_id)
            rows.update(content=dict(newer.effective.content) | {"retries": "gone"})
        self.break_it()
        with self.assertLogs("agents.config.versions.current", "ERROR"):
            self.assertEqual(self.current().version_id, good.version_id)


class HotPathTests(PublishingTestCase):
    def test_a_published_override_costs_a_turn_no_statement(self) -> None:
        self.publish("retries: 4")
        instance = self.stored()
        with self.captureOnCommitCallbacks(execute=True), tenant_context(instance.account_id):
            current_config("acme", instance)
        with tenant_context(instance.account_id), CaptureQueriesContext(connection) as queries:
            current_config("acme", instance)

        self.assertEqual(len(queries), 0)

    def test_a_known_override_is_not_looked_through_again(self) -> None:
        class Counted(dict[str, Any]):
            looks = 0

            def __repr__(self) -> str:
                Counted.looks += 1
                return super().__repr__()

        instance = self.stored()
        instance.override = Counted(retries=4)
        for _ in range(3):
            with tenant_context(instance.account_id):
                current_config("acme", instance)

        self.assertEqual(Counted.looks, 1)


class DifferenceTests(PublishingTestCase):
    def difference(self, text: str) -> publishing.Difference:
        instance = self.stored()
        return as_platform(publishing.difference, instance, text)

    def test_it_shows_old_and_new_values_with_their_origins(self) -> None:
        found = self.difference("temperature: 1.5\nretries: 2\n")

        self.assertEqual(
            [(c.key, c.old, c.new, c.old_origin, c.new_origin) for c in found.values],
            [
                ("temperature", "0.5", "1.5", "config.yaml", "published here"),
                ("retries", "2", "2", "default", "published here"),
            ],
        )

    def test_it_shows_the_text_as_diff_does(self) -> None:
        self.publish("retries: 1\ntemperature: 1\n")
        found = self.difference("retries: 1\ntemperature: 2\n")

        self.assertEqual(
            found.text,
            "--- published\n+++ new\n@@ -1,2 +1,2 @@\n retries: 1\n-temperature: 1\n"
            "+temperature: 2\n",
        )
        self.assertEqual(
            [(line.kind, line.old, line.new) for line in found.lines],
            [
                ("equal", "retries: 1", "retries: 1"),
                ("replace", "temperature: 1", "temperature: 2"),
            ],
        )

    def test_a_long_text_is_compared_line_by_line(self) -> None:
        (change,) = self.difference("system_prompt: |\n  Be kind.\n  Be long.\n").values

        self.assertEqual([line.kind for line in change.lines], ["equal", "replace"])

    def test_what_is_wrong_is_reported_with_line_and_guess(self) -> None:
        (problem,) = self.difference("retries: 1\nprompt: x\n").problems

        self.assertEqual(
            (problem.line, problem.key, problem.message, problem.suggestion),
            (2, "prompt", "unknown key", "system_prompt"),
        )

    def test_a_model_that_can_not_be_called_here_is_a_warning(self) -> None:
        found = self.difference("model: openai:gpt-5-mini\n")

        self.assertEqual(found.problems, [])
        self.assertIn("OPENAI_API_KEY", found.warnings[0].message)


class ResetTests(PublishingTestCase):
    def reset(self, key: str) -> str:
        instance = self.stored()
        return as_platform(publishing.reset, instance, key, self.ann).text

    def test_a_reset_takes_one_key_out_and_waits_to_be_published(self) -> None:
        self.publish("# note\nretries: 4\ntimeouts:\n  stall: 9\n  connect: 1\n")

        self.assertEqual(
            self.reset("timeouts.stall"), "# note\nretries: 4\ntimeouts:\n  connect: 1\n"
        )
        self.assertEqual(self.reset("retries"), "# note\ntimeouts:\n  connect: 1\n")
        self.assertEqual(self.current().effective.config.retries, 4)

    def test_what_was_not_published_can_not_be_reset(self) -> None:
        with self.assertRaises(KeyError):
            self.reset("retries")

    def test_a_draft_that_can_not_be_read_is_left_alone(self) -> None:
        self.saved("retries: [")
        with self.assertRaises(ConfigError):
            self.reset("retries")


class RaceTests(PublishingFixtures, TransactionTestCase):
    def test_of_two_at_the_same_moment_one_wins_and_one_is_refused(self) -> None:
        start, results = threading.Barrier(2), []

        def go(retries: int) -> None:
            start.wait()
            try:
                self.publish(f"retries: {retries}", base=0)
            except Stale as error:
                results.append(str(error))
            finally:
                connection.close()

        threads = [threading.Thread(target=go, args=[number]) for number in (4, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        self.assertEqual((self.numbers(), len(results)), ([1], 1))
