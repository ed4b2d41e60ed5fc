"""A turn that failed must not make its session fail for good, and callers learn why answers end."""

from __future__ import annotations

import json
from unittest import mock

from asgiref.sync import sync_to_async
from django.db import OperationalError
from django.test import TestCase

from agents.runtime import calls
from agents.runtime.providers.base import Finished
from sessions_app.turns import plan
from tests.agents.runtime.fakes import FakeProvider, providers
from tests.support.api_client import Answer
from tests.support.fixtures import AgentFixtures, stored
from tests.support.servers.mock_openai import MockOpenAI, Reply, delta, error, stream

TOO_LONG = error(400, "This model's maximum context length is 1000 tokens.")
LAST = b"data: [DONE]\n\n"


class FailedTurnFixtures(AgentFixtures):
    config = "model: mock:test-model\nretries: 0\n"
    session: str | None = None

    async def chat(self, message: str, way: str = "chat", **headers: str) -> Answer:
        body = {"message": message} | ({"session_id": self.session} if self.session else {})
        answer = await self.api.post(self.path(way), body, headers=headers)
        if way == "chat":
            self.session = self.session or answer.json().get("session_id")
        return answer

    @staticmethod
    def sent(server: MockOpenAI) -> list[list[str]]:
        """Return each request's messages without the system prompt; > marks the assistant's."""
        return [
            [
                (">" if message["role"] == "assistant" else "") + (message["content"] or "")
                for message in request.body["messages"][1:]
            ]
            for request in server.requests
        ]


class SentAgainTests(FailedTurnFixtures, TestCase):
    async def test_a_message_that_was_too_long_alone_is_not_sent_again(self) -> None:
        async with MockOpenAI() as server:
            server.replies += [Reply("Fine."), TOO_LONG, TOO_LONG, Reply("Yes."), Reply("Six.")]
            statuses = [
                (await self.chat(text)).status for text in ("Hi", "x" * 5_000, "Short?", "3+3?")
            ]
        self.assertEqual(statuses, [200, 400, 200, 200])
        self.assertEqual(
            self.sent(server)[2:],
            [
                ["x" * 5_000],
                ["Hi", ">Fine.", "Short?"],
                ["Hi", ">Fine.", "Short?", ">Yes.", "3+3?"],
            ],
        )

    async def test_a_rejected_message_is_not_sent_again_but_a_missed_one_is(self) -> None:
        for failure, again in ((error(400, "bad words"), "Two"), (error(503), "One\n\nTwo")):
            self.session = None
            async with MockOpenAI() as server:
                server.replies += [failure, Reply("Good.")]
                failed = await self.chat("One")
                answered = await self.chat("Two")
            self.assertEqual((failed.status, answered.status), (502, 200))
            self.assertEqual(self.sent(server)[1], [again])

    async def test_a_blank_answer_is_not_stored_and_not_sent_again(self) -> None:
        for text in ("\n", "  ", "\x00", "\u200b"):
            self.session = None
            async with MockOpenAI() as server:
                whole = Reply(text).whole("any")
                server.replies += [Reply(body=whole), Reply("Good.")]
                first, second = await self.chat("first"), await self.chat("second")
            self.assertEqual((first.status, first.json()["code"]), (502, "empty_answer"))
            self.assertEqual(second.status, 200)
            messages, _ = await sync_to_async(stored)(self.session)
            self.assertEqual(
                [message.content for message in messages], ["first", "second", "Good."]
            )

    async def test_a_blank_stream_ends_as_an_empty_answer(self) -> None:
        async with MockOpenAI() as server:
            server.replies.append(stream(delta("\n"), delta("", "stop"), LAST))
            answer = await self.chat("first", "stream")
        self.assertEqual([name for name, _ in answer.events()], ["error", "done"])
        self.assertEqual(json.loads(answer.events()[0][1])["code"], "empty_answer")
        self.assertIsNone(json.loads(answer.events()[1][1])["message_id"])

    async def sent_of_three_turns(self, history_limit: int) -> list[str]:
        self.configure(f"{self.config}history_limit: {history_limit}\n")
        async with MockOpenAI() as server:
            server.replies += [Reply("a"), Reply("b"), Reply("c")]
            for text in ("One", "Two", "Three"):
                await self.chat(text)
        return self.sent(server)[2]

    async def test_a_window_that_begins_with_an_assistant_begins_with_the_user(self) -> None:
        self.assertEqual(await self.sent_of_three_turns(3), ["Two", ">b", "Three"])

    async def test_a_window_of_one_assistant_is_the_message_alone(self) -> None:
        self.assertEqual(await self.sent_of_three_turns(1), ["Three"])

    async def test_nothing_more_is_read_where_no_turn_has_failed(self) -> None:
        async with MockOpenAI():
            with mock.patch.object(plan, "refused_texts") as read:
                for text in ("One", "Two", "Three"):
                    await self.chat(text)
        read.assert_not_called()

    async def test_an_unreachable_database_at_that_moment_does_not_stop_the_turn(self) -> None:
        async with MockOpenAI() as server:
            server.replies += [error(503), Reply("Good.")]
            await self.chat("One")
            with (
                mock.patch.object(plan, "refused_texts", side_effect=OperationalError),
                self.assertLogs("sessions_app.turns.plan", "WARNING"),
            ):
                answer = await self.chat("Two")
        self.assertEqual(answer.status, 200)
        self.assertEqual(self.sent(server)[1], ["One\n\nTwo"])

    async def test_a_message_whose_tools_ran_was_not_refused(self) -> None:
        self.configure(f"{self.config}tools: [current_time]\n")
        ask = Reply("", tool_calls=[("current_time", "{}")])
        async with MockOpenAI() as server:
            server.replies += [ask, TOO_LONG, Reply("Good.")]
            failed = await self.chat("One")
            await self.chat("Two")
        self.assertEqual(failed.json()["code"], "context_too_long")
        self.assertEqual(self.sent(server)[2], ["One\n\nTwo"])


