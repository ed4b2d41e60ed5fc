"""The messages that are sent: every provider must accept them."""

from itertools import pairwise
from typing import Literal

from django.test import SimpleTestCase
from hypothesis import given
from hypothesis import strategies as st

from agents.runtime.conversation import (
    answered_only,
    has_unanswered,
    newest_half,
    normalised,
    without_refused,
)
from agents.runtime.errors import (
    AnswerRefused,
    ContextTooLong,
    ProviderRejected,
    ProviderUnavailable,
)
from agents.runtime.providers.base import ChatMessage
from agents.runtime.run import Run, RunRequest
from salient.texts import is_blank
from tests.agents.runtime.fakes import FakeProvider, Steps, providers
from tests.agents.runtime.runs import events_of

BLANKS = ("", " ", "\n", "\x00", "\u200b", "\u2060\ufeff", "\t\x00 \u00ad", "\u3164", "\x07")
texts = st.one_of(st.text(max_size=8), st.sampled_from(BLANKS))
roles: st.SearchStrategy[Literal["user", "assistant"]] = st.sampled_from(("user", "assistant"))
messages = st.lists(st.builds(ChatMessage, roles, texts), max_size=12)
spoken = st.text(min_size=1, max_size=8).filter(lambda text: not is_blank(text))


def dialogue(*texts: str) -> tuple[ChatMessage, ...]:
    """The user's messages and, where the text begins with a greater-than sign, the assistant's."""
    return tuple(
        ChatMessage("assistant", text[1:]) if text.startswith(">") else ChatMessage("user", text)
        for text in texts
    )


class NormalisedTests(SimpleTestCase):
    @given(messages, spoken)
    def test_roles_alternate_from_user_to_the_current_message(
        self, before: list[ChatMessage], current: str
    ) -> None:
        sent = normalised([*before, ChatMessage("user", current)])
        self.assertEqual((sent[0].role, sent[-1].role), ("user", "user"))
        self.assertTrue(all(one.role != other.role for one, other in pairwise(sent)))
        self.assertTrue(sent[-1].content.endswith(current.replace("\x00", "")))

    @given(messages)
    def test_nothing_blank_and_no_nul_is_sent(self, any_messages: list[ChatMessage]) -> None:
        for message in normalised(any_messages):
            self.assertFalse(is_blank(message.content))
            self.assertNotIn("\x00", message.content)

    @given(messages)
    def test_what_is_normal_stays_as_it_is(self, any_messages: list[ChatMessage]) -> None:
        once = normalised(any_messages)
        self.assertEqual(normalised(once), once)

    def test_a_window_that_begins_with_an_assistant_loses_it(self) -> None:
        self.assertEqual(
            normalised(dialogue(">Fine.", "Two", ">Two.", "Three")),
            dialogue("Two", ">Two.", "Three"),
        )
        self.assertEqual(normalised(dialogue(">Fine.", "Two")), dialogue("Two"))

    def test_messages_that_were_not_answered_go_with_the_next_one(self) -> None:
        self.assertEqual(
            normalised(dialogue("Hi", ">Hi.", "My name is Ada.", "Are you there?")),
            dialogue("Hi", ">Hi.", "My name is Ada.\n\nAre you there?"),
        )

    def test_a_message_that_is_sent_again_is_included_once(self) -> None:
        self.assertEqual(normalised(dialogue("Hi", "Hi", "Hi")), dialogue("Hi"))

    def test_old_failures_do_not_pile_up(self) -> None:
        self.assertEqual(normalised(dialogue("1", "2", "3", "4", "5")), dialogue("3\n\n4\n\n5"))

    def test_blank_is_what_nobody_sees(self) -> None:
        for text in BLANKS:
            self.assertTrue(is_blank(text), repr(text))
        for text in ("a", " . ", "\u200bé", "👍", "\ufffd", "0"):
            self.assertFalse(is_blank(text), repr(text))


class RefusedTests(SimpleTestCase):
    def test_what_was_refused_and_not_answered_is_left_out(self) -> None:
        history = dialogue("Hi", ">Hi.", "LONG", "Short?")
        self.assertTrue(has_unanswered(history))
        self.assertEqual(without_refused(history, {"LONG"}), dialogue("Hi", ">Hi.", "Short?"))

    def test_what_was_answered_and_the_current_message_stay(self) -> None:
        history = dialogue("LONG", ">Fine.", "LONG", "LONG")
        self.assertEqual(without_refused(history, {"LONG"}), dialogue("LONG", ">Fine.", "LONG"))

    def test_one_failure_does_not_outlive_those_that_it_caused(self) -> None:
        history = dialogue("Bad", "2", "3", "4")
        self.assertEqual(without_refused(history, {"2", "3"}), dialogue("4"))

    def test_only_what_was_answered_stays(self) -> None:
        self.assertEqual(
            answered_only(dialogue("1", "2", ">two", "3", ">\n", "4")), dialogue("2", ">two", "4")
        )

    def test_a_blank_answer_is_none(self) -> None:
        self.assertTrue(has_unanswered(dialogue("Hi", ">\n", "Again")))
        self.assertFalse(has_unanswered(dialogue("Hi", ">Hi.", "Again")))

    @given(st.lists(st.builds(ChatMessage, roles, texts), min_size=1, max_size=12))
    def test_half_is_the_newest_and_ends_with_the_last(self, some: list[ChatMessage]) -> None:
        half = newest_half(some)
        self.assertEqual(half, tuple(some[-len(half) :]))
        size = sum(len(message.content.encode()) for message in some)
        half_size = sum(len(message.content.encode()) for message in half)
        self.assertTrue(len(half) == 1 or half_size * 2 <= size)


