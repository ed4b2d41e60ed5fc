"""Answers in all shapes are read, streamed or whole, also when the connection breaks."""

import gzip
import json
import os
import zlib
from typing import Any
from unittest import mock

from django.test import SimpleTestCase

from agents.runtime.errors import (
    ContextTooLong,
    ProviderProtocol,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from agents.runtime.events import ToolCall, ToolResult
from agents.runtime.providers import refusals
from agents.runtime.providers.base import PROGRESS, Finished, ModelRequest, ToolRound
from agents.runtime.providers.openai import compatible, provider_data
from agents.runtime.providers.openai import reading as openai_reading
from agents.runtime.providers.openai import request as openai_wire
from agents.runtime.providers.openai.endpoints import Endpoint, endpoint_problem
from agents.runtime.run import Run, Timeouts
from tests.agents.runtime.runs import OtherTask, answered, events_of, run
from tests.support.servers.mock_openai import MockOpenAI, Reply, delta, sse, stream, usage
from tests.support.servers.raw_model import LAST_CHUNK, RESET, chunk, head, raw_model

DONE = b"data: [DONE]\n\n"
COUNTED = {"choices": [], "usage": usage(10, 5)}
EVENTS = [sse(delta("Hello ")), sse(delta("there.")), sse(delta("", "stop")), sse(COUNTED)]
STREAM = b"".join(EVENTS)


def message(content: Any = "Hello there.", finish: Any = "stop", **more: Any) -> dict[str, Any]:
    """A whole answer; `more` are fields of its message."""
    content_fields = {"role": "assistant", "content": content, **more}
    choice = {"index": 0, "message": content_fields, "finish_reason": finish}
    return {"object": "chat.completion", "choices": [choice], "usage": usage(10, 5)}


async def raw(*pieces: bytes, pause: float = 0.0, **more: Any) -> Run:
    async with raw_model(*pieces, pause=pause) as model:
        subject = run(model, **{"retries": 0, **more})
        await events_of(subject)
    return subject


class ShapeTestCase(SimpleTestCase):
    def assert_whole(self, subject: Run, text: str = "Hello there.") -> None:
        (call,) = subject.calls
        self.assertEqual(subject.text, text)
        self.assertEqual((call.input_tokens, call.output_tokens), (10, 5))
        self.assertEqual((call.error, call.estimated, call.finish_reason), ("", False, "stop"))


class EndTests(ShapeTestCase):
    """Faults of the connection after the end of the answer are ignored."""

    async def test_after_done_nothing_on_the_connection_matters(self) -> None:
        whole = head() + b"".join(map(chunk, (*EVENTS, DONE)))
        with_length = head(length=len(STREAM + DONE) + 7) + STREAM + DONE
        cases: dict[str, list[bytes]] = {
            "closed": [whole],
            "reset": [whole, RESET],
            "closed later": [whole, b"\r\n"],
            "garbage in the framing": [whole + b"zz\r\n"],
            "garbage in the framing, later": [whole, b"zz\r\n"],
            "garbage in the body": [whole + chunk(b"\xff\xfe{{{<html>") + LAST_CHUNK],
            "an error event": [whole + chunk(b"event: error\ndata: {}\n\n") + LAST_CHUNK],
            "too short": [with_length],
            "too short and reset": [with_length, RESET],
            "neither length nor chunks": [head(length=-1) + STREAM + DONE],
            "no end of the last line": [head() + chunk(STREAM) + chunk(DONE.strip()), RESET],
        }
        for name, pieces in cases.items():
            with self.subTest(name):
                self.assert_whole(await raw(*pieces, pause=0.01))

    async def test_after_a_finish_reason_and_usage_nothing_matters(self) -> None:
        whole = head() + chunk(STREAM)
        error = chunk(sse({"error": {"message": "too late", "code": 500}}))
        for name, pieces in {
            "closed": [whole],
            "reset": [whole, RESET],
            "an error": [whole + error + LAST_CHUNK],
            "an error event": [whole + chunk(b"event: error\ndata: x\n\n")],
            "no JSON": [whole + chunk(b"data: {broken\n\n") + LAST_CHUNK],
            "an endless line": [whole + chunk(b"x" * 3_000_000) + LAST_CHUNK],
        }.items():
            with self.subTest(name):
                self.assert_whole(await raw(*pieces, pause=0.01))

    async def test_a_connection_that_stays_open_after_the_end_is_left(self) -> None:
        limits = Timeouts(first_token=5, stall=5, total=10)
        whole = head() + chunk(STREAM)
        self.assert_whole(await raw(whole, LAST_CHUNK, pause=1, timeouts=limits))

    async def test_before_the_end_what_came_is_partial(self) -> None:
        begun = head() + chunk(EVENTS[0])
        for name, pieces in {
            "closed": [begun],
            "reset": [begun, RESET],
            "garbage": [begun + b"zz\r\n"],
            "garbage, later": [begun, b"zz\r\n"],
            "within an event": [begun + chunk(EVENTS[1][:20])],
            "finished, not counted": [begun + chunk(EVENTS[2]), RESET],
        }.items():
            with self.subTest(name), self.assertRaises(ProviderUnavailable):
                subject = None
                async with raw_model(*pieces, pause=0.01) as model:
                    subject = run(model)
                    await events_of(subject)
            assert subject is not None
            self.assertEqual(subject.text, "Hello ")
            self.assertTrue(subject.calls[0].estimated)


class ReadByWhatCameTests(ShapeTestCase):
    async def test_every_shape_is_read_for_both_callers(self) -> None:
        whole = json.dumps(message()).encode()
        events = [delta("Hello "), delta("there."), delta("", "stop"), COUNTED]
        lines = b"".join(json.dumps(event).encode() + b"\n" for event in events)
        cases: dict[str, tuple[bytes, str]] = {
            "whole": (whole, "application/json"),
            "whole, pretty": (json.dumps(message(), indent=2).encode(), "application/json"),
            "whole, after blanks": (b"\n  \n" + whole, "application/json"),
            "whole, after comments": (b": wait\n\n: wait\n\n" + whole, "text/event-stream"),
            "whole, with a byte order mark": (b"\xef\xbb\xbf" + whole, "application/json"),
            "whole, called a stream": (whole, "text/event-stream"),
            "whole, called a page": (whole, "text/html"),
            "whole in a list": (b"[" + whole + b"]", "application/json"),
            "whole in an event": (sse(message()) + DONE, "text/event-stream"),
            "whole and done": (whole + b"\n\n" + DONE, "text/event-stream"),
            "whole and done, one line": (whole + b"\n" + DONE, "application/json"),
            "a stream": (STREAM + DONE, "text/event-stream"),
            "a stream, called JSON": (STREAM + DONE, "application/json"),
            "a stream, called a page": (STREAM + DONE, "text/html; charset=utf-8"),
            "a stream, called text": (STREAM + DONE, "text/plain"),
            "JSON lines": (lines, "application/x-ndjson"),
            "JSON lines, called JSON": (lines + b"[DONE]\n", "application/json"),
            "several values in an event": (
                b"data: " + lines.replace(b"\n", b" ") + b"\n\n",
                "text/event-stream",
            ),
            "a message that grows": (
                b"".join(map(sse, (message("Hel", None), message("Hello there.")))) + DONE,
                "text/event-stream",
            ),
            "messages in place of deltas": (
                b"".join(map(sse, (message("Hello ", None), message("there.")))) + DONE,
                "text/event-stream",
            ),
            "an empty delta beside a message": (
                sse({**message(), "choices": [{**message()["choices"][0], "delta": {}}]}),
                "text/event-stream",
            ),
            "the field's name twice": (
                (STREAM + DONE).replace(b"data: ", b"data: data: "),
                "text/event-stream",
            ),
            "lines with a margin": (
                (STREAM + DONE).replace(b"data: ", b"  data: "),
                "text/event-stream",
            ),
            "deltas, then all of it": (
                b"".join(EVENTS[:2]) + sse(message()) + DONE,
                "text/event-stream",
            ),
        }
        for name, (body, kind) in cases.items():
            for as_stream in (True, False):
                with self.subTest(name, stream=as_stream):
                    reply = Reply(body=body, headers={"Content-Type": kind})
                    self.assert_whole(await answered(reply, stream=as_stream))

    async def test_the_longest_answer_is_read_however_it_is_written(self) -> None:
        longest = "字" * 999_000
        whole = json.dumps(message(longest)).encode()
        self.assertGreater(len(whole), 5_000_000)
        for reply in (Reply(body=whole), stream(b"data: " + whole + b"\n\n")):
            self.assert_whole(await answered(reply), longest)

    async def test_an_answer_is_one_with_every_status_of_success(self) -> None:
        for reply in (stream(*EVENTS), Reply(body=json.dumps(message()).encode())):
            for status in (201, 202, 206):
                reply.status = status
                with self.subTest(status=status):
                    self.assert_whole(await answered(reply))
        with self.assertRaises(ProviderProtocol):
            await raw(b"HTTP/1.1 204 Any\r\n\r\n")

    async def test_upstream_is_always_asked_to_stream(self) -> None:
        async with MockOpenAI() as server:
            await events_of(run(server.model, stream=True))
            subject = run(server.model, stream=False)
            await events_of(subject)
        self.assertEqual([request.body["stream"] for request in server.requests], [True, True])
        self.assertIsNone(subject.calls[0].time_to_first_token_ms)

    async def test_a_caller_of_json_has_the_limits_of_a_stream(self) -> None:
        async with MockOpenAI() as server:
            server.replies.append(Reply(delay=5))
            limits = Timeouts(first_token=0.05, stall=0.05, total=10)
            with self.assertRaises(ProviderTimeout):
                await events_of(run(server.model, stream=False, timeouts=limits))

    async def test_a_server_that_cannot_stream_is_not_asked_to(self) -> None:
        async with MockOpenAI() as server:
            server.replies.append(Reply("It took a while.", delay=0.2))
            limits = Timeouts(first_token=0.05, stall=0.05, total=10)
            with mock.patch.dict(os.environ, {"MOCK_STREAM": "false"}):
                subject = run(server.model, timeouts=limits)
                await events_of(subject)
        self.assertIs(server.requests[0].body["stream"], False)
        self.assertNotIn("stream_options", server.requests[0].body)
        self.assertEqual(subject.text, "It took a while.")

    def test_a_setting_that_is_neither_yes_nor_no_is_named(self) -> None:
        endpoint = Endpoint("mock", "http://127.0.0.1:1/v1", needs_key=False)
        for value, problem in (
            ("True", None),
            ("off", None),
            ("maybe", "MOCK_STREAM must be true or false."),
        ):
            with mock.patch.dict(os.environ, {"MOCK_STREAM": value}):
                self.assertEqual(endpoint_problem(endpoint, endpoint.settings), problem)

    async def test_a_page_is_no_answer_whatever_it_is_called(self) -> None:
        for body in (b"<html>\n\n<h1>Bad gateway</h1>", b"<!DOCTYPE html>", b"  <?xml?>"):
            for kind in ("text/html", "application/json", "text/event-stream"):
                with self.subTest(body=body, kind=kind), self.assertRaises(ProviderUnavailable):
                    await answered(Reply(body=body, headers={"Content-Type": kind}))


class EventTests(ShapeTestCase):
    async def test_what_keeps_a_connection_open_is_passed_over(self) -> None:
        for ping in (
            b"data: \n\n",
            b"data:\n\n",
            b"data\n\n",
            b"data: null\n\n",
            b'data: ""\n\n',
            b"data: {}\n\n",
            b"data: []\n\n",
            b'data: {"type": "ping"}\n\n',
            b"data: ping\n\n",
            b"data: [PING]\n\n",
            b"data: [HEARTBEAT]\n\n",
            b"data: keep-alive\n\n",
            b"data: : OPENROUTER PROCESSING\n\n",
            b"event: ping\ndata: 2026-11-29T00:00:00Z\n\n",
            b"event: heartbeat\ndata: 7\n\n",
            b": keep-alive\n\n",
            b"ping\n\n",
            b"id: 4\nretry: 3000\n\n",
        ):
            with self.subTest(ping=ping):
                pieces = [ping, EVENTS[0], ping, *EVENTS[1:], ping, DONE]
                self.assert_whole(await answered(stream(*pieces)))

    async def test_nothing_is_lost_silently(self) -> None:
        for data in (
            b"data: 7\n\n",
            b"data: true\n\n",
            b'data: "text"\n\n',
            b"data: Internal Server Error\n\n",
            b"data: [ERROR] out of memory\n\n",
            b'data: {"choices": [{"delta": {"content": 5}}]}\n\n',
            b'data: {"choices": [{"delta": {"content": "Hel\n\n',
            b"Internal Server Error\n\n",
            b'{"choices": \n\n',
        ):
            with self.subTest(data=data), self.assertRaises(ProviderProtocol):
                await answered(stream(EVENTS[0], data, *EVENTS[1:], DONE))

    async def test_each_spelling_of_the_end(self) -> None:
        for end in (b"[DONE] ", b'"[DONE]"', b"  [DONE]", b"[done]"):
            with self.subTest(end=end):
                pieces = [*EVENTS, b"data: " + end + b"\n\n", b"data: {broken\n\n"]
                self.assert_whole(await answered(stream(*pieces)))

    async def test_lines_without_a_blank_one_between_them_are_read(self) -> None:
        lines = b"".join(EVENTS).replace(b"\n\n", b"\n")
        for end in (b"", b"data: [DONE]\n", b"data: [DONE]\n\n"):
            with self.subTest(end=end):
                self.assert_whole(await answered(stream(lines + end)))

    async def test_numbers_that_are_no_json_lose_nothing(self) -> None:
        for number in (b"NaN", b"Infinity", b"-Infinity"):
            event = EVENTS[0].replace(b'"index": 0', b'"index": 0, "logprobs": ' + number)
            with self.subTest(number=number):
                self.assert_whole(await answered(stream(event, *EVENTS[1:])))


class CharacterTests(ShapeTestCase):
    def event(self, text: str) -> bytes:
        """A delta whose text is given as raw JSON."""
        return b'data: {"choices": [{"delta": {"content": "%s"}}]}\n\n' % text.encode()

    async def test_halves_of_a_character_are_one_and_a_lone_half_is_replaced(self) -> None:
        cases: list[tuple[list[str], str]] = [
            (["Go \\ud83d", "\\ude80 now"], "Go \U0001f680 now"),
            (["\\ud83d", "\\ude80"], "\U0001f680"),
            (["\\uD83D\\ude80\\ud83d", "\\ude80"], "\U0001f680\U0001f680"),
            (["Go \\ud83d", " now"], "Go \ufffd now"),
            (["Go \\ude80", " now"], "Go \ufffd now"),
            (["Go ", "now\\ud83d"], "Go now\ufffd"),
            (["a\\r", "\\nb"], "a\nb"),
            (["a\\r\\nb\\r", "\\r\\n", "", "\\nc"], "a\nb\n\n\nc"),
            (["\\r", "\\ud83d", "\\ude80\\n"], "\n\U0001f680\n"),
            (["\\\\ud83d \\ud83d", "\\ud83d", "\\ude80é"], "\\ud83d \ufffd\U0001f680é"),
        ]
        for texts, read in cases:
            for apart in (0.0, 0.02):
                with self.subTest(texts=texts, apart=apart):
                    events = [*map(self.event, texts), *EVENTS[2:], DONE]
                    subject = await answered(
                        Reply(
                            body=events,
                            chunk_delay=apart,
                            headers={"Content-Type": "text/event-stream"},
                        )
                    )
                    self.assert_whole(subject, read)

    async def test_broken_utf_8_is_replaced(self) -> None:
        event = self.event("Gr@e").replace(b"@", b"\xc3\xbc\xff")
        self.assert_whole(await answered(stream(event, *EVENTS[2:])), "Grü\ufffde")

    async def test_halves_in_a_call_reach_the_tool_and_the_model_whole(self) -> None:
        function = '{"name": "current_time", "arguments": "{\\"timezone\\": \\"\\ud83d\\"}"}'
        call = f'{{"index": 0, "id": "c\\ud83d", "function": {function}, "note": "\\ud83d"}}'
        delta = f'{{"reasoning": "why \\ud83d", "tool_calls": [{call}]}}'
        async with MockOpenAI() as server:
            server.replies.append(
                stream(f'data: {{"choices": [{{"delta": {delta}}}]}}\n\n'.encode(), DONE)
            )
            subject = run(server.model, tools=("current_time",))
            events = await events_of(subject)
        (sent,) = [event for event in events if isinstance(event, ToolCall)]
        self.assertEqual(json.loads(sent.arguments), {"timezone": "\ufffd"})
        self.assertEqual(sent.extra, {"note": "\ufffd"})
        self.assertEqual(len(server.requests), 2)


class SaidTests(ShapeTestCase):
    """Refusals, parts and other content beside plain text."""

    async def test_refusals_and_old_shapes_are_text(self) -> None:
        cases: dict[str, list[object]] = {
            "refusal": [{"delta": {"refusal": "I can"}}, {"delta": {"refusal": "not."}}],
            "refusal in a message": [{"message": {"content": None, "refusal": "I cannot."}}],
            "a part that refuses": [
                {"message": {"content": [{"type": "refusal", "refusal": "I cannot."}]}}
            ],
            "a completion": [{"text": "I can"}, {"text": "not."}],
            "parts": [
                {"delta": {"content": [{"type": "thinking", "thinking": [{"text": "no"}]}]}},
                {"delta": {"content": [{"type": "text", "text": "I "}, "can"]}},
                {"delta": {"content": {"type": "text", "text": {"value": "not."}}}},
            ],
            "null parts": [
                {"delta": {"content": [{"type": "text", "text": None}, None, {}]}},
                {"delta": {"content": [{"type": "text", "text": "I cannot."}]}},
            ],
            "PHP's empty objects": [{"delta": []}, {"delta": {"content": "I cannot."}}, None],
        }
        for name, choices in cases.items():
            with self.subTest(name):
                events = [{"choices": [choice]} for choice in choices]
                self.assert_whole(await answered(stream(*events, *EVENTS[2:])), "I cannot.")

    def test_the_reason_for_an_empty_answer_reaches_the_run(self) -> None:
        """The run passes it on to the caller, for every provider in the same way."""
        for reason in ("content_filter", "SAFETY", "sensitive"):
            for data in (
                sse({"choices": [{"delta": {}, "finish_reason": reason}]}) + sse(COUNTED) + DONE,
                json.dumps(message(None, reason)).encode(),
            ):
                with self.subTest(reason=reason, data=data):
                    reading = openai_reading.Reading()
                    reading.take(data)
                    (finished,) = reading.end()
                    assert isinstance(finished, Finished)
                    self.assertEqual(finished.reason, reason)

    async def test_what_came_before_a_filter_stays_as_it_came(self) -> None:
        subject = await answered(stream(delta("Half", "content_filter"), COUNTED))
        self.assertEqual(subject.text, "Half")
        self.assertEqual(subject.calls[0].finish_reason, "content_filter")

    async def test_the_finish_reason_reaches_the_caller(self) -> None:
        subject = await answered(stream(delta("Half", "length"), COUNTED))
        self.assertEqual(subject.calls[0].finish_reason, "length")

    async def test_the_one_call_of_an_old_server_is_made(self) -> None:
        old = {"name": "current_time", "arguments": '{"timezone": "UTC"}'}
        halves = [{"name": "current_time", "arguments": ""}, {"arguments": old["arguments"]}]
        for reply in (
            stream(*({"choices": [{"delta": {"function_call": half}}]} for half in halves), DONE),
            Reply(body=json.dumps(message(None, "function_call", function_call=old)).encode()),
        ):
            async with MockOpenAI() as server:
                server.replies.append(reply)
                events = await events_of(run(server.model, tools=("current_time",)))
            (call,) = [event for event in events if isinstance(event, ToolCall)]
            self.assertEqual((call.name, call.arguments), (old["name"], old["arguments"]))


class PackedTests(ShapeTestCase):
    """Gzip and deflate that were not requested."""

    def packings(self, data: bytes) -> dict[str, tuple[bytes, dict[str, str]]]:
        raw_deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        return {
            "gzip": (gzip.compress(data), {"Content-Encoding": "gzip"}),
            "gzip without its header": (gzip.compress(data), {}),
            "gzip in members": (
                b"".join(gzip.compress(data[at : at + 50]) for at in range(0, len(data), 50)),
                {"Content-Encoding": "gzip"},
            ),
            "zlib": (zlib.compress(data), {"Content-Encoding": "deflate"}),
            "raw deflate": (
                raw_deflate.compress(data) + raw_deflate.flush(),
                {"Content-Encoding": "deflate"},
            ),
            "a header and plain text": (data, {"Content-Encoding": "gzip"}),
        }

    async def test_a_packed_answer_is_read(self) -> None:
        for data in (STREAM + DONE, json.dumps(message()).encode()):
            for name, (body, headers) in self.packings(data).items():
                for pieces in ([body], [body[at : at + 1] for at in range(len(body))]):
                    with self.subTest(name, pieces=len(pieces)):
                        self.assert_whole(await answered(Reply(body=pieces, headers=headers)))

    async def test_a_packed_error_is_understood(self) -> None:
        text = b'{"error": {"message": "maximum context length is 8192 tokens"}}'
        for name, (body, headers) in self.packings(text).items():
            with self.subTest(name), self.assertRaises(ContextTooLong):
                await answered(Reply(status=400, body=body, headers=headers))

    async def test_an_error_that_comes_in_pieces_is_read_whole(self) -> None:
        pieces = [b'{"error": {"message": "maximum ', b'context length is 8192 tokens"}}']
        with self.assertRaises(ContextTooLong):
            await answered(Reply(status=400, body=pieces, chunk_delay=0.02))

    async def test_what_unpacks_to_very_much_is_refused(self) -> None:
        for text in (b" " * 30_000_000, b"\n" * 10_000_000, b": x\n" * 2_500_000):
            bomb = Reply(body=gzip.compress(text), headers={"Content-Encoding": "gzip"})
            with self.subTest(text=text[:3]), self.assertRaises(ProviderProtocol):
                await answered(bomb)
        bomb.status = 400
        with self.assertRaises(ProviderRejected) as raised:
            await answered(bomb)
        self.assertLess(len(raised.exception.detail), 100_000)

    async def test_what_cannot_be_unpacked_is_refused(self) -> None:
        for body, encoding in (
            (gzip.compress(STREAM)[:20] + b"broken" * 9, "gzip"),
            (gzip.compress(STREAM)[:-30], "gzip"),
            (b"\x8b\x05\x80", "br"),
            (b"\x28\xb5\x2f\xfd", "zstd"),
        ):
            reply = Reply(body=body, headers={"Content-Encoding": encoding})
            with self.subTest(encoding=encoding), self.assertRaises(ProviderProtocol):
                await answered(reply)


class EchoTests(SimpleTestCase):
    """The data that came with a tool call goes back with it, under the same name."""

    def provider_data_of(self, *deltas: dict[str, Any]) -> Any:
        """The `provider_data` that the adapter reads from these deltas."""
        reading = openai_reading.Reading()
        for each in deltas:
            event = reading.take(sse({"choices": [{"index": 0, "delta": each}]}))
            self.assertEqual(event, PROGRESS)
        reading.take(DONE)
        (finished,) = [event for event in reading.end() if isinstance(event, Finished)]
        return finished.provider_data

    def sent(self, call: ToolCall, provider_data: Any) -> dict[str, Any]:
        """The assistant's message in the request of the next round."""
        result = ToolResult(call.id, call.name, "noon")
        tool_round = ToolRound("", (call,), (result,), "mock", provider_data)
        request = ModelRequest("m", "", (), rounds=(tool_round,))
        body = openai_wire.request_body(request, Endpoint("mock", ""))
        message: dict[str, Any] = body["messages"][0]
        return message

    def test_what_came_with_a_call_goes_back_unchanged(self) -> None:
        signature = {"type": "reasoning.encrypted", "id": "r1", "data": "b3BhcXVl", "index": 0}
        text = {"type": "reasoning.text", "index": 1, "format": "anthropic-claude-v1"}
        cases: list[tuple[list[dict[str, Any]], dict[str, Any]]] = [
            (
                [{"reasoning_content": "The user"}, {"reasoning_content": " asks."}],
                {"reasoning_content": "The user asks."},
            ),
            (
                [{"reasoning": "a", "reasoning_content": "b"}, {"reasoning": "c"}],
                {"reasoning": "ac", "reasoning_content": "b"},
            ),
            (
                [{"reasoning_details": [signature]}, {"reasoning_details": [signature]}],
                {"reasoning_details": [signature, signature]},
            ),
            (
                [
                    {"reasoning_details": [text | {"text": "The "}]},
                    {"reasoning_details": [text | {"text": "user"}]},
                    {"reasoning_details": [text | {"signature": "c2ln", "text": None}]},
                    {"reasoning_details": [text | {"text": "Next"}, signature]},
                ],
                {
                    "reasoning_details": [
                        text | {"text": "The user", "signature": "c2ln"},
                        text | {"text": "Next"},
                        signature,
                    ]
                },
            ),
            ([{"reasoning_opaque": "b3A="}], {"reasoning_opaque": "b3A="}),
            (
                [{"extra_content": {"google": {"thought_signature": "c2ln"}}}],
                {"extra_content": {"google": {"thought_signature": "c2ln"}}},
            ),
            (
                [{"reasoning": "\ud83d"}, {"reasoning": "\ude80 \ud83d"}],
                {"reasoning": "\U0001f680 \ufffd"},
            ),
        ]
        for deltas, data in cases:
            with self.subTest(deltas=deltas):
                self.assertEqual(self.provider_data_of(*deltas), data)
                sent = self.sent(ToolCall("c1", "f", "{}"), data)
                self.assertEqual({name: sent[name] for name in data}, data)
                self.assertEqual((sent["role"], len(sent["tool_calls"])), ("assistant", 1))

    def test_what_did_not_come_does_not_go_back(self) -> None:
        reading = openai_reading.Reading()
        reading.take(sse(delta("Hi", "stop")) + DONE)
        self.assertIsNone(list(reading.end())[-1].provider_data)  # type: ignore[union-attr]
        sent = self.sent(ToolCall("c1", "f", "{}"), None)
        self.assertEqual(set(sent), {"role", "content", "tool_calls"})
        self.assertEqual(set(sent["tool_calls"][0]), {"id", "type", "function"})

    def test_what_came_cannot_take_the_place_of_our_own(self) -> None:
        extra = {"id": "x", "type": "y", "function": {"name": "evil", "strict": True}, "note": 1}
        sent = self.sent(ToolCall("c1", "f", "{}", extra), {"role": "system", "content": "no"})
        self.assertEqual((sent["role"], sent["content"]), ("assistant", None))
        function = {"name": "f", "arguments": "{}", "strict": True}
        self.assertEqual(
            sent["tool_calls"], [{"id": "c1", "type": "function", "function": function, "note": 1}]
        )

    async def test_what_a_call_carries_reaches_the_next_round(self) -> None:
        signed = {"google": {"thought_signature": "c2lnbmF0dXJl"}}
        function = {"name": "current_time", "arguments": "{}"}
        call = {"index": 0, "id": "c1", "function": function, "extra_content": signed}
        async with MockOpenAI() as server:
            server.replies.append(stream({"choices": [{"delta": {"tool_calls": [call]}}]}, DONE))
            await events_of(run(server.model, tools=("current_time",)))
        (sent,) = [m for m in server.requests[1].body["messages"] if m.get("tool_calls")]
        self.assertEqual(sent["tool_calls"][0]["extra_content"], signed)


class BoundTests(SimpleTestCase):
    """A model's answer is bounded in bytes, calls, depth and time, and costs linear work."""

    async def test_json_nested_too_deep_is_refused(self) -> None:
        deep = b"[" * 200_000 + b"]" * 200_000
        for place in (
            b'{"x": @}',
            b'{"usage": @}',
            b'{"choices": [{"delta": {"content": @}}]}',
            b'{"choices": [{"delta": {"reasoning_details": @}}]}',
            b'{"choices": [{"delta": {"tool_calls": [{"arguments": @}]}}]}',
            b'{"choices": [{"delta": {"content": "\\ud83d", "x": @}}]}',
            b"@",
        ):
            body = place.replace(b"@", deep)
            for kind in (b"data: " + body + b"\n\n", body):
                with self.subTest(place=place), self.assertRaises(ProviderProtocol):
                    await answered(stream(kind))

    async def test_a_small_text_does_not_become_a_large_structure(self) -> None:
        many = b",".join([b"{}"] * 200_000)
        for place in (
            b'{"choices": [@]}',
            b'{"choices": [{"delta": {"content": [@]}}]}',
            b'{"choices": [{"delta": {"tool_calls": [@]}}]}',
            b'{"choices": [{"delta": {"reasoning_details": [@]}}]}',
        ):
            with self.subTest(place=place), self.assertRaises(ProviderProtocol) as raised:
                await answered(stream(b"data: " + place.replace(b"@", many) + b"\n\n"))
            self.assertIn("values", raised.exception.detail)

    async def test_what_is_too_large_is_not_read_in_search_of_an_error(self) -> None:
        many = b'{"error": [%s]}' % b",".join([b"{}"] * 200_000)
        with (
            mock.patch.object(refusals, "decode_leniently") as read,
            self.assertRaises(ProviderProtocol),
        ):
            await answered(Reply(body=many))
        read.assert_not_called()

    async def test_an_answer_has_an_end(self) -> None:
        cases: dict[str, bytes] = {
            "bytes": b": comment\n\n",
            "empty deltas": sse({"choices": [{"delta": {}}]}),
            "thoughts": sse({"choices": [{"delta": {"reasoning_content": "hm " * 50}}]}),
            "arguments": sse(
                {"choices": [{"delta": {"tool_calls": [{"function": {"arguments": "x" * 100}}]}}]}
            ),
            "calls": sse(
                {"choices": [{"delta": {"tool_calls": [{"function": {"name": "f"}}] * 9}}]}
            ),
        }
        for name, event in cases.items():
            with (
                self.subTest(name),
                mock.patch.object(openai_reading, "MAX_ANSWER_BYTES", 4_000_000),
                mock.patch.object(provider_data, "MAX_REASONING_CHARACTERS", 300_000),
                self.assertRaises(ProviderProtocol),
            ):
                body = [event * (100_000 // len(event))] * 50
                await answered(Reply(body=body), tools=("current_time",))

    async def test_others_have_their_turn_while_an_answer_is_read(self) -> None:
        """All of it is in the buffer: other tasks run only while the reader pauses."""
        events = {
            "words": sse(delta("word ")),
            "thoughts": sse({"choices": [{"delta": {"reasoning": "hm"}}]}),
            "comments": b": x\n\n",
        }
        for name, event in events.items():
            body = event * (400_000 // len(event)) + DONE
            for sent in (body, gzip.compress(body)):
                with self.subTest(name), mock.patch.object(compatible, "WORK_SECONDS", 0):
                    turns = await turns_of_others(sent)
                self.assertGreater(turns, len(body) // compatible.PIECE_BYTES - 2)


async def turns_of_others(body: bytes) -> int:
    """How often another task ran while the body was read, which comes without any waiting."""
    content = mock.Mock(readany=mock.AsyncMock(side_effect=[body, b""]))
    source = compatible._Source(mock.Mock(headers={}, content=content))
    reading = openai_reading.Reading()
    async with OtherTask() as other:
        while (piece := await source.next(reading)) is not None:
            reading.take(piece)
    assert reading.done
    return other.turns
