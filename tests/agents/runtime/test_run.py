"""The run's loop: tools, retries, fallbacks, and a record of every call, failed or not."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from unittest import mock

from django.test import SimpleTestCase

from agents.costs import pricing
from agents.runtime import run as run_module
from agents.runtime.errors import (
    EmptyAnswer,
    ProviderRateLimited,
    ProviderTimeout,
    ProviderUnavailable,
    RunError,
    ToolRoundsExceeded,
    UnknownModel,
)
from agents.runtime.events import ModelCall, TextDelta, ToolCall, ToolResult
from agents.runtime.providers.base import TOKENS_AN_IMAGE, Attachment
from agents.runtime.run import ChatMessage, Run, RunRequest, Timeouts
from agents.runtime.timeouts import TimedStream
from tests.agents.runtime.runs import events_of, run
from tests.support.jumping_clock import jumping_clock
from tests.support.servers.mock_openai import MockOpenAI, Reply, error, sse, usage

ASK_TIME = ("current_time", '{"timezone": "UTC"}')


class RunTestCase(SimpleTestCase):
    def setUp(self) -> None:
        backoff = mock.patch.object(run_module, "BACKOFF_SECONDS", 0.001)
        backoff.start()
        self.addCleanup(backoff.stop)


class WhatArrivesTests(RunTestCase):
    async def test_settings_and_system_prompt_arrive_on_every_call(self) -> None:
        async with MockOpenAI() as server:
            server.replies.append(Reply("", tool_calls=[ASK_TIME]))
            for stream in (True, False):
                await events_of(
                    run(
                        server.model,
                        temperature=0.0,
                        max_tokens=77,
                        tools=("current_time",),
                        stream=stream,
                    )
                )
        self.assertEqual(len(server.requests), 3)
        for request in server.requests:
            self.assertEqual(request.body["temperature"], 0.0)
            self.assertEqual(request.body["max_tokens"], 77)
            self.assertEqual(
                request.body["messages"][0], {"role": "system", "content": "You are a test."}
            )

    async def test_what_is_not_set_is_not_sent(self) -> None:
        async with MockOpenAI() as server:
            await events_of(run(server.model))
        self.assertEqual(
            set(server.requests[0].body), {"model", "messages", "stream", "stream_options"}
        )

    async def test_two_turns_use_one_connection(self) -> None:
        async with MockOpenAI() as server:
            await events_of(run(server.model))
            await events_of(run(server.model, stream=False))
        self.assertEqual(len({request.connection for request in server.requests}), 1)

    async def test_a_connection_is_kept_when_its_end_comes_a_little_late(self) -> None:
        async with MockOpenAI() as server:
            pieces = [b"".join(Reply().pieces("any")), b": goodbye\n\n"]
            server.replies.append(Reply(body=pieces, chunk_delay=0.005))
            await events_of(run(server.model))
            await events_of(run(server.model))
        self.assertEqual(len({request.connection for request in server.requests}), 1)


class ToolTests(RunTestCase):
    async def test_a_tool_turn_costs_the_sum_of_its_calls(self) -> None:
        for stream in (True, False):
            with self.subTest(stream=stream):
                async with MockOpenAI() as server:
                    server.replies += [
                        Reply("Wait.", tool_calls=[ASK_TIME], usage=usage(10, 5, cost=0.25)),
                        Reply("Noon.", usage=usage(20, 2, cost=0.5)),
                    ]
                    subject = run(server.model, tools=("current_time",), stream=stream)
                    events = await events_of(subject)
                kinds = [type(event) for event in events if not isinstance(event, TextDelta)]
                self.assertEqual(kinds, [ToolCall, ModelCall, ToolResult, ModelCall])
                self.assertEqual(subject.text, "Wait.\n\nNoon.")
                self.assertEqual([call.input_tokens for call in subject.calls], [10, 20])
                self.assertEqual(str(pricing.total(subject.calls).total_cost), "0.75000000")

    async def test_parallel_calls_are_put_together_and_answered_in_order(self) -> None:
        async with MockOpenAI() as server:
            calls = [ASK_TIME, ("current_time", '{"timezone": "Nowhere/Land"}'), ("guess", "{}")]
            server.replies.append(Reply("", tool_calls=calls))
            await events_of(run(server.model, tools=("current_time",)))
        calls_message, *results = server.requests[1].body["messages"][2:]
        self.assertEqual(
            [
                (call["function"]["name"], call["function"]["arguments"])
                for call in calls_message["tool_calls"]
            ],
            calls,
        )
        self.assertEqual(
            [result["tool_call_id"] for result in results], ["call00001", "call00002", "call00003"]
        )
        self.assertIn("+00:00", results[0]["content"])
        self.assertIn("no time zone", results[1]["content"])
        self.assertIn("no such tool", results[2]["content"])

    async def test_bad_arguments_are_reported_to_the_model(self) -> None:
        async with MockOpenAI() as server:
            server.replies.append(Reply("", tool_calls=[("current_time", '{"timezone": ')]))
            events = await events_of(run(server.model, tools=("current_time",)))
        (result,) = [event for event in events if isinstance(event, ToolResult)]
        self.assertTrue(result.is_error)
        self.assertIn("not valid", result.content)

    async def test_rounds_are_bounded(self) -> None:
        async with MockOpenAI() as server:
            server.replies += [Reply("", tool_calls=[ASK_TIME]) for _ in range(4)]
            subject = run(server.model, tools=("current_time",), max_tool_rounds=2)
            with self.assertRaises(ToolRoundsExceeded):
                await events_of(subject)
        self.assertEqual(len(subject.calls), 3)


class RetryTests(RunTestCase):
    async def test_a_failure_before_the_first_token_is_tried_again(self) -> None:
        for status in (408, 409, 429, 500, 503):
            with self.subTest(status=status):
                async with MockOpenAI() as server:
                    server.replies += [error(status), Reply("Here.")]
                    subject = run(server.model)
                    await events_of(subject)
                self.assertEqual(subject.text, "Here.")
                first, second = subject.calls
                self.assertTrue(first.error)
                self.assertEqual((first.input_tokens, first.estimated), (0, False))
                self.assertEqual((second.error, second.input_tokens), ("", 10))

    async def test_retries_are_counted(self) -> None:
        async with MockOpenAI() as server:
            server.replies += [error(500) for _ in range(5)]
            with self.assertRaises(ProviderUnavailable):
                await events_of(run(server.model, retries=2))
        self.assertEqual(len(server.requests), 3)

    async def test_a_refusal_is_not_tried_again(self) -> None:
        for status in (400, 401, 403, 404, 422):
            with self.subTest(status=status):
                async with MockOpenAI() as server:
                    server.replies.append(error(status))
                    with self.assertRaises(RunError):
                        await events_of(run(server.model))
                self.assertEqual(len(server.requests), 1)

    async def test_the_wait_that_the_provider_asks_for_is_kept(self) -> None:
        async with MockOpenAI() as server:
            server.replies.append(error(429, Retry_After="3"))
            with mock.patch("agents.runtime.run.asyncio.sleep") as sleep:
                await events_of(run(server.model))
        sleep.assert_awaited_once_with(3.0)

    async def test_a_wait_that_is_too_long_is_handed_to_the_caller(self) -> None:
        async with MockOpenAI() as server:
            server.replies.append(error(429, Retry_After="3600"))
            with self.assertRaises(ProviderRateLimited) as raised:
                await events_of(run(server.model))
        self.assertEqual(raised.exception.retry_after, 3600)
        self.assertEqual(len(server.requests), 1)

    async def test_no_connection_is_unavailable(self) -> None:
        async with MockOpenAI() as server:
            await server.stop()
            subject = run(server.model, retries=1)
            with self.assertRaises(ProviderUnavailable):
                await events_of(subject)
        self.assertEqual([call.input_tokens for call in subject.calls], [0, 0])


class FallbackTests(RunTestCase):
    async def test_the_next_model_answers_when_the_first_cannot(self) -> None:
        async with MockOpenAI() as server:
            server.replies += [error(401), Reply("I step in.")]
            subject = run("mock:first", "mock:second")
            await events_of(subject)
        self.assertEqual([call.model for call in subject.calls], ["first", "second"])
        self.assertEqual(subject.text, "I step in.")

    async def test_a_model_that_does_not_exist_is_passed_over(self) -> None:
        subject = run("nobody:nothing", "scripted:say")
        await events_of(subject)
        self.assertEqual(subject.text, "Hello")

    async def test_nobody_falls_back_after_the_first_token(self) -> None:
        async with MockOpenAI() as server:
            server.replies.append(Reply("Half an answer", cut_after=2))
            with self.assertRaises(ProviderUnavailable):
                await events_of(run("mock:first", "mock:second"))
        self.assertEqual(len(server.requests), 1)

    async def test_two_models_do_not_speak_in_one_answer(self) -> None:
        async with MockOpenAI() as server:
            server.replies += [Reply("Let me see.", tool_calls=[ASK_TIME]), error(401)]
            with self.assertRaises(RunError):
                await events_of(run("mock:first", "mock:second", tools=("current_time",)))
        self.assertEqual(len(server.requests), 2)

    async def test_the_last_error_is_reported_when_all_fail(self) -> None:
        with self.assertRaises(UnknownModel):
            await events_of(run("scripted:fail", "nobody:nothing", retries=0))


class CutTests(RunTestCase):
    async def test_the_text_before_the_cut_is_kept_and_counted(self) -> None:
        async with MockOpenAI() as server:
            server.replies.append(Reply("one two three four", cut_after=3))
            subject = run(server.model)
            with self.assertRaises(ProviderUnavailable):
                await events_of(subject)
        self.assertEqual(subject.text, "one two")
        (call,) = subject.calls
        self.assertEqual(call.error, "provider_unavailable")
        self.assertTrue(call.estimated)
        self.assertEqual((call.input_tokens, call.output_tokens), (5, 2))

    async def test_a_call_that_was_accepted_is_counted_although_nothing_came(self) -> None:
        async with MockOpenAI() as server:
            server.replies.append(Reply(cut_after=0))
            subject = run(server.model, retries=0)
            with self.assertRaises(ProviderUnavailable):
                await events_of(subject)
        (call,) = subject.calls
        self.assertEqual((call.input_tokens, call.output_tokens, call.estimated), (5, 0, True))

    async def test_a_caller_that_leaves_ends_the_call_and_is_counted(self) -> None:
        async with MockOpenAI() as server:
            server.replies.append(Reply("word " * 50, chunk_delay=0.02))
            subject = run(server.model)
            async with aclosing(subject.events()) as events:
                await anext(events)
            async with asyncio.timeout(1):
                await server.requests[0].closed.wait()
        self.assertTrue(server.requests[0].cut)
        (call,) = subject.calls
        self.assertEqual((call.error, call.estimated), ("cancelled", True))
        self.assertGreater(call.input_tokens, 0)

    async def test_images_and_files_count_where_the_provider_has_not_counted(self) -> None:
        image = Attachment(media_type="image/png", data="AAAA")
        file = Attachment(media_type="application/pdf", data="A" * 500)
        said = ChatMessage("user", "Hello", attachments=(image, file))
        async with MockOpenAI() as server:
            server.replies.append(Reply("word " * 50, chunk_delay=0.02))
            subject = Run(RunRequest((server.model,), "You are a test.", (said,)))
            async with aclosing(subject.events()) as events:
                await anext(events)
        self.assertEqual(subject.calls[0].input_tokens, 5 + TOKENS_AN_IMAGE + 100)

    async def test_a_cancelled_task_ends_the_call_and_is_counted(self) -> None:
        async with MockOpenAI() as server:
            server.replies.append(Reply(delay=5))
            subject = run(server.model)
            task = asyncio.create_task(events_of(subject))
            await server.called.wait()
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            async with asyncio.timeout(1):
                await server.requests[0].closed.wait()
        self.assertEqual([call.error for call in subject.calls], ["cancelled"])

    async def test_an_empty_answer_is_an_error_and_is_counted(self) -> None:
        async with MockOpenAI() as server:
            server.replies.append(Reply("", usage=usage(10, 0)))
            subject = run(server.model)
            with self.assertRaises(EmptyAnswer):
                await events_of(subject)
        self.assertEqual([call.input_tokens for call in subject.calls], [10])


class PatienceTests(RunTestCase):
    async def test_no_first_token(self) -> None:
        async with MockOpenAI() as server:
            server.replies.append(Reply(delay=5))
            subject = run(server.model, timeouts=Timeouts(first_token=0.05))
            with self.assertRaises(ProviderTimeout):
                await events_of(subject)
        (call,) = subject.calls
        self.assertTrue(call.estimated)
        self.assertTrue(server.requests[0].cut)

    async def test_a_model_that_stalls(self) -> None:
        async with MockOpenAI() as server:
            server.replies.append(Reply("one two three", chunk_delay=0.15))
            subject = run(server.model, timeouts=Timeouts(stall=0.05))
            with self.assertRaises(ProviderTimeout):
                await events_of(subject)
        self.assertEqual(subject.text, "one")

    async def test_the_whole_run_has_an_end(self) -> None:
        for stream in (True, False):
            with self.subTest(stream=stream):
                async with MockOpenAI() as server:
                    server.replies.append(Reply("word " * 100, delay=0.02, chunk_delay=0.02))
                    subject = run(server.model, timeouts=Timeouts(total=0.15), stream=stream)
                    if not stream:
                        server.replies[0].delay = 5
                    with self.assertRaises(ProviderTimeout):
                        await events_of(subject)

    async def test_a_slow_reader_does_not_make_the_model_late(self) -> None:
        async with MockOpenAI() as server:
            server.replies.append(Reply("one two three"))
            subject = run(server.model, timeouts=Timeouts(first_token=0.2, stall=0.05))
            with jumping_clock():
                async with aclosing(subject.events()) as events:
                    async for _ in events:
                        await asyncio.sleep(0.08)
        self.assertEqual(subject.text, "one two three")

    async def test_a_model_that_stalls_after_a_slow_reader(self) -> None:
        async with MockOpenAI() as server:
            pieces = Reply("one two").pieces("any")
            server.replies.append(Reply(body=[b"".join(pieces[:2]), *pieces[2:]], chunk_delay=0.3))
            subject = run(server.model, timeouts=Timeouts(stall=0.05))
            with self.assertRaises(ProviderTimeout):
                async with aclosing(subject.events()) as events:
                    async for _ in events:
                        await asyncio.sleep(0.1)
        self.assertEqual(subject.text, "one")

    async def test_time_spent_thinking_is_not_a_stall(self) -> None:
        async with MockOpenAI() as server:
            thought = {"choices": [{"delta": {"reasoning_content": "Hm."}}]}
            reply = Reply("Yes.")
            reply.body = [*(sse(thought) for _ in range(10)), *reply.pieces("any")]
            reply.chunk_delay = 0.03
            server.replies.append(reply)
            subject = run(server.model, timeouts=Timeouts(first_token=0.2, stall=0.1))
            with jumping_clock():
                await events_of(subject)
        self.assertEqual(subject.text, "Yes.")


async def slow_events() -> AsyncGenerator[str]:
    await asyncio.sleep(0.1)
    yield "first"
    await asyncio.sleep(60)
    yield "second"


class TimedStreamTests(SimpleTestCase):
    async def test_a_limit_of_almost_nothing_does_not_keep_the_loop_busy(self) -> None:
        looks = 0
        look = TimedStream._look

        def counted(stream: TimedStream[str]) -> None:
            nonlocal looks
            looks += 1
            look(stream)

        loop = asyncio.get_running_loop()
        with mock.patch.object(TimedStream, "_look", counted):
            stream = TimedStream[str](
                slow_events(), first=30.0, stall=1e-9, deadline=loop.time() + 60
            )
            try:
                self.assertEqual(await stream.next(), "first")
                # While the reader is slow, the model is not late.
                await asyncio.sleep(0.1)
                with self.assertRaises(ProviderTimeout):
                    await stream.next()
            finally:
                await stream.close()

        # One each hundredth of a second at most.
        self.assertLess(looks, 100)
