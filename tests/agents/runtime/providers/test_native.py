"""Pydantic AI in the loop: its function model, and Anthropic's own API on the wire."""

import json
import os
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from importlib.util import find_spec
from typing import Any
from unittest import mock

import msgspec
from aiohttp import web
from django.test import SimpleTestCase
from msgspec.structs import replace
from pydantic_ai import messages as parts
from pydantic_ai.models import Model, infer_model
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel

from agents.costs.pricing import total
from agents.runtime.errors import (
    AnswerRefused,
    ContextTooLong,
    EmptyAnswer,
    ProviderAuth,
    ProviderProtocol,
    ProviderRateLimited,
    ProviderUnavailable,
    RunError,
    UnknownModel,
)
from agents.runtime.events import ToolCall, ToolResult
from agents.runtime.providers import close_clients, native
from agents.runtime.providers.base import ChatMessage, ModelRequest, ToolRound, ToolSpec
from agents.runtime.providers.native import messages, pydantic_ai
from agents.runtime.run import Run, Timeouts
from salient.api import lifespan
from tests.agents.runtime.runs import OtherTask, events_of, run

MODEL = "anthropic:claude-sonnet-4-6"
KEY = "sk-ant-canary-0123456789"


async def spoken(
    messages: list[parts.ModelMessage], info: AgentInfo
) -> AsyncIterator[str | dict[int, DeltaToolCall]]:
    """Calls the time tool, then repeats its result; without tools it repeats the message."""
    last = messages[-1].parts[-1]
    if isinstance(last, parts.ToolReturnPart):
        yield "It is "
        yield str(last.content)
    elif not info.function_tools:
        system = messages[0].parts[0]
        assert isinstance(system, parts.SystemPromptPart)
        yield f"{system.content} {info.model_settings}"
    else:
        yield {0: DeltaToolCall(info.function_tools[0].name, "{}", tool_call_id="t1")}


class FunctionModelTests(SimpleTestCase):
    def setUp(self) -> None:
        model = FunctionModel(stream_function=spoken)

        async def shared_model(name: str) -> FunctionModel:
            return model

        for patch in (
            mock.patch.object(pydantic_ai, "shared_model", shared_model),
            # Pydantic AI's function model does not say why it ended.
            mock.patch.object(pydantic_ai, "_reason", return_value="stop"),
            mock.patch.dict(os.environ, {"ANTHROPIC_API_KEY": KEY}),
        ):
            patch.start()
            self.addCleanup(patch.stop)

    async def test_a_tool_turn(self) -> None:
        subject = run(MODEL, tools=("current_time",))
        events = await events_of(subject)
        (call,) = [event for event in events if isinstance(event, ToolCall)]
        (result,) = [event for event in events if isinstance(event, ToolResult)]
        self.assertEqual((call.id, call.name), ("call00001", "current_time"))
        self.assertEqual(subject.text, f"It is {result.content}")
        self.assertEqual(len(subject.calls), 2)

    async def test_a_caller_of_json_is_answered_from_a_stream(self) -> None:
        subject = run(MODEL, stream=False, temperature=0.0, max_tokens=5)
        await events_of(subject)
        self.assertEqual(subject.text, "You are a test. {'temperature': 0.0, 'max_tokens': 5}")


class GivenBackTests(SimpleTestCase):
    def test_a_signed_call_keeps_its_signature_under_our_id(self) -> None:
        signed = parts.ToolCallPart(
            "current_time",
            {},
            tool_call_id="function-call-7719",
            provider_name="google",
            provider_details={"thought_signature": "c2ln"},
        )
        answer = messages.kept_answer(parts.ModelResponse([parts.TextPart(" "), signed]))
        call = ToolCall("call00001", "current_time", "{}")
        result = ToolResult("call00001", "current_time", "Noon.")
        given = ToolRound("", (call,), (result,), "google", answer)
        for tool_round, details in (
            (given, signed.provider_details),
            (replace(given, provider_data=None), None),
            # As of a release that kept it otherwise, and of another answer.
            (replace(given, provider_data={"kind": "response", "parts": 7}), None),
            (replace(given, provider_data={"reasoning": "x"}), None),
            (replace(given, provider_data=answer | {"parts": answer["parts"][:1]}), None),
        ):
            request = ModelRequest("m", "", (), rounds=(tool_round,))
            calls, results = messages.messages_of(request)
            (part,) = calls.parts
            assert isinstance(part, parts.ToolCallPart)
            self.assertEqual((part.tool_call_id, part.provider_details), ("call00001", details))
            (result_part,) = results.parts
            assert isinstance(result_part, parts.ToolReturnPart)
            self.assertEqual(result_part.tool_call_id, "call00001")


