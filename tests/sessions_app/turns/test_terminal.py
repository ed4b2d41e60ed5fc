from __future__ import annotations

import asyncio
import json
from uuid import uuid4

from asgiref.sync import sync_to_async
from django.test import TestCase, TransactionTestCase

from salient.api.problems import Invalid, NotFound
from sessions_app.models import CompletionStatus
from sessions_app.turns.terminal import Conversation, operator, summary
from tests.support.commands import refusal, run
from tests.support.fixtures import AgentFixtures, stored


class ConversationTests(AgentFixtures, TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.printed: list[str] = []
        self.conversation = Conversation(operator(self.account), self.instance, self.printed.append)

    async def test_says_the_answer_piece_by_piece(self) -> None:
        answer = await self.conversation.turn("hello")

        self.assertGreater(len(self.printed), 3)
        self.assertEqual("".join(self.printed), answer.response)

    async def test_its_turns_continue_one_another(self) -> None:
        await self.conversation.turn("I am Ada")
        answer = await self.conversation.turn("Who am I?")

        self.assertIn("I am Ada", answer.response)
        messages, requests = await sync_to_async(stored)(answer.session_id)
        self.assertEqual((len(messages), len(requests)), (4, 2))

    async def test_names_the_tools_that_are_used(self) -> None:
        self.configure("model: scripted:tool\ntools: [current_time]\n")
        await self.conversation.turn("What time is it?")

        self.assertIn("[uses current_time] ", self.printed)

    async def test_a_turn_that_is_stopped_is_settled(self) -> None:
        self.configure("model: scripted:echo?delay_ms=30\n")
        begun = asyncio.Event()

        def say(text: str) -> None:
            self.printed.append(text)
            begun.set()

        self.conversation.say = say
        turn = asyncio.create_task(self.conversation.turn("hello"))
        async with asyncio.timeout(10):
            await begun.wait()
        turn.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await turn

        messages, [request] = await sync_to_async(stored)()
        self.assertEqual(request.completion_status, CompletionStatus.CANCELLED)
        self.assertEqual(messages[1].content, "".join(self.printed))

    async def test_it_refuses_the_same_messages_as_the_api(self) -> None:
        with self.assertRaises(Invalid):
            await self.conversation.turn(" ")
        self.conversation.session_id = uuid4()
        with self.assertRaises(NotFound):
            await self.conversation.turn("hello")

    async def test_sums_the_turn_up_in_one_line(self) -> None:
        line = summary(await self.conversation.turn("hello"))

        self.assertRegex(line, r"^scripted:echo · \d+ tokens in, \d+ out · free · \d+\.\d s$")


class ChatCommandTests(AgentFixtures, TransactionTestCase):
    """Its own event loop crosses to the database in a thread, so the rows must be committed."""

    def test_one_message_prints_the_answer_or_one_json_object(self) -> None:
        printed = run("chat", "acme", "bot", "--message", "hello")
        self.assertIn("You wrote: “hello”", printed)
        self.assertIn("scripted:echo", printed)

        answer = json.loads(run("chat", "acme", "bot", "--message", "again", "--json"))
        self.assertIn("“again”", answer["response"])
        self.assertEqual(answer["status"], "complete")

    def test_a_session_is_continued(self) -> None:
        first = json.loads(run("chat", "acme", "bot", "--message", "one", "--json"))
        session = first["session_id"]
        second = run("chat", "acme", "bot", "--message", "two", "--session", session)

        self.assertIn("“one”", second)

    def test_wrong_arguments_are_refused_in_one_line(self) -> None:
        self.assertIn("Did you mean “bot”?", refusal("chat", "acme", "bott")[1])
        self.assertEqual(refusal("chat", "acme", "bot", "--json")[0], 2)
        self.configure("model: scripted:fail\nretries: 0\n")
        code, message = refusal("chat", "acme", "bot", "--message", "hello")
        self.assertEqual(code, 1)
        self.assertTrue(message)
