"""The text of an answer, its finish reason and its bounds."""

from unittest import mock

from django.test import SimpleTestCase

from agents.runtime import run as run_module
from agents.runtime.errors import AnswerRefused, EmptyAnswer, ProviderProtocol
from agents.runtime.events import TextDelta, ToolCall
from agents.runtime.providers.base import PROGRESS, Finished, ModelEvent, finish_reason
from tests.agents.runtime.fakes import FakeProvider, Steps, providers
from tests.agents.runtime.runs import OtherTask, events_of, run

ASK: Steps = [ToolCall("x", "current_time", "{}"), Finished("tool_calls")]


def spoken(*texts: str, reason: str = "stop") -> Steps:
    return [*map(TextDelta, texts), Finished(reason)]


class BlankTests(SimpleTestCase):
    async def test_a_blank_answer_is_an_empty_one(self) -> None:
        for texts in ([], ["\n"], [" ", "\t"], ["\x00"], ["\u200b"], ["\ufeff", "\x00 "]):
            for before in ([], [ASK]):
                for stream in (True, False):
                    subject = run("a:m", tools=("current_time",), stream=stream)
                    fake = FakeProvider(*before, spoken(*texts))
                    with self.subTest(texts=texts, before=len(before)), providers({"a": fake}):
                        with self.assertRaises(EmptyAnswer):
                            await events_of(subject)
                        self.assertEqual(subject.text, "")

    async def test_nothing_is_shown_before_the_first_word_and_nothing_is_lost(self) -> None:
        subject = run("a:m")
        with providers({"a": FakeProvider(spoken("\n", " ", "\x00Go", "od", "\n"))}):
            events = await events_of(subject)
        texts = [event.text for event in events if isinstance(event, TextDelta)]
        self.assertEqual(texts, ["\n Go", "od", "\n"])
        self.assertEqual(subject.text, "\n Good\n")

    async def test_white_space_with_a_tool_call_begins_no_paragraph(self) -> None:
        subject = run("a:m", tools=("current_time",))
        fake = FakeProvider([TextDelta("\n\n"), *ASK], spoken("Noon."))
        with providers({"a": fake}):
            await events_of(subject)
        self.assertEqual(subject.text, "Noon.")
        self.assertEqual(fake.requests[1].rounds[0].text, "")


class FinishReasonTests(SimpleTestCase):
    def test_the_words_of_providers_have_one_form(self) -> None:
        for word, meant in {
            "end_turn": "stop",
            "STOP": "stop",
            "MAX_TOKENS": "length",
            "max-tokens": "length",
            "refusal": "content_filter",
            "SAFETY": "content_filter",
            "tool_use": "tool_calls",
            "pause_turn": "pause_turn",
            "": "",
        }.items():
            self.assertEqual(finish_reason(word), meant)

    async def test_a_call_keeps_why_it_ended(self) -> None:
        subject = run("a:m")
        with providers({"a": FakeProvider(spoken("Half an", reason="max_tokens"))}):
            await events_of(subject)
        self.assertEqual([call.finish_reason for call in subject.calls], ["length"])

    async def test_a_refusal_without_text_is_an_error(self) -> None:
        for reason in ("refusal", "content_filter", "SAFETY"):
            with (
                providers({"a": FakeProvider(spoken(reason=reason))}),
                self.assertRaises(AnswerRefused) as raised,
            ):
                await events_of(run("a:m"))
            self.assertIn("refused", raised.exception.safe)


class BoundTests(SimpleTestCase):
    async def test_a_turn_is_bounded_over_its_rounds(self) -> None:
        subject = run("a:m", tools=("current_time",), max_tool_rounds=5)
        with (
            providers({"a": FakeProvider(ASK, ASK, ASK)}),
            mock.patch.object(run_module, "LARGEST_TURN", 60),
            self.assertRaises(ProviderProtocol),
        ):
            await events_of(subject)
        self.assertEqual(len(subject.calls), 2)

    async def test_white_space_without_end_is_bounded(self) -> None:
        subject = run("a:m")
        with (
            providers({"a": FakeProvider(spoken(*["\n" * 1_000] * 1_001))}),
            self.assertRaises(ProviderProtocol),
        ):
            await events_of(subject)
        self.assertEqual(subject.text, "")

    async def test_others_are_served_while_an_answer_is_read(self) -> None:
        # Everything has come already: without a pause all of it would be read in one go.
        kinds: list[ModelEvent] = [PROGRESS, TextDelta("word ")]
        for event in kinds:
            steps: Steps = [event] * 6_400
            with providers({"a": FakeProvider([*steps, *spoken("End.")])}):
                async with OtherTask() as other:
                    await events_of(run("a:m"))
            self.assertGreaterEqual(other.turns, 100)
