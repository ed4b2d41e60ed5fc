"""Correct and broken answers of servers, and the results of both."""

from decimal import Decimal
from unittest import mock

from django.test import SimpleTestCase

from agents.runtime.errors import (
    ContextTooLong,
    EmptyAnswer,
    ProviderAuth,
    ProviderProtocol,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    RunError,
    UnknownModel,
)
from agents.runtime.providers.base import ModelRequest
from agents.runtime.providers.openai.compatible import OpenAICompatible
from agents.runtime.providers.openai.endpoints import KNOWN
from tests.agents.runtime.runs import answered, events_of, run
from tests.support.servers.mock_openai import MockOpenAI, Reply, delta, error, sse, stream, usage

DONE = b"data: [DONE]\n\n"


class StreamTests(SimpleTestCase):
    async def test_bytes_may_come_one_by_one(self) -> None:
        pieces = b"".join(Reply("Grüße an alle").pieces("any"))
        subject = await answered(Reply(body=[bytes([byte]) for byte in pieces]))
        self.assertEqual(subject.text, "Grüße an alle")
        self.assertEqual(subject.calls[0].output_tokens, 5)

    async def test_crlf_and_comments(self) -> None:
        whole = b": OPENROUTER PROCESSING\r\n\r\n" + sse(delta("Hi", "stop")).replace(
            b"\n", b"\r\n"
        )
        self.assertEqual((await answered(stream(whole, DONE))).text, "Hi")

    async def test_the_end_mark_may_be_missing(self) -> None:
        subject = await answered(stream(delta("Hi", "stop"), {"choices": [], "usage": usage(3, 1)}))
        self.assertEqual((subject.text, subject.calls[0].input_tokens), ("Hi", 3))

    async def test_the_last_empty_line_may_be_missing(self) -> None:
        subject = await answered(stream(sse(delta("Hi", "stop")).rstrip()))
        self.assertEqual(subject.text, "Hi")

    async def test_a_stream_that_ends_in_the_middle_is_no_answer(self) -> None:
        with self.assertRaises(ProviderProtocol):
            await answered(stream(delta("Hi")))

    async def test_an_empty_stream_is_no_answer(self) -> None:
        with self.assertRaises(ProviderProtocol):
            await answered(stream())
        with self.assertRaises(EmptyAnswer):
            await answered(stream(DONE))

    async def test_what_is_not_json_is_no_answer(self) -> None:
        for data in (
            b"data: {\n\n",
            b"data: 7\n\n",
            b'data: {"choices": 7}\n\n',
            b"data: \xff\n\n",
        ):
            with self.subTest(data=data), self.assertRaises(ProviderProtocol):
                await answered(stream(data))

    async def test_an_endless_line_is_given_up(self) -> None:
        with self.assertRaises(ProviderProtocol):
            await answered(stream(b"data: ", *(b"x" * 65536 for _ in range(20))))

    async def test_an_endless_answer_is_given_up(self) -> None:
        with (
            mock.patch("agents.runtime.run.LONGEST_ANSWER", 100),
            self.assertRaises(ProviderProtocol),
        ):
            await answered(Reply("word " * 100))

    async def test_an_error_inside_of_a_200(self) -> None:
        cases: list[tuple[object, type[RunError]]] = [
            ({"error": {"message": "x", "code": 502}}, ProviderUnavailable),
            ({"error": {"message": "x", "code": 429}}, ProviderRateLimited),
            ({"error": {"message": "x", "code": "rate_limit_exceeded"}}, ProviderRateLimited),
            ({"error": {"message": "x", "code": 401}}, ProviderAuth),
            ({"error": "overloaded"}, ProviderUnavailable),
            (b"event: error\ndata: out of memory\n\n", ProviderUnavailable),
        ]
        for event, kind in cases:
            with self.subTest(event=event), self.assertRaises(kind):
                await answered(stream(event))

    async def test_an_error_in_the_middle_keeps_the_text_so_far_and_is_paid(self) -> None:
        async with MockOpenAI() as server:
            server.replies.append(stream(delta("Half"), {"error": {"code": 500}}))
            subject = run(server.model)
            with self.assertRaises(ProviderUnavailable):
                await events_of(subject)
        self.assertEqual(subject.text, "Half")
        self.assertTrue(subject.calls[0].estimated)
        self.assertGreater(subject.calls[0].input_tokens, 0)

    async def test_a_page_instead_of_an_answer(self) -> None:
        page = Reply(body=b"<html>Bad gateway</html>", headers={"Content-Type": "text/html"})
        with self.assertRaises(ProviderUnavailable):
            await answered(page)

    async def test_nulls_and_parts_are_understood(self) -> None:
        subject = await answered(
            stream(
                {"choices": None, "usage": None, "error": None},
                {"choices": [{"delta": None}]},
                {"choices": [{"delta": {"content": None, "tool_calls": None}}]},
                {"choices": [{"delta": {"content": [{"type": "thinking"}, {"text": "Hi"}]}}]},
                DONE,
            )
        )
        self.assertEqual(subject.text, "Hi")


class WholeAnswerTests(SimpleTestCase):
    async def test_what_is_no_answer(self) -> None:
        cases: list[tuple[bytes, type[RunError]]] = [
            (b"", ProviderProtocol),
            (b"{}", ProviderProtocol),
            (b'{"choices": []}', ProviderProtocol),
            (b'{"choices": [{"message": {"content": ""}}]}', EmptyAnswer),
            (b'{"error": {"code": 503}}', ProviderUnavailable),
        ]
        for body, kind in cases:
            with self.subTest(body=body), self.assertRaises(kind):
                await answered(Reply(body=body), stream=False)

    async def test_an_answer_without_end_is_given_up(self) -> None:
        with (
            mock.patch("agents.runtime.providers.openai.reading.MAX_ANSWER_BYTES", 1000),
            self.assertRaises(ProviderProtocol),
        ):
            await answered(Reply(body=b" " * 5000), stream=False)

    async def test_a_cut_answer_is_unavailable(self) -> None:
        with self.assertRaises(ProviderUnavailable):
            await answered(Reply(cut_after=0), stream=False)


