"""prices.yaml: the prices of models that an installation or an account sets."""

from __future__ import annotations

import os
import time
from copy import replace
from datetime import date
from decimal import Decimal
from io import StringIO
from pathlib import Path
from unittest import mock

from django.core.management import CommandError, call_command

from agents.config import ConfigError
from agents.config.loader import RECHECK_SECONDS
from agents.costs.estimate import billable_cost, cost_estimate, unpriced
from agents.costs.own_prices import NO_PRICES, forget_prices, own_prices, read_prices
from agents.costs.pricing import CostSource, price, total
from agents.runtime.events import ModelCall
from agents.runtime.providers.base import ChatMessage
from agents.runtime.run import RunRequest
from tests.support.commands import run
from tests.support.config_files import ConfigFiles

CALL = ModelCall("mock", "m", input_tokens=1_000_000, output_tokens=100_000, cached_tokens=250_000)
WHOLE = """\
prices:
  - model: mock:m
    input: 4
    cached_input: 0.4
    output: 20.5
    request: 0.01
"""


def entry(model: str, dollars: float, **more: object) -> str:
    lines = [f"  - model: {model}", f"    input: {dollars}", f"    output: {dollars}"]
    return "\n".join([*lines, *(f"    {key}: {value}" for key, value in more.items()), ""])


class OwnPricesCase(ConfigFiles):
    def setUp(self) -> None:
        super().setUp()
        self.enterContext(self.settings(AGENT_CONFIG_DIR=self.base))
        forget_prices()
        self.addCleanup(forget_prices)

    def prices(self, text: str, account: str = "") -> Path:
        """Write a file whose last change is long ago."""
        path = self.write(f"{account}/prices.yaml".removeprefix("/"), text)
        os.utime(path, (time.time() - 60, time.time() - 60))
        return path

    def input_price(self, model: str, day: date = date(2026, 6, 1)) -> Decimal | None:
        found = own_prices("acme").of(model, day)
        return found.input if found else None


class PriceTests(OwnPricesCase):
    def test_each_kind_of_token_and_each_call_has_its_price(self) -> None:
        self.prices(WHOLE)
        found = price(CALL, own_prices("acme"))

        self.assertEqual(found.prompt_cost, Decimal("3.11"))
        self.assertEqual(found.completion_cost, Decimal("2.05"))
        self.assertEqual(found.total_cost, Decimal("5.16"))
        self.assertEqual(found.source, CostSource.CONFIGURED)
        self.assertEqual(total([CALL, CALL], own_prices("acme")).total_cost, Decimal("10.32"))
        self.assertEqual(billable_cost([CALL], own_prices("acme")), Decimal("5.16"))

    def test_cached_tokens_without_a_price_of_their_own_cost_as_all(self) -> None:
        self.prices(f"prices:\n{entry('mock:m', 4)}")
        self.assertEqual(price(CALL, own_prices("acme")).prompt_cost, 4)
        odd = replace(CALL, cached_tokens=10**9)
        self.assertEqual(price(odd, own_prices("acme")).prompt_cost, 4)

    def test_account_before_installation_before_the_public_lists(self) -> None:
        listed = ModelCall("openai", "gpt-4o-mini", 1_000_000, 0)
        self.assertEqual(price(listed, own_prices("acme")).source, CostSource.GENAI_PRICES)

        self.prices(f"prices:\n{entry('openai:*', 2)}")
        forget_prices()
        self.assertEqual(price(listed, own_prices("acme")).total_cost, 2)

        self.prices(f"prices:\n{entry('openai:gpt-*', 3)}", "acme")
        forget_prices()
        self.assertEqual(price(listed, own_prices("acme")).total_cost, 3)
        self.assertEqual(price(listed, own_prices("beta")).total_cost, 2)

    def test_the_reported_cost_comes_first_and_a_refusal_costs_nothing(self) -> None:
        self.prices(WHOLE)
        reported = replace(CALL, reported_cost=Decimal("0.5"))
        refused = ModelCall("mock", "m", 0, 0, error="provider_auth")

        self.assertEqual(price(reported, own_prices("acme")).source, CostSource.REPORTED)
        self.assertEqual(price(refused, own_prices("acme")).total_cost, 0)

    def test_the_newest_day_that_has_come_counts(self) -> None:
        dated = [("2026-01-01", 2), ("2026-07-01", 3), ("2025-01-01", 1)]
        rows = "".join(entry("mock:m", cost, **{"from": day}) for day, cost in dated)
        self.prices(f"prices:\n{rows}")

        for day, cost in (
            (date(2024, 12, 31), None),
            (date(2025, 1, 1), 1),
            (date(2026, 6, 30), 2),
            (date(2026, 7, 1), 3),
        ):
            with self.subTest(day):
                self.assertEqual(self.input_price("mock:m", day), cost)

    def test_a_whole_name_comes_before_patterns_and_a_longer_one_before_a_shorter(self) -> None:
        rows = entry("mock:*", 1) + entry("mock:big-*", 2) + entry("mock:big-m", 3)
        later = entry("mock:big-new", 9, **{"from": "2027-01-01"})
        self.prices(f"prices:\n{rows}{later}")

        for model, cost in (
            ("mock:m", 1),
            ("mock:big-x", 2),
            ("mock:big-m", 3),
            ("mock:big-new", 2),
            ("mocking:m", None),
        ):
            with self.subTest(model):
                self.assertEqual(self.input_price(model), cost)

    def test_a_day_begins_at_midnight_utc(self) -> None:
        rows = entry("mock:m", 1) + entry("mock:m", 2, **{"from": "2026-07-01"})
        self.prices(f"prices:\n{rows}")
        call = ModelCall("mock", "m", 1_000_000, 0)
        midnight = 1_782_864_000
        for moment, cost in ((midnight - 1, 1), (midnight, 2)):
            with mock.patch("agents.costs.pricing.time.time", return_value=moment):
                self.assertEqual(price(call, own_prices("acme")).total_cost, cost)


