"""Models' tool calls: which run, what goes back to the provider, and the errors for the model."""

import json
import re

from django.test import SimpleTestCase
from hypothesis import example, given
from hypothesis import strategies as st

from agents.runtime.errors import ProviderProtocol
from agents.runtime.events import TextDelta, ToolCall, ToolResult
from agents.runtime.providers.base import Finished
from agents.runtime.tools.prepare import UnreadableArguments, prepared, read_arguments
from tests.agents.runtime.fakes import FakeProvider, Steps, providers
from tests.agents.runtime.runs import events_of, run

PARIS = '{"timezone": "Europe/Paris"}'
NOTHING = (
    "",
    " ",
    "\n",
    "null",
    "[]",
    "{}",
    " { } ",
    '""',
    '"null"',
    '"{}"',
    "```json\n{}\n```",
    "\ufeff{}",
)
MEANT = (
    PARIS,
    f"  {PARIS}\n\n",
    json.dumps(PARIS),
    json.dumps(json.dumps(PARIS)),
    f"```json\n{PARIS}\n```",
    f"```{PARIS}```",
    json.dumps(f"```JSON\n{PARIS}\n```"),
)
UNREADABLE = (
    "{}{}",
    f"{PARIS} {PARIS}",
    f"{PARIS}.",
    '{"timezone": "Eur',
    "{",
    "5",
    "true",
    '[{"timezone": "UTC"}]',
    "Europe/Paris",
    '"Europe/Paris"',
    json.dumps(json.dumps(json.dumps(json.dumps("{}")))),
    '{"timezone": NaN}',
    '{"timezone": -Infinity}',
    '{"n": 1e999}',
    f'{{"n": {"9" * 5_000}}}',
    '{"timezone": "UTC", "timezone": "Asia/Tokyo"}',
    '{"timezone": "\\ud800"}',
    '{"timezone": "\ud800"}',
    '{"a":' * 100 + "1" + "}" * 100,
    "[" * 200_000,
    '{"a":' * 200_000,
    "```python\n{}\n```",
)


class ArgumentTests(SimpleTestCase):
    def test_nothing_is_an_object_without_members(self) -> None:
        for text in NOTHING:
            self.assertEqual(read_arguments(text), "{}", repr(text))

    def test_what_is_certain_is_read(self) -> None:
        for text in MEANT:
            self.assertEqual(read_arguments(text), PARIS, repr(text))

    def test_an_uncertain_call_is_reported_and_not_run(self) -> None:
        for text in UNREADABLE:
            with self.subTest(text=text[:40]), self.assertRaises(UnreadableArguments):
                read_arguments(text)

    @given(st.one_of(st.text(), st.from_type(object).map(repr), st.text().map(json.dumps)))
    @example("```")
    @example("`````")
    def test_what_goes_back_is_always_an_object(self, text: str) -> None:
        (call,) = prepared([ToolCall("x", "f", text)], before=0, finish_reason="tool_calls")
        self.assertIsInstance(json.loads(call.arguments), dict)
        self.assertTrue(call.problem == "" or call.arguments == "{}")

    @given(st.dictionaries(st.text(), st.one_of(st.integers(), st.text(), st.none())))
    def test_an_object_goes_back_as_it_came(self, members: dict[str, object]) -> None:
        text = json.dumps(members)
        self.assertEqual(json.loads(read_arguments(text)), members)

    def test_a_call_that_was_cut_is_not_run_without_arguments(self) -> None:
        for reason in ("length", "content_filter"):
            for text in ("", "null", "{}", '{"timezone": "Eur'):
                (call,) = prepared([ToolCall("x", "f", text)], before=0, finish_reason=reason)
                self.assertTrue(call.problem, (reason, text))
            (call,) = prepared([ToolCall("x", "f", PARIS)], before=0, finish_reason=reason)
            self.assertEqual((call.problem, call.arguments), ("", PARIS))

    def test_an_invalid_name_is_reported(self) -> None:
        for name in ("", " ", "current time", "f\x00", "näme", "x" * 65):
            (call,) = prepared([ToolCall("x", name, "{}")], before=0, finish_reason="")
            self.assertTrue(call.problem)
            self.assertRegex(call.name, r"\A[a-zA-Z0-9_-]{1,64}\Z")