class PreparationTests(SimpleTestCase):
    """The libraries are large: a server imports them before it needs them, where it may."""

    def imported(self, **environment: str) -> list[str]:
        variables = {name for each in native.KNOWN.values() for name in each.variables}
        others = {name: text for name, text in os.environ.items() if name not in variables}
        with (
            mock.patch.dict(os.environ, others | environment, clear=True),
            mock.patch.object(native, "import_module") as import_module,
            mock.patch.object(threading, "Thread") as thread,
        ):
            native.prepare()
            for call in thread.call_args_list:
                call.kwargs["target"](*call.kwargs["args"])
        return [call.args[0] for call in import_module.call_args_list]

    def test_a_server_imports_those_whose_keys_are_set(self) -> None:
        self.assertIn(native.prepare, lifespan._openers)
        self.assertEqual(
            self.imported(ANTHROPIC_API_KEY=KEY), [native.ADAPTER, "pydantic_ai.models.anthropic"]
        )

    def test_and_nothing_where_no_key_is_set(self) -> None:
        self.assertEqual(self.imported(), [])
        self.assertEqual(self.imported(ANTHROPIC_API_KEY="", ANTHROPIC_BASE_URL="http://a"), [])

    def test_the_modules_are_there_where_their_packages_are(self) -> None:
        for name in ("anthropic", "google", "google-cloud"):
            self.assertIsNotNone(find_spec(native.KNOWN[name].module), name)