class TooLongTests(SimpleTestCase):
    """A provider that refuses the conversation as too long gets a shorter one."""

    def run_of(self, *texts: str, models: tuple[str, ...] = ("a:m",)) -> Run:
        return Run(RunRequest(models, "You are a test.", dialogue(*texts), retries=0))

    async def test_the_older_half_gives_way(self) -> None:
        fake = FakeProvider([ContextTooLong()])
        subject = self.run_of("one" * 9, ">two" * 9, "three", ">four", "five")
        with providers({"a": fake}):
            await events_of(subject)
        self.assertEqual(subject.text, "Done.")
        self.assertEqual(fake.requests[1].messages, dialogue("three", ">four", "five"))
        self.assertEqual([call.error for call in subject.calls], ["context_too_long", ""])
        self.assertEqual(subject.calls[0].input_tokens, 0)

    async def test_then_all_but_the_current_message_and_then_no_more(self) -> None:
        refusals: list[Steps] = [[ContextTooLong()] for _ in range(9)]
        fake = FakeProvider(*refusals)
        subject = self.run_of("one" * 9, ">two" * 9, "three", ">four", "five")
        with providers({"a": fake}), self.assertRaises(ContextTooLong):
            await events_of(subject)
        self.assertEqual(len(fake.requests), 3)
        self.assertEqual(fake.requests[2].messages, dialogue("five"))

    async def test_a_message_alone_is_not_sent_again_as_it_is(self) -> None:
        fake = FakeProvider([ContextTooLong()], [ContextTooLong()])
        for texts in (("five",), (">four", "five"), ("five", "five")):
            fake.requests.clear()
            with providers({"a": fake}), self.assertRaises(ContextTooLong):
                await events_of(self.run_of(*texts))
            self.assertEqual(len(fake.requests), 1)
            fake.calls = [[ContextTooLong()]]

    async def test_a_fallback_reads_all_of_it(self) -> None:
        first, second = FakeProvider([ContextTooLong()], [ContextTooLong()]), FakeProvider()
        subject = self.run_of("one", ">two", "three", models=("a:m", "b:m"))
        with providers({"a": first, "b": second}):
            await events_of(subject)
        self.assertEqual(second.requests[0].messages, dialogue("one", ">two", "three"))

    async def test_another_failure_drops_nothing_that_was_answered(self) -> None:
        fake = FakeProvider([ProviderUnavailable()])
        with providers({"a": fake}), self.assertRaises(ProviderUnavailable):
            await events_of(self.run_of("one", ">two", "three"))
        self.assertEqual(len(fake.requests), 1)

    async def test_an_earlier_message_that_may_be_the_reason_is_left_out_once(self) -> None:
        for kind in (ProviderUnavailable, ProviderRejected):
            fake = FakeProvider([kind()])
            subject = self.run_of("bad", "one", ">two", "worse", "three")
            with providers({"a": fake}):
                await events_of(subject)
            self.assertEqual(fake.requests[0].messages[0].content, "bad\n\none")
            self.assertEqual(fake.requests[1].messages, dialogue("one", ">two", "three"))
            fake = FakeProvider([kind()], [kind()], [kind()])
            with providers({"a": fake}), self.assertRaises(kind):
                await events_of(self.run_of("bad", "three"))
            self.assertEqual(len(fake.requests), 2)

    async def test_a_blank_system_prompt_is_none(self) -> None:
        fake = FakeProvider()
        with providers({"a": fake}):
            await events_of(Run(RunRequest(("a:m",), " \n\u200b", dialogue("Hi"))))
        self.assertEqual(fake.requests[0].system_prompt, "")

    async def test_a_message_that_a_filter_refuses_is_left_out_too(self) -> None:
        filtered = AnswerRefused()
        filtered.refused = True
        fake = FakeProvider([filtered])
        with providers({"a": fake}):
            await events_of(
                Run(RunRequest(("a:m",), "", (ChatMessage("user", "x"), *dialogue("Hi"))))
            )
        self.assertEqual([one.content for one in fake.requests[-1].messages], ["Hi"])
