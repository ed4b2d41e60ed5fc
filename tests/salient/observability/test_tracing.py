"""Traces: what a turn's spans say, whose trace they belong to, and what they never hold."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from unittest import mock

import httpx2
from django.test import SimpleTestCase, override_settings

from agents.runtime.providers import close_clients
from agents.runtime.providers.native import pydantic_ai
from salient.observability import context, genai, spans, tracing
from salient.security.ssrf import plain_session
from tests.support.commands import python
from tests.support.fixtures import MockModelFixtures
from tests.support.servers.mock_openai import MockOpenAI, Reply, error
from tests.support.servers.otlp_sink import OTLPSink
from tests.support.servers.webhook_receiver import Receiver

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
PARENT = {"traceparent": f"00-{TRACE}-{CALLER}-01", "tracestate": "vendor=secret"}
TOOLS = "model: mock:test-model\ntools: [current_time]\n"
SERVER, CLIENT, INTERNAL = 2, 3, 1
NAMES = [
    "POST /accounts/{account}/agents/{instance}/chat",
    "invoke_agent bot",
    "chat test-model",
    "execute_tool current_time",
    "chat test-model",
]


@asynccontextmanager
async def traced(sink: OTLPSink, **more: Any) -> AsyncIterator[None]:
    """Trace the block as a server does that has this collector."""
    with (
        mock.patch.dict(os.environ, {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.url}),
        override_settings(OTEL_EXPORTER_OTLP_ENDPOINT=sink.url, **more),
    ):
        # Clients that were made before carry no trace.
        await close_clients()
        tracing.start()
        try:
            yield
        finally:
            await tracing.stop()


class TurnTests(MockModelFixtures):
    config = TOOLS

    async def ask(self, sink: OTLPSink, **more: Any) -> MockOpenAI:
        async with MockOpenAI() as model, traced(sink, **more):
            model.replies += [Reply(tool_calls=[("current_time", "{}")], text=""), Reply("Noon.")]
            self.api.headers |= PARENT
            answer = await self.say("What time is it, Ada?")
            self.assertEqual(answer["status"], "complete")
        return model

    async def test_a_turn_is_one_trace_of_the_callers(self) -> None:
        with OTLPSink() as sink:
            model = await self.ask(sink)

        request, agent, first, tool, second = sorted(sink.spans, key=self.place)
        self.assertEqual([span.name for span in (request, agent, first, tool, second)], NAMES)
        self.assertEqual({span.trace for span in sink.spans}, {TRACE})
        self.assertEqual(request.parent, CALLER)
        self.assertEqual(agent.parent, request.id)
        self.assertEqual({first.parent, tool.parent, second.parent}, {agent.id})
        self.assertEqual([request.kind, agent.kind, tool.kind], [SERVER, INTERNAL, INTERNAL])
        self.assertEqual([first.kind, second.kind], [CLIENT, CLIENT])
        self.assertEqual({span.schema for span in sink.spans}, {genai.SCHEMA_URL})
        self.assertEqual({span.resource["service.name"] for span in sink.spans}, {"salient"})
        # The provider is told of the span of its own call, and nothing of the caller's state.
        sent = [received.headers for received in model.requests]
        self.assertEqual(
            [headers["traceparent"] for headers in sent],
            [f"00-{TRACE}-{span.id}-01" for span in (first, second)],
        )
        self.assertEqual([headers.get("tracestate") for headers in sent], [None, None])

    async def test_the_attributes_are_those_of_the_conventions(self) -> None:
        with OTLPSink() as sink:
            await self.ask(sink)

        request, agent, first, tool, _ = sorted(sink.spans, key=self.place)
        self.assertEqual(
            {name: request.attributes[name] for name in (genai.HTTP_STATUS, genai.ACCOUNT)},
            {"http.response.status_code": 200, "salient.account": "acme"},
        )
        self.assertEqual(
            {name: agent.attributes[name] for name in agent.attributes if "gen_ai" in name},
            {
                "gen_ai.operation.name": "invoke_agent",
                "gen_ai.agent.id": str(self.instance.pk),
                "gen_ai.agent.name": "bot",
                "gen_ai.agent.version": agent.attributes["gen_ai.agent.version"],
                "gen_ai.conversation.id": agent.attributes["gen_ai.conversation.id"],
                "gen_ai.request.model": "mock:test-model",
                "gen_ai.usage.input_tokens": 20,
                "gen_ai.usage.output_tokens": 10,
            },
        )
        self.assertEqual(
            {name: first.attributes[name] for name in first.attributes if "max" not in name},
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "mock",
                "gen_ai.request.model": "test-model",
                "gen_ai.response.model": "test-model",
                "gen_ai.response.finish_reasons": ["tool_calls"],
                "gen_ai.usage.input_tokens": 10,
                "gen_ai.usage.output_tokens": 5,
            },
        )
        self.assertEqual(tool.attributes["gen_ai.tool.name"], "current_time")
        self.assertNotIn("Ada", repr(sink.spans))
        self.assertNotIn("Noon", repr(sink.spans))
        self.assertNotIn("Be brief", repr(sink.spans))

    async def test_content_only_where_it_is_turned_on(self) -> None:
        with OTLPSink() as sink:
            await self.ask(sink, TRACE_CONTENT=True)

        *_, tool, second = sorted(sink.spans, key=self.place)
        asked = json.loads(second.attributes["gen_ai.input.messages"])
        self.assertEqual([message["role"] for message in asked], ["user", "assistant", "tool"])
        self.assertEqual(asked[0]["parts"][0]["content"], "What time is it, Ada?")
        [said] = json.loads(second.attributes["gen_ai.output.messages"])
        self.assertEqual(said["parts"], [{"type": "text", "content": "Noon."}])
        self.assertIn("Be brief.", second.attributes["gen_ai.system_instructions"])
        self.assertIn("gen_ai.tool.call.result", tool.attributes)

    async def test_a_turn_that_keeps_no_texts_has_none_in_its_trace(self) -> None:
        body = {"model": "bot", "input": "I am Ada.", "store": False}
        with OTLPSink() as sink:
            async with MockOpenAI(), traced(sink, TRACE_CONTENT=True):
                answer = await self.api.post("/accounts/acme/v1/responses", body)

        self.assertEqual(answer.json()["status"], "completed")
        self.assertEqual(len(sink.spans), 3)
        self.assertNotIn("Ada", repr(sink.spans))
        self.assertNotIn("Hello from", repr(sink.spans))

    async def test_words_that_callers_choose_are_neither_traced_nor_logged(self) -> None:
        turn = {"messages": [{"role": "user", "content": "Hello"}], "stop": ["Ada says"]}
        self.api.headers |= PARENT | {"tracestate": "I am Ada"}
        with OTLPSink() as sink, self.assertNoLogs("opentelemetry", logging.WARNING):
            async with MockOpenAI(), traced(sink):
                url = "/accounts/acme/agents/bot/v1/chat/completions"
                answer = await self.api.post(url, {"model": "bot"} | turn)

        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(len(sink.spans), 3)
        self.assertNotIn("Ada", repr(sink.spans))

    async def test_a_failed_call_is_an_error_with_its_code(self) -> None:
        self.configure("model: mock:test-model\nretries: 0\n")
        with OTLPSink() as sink:
            async with MockOpenAI() as model, traced(sink):
                model.replies.append(error(401))
                answer = await self.say("Hello")

        for name in ("chat test-model", "invoke_agent bot"):
            span = sink.named(name)
            self.assertEqual((span.is_error, span.attributes["error.type"]), (True, answer["code"]))

    def place(self, span: Any) -> tuple[int, int]:
        """Sort the spans as they began: both calls of the model have one name."""
        is_second = span.attributes.get("gen_ai.response.finish_reasons") == ["stop"]
        return (len(NAMES) if is_second else NAMES.index(span.name), 0)


class CollectorTests(SimpleTestCase):
    async def test_what_is_left_is_sent_at_the_stop(self) -> None:
        with OTLPSink() as sink:
            async with traced(sink):
                with context.apart("job"), tracing.inside("job", {}):
                    pass
                self.assertEqual(sink.posts, 0)

            self.assertEqual([span.name for span in sink.spans], ["job"])

    async def test_every_client_of_ours_carries_the_trace(self) -> None:
        """Webhooks and tools call through this one, Pydantic AI's providers through httpx."""
        ours = httpx2.Request("POST", "https://api.example/v1/messages")
        with OTLPSink() as sink, Receiver() as receiver:
            async with traced(sink), plain_session() as client:
                await client.post(receiver.url)
                with context.apart("job"), tracing.inside("tool", {}):
                    await client.post(receiver.url)
                    await pydantic_ai._carry_trace(ours)

        before, within = [each.headers for each in receiver.received]
        self.assertNotIn("traceparent", before)
        expected = f"00-{sink.named('tool').trace}-{sink.named('tool').id}-"
        # The flags of a trace that begins here say besides that its id is random.
        self.assertEqual(within["traceparent"][: len(expected)], expected)
        self.assertEqual(ours.headers["traceparent"], within["traceparent"])

    async def test_a_collector_that_is_away_is_one_line_and_delays_no_stop(self) -> None:
        sink = OTLPSink(url="http://127.0.0.1:9")
        short = mock.patch.object(spans, "STOP_SECONDS", 0.5)
        with self.assertLogs("opentelemetry", "WARNING") as logs, short:
            began = time.monotonic()
            async with traced(sink):
                for _ in range(3):
                    with context.apart("job"), tracing.inside("job", {}):
                        pass
            took = time.monotonic() - began

        self.assertEqual(len(logs.records), 1, logs.output)
        self.assertIsNone(logs.records[0].exc_info)
        # The exporter itself would try for ten seconds.
        self.assertLess(took, 9)

    def test_without_a_collector_nothing_of_it_is_imported(self) -> None:
        program = (
            "import asyncio, sys\n"
            "from salient.asgi import application\n"
            "from salient.api import lifespan\n"
            "async def start():\n"
            "    lifespan.warm_up()\n"
            "    await lifespan.end_rounds()\n"
            "asyncio.run(start())\n"
            "print([n for n in sys.modules if n.startswith(('opentelemetry', 'prometheus'))])\n"
        )
        self.assertEqual(python(program, SECRET_KEY="x", DEBUG="true"), "[]\n")


class OneLineTests(SimpleTestCase):
    def test_one_line_passes_in_each_minute(self) -> None:
        lines, passed = spans.OneLine(), []
        for second in (0, 1, 59, 61, 62, 130):
            record = logging.LogRecord("sdk", logging.ERROR, "", 0, "away", (), None)
            record.created = 1_000.0 + second
            passed.append(lines.filter(record))

        self.assertEqual(passed, [True, False, False, True, False, True])