def anthropic_event(kind: str, **data: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode()


def anthropic_stream(*words: str, end: bool = True, reason: str = "end_turn") -> list[bytes]:
    counted = {"input_tokens": 9, "output_tokens": 1, "cache_read_input_tokens": 4}
    message = {"id": "m", "type": "message", "role": "assistant", "content": [], "model": "claude"}
    begin = anthropic_event(
        "message_start", message={**message, "stop_reason": None, "usage": counted}
    )
    block = anthropic_event(
        "content_block_start", index=0, content_block={"type": "text", "text": ""}
    )
    deltas = [
        anthropic_event("content_block_delta", index=0, delta={"type": "text_delta", "text": word})
        for word in words
    ]
    if not end:
        return [begin, block, *deltas]
    written = {"output_tokens": 2, "output_tokens_details": {"thinking_tokens": 1}}
    return [
        begin,
        block,
        *deltas,
        anthropic_event("content_block_stop", index=0),
        anthropic_event("message_delta", delta={"stop_reason": reason}, usage=written),
        anthropic_event("message_stop"),
    ]


class AnthropicServer(SimpleTestCase):
    """The real client of the provider, against a loopback server."""

    @asynccontextmanager
    async def anthropic(
        self, *answers: list[bytes], status: int = 200, **headers: str
    ) -> AsyncGenerator[list[dict[str, Any]]]:
        bodies: list[dict[str, Any]] = []

        async def answer(request: web.Request) -> web.StreamResponse:
            bodies.append(await request.json())
            self.keys.append(request.headers["Authorization"])
            kind = "text/event-stream" if status == 200 else "application/json"
            response = web.StreamResponse(status=status, headers={"Content-Type": kind, **headers})
            await response.prepare(request)
            # The last answer is given again.
            for piece in answers[min(len(bodies), len(answers)) - 1]:
                await response.write(piece)
            return response

        application = web.Application()
        application.router.add_post("/v1/messages", answer)
        self.keys: list[str] = []
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        environment = {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": KEY}
        try:
            with mock.patch.dict(os.environ, environment):
                yield bodies
        finally:
            await close_clients()
            await runner.cleanup()


class AnthropicTests(AnthropicServer):
    async def test_an_answer_on_the_wire(self) -> None:
        async with self.anthropic(anthropic_stream("Good ", "day")) as bodies:
            subject = run(MODEL, temperature=0.0, max_tokens=50)
            await events_of(subject)
        self.assertEqual(subject.text, "Good day")
        (call,) = subject.calls
        self.assertEqual((call.input_tokens, call.output_tokens, call.cached_tokens), (13, 2, 4))
        self.assertEqual(call.reasoning_tokens, 1)
        self.assertGreater(total(subject.calls).total_cost or 0, Decimal(0))
        (body,) = bodies
        self.assertEqual((body["temperature"], body["max_tokens"]), (0.0, 50))
        self.assertIn("You are a test.", json.dumps(body["system"]))

    async def test_the_first_call_prepares_its_client_beside_the_event_loop(self) -> None:
        threads: list[threading.Thread] = []

        def slow_to_import(name: str) -> Model:
            threads.append(threading.current_thread())
            # Longer than the timeout for the model's first token.
            time.sleep(0.3)
            return infer_model(name)

        native._prepared.clear()
        self.assertGreater(native.Native("anthropic").least_first_token_timeout, 30)
        with mock.patch.object(pydantic_ai, "infer_model", slow_to_import):
            async with self.anthropic(anthropic_stream("Good ", "day")):
                subject = run(MODEL, retries=0, timeouts=Timeouts(first_token=0.2))
                await events_of(subject)

        self.assertEqual(subject.text, "Good day")
        self.assertEqual(len(threads), 1)
        self.assertIsNot(threads[0], threading.current_thread())
        self.assertEqual(native.Native("anthropic").least_first_token_timeout, 0)

    async def test_a_line_end_behind_a_key_is_not_sent(self) -> None:
        async with self.anthropic(anthropic_stream("Hi")):
            with mock.patch.dict(os.environ, {"ANTHROPIC_API_KEY": f"{KEY}\r\n"}):
                await events_of(run(MODEL))
        self.assertEqual(self.keys, [f"Bearer {KEY}"])

    async def test_a_key_with_a_line_end_inside_is_named_and_not_sent(self) -> None:
        async with self.anthropic(anthropic_stream("Hi")) as bodies:
            with (
                mock.patch.dict(os.environ, {"ANTHROPIC_API_KEY": f"{KEY}\nb"}),
                self.assertLogs("agents.runtime", "WARNING") as logs,
                self.assertRaises(UnknownModel),
            ):
                await events_of(run(MODEL))
        self.assertEqual(bodies, [])
        self.assertIn("ANTHROPIC_API_KEY holds", logs.output[0])
        self.assertNotIn(KEY, "".join(logs.output))

    async def test_a_long_conversation_is_known_by_its_words(self) -> None:
        for status in (400, 500):
            text = "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000"
            body = json.dumps({"type": "error", "error": {"type": "x", "message": text}}).encode()
            async with self.anthropic([body], status=status) as bodies:
                with self.assertRaises(ContextTooLong):
                    await events_of(run(MODEL, retries=1))
            self.assertEqual(len(bodies), 1)

    async def test_refusals_are_mapped_and_leak_nothing(self) -> None:
        cases: list[tuple[int, type[RunError]]] = [
            (401, ProviderAuth),
            (429, ProviderRateLimited),
            (529, ProviderUnavailable),
        ]
        for status, kind in cases:
            body = json.dumps({"type": "error", "error": {"type": "x", "message": KEY}}).encode()
            with self.subTest(status=status):
                async with self.anthropic([body], status=status) as bodies:
                    with (
                        self.assertLogs("agents.runtime", "WARNING") as logs,
                        self.assertRaises(kind) as raised,
                    ):
                        await events_of(run(MODEL, retries=0))
                self.assertEqual(len(bodies), 1)
                self.assertNotIn(KEY, raised.exception.safe + "".join(logs.output))

    async def test_an_error_in_the_stream(self) -> None:
        failure = anthropic_event("error", error={"type": "overloaded_error", "message": "x"})
        async with self.anthropic([*anthropic_stream("Half", end=False), failure]):
            subject = run(MODEL)
            with self.assertRaises(ProviderUnavailable):
                await events_of(subject)
        self.assertEqual(subject.text, "Half")
        self.assertTrue(subject.calls[0].estimated)


SIGNED = "c2lnbmVk"


def block(index: int, start: dict[str, Any], *deltas: dict[str, Any]) -> list[bytes]:
    return [
        anthropic_event("content_block_start", index=index, content_block=start),
        *(anthropic_event("content_block_delta", index=index, delta=delta) for delta in deltas),
        anthropic_event("content_block_stop", index=index),
    ]


def asks_for_a_tool(*pieces: str, reason: str = "tool_use", index: int = 0) -> list[bytes]:
    """The end of an answer that asks for the time, its arguments in these pieces."""
    call = {"type": "tool_use", "id": "toolu_1", "name": "current_time", "input": {}}
    arguments = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    return [
        *block(index, call, *arguments),
        anthropic_event("message_delta", delta={"stop_reason": reason}, usage={"output_tokens": 9}),
        anthropic_event("message_stop"),
    ]


SIGNED_THOUGHT = {"type": "thinking", "thinking": "The clock.", "signature": SIGNED}
CALL = {"type": "tool_use", "id": "call00001", "name": "current_time", "input": {"timezone": "UTC"}}
THOUGHT_AND_CALL = [
    anthropic_stream()[0],
    *block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "The clock."},
        {"type": "signature_delta", "signature": SIGNED},
    ),
    *block(1, {"type": "text", "text": ""}, {"type": "text_delta", "text": "\n"}),
    *asks_for_a_tool('{"timezone"', ': "UTC"}', index=2),
]


