"""The shapes of servers' usage, and the tokens and costs that are read from them."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec
from django.test import SimpleTestCase

from agents.runtime.errors import RunError
from agents.runtime.events import ModelCall
from agents.runtime.providers.base import Usage
from agents.runtime.providers.openai.usage import UsageReading
from tests.agents.runtime.runs import events_of, run
from tests.support.servers.mock_openai import MockOpenAI, Reply, delta, stream, usage

CACHED = {"cached_tokens": 8}
# A number that no decoder reads as one.
LONG = msgspec.Raw(b"9" * 5000)


def read(*chunks: object, header: str | None = None) -> Usage:
    reading = UsageReading()
    for chunk in chunks:
        reading.add(msgspec.Raw(msgspec.json.encode(chunk)))
    return reading.result(header) or Usage()


def counts(*chunks: object) -> tuple[int | None, int | None, int]:
    found = read(*chunks)
    return found.input_tokens, found.output_tokens, found.cached_tokens


class CountTests(SimpleTestCase):
    def test_one_odd_field_loses_no_other(self) -> None:
        odds: tuple[dict[str, Any], ...] = (
            {"prompt_tokens_details": []},
            {"prompt_tokens_details": None},
            {"prompt_tokens_details": {"cached_tokens": "many"}},
            {"prompt_tokens_details": {"cached_tokens": {}}},
            {"completion_tokens_details": "none"},
            {"total_tokens": 1e18},
            {"total_tokens": LONG},
            {"total_tokens": "120 tokens"},
            {"total_tokens": True},
            {"cost": ""},
            {"cost": "free"},
            {"cost": []},
            {"cost_details": 3, "is_byok": []},
            {"cost_in_usd_ticks": {}},
            {"cached_tokens": -8},
        )
        for odd in odds:
            with self.subTest(odd=odd):
                self.assertEqual(counts({**usage(100, 20), **odd}), (100, 20, 0))

    def test_a_number_beyond_all_numbers_loses_no_other(self) -> None:
        reading = UsageReading()
        for number in (b"1e999999", b"1e99999999999999999999999", b"9" * 5000):
            with self.subTest(number=number[:30]):
                body = b'{"prompt_tokens":100,"completion_tokens":20,"cost":%s}' % number
                reading.add(msgspec.Raw(body))
                self.assertEqual(reading.result(), Usage(100, 20))

    def test_counts_in_every_spelling(self) -> None:
        for counted in (
            {"prompt_tokens": 100.0, "completion_tokens": 20.0, "total_tokens": 120.0},
            {"prompt_tokens": "100", "completion_tokens": " 20 ", "total_tokens": "120"},
            {"input_tokens": 100, "output_tokens": 20},
            {"inputTokens": 100, "outputTokens": 20, "totalTokens": 120},
            {"promptTokenCount": 100, "candidatesTokenCount": 20, "totalTokenCount": 120},
        ):
            with self.subTest(counted=counted):
                self.assertEqual(counts(counted), (100, 20, 0))

    def test_the_most_of_each_field_is_counted_wherever_it_came(self) -> None:
        cases: tuple[tuple[object, ...], ...] = (
            (usage(100, 20), usage(0, 0)),
            (usage(0, 0), usage(0, 0), usage(100, 20)),
            (usage(100, 0), {"prompt_tokens": 0, "completion_tokens": 20, "total_tokens": 20}),
            (usage(100, 1), usage(100, 11), usage(100, 20)),
            (usage(100, 20), None, {}, []),
        )
        for chunks in cases:
            with self.subTest(chunks=chunks):
                self.assertEqual(counts(*chunks), (100, 20, 0))

    def test_a_count_with_every_chunk_is_read_at_its_end(self) -> None:
        growing = [usage(100, number, cost=number) for number in range(200)]
        endings: tuple[list[object], ...] = ([], [usage(0, 0)], [None], [{}])
        for last in endings:
            with self.subTest(last=last):
                found = read(*growing, *last)
                self.assertEqual((found.input_tokens, found.output_tokens), (100, 199))
                self.assertEqual(found.reported_cost, 199)
        self.assertEqual(counts(usage(0, 0), *[usage(5, 0)] * 99, usage(100, 20)), (100, 20, 0))

    def test_what_is_no_count_is_none(self) -> None:
        prompts: tuple[object, ...] = (None, "many", -1, 0, 1e12, True, [], {})
        for prompt in prompts:
            with self.subTest(prompt=prompt):
                found = read({"prompt_tokens": prompt, "completion_tokens": 20, "total_tokens": 20})
                self.assertEqual((found.input_tokens, found.output_tokens), (None, 20))

    def test_cached_tokens_inside_the_prompt(self) -> None:
        for details in (
            {"prompt_tokens_details": CACHED},
            {"input_tokens_details": CACHED},
            {"prompt_cache_hit_tokens": 8, "prompt_cache_miss_tokens": 2},
            {"cached_tokens": 8},
            # LiteLLM says it twice, and its prompt holds both.
            {"prompt_tokens_details": CACHED, "cache_read_input_tokens": 8},
            {"cache_read_input_tokens": 8, "cache_creation_input_tokens": 2},
        ):
            with self.subTest(details=details):
                self.assertEqual(counts(usage(10, 5, **details)), (10, 5, 8))

    def test_cached_tokens_beside_the_prompt_are_never_output(self) -> None:
        few = {"prompt_tokens": 10, "completion_tokens": 20}
        many = {"prompt_tokens": 6000, "completion_tokens": 20}
        cached = {"prompt_tokens_details": {"cached_tokens": 5000}}
        beside = {"cache_read_input_tokens": 5000, "cache_creation_input_tokens": 0}
        for counted, input_tokens in (
            ({**few, **cached, "total_tokens": 5030}, 5010),
            ({**few, **cached, "total_tokens": 30}, 5010),
            ({**few, **cached}, 5010),
            ({**few, **beside, "total_tokens": 30}, 5010),
            ({**few, **beside, "cache_creation_input_tokens": 300, "total_tokens": 5330}, 5310),
            ({**many, **cached, "total_tokens": 11020}, 11000),
            ({"input_tokens": 10, "output_tokens": 20, **beside}, 5010),
            ({"input_tokens": 6000, "output_tokens": 20, **beside}, 11000),
            ({"prompt_tokens": 0, "completion_tokens": 20, **beside}, 5000),
        ):
            with self.subTest(counted=counted):
                self.assertEqual(counts(counted), (input_tokens, 20, 5000))

    def test_thinking_is_output_where_only_the_total_holds_it(self) -> None:
        thought = {"completion_tokens_details": {"reasoning_tokens": 200}}
        few = {"prompt_tokens": 100, "completion_tokens": 20}
        for counted, output in (
            ({**few, "total_tokens": 320}, 220),
            ({**few, "total_tokens": 320, **thought}, 220),
            ({**few, "total_tokens": 320, **thought, "cached_tokens": 64}, 220),
            ({"prompt_tokens": 100, "completion_tokens": 220, "total_tokens": 320}, 220),
            # OpenAI's completion includes its reasoning.
            ({**few, **thought}, 20),
        ):
            with self.subTest(counted=counted):
                found = read(counted)
                self.assertEqual((found.input_tokens, found.output_tokens), (100, output))


class CostTests(SimpleTestCase):
    def cost(self, **more: object) -> Decimal | None:
        return read(usage(10, 5, **more)).reported_cost

    def test_reported_cost_in_every_spelling(self) -> None:
        for details, cost in (
            ({"cost": 0.00012345}, "0.00012345"),
            ({"cost": "0.0012"}, "0.0012"),
            ({"cost": {"total_cost": 0.006}}, "0.006"),
            ({"cost": {"currency": "USD", "total": 0.0012}}, "0.0012"),
            ({"cost": {"currency": "CNY", "total": 0.0012}}, None),
            ({"cost": "", "estimated_cost": 0.5}, "0.5"),
            ({"cost_in_usd_ticks": 25_000_000}, "0.0025"),
            ({"cost": 0}, "0"),
            ({"cost": -1}, None),
            ({"cost": 1e9}, None),
            ({"cost": True}, None),
        ):
            with self.subTest(details=details):
                self.assertEqual(self.cost(**details), None if cost is None else Decimal(cost))

    def test_a_customers_own_key_adds_the_upstream_cost_once(self) -> None:
        upstream = {"upstream_inference_cost": 0.02}
        parts = {
            "upstream_inference_cost": None,
            "upstream_inference_prompt_cost": 0.005,
            "upstream_inference_completions_cost": 0.015,
        }
        for details, cost in (
            ({"cost": 0.001, "is_byok": True, "cost_details": upstream}, "0.021"),
            ({"cost": "0.001", "is_byok": "true", "cost_details": upstream}, "0.021"),
            ({"cost": None, "is_byok": True, "cost_details": upstream}, "0.02"),
            ({"cost": 0, "is_byok": True, "cost_details": parts}, "0.02"),
            # The fee alone is not what the account pays.
            ({"cost": 0.001, "is_byok": True, "cost_details": {}}, None),
            ({"cost": 0.001, "is_byok": True}, None),
            ({"cost": 0.02, "is_byok": False, "cost_details": upstream}, "0.02"),
            ({"cost": 0.02, "cost_details": upstream}, "0.02"),
            ({"cost": 0.02, "is_byok": None, "cost_details": parts}, "0.02"),
        ):
            with self.subTest(details=details):
                self.assertEqual(self.cost(**details), None if cost is None else Decimal(cost))

    def test_cost_in_a_header(self) -> None:
        self.assertEqual(read(usage(10, 5), header="0.25").reported_cost, Decimal("0.25"))
        self.assertEqual(read(header="0.25").reported_cost, Decimal("0.25"))
        self.assertEqual(read(usage(10, 5, cost=0.5), header="0.25").reported_cost, Decimal("0.5"))
        for unknown in ("0.0", "None", "-1", "", None):
            with self.subTest(unknown=unknown):
                self.assertIsNone(read(usage(10, 5), header=unknown).reported_cost)


class UsageOfACallTests(SimpleTestCase):
    async def call(self, *replies: Reply, **more: Any) -> ModelCall:
        async with MockOpenAI() as server:
            server.replies.extend(replies)
            subject = run(server.model, **{"retries": 0, **more})
            await events_of(subject)
        return subject.calls[0]

    async def counted(self, counted: Mapping[str, Any] | None, **more: Any) -> ModelCall:
        return await self.call(Reply("one two", usage=counted), **more)

    async def test_counts_are_no_estimate(self) -> None:
        for as_stream in (True, False):
            call = await self.counted(usage(10, 5, prompt_tokens_details=CACHED), stream=as_stream)
            self.assertEqual((call.input_tokens, call.output_tokens), (10, 5))
            self.assertEqual((call.cached_tokens, call.estimated), (8, False))

    async def test_zeros_beside_a_text_are_estimated_and_flagged(self) -> None:
        for as_stream in (True, False):
            for counted, expected in (
                (usage(0, 0), (5, 2)),
                (usage(0, 0, cost=0), (5, 2)),
                (usage(0, 20), (5, 20)),
                (usage(10, 0), (10, 2)),
                ({"prompt_tokens": -1, "completion_tokens": 20, "total_tokens": 19}, (5, 20)),
            ):
                with self.subTest(counted=counted, stream=as_stream):
                    call = await self.counted(counted, stream=as_stream)
                    self.assertEqual((call.input_tokens, call.output_tokens), expected)
                    self.assertTrue(call.estimated)
                    self.assertIsNone(call.reported_cost)

    async def test_a_free_answer_that_was_counted_is_free(self) -> None:
        call = await self.counted(usage(10, 5, cost=0))
        self.assertEqual((call.reported_cost, call.estimated), (Decimal(0), False))

    async def test_what_is_not_reported_is_estimated(self) -> None:
        for counted in (None, {}, {"prompt_tokens": None}, {"prompt_tokens": "many"}):
            with self.subTest(counted=counted):
                call = await self.counted(counted)
                self.assertTrue(call.estimated)
                self.assertEqual((call.input_tokens, call.output_tokens), (5, 2))

    async def test_what_was_counted_of_an_answer_that_fails_is_kept(self) -> None:
        counted = {"usage": usage(100, 20, cost=0.25)}
        failure = {"error": {"message": "x", "code": 500}}
        for events in ([{**delta("Hi"), **counted}, failure], [{**delta("Hi"), **counted}]):
            async with MockOpenAI() as server:
                server.replies.append(stream(*events))
                subject = run(server.model, retries=0)
                with self.assertRaises(RunError):
                    await events_of(subject)
            (call,) = subject.calls
            self.assertEqual((call.input_tokens, call.output_tokens), (100, 20))
            self.assertEqual((call.reported_cost, call.estimated), (Decimal("0.25"), True))

    async def test_what_came_after_the_last_count_is_counted_too(self) -> None:
        async with MockOpenAI() as server:
            server.replies.append(stream({**delta("Hi"), "usage": usage(100, 1)}, delta("x" * 400)))
            subject = run(server.model, retries=0)
            with self.assertRaises(RunError):
                await events_of(subject)
        self.assertEqual(
            (subject.calls[0].input_tokens, subject.calls[0].output_tokens), (100, 101)
        )

    async def test_cached_tokens_are_never_more_than_the_input(self) -> None:
        call = await self.counted({"prompt_tokens": None, "completion_tokens": 5, **CACHED})
        self.assertEqual((call.input_tokens, call.cached_tokens), (5, 5))

    async def test_usage_in_the_choice_and_a_cost_in_the_header(self) -> None:
        last = delta("", "stop")
        last["choices"][0]["usage"] = usage(100, 20)
        reply = stream(delta("Hi"), last, b"data: [DONE]\n\n")
        reply.headers = {"x-litellm-response-cost": "0.25"}
        call = await self.call(reply)
        self.assertEqual((call.input_tokens, call.output_tokens, call.estimated), (100, 20, False))
        self.assertEqual(call.reported_cost, Decimal("0.25"))
