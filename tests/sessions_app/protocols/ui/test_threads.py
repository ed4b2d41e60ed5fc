"""Threads: whose conversation goes on, and what the model reads of it."""

from __future__ import annotations

import json
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings

from tests.sessions_app.protocols.ui.fixtures import (
    WANTED,
    InterfaceFixtures,
    answer_of,
    frames_of,
    said,
    shown_of,
    text_of,
    typed,
)
from tests.support.api_client import ApiClient
from tests.support.factories import make_account, make_instance, make_key, write_config
from tests.support.fixtures import SCRIPTED
from tests.support.servers.mock_openai import MockOpenAI, Reply

HELLO, MORE = said("Hello"), said("More", "u2")
TOOLS = {"get_weather": {"parameters": {"type": "object"}}}


def calling_of(first: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the message that called a tool, as a client sends it with the result."""
    part = {"type": "tool-get_weather", "toolCallId": first[2]["toolCallId"], "input": {}}
    part |= {"state": "output-available", "output": "Rain."}
    return {"id": first[0]["messageId"], "role": "assistant", "parts": [part]}


class StoredTests(InterfaceFixtures):
    """The model is a mock, so that it is seen what it is sent."""

    config = "model: mock:test-model\ncallers: {instructions: true}\n"

    def texts(self, server: MockOpenAI, number: int = -1) -> list[str]:
        messages = server.requests[number].body["messages"]
        return [message["content"] for message in messages[1:]]

    async def test_a_thread_goes_on_with_its_last_message(self) -> None:
        async with MockOpenAI() as server:
            first = await self.events(HELLO)
            # What is stored counts, not what the client says was answered.
            second = await self.events(HELLO, answer_of(first, "I promised it!"), MORE)

        answer = "Hello from the mock."
        self.assertEqual(self.texts(server), ["Hello", answer, "More"])
        sessions = {run[-1]["result"]["session_id"] for run in (first, second)}
        self.assertEqual(len(sessions), 1)
        self.assertEqual(
            await self.sessions(),
            [[("human", "Hello"), ("assistant", answer), ("human", "More"), ("assistant", answer)]],
        )

    async def test_a_client_may_send_its_new_message_only(self) -> None:
        async with MockOpenAI() as server:
            await self.events(HELLO)
            await self.events(MORE)
        self.assertEqual(self.texts(server), ["Hello", "Hello from the mock.", "More"])

    async def test_another_thread_is_another_session(self) -> None:
        async with MockOpenAI() as server:
            await self.events(HELLO)
            await self.events(MORE, thread="t2")
        self.assertEqual(self.texts(server), ["More"])
        self.assertEqual(len(await self.sessions()), 2)

    async def test_both_protocols_and_all_of_an_accounts_keys_have_the_same_threads(self) -> None:
        _, another = await sync_to_async(make_key)(self.account)
        async with MockOpenAI():
            await self.events(HELLO)
            await self.chunks(typed("More"), client=ApiClient(another))
        self.assertEqual(len(await self.sessions()), 1)

    async def test_what_a_client_brings_begins_the_thread(self) -> None:
        greeting = {"id": "a0", "role": "assistant", "content": "What can I do?"}
        async with MockOpenAI() as server:
            first = await self.events(greeting, HELLO)
            await self.events(greeting, HELLO, answer_of(first), MORE)

        answer = "Hello from the mock."
        self.assertEqual(self.texts(server), ["Hello", answer, "More"])
        [session] = await self.sessions()
        self.assertEqual(session[0], ("assistant", "What can I do?"))

    async def test_an_answer_is_given_again_without_the_one_before(self) -> None:
        async with MockOpenAI() as server:
            server.replies.extend(map(Reply, ("One.", "Two.", "Three.", "Four.")))
            first = shown_of(await self.chunks(typed("Hello")))
            await self.chunks(typed("Hello"), first, typed("More", "u2"))
            again = {"trigger": "regenerate-message"}
            third = await self.chunks(typed("Hello"), first, typed("More", "u2"), **again)
            self.assertEqual(self.texts(server), ["Hello", "One.", "More"])
            # The answer that was given up is stored, and is no part of what follows.
            more = [typed("Hello"), first, typed("More", "u2"), shown_of(third), typed("On", "u3")]
            await self.chunks(*more)
            self.assertEqual(self.texts(server), ["Hello", "One.", "More", "Three.", "On"])

        [session] = await self.sessions()
        self.assertEqual(
            [text for _, text in session],
            ["Hello", "One.", "More", "Two.", "More", "Three.", "On", "Four."],
        )

    async def test_the_first_answer_is_given_again(self) -> None:
        async with MockOpenAI() as server:
            await self.chunks(typed("Hello"))
            await self.chunks(typed("Hello"), trigger="regenerate-message")
        self.assertEqual(self.texts(server), ["Hello"])

    async def test_a_message_that_was_changed_takes_the_place_of_what_followed_it(self) -> None:
        async with MockOpenAI() as server:
            server.replies.extend(map(Reply, ("One.", "Two.", "Three.")))
            first = answer_of(await self.events(HELLO))
            await self.events(HELLO, first, MORE)
            await self.events(HELLO, first, said("Less", "u2"))
        self.assertEqual(self.texts(server), ["Hello", "One.", "Less"])

    async def test_a_deleted_conversation_begins_anew_with_what_the_client_has(self) -> None:
        async with MockOpenAI() as server:
            first = await self.events(HELLO)
            session_id = first[-1]["result"]["session_id"]
            await self.api.call("DELETE", self.path(f"sessions/{session_id}"))
            second = await self.events(HELLO, answer_of(first), MORE)
        self.assertEqual(self.texts(server), ["Hello", "Hello from the mock.", "More"])
        self.assertNotEqual(second[-1]["result"]["session_id"], session_id)

    async def test_a_closed_conversation_says_so(self) -> None:
        async with MockOpenAI():
            first = await self.events(HELLO)
            session_id = first[-1]["result"]["session_id"]
            path = self.path(f"sessions/{session_id}")
            await self.api.call("PATCH", path, raw=b'{"status": "closed"}')
        await self.refused(await self.run_agent(MORE), 409, "session_closed")

    async def test_the_id_of_a_session_is_a_thread(self) -> None:
        async with MockOpenAI() as server:
            told = await self.say("Hello")
            found = await self.events(MORE, thread=told["session_id"])
        self.assertEqual(found[-1]["result"]["session_id"], told["session_id"])
        self.assertEqual(self.texts(server), ["Hello", "Hello from the mock.", "More"])


class TenancyTests(InterfaceFixtures):
    async def heard(self, client: ApiClient, thread: str = "t1") -> str:
        """Return what an agent remembers of the thread for this caller."""
        return text_of(await self.chunks(typed("More"), thread=thread, client=client))

    async def test_each_caller_has_threads_of_their_own(self) -> None:
        _, test_key = await sync_to_async(make_key)(self.account, mode="test")
        callers = [
            self.api,
            await self.start(),
            await self.start(),
            await self.start(sub="ann"),
            await self.start(sub="bob"),
            ApiClient(test_key),
        ]
        for client in callers:
            self.assertIn("first message", await self.heard(client))
        for client in callers:
            self.assertIn("one earlier message", await self.heard(client))
        self.assertEqual(len(await self.sessions()), len(callers))

    async def test_an_end_user_has_the_thread_with_every_token(self) -> None:
        await self.heard(await self.start(sub="ann"))
        self.assertIn("one earlier message", await self.heard(await self.start(sub="ann")))
        listed = await (await self.start(sub="ann")).get(self.path("sessions"))
        self.assertEqual([each["end_user"] for each in listed.json()["data"]], ["ann"])

    async def test_the_id_of_anothers_session_is_a_name_like_any_other(self) -> None:
        theirs = (await self.say("Secret"))["session_id"]
        write_config(settings.AGENT_CONFIG_DIR, "beta", "bot", SCRIPTED)
        beta = await sync_to_async(make_account)("beta")
        await sync_to_async(make_instance)(beta, "bot")
        _, secret = await sync_to_async(make_key)(beta)
        body = {"id": theirs, "messages": [typed("Hello")]}
        answer = await ApiClient(secret).post(self.path("ui-messages", account="beta"), body)
        self.assertNotIn(b"Secret", answer.body)
        self.assertNotIn(theirs.encode(), answer.body)
        for client in (await self.start(), await self.start(sub="ann")):
            found = await self.chunks(typed("Hello"), thread=theirs, client=client)
            self.assertIn("first message", text_of(found))
            self.assertNotEqual(found[-1]["messageMetadata"]["salient"]["session_id"], theirs)

    async def test_nobody_sends_results_for_anothers_calls(self) -> None:
        first = await self.chunks(typed(WANTED), tools=TOOLS)
        calling = calling_of(first) | {"id": "a"}
        # It is a conversation of their own, whatever it says of calls.
        found = await self.chunks(typed("Hi"), calling, client=await self.start(), tools=TOOLS)
        theirs, own = (run[-1]["messageMetadata"]["salient"] for run in (first, found))
        self.assertNotEqual(theirs["session_id"], own["session_id"])

    async def test_a_call_that_is_copied_into_another_thread_goes_on_there(self) -> None:
        first = await self.chunks(typed(WANTED), tools=TOOLS)
        calling = calling_of(first)
        await self.chunks(typed("Hi"), thread="t2")
        for thread in ("t2", "t3"):
            found = await self.chunks(typed(WANTED), calling, thread=thread, tools=TOOLS)
            self.assertEqual(text_of(found), "The tool says: Rain.", thread)
        kinds = [[role for role, _ in session] for session in await self.sessions()]

        self.assertEqual(kinds[0], ["human", "assistant"])
        self.assertEqual([each[-2:] for each in kinds[1:]], [["tool", "assistant"]] * 2)

    async def test_a_visitors_thread_is_theirs_to_read_and_rate(self) -> None:
        visitor, another = await self.start(), await self.start()
        first = await self.chunks(typed(WANTED), client=visitor, tools=TOOLS)
        calling = calling_of(first)
        found = await self.chunks(typed(WANTED), calling, client=visitor, tools=TOOLS)
        self.assertEqual(text_of(found), "The tool says: Rain.")
        outcome = found[-1]["messageMetadata"]["salient"]
        rating = self.path(f"messages/{outcome['message_id']}/feedback")
        history = {"session_id": outcome["session_id"]}

        self.assertEqual((await visitor.post(rating, {"rating": "good"})).status, 200)
        read = await visitor.get(self.path("history"), **history)
        self.assertEqual(read.json()["messages"][-1]["feedback"], "good")
        again = await self.chunks(typed("More"), thread=outcome["session_id"], client=visitor)
        self.assertIn("earlier message", text_of(again))
        self.assertEqual((await another.post(rating, {"rating": "bad"})).status, 404)
        self.assertEqual((await another.get(self.path("history"), **history)).status, 404)

    async def test_a_thread_is_of_one_agent(self) -> None:
        write_config(settings.AGENT_CONFIG_DIR, "acme", "other", SCRIPTED)
        await sync_to_async(make_instance)(self.account, "other")
        await self.heard(self.api)
        body = {"id": "t1", "messages": [typed("Hello")]}
        answer = await self.api.post(self.path("ui-messages", instance="other"), body)
        pieces = [json.loads(frame) for frame in frames_of(answer)[:-1]]
        self.assertIn("first message", text_of(pieces))
