"""The scripts, through a whole run each."""

from django.test import SimpleTestCase

from agents.runtime.errors import EmptyAnswer, ProviderUnavailable
from agents.runtime.events import ToolCall
from agents.runtime.run import ChatMessage, Run, RunRequest
from tests.agents.runtime.runs import events_of, run


class ScriptedTests(SimpleTestCase):
    async def test_echo_says_what_it_is_and_what_it_heard(self) -> None:
        subject = run("scripted:echo", message="Good morning")
        await events_of(subject)
        self.assertEqual(
            subject.text,
            "Hello! This is a scripted answer, which no model has written. "
            "You wrote: “Good morning”. It is the first message that I have of you.",
        )
        self.assertFalse(subject.calls[0].estimated)

    async def test_echo_remembers(self) -> None:
        messages = (
            ChatMessage("user", "I am Ada"),
            ChatMessage("assistant", "Hello"),
            ChatMessage("user", "Who am I?"),
        )
        subject = Run(RunRequest(("scripted:echo",), "", messages))
        await events_of(subject)
        self.assertIn("“I am Ada”", subject.text)

    async def test_the_same_question_gets_the_same_answer(self) -> None:
        first, second = run("scripted:echo"), run("scripted:echo?delay_ms=1&first_ms=1")
        self.assertEqual(len(await events_of(first)), len(await events_of(second)))
        self.assertEqual(first.text, second.text)

    async def test_tool(self) -> None:
        subject = run("scripted:tool", tools=("current_time",))
        events = await events_of(subject)
        self.assertEqual([e.name for e in events if isinstance(e, ToolCall)], ["current_time"])
        self.assertIn("+00:00", subject.text)
        self.assertEqual(len(subject.calls), 2)

    async def test_failures(self) -> None:
        for script, kind in (
            ("fail", ProviderUnavailable),
            ("cut", ProviderUnavailable),
            ("silent", EmptyAnswer),
        ):
            with self.subTest(script=script), self.assertRaises(kind):
                await events_of(run(f"scripted:{script}", retries=0))

    async def test_without_usage_tokens_are_estimated(self) -> None:
        subject = run("scripted:no-usage")
        await events_of(subject)
        self.assertTrue(subject.calls[0].estimated)