class TurnTests(SimpleTestCase):
    """Calls within a turn, from a provider that sends them in any form."""

    async def results(self, *steps: ToolCall, reason: str = "tool_calls") -> list[ToolResult]:
        fake = FakeProvider([*steps, Finished(reason)])
        with providers({"a": fake}):
            events = await events_of(run("a:m", tools=("current_time",)))
        for call in fake.requests[1].rounds[0].calls:
            self.assertIsInstance(json.loads(call.arguments), dict)
        return [event for event in events if isinstance(event, ToolResult)]

    async def test_a_tool_never_runs_with_arguments_that_nobody_sent(self) -> None:
        calls = [ToolCall("", "current_time", text) for text in UNREADABLE[:7]]
        for result in await self.results(*calls, ToolCall("", "", "{}")):
            self.assertTrue(result.is_error, result)
        (cut,) = await self.results(ToolCall("", "current_time", ""), reason="max_tokens")
        self.assertIn("cut off", cut.content)

    async def test_a_tool_runs_with_what_was_meant(self) -> None:
        for result in await self.results(*(ToolCall("", "current_time", t) for t in MEANT)):
            self.assertFalse(result.is_error, result)

    async def test_ids_are_our_own_and_unique_in_the_turn_and_stable_over_a_fallback(self) -> None:
        ask: Steps = [
            ToolCall("call_0fypS1hVX93Kk", "current_time", "{}"),
            ToolCall("call_0fypS1hVX93Kk", "current_time", "{}"),
            Finished("tool_calls"),
        ]
        first = FakeProvider(list(ask), list(ask), [ProviderProtocol()])
        second = FakeProvider()
        with providers({"a": first, "b": second}):
            events = await events_of(run("a:m", "b:m", tools=("current_time",)))
        sent = [call.id for each in second.requests[0].rounds for call in each.calls]
        self.assertEqual(len(set(sent)), 4)
        self.assertTrue(all(re.fullmatch(r"[a-zA-Z0-9]{9}", call_id) for call_id in sent), sent)
        self.assertEqual(
            sent, [call.id for each in first.requests[2].rounds for call in each.calls]
        )
        self.assertEqual(sent, [event.id for event in events if isinstance(event, ToolCall)])
        for each in second.requests[0].rounds:
            self.assertEqual([r.id for r in each.results], [c.id for c in each.calls])

    async def test_what_came_with_a_call_goes_back_to_its_provider_and_to_no_other(self) -> None:
        signed = ToolCall("x", "current_time", "{}", extra={"signature": "c2ln"})
        thought = {"reasoning_content": "The clock."}
        first = FakeProvider(
            [signed, Finished("tool_calls", provider_data=thought)], [ProviderProtocol()]
        )
        second = FakeProvider()
        subject = run("a:m", "b:m", tools=("current_time",))
        with providers({"a": first, "b": second}):
            events = await events_of(subject)
        (own,), (foreign,) = first.requests[1].rounds, second.requests[0].rounds
        self.assertEqual((own.provider_data, own.calls[0].extra), (thought, signed.extra))
        self.assertEqual((foreign.provider_data, foreign.calls[0].extra), (None, {}))
        self.assertEqual(subject.text, "Done.")
        self.assertNotIn("The clock.", str([e for e in events if isinstance(e, TextDelta)]))

    async def test_calls_beyond_the_caps_end_the_turn(self) -> None:
        many = [ToolCall("", "current_time", "{}") for _ in range(129)]
        large = [ToolCall("", "current_time", json.dumps({"x": "y" * 300_000})) for _ in range(4)]
        for calls in (many, large):
            subject = run("a:m", tools=("current_time",))
            fake = FakeProvider([*calls, Finished("tool_calls")])
            with providers({"a": fake}), self.assertRaises(ProviderProtocol):
                await events_of(subject)
            self.assertEqual(len(fake.requests), 1)
            self.assertEqual([call.error for call in subject.calls], ["provider_protocol"])