class RefusalTests(SimpleTestCase):
    async def test_each_status_has_its_meaning(self) -> None:
        cases: list[tuple[Reply, type[RunError]]] = [
            (error(401), ProviderAuth),
            (error(403), ProviderAuth),
            (error(402), ProviderRejected),
            (error(404), UnknownModel),
            (error(408), ProviderTimeout),
            (error(413), ContextTooLong),
            (error(429), ProviderRateLimited),
            (error(400, "This model's maximum context length is 8192 tokens"), ContextTooLong),
            (error(400, "request exceeds the available context size"), ContextTooLong),
            (error(400, "prompt is too long: 9 tokens"), ContextTooLong),
            (error(400, "temperature must be between 0 and 2"), ProviderRejected),
            (error(307, location="http://127.0.0.1:1/"), ProviderProtocol),
            (Reply(status=502, body=b"<html>"), ProviderUnavailable),
            (error(529), ProviderUnavailable),
        ]
        for reply, kind in cases:
            for as_stream in (True, False):
                with self.subTest(reply=reply), self.assertRaises(kind):
                    await answered(reply, stream=as_stream)

    async def test_no_money_left_is_not_tried_again(self) -> None:
        async with MockOpenAI() as server:
            server.replies.append(error(429, "insufficient_quota"))
            with self.assertRaises(ProviderRateLimited):
                await events_of(run(server.model))
        self.assertEqual(len(server.requests), 1)

    async def test_an_error_that_echoes_the_key_leaks_nothing(self) -> None:
        key = "canary+key/with=signs"
        async with MockOpenAI(key=key) as server:
            server.replies.append(error(401, f"Incorrect API key {key} or sk-abcdefghijklmnop"))
            with self.assertLogs("agents.runtime", "WARNING") as logs:
                subject = run(server.model)
                with self.assertRaises(ProviderAuth) as raised:
                    await events_of(subject)
        self.assertEqual(server.requests[0].headers["Authorization"], f"Bearer {key}")
        self.assertIn("Incorrect API key [key] or [key]", logs.output[0])
        for place in (*logs.output, raised.exception.safe, str(raised.exception)):
            self.assertNotIn(key, place)
            self.assertNotIn("sk-abc", place)
        self.assertNotIn("Incorrect", raised.exception.safe + repr(subject.calls))

    async def test_a_provider_cannot_forge_lines_of_the_log(self) -> None:
        async with MockOpenAI() as server:
            server.replies.append(Reply(status=400, body=b"bad\nWARNING all is well\r\n" * 500))
            with (
                self.assertLogs("agents.runtime", "WARNING") as logs,
                self.assertRaises(ProviderRejected),
            ):
                await events_of(run(server.model))
        self.assertEqual(len(logs.output[0].splitlines()), 1)
        self.assertLess(len(logs.output[0]), 700)


class KeyTests(SimpleTestCase):
    async def test_white_space_around_a_key_is_not_sent(self) -> None:
        async with MockOpenAI(key=" sk-canary\r\n") as server:
            await events_of(run(server.model))
        self.assertEqual(server.requests[0].headers["Authorization"], "Bearer sk-canary")

    async def test_a_key_with_a_line_end_is_an_error_of_ours_and_not_logged(self) -> None:
        for bad in ("\n", "\r", "\x00", "ü", "\u200b"):
            # The environment takes no NUL; a key from elsewhere may hold one.
            provider = OpenAICompatible(KNOWN["openai"], "http://127.0.0.1:9/v1", f"canary{bad}b")
            request = ModelRequest(model="m", system_prompt="", messages=())
            with (
                self.subTest(bad=bad),
                self.assertLogs("agents.runtime", "WARNING") as logs,
                self.assertRaises(ProviderAuth),
            ):
                await anext(provider.stream(request))
            self.assertNotIn("canary", "".join(logs.output))
        async with MockOpenAI(key="canary\nb") as server:
            with (
                self.assertLogs("agents.runtime", "WARNING") as logs,
                self.assertRaises(UnknownModel),
            ):
                await events_of(run(server.model))
        self.assertEqual(server.requests, [])
        self.assertIn("MOCK_API_KEY", logs.output[0])
        self.assertNotIn("canary", logs.output[0])


class ProviderDifferenceTests(SimpleTestCase):
    async def test_openai_knows_another_name_for_max_tokens(self) -> None:
        async with MockOpenAI(provider="openai") as server:
            await events_of(run(server.model, max_tokens=9))
        self.assertEqual(server.requests[0].body["max_completion_tokens"], 9)
        self.assertNotIn("max_tokens", server.requests[0].body)

    async def test_openrouter_is_asked_for_the_cost(self) -> None:
        async with MockOpenAI(provider="openrouter") as server:
            server.replies.append(Reply(usage=usage(1, 1, cost=0.125)))
            subject = run(server.model)
            await events_of(subject)
        self.assertEqual(server.requests[0].body["usage"], {"include": True})
        self.assertEqual(subject.calls[0].reported_cost, Decimal("0.125"))

    async def test_no_key_no_header(self) -> None:
        async with MockOpenAI(key="") as server:
            await events_of(run(server.model))
        self.assertNotIn("Authorization", server.requests[0].headers)
