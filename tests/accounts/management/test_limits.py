"""Limits and budgets from the command line."""

from __future__ import annotations

from decimal import Decimal

from django.core.exceptions import ValidationError
from django.test import TestCase

from accounts.limits.quotas import set_limits
from accounts.limits.registry import LIMITS
from accounts.models import AccountLimits, Budget
from agents.config.schema import AgentConfig
from tests.support.commands import refusal, run, run_json
from tests.support.database.stored import count_of, row_of, rows_of
from tests.support.factories import make_account, make_instance


class SetLimitsCommandTests(TestCase):
    def setUp(self) -> None:
        self.account = make_account("acme")

    def test_sets_what_is_named_and_shows_all(self) -> None:
        report = run_json("set_limits", "acme", "--concurrent-turns", "7", "--output-tokens", "99")

        self.assertTrue(report["changed"])
        self.assertEqual((report["limits"]["concurrent_turns"], report["running"]), (7, 0))
        self.assertEqual(report["defaults"]["requests_per_minute"], 600)
        row = row_of(AccountLimits, account_id=self.account.pk)
        self.assertEqual((row.concurrent_turns, row.output_tokens), (7, 99))
        again = run_json("set_limits", "acme", "--concurrent-turns", "default")
        self.assertIsNone(again["limits"]["concurrent_turns"])
        self.assertEqual(again["limits"]["output_tokens"], 99)

    def test_without_a_limit_it_only_shows(self) -> None:
        self.assertFalse(run_json("set_limits", "acme")["changed"])
        shown = run("set_limits", "acme")
        self.assertIn("600 (default)", shown)
        self.assertIn("no limit (default)", shown)
        self.assertIn("0 turns run now", shown)

    def test_a_dry_run_changes_nothing(self) -> None:
        report = run_json("set_limits", "acme", "--message-bytes", "5", "--dry-run")

        self.assertEqual((report["changed"], report["limits"]["message_bytes"]), (False, 5))
        self.assertFalse(count_of(AccountLimits))

    def test_mistakes_are_reported(self) -> None:
        for name, arguments, code, words in (
            ("zero", ("acme", "--concurrent-turns", "0"), 2, "above 0"),
            ("text", ("acme", "--message-bytes", "many"), 2, "many"),
            ("account", ("acmee",), 1, "Did you mean “acme”?"),
        ):
            with self.subTest(name):
                status, message = refusal("set_limits", *arguments)
                self.assertEqual(status, code)
                self.assertIn(words, message)

    def test_a_limit_above_which_something_else_holds_is_refused_and_that_is_named(self) -> None:
        for name, limit in LIMITS.items():
            most, option = limit.highest, f"--{name.replace('_', '-')}"
            for value in (most + 1, 99_999_999_999):
                for more in ((), ("--dry-run",)):
                    status, message = refusal("set_limits", "acme", option, str(value), *more)
                    self.assertEqual(status, 2)
                    self.assertIn(option, message)
                    self.assertIn(f"at most {most}", message)
            self.assertFalse(count_of(AccountLimits))
        for name, limit in LIMITS.items():
            most = limit.highest
            report = run_json("set_limits", "acme", f"--{name.replace('_', '-')}", str(most))
            self.assertEqual(report["limits"][name], most)

    def test_a_number_is_written_in_plain_digits(self) -> None:
        for text in ("\u0665", "1e3", "+5", "5.0", "-1", "", "0x10", "9" * 5000):
            self.assertEqual(refusal("set_limits", "acme", f"--message-bytes={text}")[0], 2)

    def test_what_the_other_bounds_are_is_what_holds_there(self) -> None:
        history = AgentConfig.model_json_schema()["properties"]["history_limit"]
        self.assertEqual(LIMITS["history_messages"].highest, history["maximum"])
        for name in ("message_bytes", "output_tokens"):
            with self.assertRaisesMessage(ValidationError, str(LIMITS[name].highest)):
                set_limits(self.account, **{name: LIMITS[name].highest + 1})


class SetBudgetCommandTests(TestCase):
    def setUp(self) -> None:
        self.account = make_account("acme")
        self.bot = make_instance(self.account, "bot")

    def budgets(self) -> list[Budget]:
        return rows_of(Budget, "limit")

    def test_makes_one_for_the_account_and_one_for_an_agent(self) -> None:
        whole = run_json("set_budget", "acme", "--period", "month", "--limit", "100")
        mine = run("set_budget", "acme", "--instance", "bot", "--period", "day", "--limit", "0.50")

        self.assertEqual((whole["changed"], whole["spent"]), (True, "0"))
        self.assertIn("bot for each day to $0.5.", mine)
        day, month = self.budgets()
        self.assertEqual((day.agent_instance_id, day.limit), (self.bot.pk, Decimal("0.50")))
        self.assertEqual((month.agent_instance_id, month.alert_percents), (None, [80, 100]))

    def test_changes_and_removes(self) -> None:
        run("set_budget", "acme", "--period", "day", "--limit", "1")
        run("set_budget", "acme", "--period", "day", "--limit", "2", "--alert", "90")
        [budget] = self.budgets()
        self.assertEqual((budget.limit, budget.alert_percents), (2, [90]))

        self.assertTrue(run_json("set_budget", "acme", "--period", "day", "--remove")["changed"])
        self.assertEqual(self.budgets(), [])
        self.assertIn("Nothing", run("set_budget", "acme", "--period", "day", "--remove"))

    def test_a_dry_run_changes_nothing(self) -> None:
        report = run_json("set_budget", "acme", "--period", "day", "--limit", "1", "--dry-run")

        self.assertFalse(report["changed"])
        self.assertEqual(self.budgets(), [])

    def test_mistakes_are_reported(self) -> None:
        for name, arguments, code, words in (
            ("negative", ("acme", "--period", "day", "--limit=-1"), 2, "from 0"),
            ("NaN", ("acme", "--period", "day", "--limit", "NaN"), 2, "NaN"),
            ("text", ("acme", "--period", "day", "--limit", "ten"), 2, "ten"),
            ("agent", ("acme", "--instance", "bott", "--period", "day", "--remove"), 1, "“bot”"),
            ("percent", ("acme", "--period", "day", "--limit", "1", "--alert", "0"), 1, "1 to"),
        ):
            with self.subTest(name):
                status, message = refusal("set_budget", *arguments)
                self.assertEqual(status, code)
                self.assertIn(words, message)
        self.assertEqual(self.budgets(), [])