class FinishReasonTests(FailedTurnFixtures, TestCase):
    async def test_a_limit_reaches_the_caller_whole_streamed_and_replayed(self) -> None:
        cut = json.loads(Reply("Half an").whole("any"))
        cut["choices"][0]["finish_reason"] = "length"
        key = {"idempotency-key": "k1"}
        async with MockOpenAI() as server:
            server.replies.append(stream(delta("Half an"), delta("", "length"), LAST))
            streamed = await self.chat("one", "stream", **key)
            replayed = await self.chat("one", "stream", **key)
            whole = await self.chat("one", **key)
            other = await self.chat("two")
        done = json.loads(streamed.events()[-1][1])
        self.assertEqual((done["status"], done["finish_reason"]), ("complete", "length"))
        self.assertEqual(json.loads(replayed.events()[-1][1]), done)
        self.assertEqual(whole.json()["finish_reason"], "length")
        self.assertEqual(other.json()["finish_reason"], "stop")
        self.assertEqual(len(server.requests), 2)

    async def test_a_model_that_was_cut_off_gave_no_reason(self) -> None:
        async with MockOpenAI() as server:
            server.replies.append(Reply("one two three", cut_after=3))
            answer = await self.chat("one", "stream")
        self.assertIsNone(json.loads(answer.events()[-1][1])["finish_reason"])

    async def test_an_answer_that_was_filtered_whole_is_reported(self) -> None:
        async with MockOpenAI():
            with providers({"mock": FakeProvider([Finished("content_filter")])}):
                answer = await self.chat("one", "stream")
        (_, error_data), (_, done) = answer.events()
        self.assertEqual(json.loads(error_data)["code"], "answer_refused")
        self.assertEqual(json.loads(done)["finish_reason"], "content_filter")


class BoundTests(FailedTurnFixtures, TestCase):
    async def test_a_turn_beyond_a_cap_ends_as_provider_protocol_and_is_settled(self) -> None:
        self.configure(f"{self.config}tools: [current_time]\n")
        for cap, value, tool_calls in (
            ("MOST_TOOL_CALLS", 2, [("current_time", "{}")] * 3),
            ("LONGEST_ARGUMENTS", 40, [("current_time", json.dumps({"x": "y" * 40}))]),
        ):
            self.session = None
            async with MockOpenAI() as server:
                server.replies += [Reply("", tool_calls=tool_calls), Reply("Good.")]
                with mock.patch.object(calls, cap, value):
                    failed = await self.chat("One")
                answered = await self.chat("Two")
            self.assertEqual((failed.status, failed.json()["code"]), (502, "provider_protocol"))
            self.assertEqual(answered.status, 200)
        _, requests = await sync_to_async(stored)()
        self.assertEqual(
            [request.completion_status for request in requests], ["error", "complete"] * 2
        )
        self.assertTrue(all(request.settled_at for request in requests))