class ReservationTests(OwnPricesCase):
    request = RunRequest(("mock:m",), "Be brief.", (ChatMessage("user", "Hello"),), max_tokens=100)

    def test_an_own_price_is_reserved(self) -> None:
        assumed = cost_estimate(self.request).of(self.request.messages)
        self.assertEqual(unpriced(self.request), ["mock:m"])
        self.prices(f"prices:\n{entry('mock:m', 0.1)}")
        own = own_prices("acme")

        self.assertEqual(unpriced(self.request, own), [])
        self.assertLess(cost_estimate(self.request, own).of(self.request.messages), assumed / 50)

    def test_the_price_of_a_call_is_reserved_for_each_round(self) -> None:
        self.prices(f"prices:\n{entry('mock:m', 0, request=0.25)}")
        own = own_prices("acme")
        with_tools = replace(self.request, tools=("current_time",), max_tool_rounds=3)

        self.assertEqual(cost_estimate(self.request, own).cost, Decimal("0.25"))
        # Each call has its fee: three rounds of tools and the answer.
        self.assertEqual(cost_estimate(with_tools, own).cost, 4 * Decimal("0.25"))

    def test_of_a_model_without_a_price_one_call_is_reserved(self) -> None:
        with_tools = replace(self.request, tools=("current_time",))
        known = replace(with_tools, models=("openai:gpt-4o-mini",))

        once = replace(with_tools, max_tool_rounds=0)
        self.assertEqual(cost_estimate(with_tools), cost_estimate(once))
        self.assertGreater(
            cost_estimate(known).cost, cost_estimate(replace(known, tools=())).cost * 5
        )


class ReloadTests(OwnPricesCase):
    def later(self) -> Decimal | None:
        with mock.patch("agents.costs.own_prices.time.monotonic", return_value=self.now):
            return self.input_price("mock:m")

    def setUp(self) -> None:
        super().setUp()
        self.now = 0.0
        self.prices(f"prices:\n{entry('mock:m', 1)}")

    def test_a_change_counts_without_a_restart_and_so_does_a_file_that_is_gone(self) -> None:
        self.assertEqual(self.later(), 1)
        path = self.prices(f"prices:\n{entry('mock:m', 22)}")
        self.now += RECHECK_SECONDS
        self.assertEqual(self.later(), 22)
        path.unlink()
        for _ in range(2):
            self.now += RECHECK_SECONDS
            self.later()
        self.assertIsNone(self.later())

    def test_while_a_file_is_broken_the_last_good_prices_count(self) -> None:
        self.assertEqual(self.later(), 1)
        self.prices("prices: [")
        self.now += RECHECK_SECONDS
        with self.assertLogs("agents.config", "ERROR") as logged:
            self.assertEqual(self.later(), 1)
        self.assertIn("prices.yaml keeps its last good prices", logged.output[0])

    def test_with_an_accounts_broken_file_the_installations_prices_apply(self) -> None:
        self.prices("prices: 7", "acme")
        with self.assertLogs("agents.config", "ERROR"):
            self.assertEqual(self.later(), 1)

    def test_an_unchanged_file_is_one_table(self) -> None:
        self.assertIs(own_prices("acme"), own_prices("acme"))
        self.assertIsNot(own_prices("acme"), NO_PRICES)


