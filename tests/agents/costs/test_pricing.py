"""Prices: reported first, then listed, and never zero for an unknown one."""

from copy import replace
from decimal import Decimal

from django.test import SimpleTestCase

from agents.costs.pricing import CostSource, Price, price, total
from agents.runtime.events import ModelCall
from salient.database.storable import MOST_DECIMAL

LISTED = ModelCall("openai", "gpt-4o-mini", input_tokens=1000, output_tokens=100)
REPORTED = replace(LISTED, reported_cost=Decimal("0.123456789"))
FREE = replace(LISTED, provider="local", model="smollm2-135m")
UNKNOWN = replace(LISTED, model="a-model-that-nobody-lists")


class PriceTests(SimpleTestCase):
    def test_listed_prices(self) -> None:
        self.assertEqual(
            price(LISTED),
            Price(
                Decimal("0.00015000"),
                Decimal("0.00006000"),
                Decimal("0.00021000"),
                CostSource.GENAI_PRICES,
            ),
        )

    def test_cached_tokens_cost_less(self) -> None:
        cached = price(replace(LISTED, cached_tokens=1000))
        self.assertEqual(cached.prompt_cost, Decimal("0.00007500"))

    def test_more_cached_than_input_tokens_are_ignored(self) -> None:
        odd = replace(LISTED, cached_tokens=5000)
        self.assertEqual(price(odd), price(replace(LISTED, cached_tokens=1000)))

    def test_the_reported_cost_comes_first(self) -> None:
        self.assertEqual(
            price(REPORTED), Price(None, None, Decimal("0.12345679"), CostSource.REPORTED)
        )

    def test_a_reported_zero_is_a_price(self) -> None:
        free = price(replace(UNKNOWN, reported_cost=Decimal(0)))
        self.assertEqual((free.total_cost, free.source), (Decimal(0), CostSource.REPORTED))

    def test_a_report_that_is_no_amount_is_none(self) -> None:
        for amount in ("NaN", "Infinity", "-1"):
            with self.subTest(amount):
                odd = replace(LISTED, reported_cost=Decimal(amount))
                self.assertEqual(price(odd), price(LISTED))

    def test_a_report_of_any_size_is_a_price(self) -> None:
        for amount, cost in (("1e40", MOST_DECIMAL), ("1e-40", Decimal(0))):
            with self.subTest(amount):
                self.assertEqual(
                    price(replace(LISTED, reported_cost=Decimal(amount))).total_cost, cost
                )

    def test_local_and_scripted_are_free(self) -> None:
        for provider in ("local", "scripted"):
            free = price(replace(LISTED, provider=provider))
            self.assertEqual((free.total_cost, free.source), (Decimal(0), CostSource.FREE))

    def test_an_unlisted_price_is_unknown(self) -> None:
        for call in (UNKNOWN, replace(LISTED, provider="mock"), replace(LISTED, provider="vllm")):
            self.assertEqual(price(call), Price(None, None, None, CostSource.UNKNOWN))

    def test_names_that_differ_from_the_lists(self) -> None:
        for provider, model in (
            ("xai", "grok-4"),
            ("anthropic", "claude-sonnet-4-5"),
            ("google", "gemini-2.5-flash"),
            ("mistral", "mistral-large-latest"),
        ):
            listed = price(replace(LISTED, provider=provider, model=model))
            self.assertEqual(listed.source, CostSource.GENAI_PRICES, provider)

    def test_a_refused_call_costs_nothing_whatever_its_model(self) -> None:
        refused = replace(UNKNOWN, input_tokens=0, output_tokens=0, error="provider_auth")
        self.assertEqual(price(refused).source, CostSource.FREE)


class TotalTests(SimpleTestCase):
    def test_a_sum(self) -> None:
        both = total([LISTED, LISTED])
        self.assertEqual(both.total_cost, Decimal("0.00042000"))
        self.assertEqual(both.source, CostSource.GENAI_PRICES)

    def test_different_sources_are_named_mixed(self) -> None:
        both = total([LISTED, REPORTED])
        self.assertEqual(both.total_cost, Decimal("0.12366679"))
        self.assertEqual((both.prompt_cost, both.source), (None, CostSource.MIXED))

    def test_free_calls_do_not_blur_the_source(self) -> None:
        self.assertEqual(total([FREE, LISTED]).source, CostSource.GENAI_PRICES)
        self.assertEqual(total([FREE, FREE]).source, CostSource.FREE)

    def test_one_unknown_part_makes_the_sum_unknown(self) -> None:
        self.assertEqual(
            total([LISTED, UNKNOWN, FREE]), Price(None, None, None, CostSource.UNKNOWN)
        )

    def test_no_call_costs_nothing(self) -> None:
        self.assertEqual(total([]).total_cost, Decimal(0))