class AnthropicConversationTests(AnthropicServer):
    """What goes back to Anthropic, and what its answers mean."""

    async def test_thoughts_go_back_with_their_signature_in_their_place(self) -> None:
        async with self.anthropic(THOUGHT_AND_CALL, anthropic_stream("Noon.")) as bodies:
            subject = run(MODEL, tools=("current_time",))
            events = await events_of(subject)
        self.assertEqual(subject.text, "Noon.")
        self.assertNotIn("The clock.", str(events))
        given, result = bodies[1]["messages"][1:]
        self.assertEqual(given["content"], [SIGNED_THOUGHT, CALL])
        self.assertEqual(result["content"][0]["tool_use_id"], "call00001")
        self.assertFalse(result["content"][0]["is_error"])

    async def test_and_in_a_turn_after_that_of_a_tool_of_the_callers(self) -> None:
        theirs = ToolSpec("current_time", "Tells the time.", {"type": "object"}, is_client=True)
        async with self.anthropic(THOUGHT_AND_CALL, anthropic_stream("Noon.")) as bodies:
            asked = run(MODEL, client_tools=(theirs,), call_prefix="call_7_")
            await events_of(asked)
            # As the database keeps it, which accounts may export: without the server's address.
            kept = msgspec.json.encode(asked.rounds)
            self.assertNotIn(os.environ["ANTHROPIC_BASE_URL"].encode(), kept)
            [made] = msgspec.json.decode(kept, type=list[ToolRound])
            call = ChatMessage(
                "assistant",
                made.text,
                calls=made.calls,
                provider=made.provider,
                provider_data=made.provider_data,
            )
            result = ChatMessage("tool", "Noon.", call_id=made.calls[0].id)
            messages = (*asked.request.messages, call, result)
            await events_of(Run(replace(asked.request, messages=messages)))
        given, told = bodies[1]["messages"][1:]
        self.assertEqual(given["content"], [SIGNED_THOUGHT, CALL])
        self.assertEqual(told["content"][0]["tool_use_id"], "call00001")

    async def test_arguments_that_were_cut_are_reported_to_the_model_and_not_run(self) -> None:
        begin = anthropic_stream()[0]
        for pieces in (['{"timezone": "Eur'], [], [""]):
            answer = [begin, *asks_for_a_tool(*pieces, reason="max_tokens")]
            async with self.anthropic(answer, anthropic_stream("Done.")) as bodies:
                subject = run(MODEL, tools=("current_time",))
                await events_of(subject)
            self.assertEqual(subject.text, "Done.")
            given, result = bodies[1]["messages"][1:]
            self.assertEqual(given["content"][0]["input"], {})
            self.assertTrue(result["content"][0]["is_error"])
            self.assertIn("cut off", str(result["content"][0]["content"]))

    async def test_a_refusal_is_text_and_a_limit_reaches_the_caller(self) -> None:
        begin, *_ = anthropic_stream()
        refused = [
            begin,
            anthropic_event("message_delta", delta={"stop_reason": "refusal"}, usage={}),
            anthropic_event("message_stop"),
        ]
        for stream in (True, False):
            async with self.anthropic(refused):
                with self.assertRaises(AnswerRefused):
                    await events_of(run(MODEL, stream=stream))
            async with self.anthropic(anthropic_stream("Half an", reason="max_tokens")):
                subject = run(MODEL, stream=stream)
                await events_of(subject)
            self.assertEqual([call.finish_reason for call in subject.calls], ["length"])

    async def test_after_the_end_of_a_native_answer_nothing_on_the_connection_matters(self) -> None:
        whole = anthropic_stream("Good day")
        rest = anthropic_event("error", error={"type": "overloaded_error", "message": "x"})
        for pieces in ([*whole, rest], [*whole[:-1], rest], [*whole[:-1], b"data: {broken\n\n"]):
            async with self.anthropic(pieces):
                subject = run(MODEL, retries=0)
                await events_of(subject)
            (call,) = subject.calls
            self.assertEqual(
                (subject.text, call.finish_reason, call.error), ("Good day", "stop", "")
            )
            self.assertEqual((call.output_tokens, call.estimated), (2, False))

    async def test_before_the_end_of_a_native_answer_what_came_is_partial(self) -> None:
        deep = b"[" * 50_000 + b"]" * 50_000
        for rest in (b"", b'event: ping\ndata: {"type": %s}\n\n' % deep):
            async with self.anthropic([*anthropic_stream("Half", end=False), rest]):
                subject = run(MODEL, retries=0)
                with self.assertRaises(ProviderProtocol):
                    await events_of(subject)
            self.assertEqual(subject.text, "Half")

    async def test_what_a_native_provider_counted_before_it_failed_is_kept(self) -> None:
        failure = anthropic_event("error", error={"type": "overloaded_error", "message": "x"})
        async with self.anthropic([*anthropic_stream("Half", end=False), failure]):
            subject = run(MODEL, retries=0)
            with self.assertRaises(ProviderUnavailable):
                await events_of(subject)
        (call,) = subject.calls
        self.assertEqual((call.input_tokens, call.estimated), (13, True))

    async def test_half_characters_become_whole_ones(self) -> None:
        for words, text in (
            (("Hi \ud83d", "\ude00!"), "Hi 😀!"),
            (("\ud83d", "x"), "\ufffdx"),
            (("x\ud83d",), "x\ufffd"),
            (("x\r", "\ny\r", "z"), "x\ny\nz"),
            (("\ude00x", "\ud83d"), "\ufffdx\ufffd"),
        ):
            async with self.anthropic(anthropic_stream(*words)):
                subject = run(MODEL)
                await events_of(subject)
            self.assertEqual(subject.text, text)

    async def test_a_blank_answer_is_an_empty_one(self) -> None:
        for stream in (True, False):
            async with self.anthropic(anthropic_stream("\n", " ")):
                with self.assertRaises(EmptyAnswer):
                    await events_of(run(MODEL, stream=stream))

    async def test_a_native_answer_is_bounded_in_bytes_events_and_characters(self) -> None:
        begin, *_ = anthropic_stream()
        arguments = asks_for_a_tool(*['{"a": 1'] * 40)
        thought = block(
            0,
            {"type": "thinking", "thinking": "", "signature": ""},
            *[{"type": "thinking_delta", "thinking": "Hm. Hm."}] * 40,
        )
        silence = [b": still here\n\n"] * 40
        for cap, value, pieces in (
            ("MOST_CHARACTERS", 200, arguments),
            ("MOST_CHARACTERS", 200, thought),
            ("MOST_EVENTS", 30, thought),
            ("MOST_BYTES", 500, silence),
        ):
            for stream in (True, False):
                with self.subTest(cap=cap), mock.patch.object(pydantic_ai, cap, value):
                    async with self.anthropic([begin, *pieces]) as bodies:
                        subject = run(MODEL, tools=("current_time",), stream=stream)
                        with self.assertRaises(ProviderProtocol):
                            await events_of(subject)
                    self.assertEqual(len(bodies), 1)

    async def test_others_are_served_while_a_native_answer_is_read(self) -> None:
        # One large write, so that all of it is there at once.
        all_of_it = b"".join(anthropic_stream(*["word "] * 400))
        async with self.anthropic([all_of_it]):
            await events_of(run(MODEL))
            async with OtherTask() as other:
                await events_of(run(MODEL))
        self.assertGreaterEqual(other.turns, 100)
