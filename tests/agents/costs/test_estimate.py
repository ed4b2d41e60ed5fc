"""A run's cost estimate is above its cost, and an unknown price is assumed."""

from __future__ import annotations

from copy import replace
from decimal import Decimal

from django.test import SimpleTestCase, override_settings
from hypothesis import given
from hypothesis import strategies as st

from agents.costs import pricing
from agents.costs.estimate import BYTES_A_TOKEN, assumed, billable_cost
from agents.costs.estimate import cost_estimate as estimate_of
from agents.runtime.events import ModelCall
from agents.runtime.providers.base import ChatMessage, ToolSpec, estimate_tokens
from agents.runtime.run import RunRequest
from salient.database.storable import MOST_DECIMAL

MINI, LARGE = "openai:gpt-4o-mini", "openai:gpt-4o"


def request(*models: str, message: str = "Hello", **more: object) -> RunRequest:
    wanted = RunRequest(models or (MINI,), "Be brief.", (ChatMessage("user", message),))
    return replace(wanted, **{"max_tokens": 100} | more)  # type: ignore[arg-type]


def cost_estimate(wanted: RunRequest) -> Decimal:
    return estimate_of(wanted).of(wanted.messages)


def input_tokens(wanted: RunRequest) -> int:
    """Return a number of tokens that the model's input does not reach."""
    texts = [wanted.system_prompt, *(message.content for message in wanted.messages)]
    return sum(len(text.encode()) for text in texts) // BYTES_A_TOKEN


class CostEstimateTests(SimpleTestCase):
    def test_a_price_that_rises_with_the_length_is_covered_at_every_length(self) -> None:
        for size in (0, 10_000, 390_000, 410_000, 1_000_000):
            wanted = request("google:gemini-2.5-pro", message="x" * size)
            worst = ModelCall("google", "gemini-2.5-pro", input_tokens(wanted), 100)
            cost = pricing.price(worst).total_cost
            assert cost is not None
            with self.subTest(size=size):
                self.assertGreaterEqual(cost_estimate(wanted), cost)

    def test_it_covers_the_most_expensive_call_that_may_be_made(self) -> None:
        wanted = request()
        worst = ModelCall("openai", "gpt-4o-mini", input_tokens(wanted), 100)
        cost = pricing.price(worst).total_cost
        assert cost is not None

        self.assertGreaterEqual(cost_estimate(wanted), cost)
        self.assertLess(cost_estimate(wanted), cost * 3)

    def test_the_most_expensive_of_the_models_decides(self) -> None:
        self.assertEqual(cost_estimate(request(MINI, LARGE)), cost_estimate(request(LARGE)))
        self.assertEqual(
            cost_estimate(request("scripted:echo", MINI)), cost_estimate(request(MINI))
        )

    def test_a_free_model_reserves_nothing(self) -> None:
        self.assertEqual(cost_estimate(request("scripted:echo", "local:smollm2-135m")), 0)

    def test_rounds_are_reserved_for_tools_of_the_caller_too(self) -> None:
        """A wrong call of one is answered here, and the model called again."""
        theirs = (ToolSpec("look_up", "Looks it up.", {"type": "object"}, is_client=True),)
        once = cost_estimate(request(client_tools=theirs, max_tool_rounds=0))
        self.assertEqual(once, cost_estimate(request()))
        self.assertGreater(cost_estimate(request(client_tools=theirs)), 6 * once)

    def test_more_to_write_to_read_or_to_do_costs_more(self) -> None:
        least = cost_estimate(request())
        tools = ("current_time",)
        for name, more in {
            "output": request(max_tokens=1000),
            "input": request(message="x" * 4000),
            "tools": request(tools=tools),
        }.items():
            with self.subTest(name):
                self.assertGreater(cost_estimate(more), least)
        once, often = request(tools=tools, max_tool_rounds=1), request(tools=tools)
        self.assertGreater(cost_estimate(often), cost_estimate(once))
        self.assertEqual(
            cost_estimate(request(tools=tools, max_tool_rounds=20)), cost_estimate(often)
        )

    def test_without_tools_there_is_one_call(self) -> None:
        self.assertEqual(
            cost_estimate(request(max_tool_rounds=20)), cost_estimate(request(max_tool_rounds=0))
        )

    def test_an_unbounded_answer_is_bounded_by_what_is_sent(self) -> None:
        self.assertEqual(
            cost_estimate(request(max_tokens=None)), cost_estimate(request(max_tokens=4096))
        )

    @override_settings(UNKNOWN_PRICE_PER_MTOK=Decimal(20))
    def test_an_unknown_price_is_assumed(self) -> None:
        for model in ("mock:new", "vllm:mine", "openrouter:who/knows"):
            with self.subTest(model):
                self.assertGreaterEqual(cost_estimate(request(model)), assumed(100))
        self.assertEqual(assumed(1_000_000), 20)

    def test_the_largest_fits_into_its_column(self) -> None:
        with override_settings(UNKNOWN_PRICE_PER_MTOK=Decimal(1_000_000)):
            for model in ("mock:new", "scripted:echo"):
                self.assertLessEqual(cost_estimate(request(model, max_tokens=10**15)), MOST_DECIMAL)

    @given(st.text(max_size=200))
    def test_the_estimate_is_never_below_the_billable_cost(self, text: str) -> None:
        tokens = estimate_tokens("Be brief." + text)
        counted = ModelCall("openai", "gpt-4o-mini", tokens, 100)

        cost = pricing.price(counted).total_cost
        assert cost is not None
        self.assertGreaterEqual(cost_estimate(request(message=text)), cost)


class BillableCostTests(SimpleTestCase):
    def test_known_costs_count_and_unknown_ones_are_assumed(self) -> None:
        known = ModelCall("mock", "m", 10, 10, reported_cost=Decimal("0.5"))
        unknown = ModelCall("mock", "m", 600_000, 400_000)

        self.assertEqual(billable_cost([]), 0)
        self.assertEqual(billable_cost([known, known]), 1)
        self.assertEqual(billable_cost([known, unknown]), Decimal("10.5"))

    def test_a_refusal_of_the_provider_costs_nothing(self) -> None:
        self.assertEqual(billable_cost([ModelCall("mock", "m", 0, 0, error="provider_auth")]), 0)