class FileTests(OwnPricesCase):
    def problems(self, text: str) -> list[str]:  # type: ignore[override]
        self.prices(text)
        with self.assertRaises(ConfigError) as caught:
            read_prices(self.base, "prices.yaml")
        return [str(problem) for problem in caught.exception.problems]

    def test_each_fault_is_named_with_its_line(self) -> None:
        whole = "prices:\n  - model: mock:m\n    input: 1\n    output: 2\n"
        for text, message in (
            ("price: []", 'prices.yaml:1: price: unknown key; did you mean "prices"?'),
            (f"{whole}    outptu: 1", "prices.yaml:5: prices[0].outptu: unknown key; did you mean"),
            (f"{whole}    form: 2026-01-01", 'did you mean "prices[0].from"?'),
            ("prices:\n  - model: mock:m\n    input: 1", "prices[0].output: must be given"),
            (whole.replace("mock:m", "m"), 'prices.yaml:2: prices[0].model: must be written "pro'),
            (whole.replace("mock:m", '"mo*:m"'), "prices[0].model: must be written"),
            (whole.replace("mock:m", '"mock:m "'), "prices[0].model: must have no space at its"),
            (whole.replace("mock:m", '"mock:m\\0"'), "prices[0].model: holds the invisible"),
            (whole.replace("mock:m", "mock:m\u200b"), "prices[0].model: holds the invisible"),
            (whole.replace("input: 1", "input: -1"), "prices.yaml:3: prices[0].input: must be a"),
            (whole.replace("input: 1", "input: .nan"), "prices[0].input: must be a number of US"),
            (whole.replace("input: 1", "input: 1e999999"), "prices[0].input: must be a number"),
            (whole.replace("input: 1", 'input: "1"'), "prices[0].input: must be a number of US"),
            (whole.replace("input: 1", "input: yes"), "prices[0].input: must be a number of US"),
            (whole.replace("input: 1", "input: true"), "prices[0].input: must be a number of US"),
            (f"{whole}    from: 2026", "prices.yaml:5: prices[0].from: must be a day, written"),
            (f"{whole}    from: 2026-02-30", "prices[0].from: must be a day, written"),
            (whole + whole.removeprefix("prices:\n"), "prices: prices mock:m twice from the same"),
            ("prices: 7", "prices.yaml:1: prices: "),
            ("", "prices.yaml: is empty"),
            ("prices: [", "prices.yaml:1: YAML:"),
        ):
            with self.subTest(message):
                self.assertIn(message, "\n".join(self.problems(text)))

    def test_config_check_validates_the_prices_too(self) -> None:
        self.prices(WHOLE)
        self.prices("prices:\n  - model: mock:m\n", "acme")
        out = StringIO()
        with self.assertRaises(CommandError):
            call_command("config", "check", stdout=out, no_color=True)

        self.assertIn("ok       prices.yaml", out.getvalue())
        self.assertIn("error    acme/prices.yaml", out.getvalue())
        self.assertIn("acme/prices.yaml:2: prices[0].input: must be given", out.getvalue())

    def test_of_one_agent_the_prices_that_count_for_it_are_validated(self) -> None:
        for name, text in (("config.yaml", "model: mock:m\n"), ("system_prompt.md", "Hi.\n")):
            self.base.joinpath("acme", "bot").mkdir(parents=True, exist_ok=True)
            self.base.joinpath("acme", "bot", name).write_text(text)
        self.prices("prices:\n  - model: mock:m\n", "acme")
        self.prices("prices:\n  - model: mock:m\n", "other")
        out = StringIO()
        with self.assertRaises(CommandError):
            call_command("config", "check", "acme/bot", stdout=out, no_color=True)

        self.assertIn("error    acme/prices.yaml", out.getvalue())
        self.assertNotIn("other/", out.getvalue())

    def test_a_name_that_is_never_read_is_pointed_out(self) -> None:
        self.prices(WHOLE).rename(self.base / "price.yaml")
        self.assertIn("price.yaml: is not read; did you mean", run("config", "check"))
