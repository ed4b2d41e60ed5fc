"""The official client of OpenAI, unmodified: in this process, and over a real server."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
from django.test import TransactionTestCase

from tests.sessions_app.protocols.openai.fixtures import ANSWER, PIXEL, Place, SDKFixtures
from tests.support.fixtures import AgentFixtures
from tests.support.servers.mock_openai import MockOpenAI, Reply, error
from tests.support.servers.served import served

HELLO: Any = [{"role": "user", "content": "Hello"}]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tells the weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


class SDKTests(SDKFixtures):
    async def test_an_answer_and_its_figures(self) -> None:
        answer = await self.sdk.chat.completions.create(model="bot", messages=HELLO)

        self.assertTrue((answer.choices[0].message.content or "").startswith("Hello!"))
        assert answer.usage is not None
        assert answer.usage.prompt_tokens_details is not None
        self.assertEqual(answer.usage.prompt_tokens_details.cached_tokens, 0)
        extra: Any = answer.model_extra
        self.assertEqual(set(extra["salient"]), {"cost", "session_id", "config_version"})
        self.assertTrue(answer._request_id)

    async def test_a_stream(self) -> None:
        stream = await self.sdk.chat.completions.create(
            model="bot", messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
        said = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        self.assertTrue(said.startswith("Hello!"))
        assert chunks[-1].usage is not None
        self.assertGreater(chunks[-1].usage.completion_tokens, 0)

    async def test_the_stream_helper_puts_it_together(self) -> None:
        async with self.sdk.chat.completions.stream(
            model="bot",
            messages=[{"role": "user", "content": 'get_weather {"city": "Paris"}'}],
            tools=[WEATHER],
        ) as stream:
            final = await stream.get_final_completion()
        choice = final.choices[0]
        self.assertEqual(choice.finish_reason, "tool_calls")
        [call] = choice.message.tool_calls or []
        self.assertEqual(call.function.arguments, '{"city": "Paris"}')

    async def test_a_conversation_with_tools(self) -> None:
        messages: Any = [{"role": "user", "content": 'get_weather {"city": "Paris"}'}]
        first = await self.sdk.chat.completions.create(
            model="bot", messages=messages, tools=[WEATHER]
        )
        message = first.choices[0].message
        [call] = message.tool_calls or []
        assert call.type == "function"
        self.assertEqual(json.loads(call.function.arguments), {"city": "Paris"})
        messages += [message, {"role": "tool", "tool_call_id": call.id, "content": "Rain."}]
        second = await self.sdk.chat.completions.create(
            model="bot", messages=messages, tools=[WEATHER]
        )
        self.assertEqual(second.choices[0].message.content, "The tool says: Rain.")

    async def test_structured_output(self) -> None:
        parsed = await self.sdk.chat.completions.parse(
            model="bot", messages=HELLO, response_format=Place
        )
        self.assertEqual(parsed.choices[0].message.parsed, Place(city=ANSWER, people=1))
        async with self.sdk.chat.completions.stream(
            model="bot", messages=HELLO, response_format=Place
        ) as stream:
            final = await stream.get_final_completion()
        self.assertEqual(final.choices[0].message.parsed, Place(city=ANSWER, people=1))

    async def test_an_image(self) -> None:
        content: Any = [
            {"type": "text", "text": "Look"},
            {"type": "image_url", "image_url": {"url": PIXEL}},
        ]
        answer = await self.sdk.chat.completions.create(
            model="bot", messages=[{"role": "user", "content": content}]
        )
        self.assertIn("image/png", answer.choices[0].message.content or "")

    async def test_errors_have_their_class_and_code(self) -> None:
        with self.assertRaises(openai.BadRequestError) as many:
            await self.sdk.chat.completions.create(model="bot", messages=HELLO, n=2)
        refused = many.exception
        self.assertEqual((refused.code, refused.param), ("unsupported_parameter", "n"))
        stranger = self.sdk.with_options(api_key="sal_sk_none")
        with self.assertRaises(openai.AuthenticationError) as unknown:
            await stranger.chat.completions.create(model="bot", messages=HELLO)
        self.assertEqual(unknown.exception.code, "unauthenticated")
        account = self.client_at("/accounts/acme/v1")
        with self.assertRaises(openai.NotFoundError) as nothing:
            await account.chat.completions.create(model="none", messages=HELLO)
        self.assertEqual(nothing.exception.code, "model_not_found")
        self.assertTrue(nothing.exception.request_id)

    async def test_a_failure_in_the_middle_of_a_stream_is_raised(self) -> None:
        self.configure("model: scripted:cut\n")
        stream = await self.sdk.chat.completions.create(model="bot", messages=HELLO, stream=True)
        with self.assertRaises(openai.APIError) as failed:
            async for _ in stream:
                pass
        self.assertEqual(failed.exception.code, "provider_unavailable")

    async def test_what_may_go_well_is_repeated_and_what_may_not_is_not(self) -> None:
        self.configure("model: mock:test-model\nretries: 0\n")
        async with MockOpenAI() as server:
            server.replies += [error(503), Reply("At last.")]
            answer = await self.sdk.chat.completions.create(model="bot", messages=HELLO)
            self.assertEqual(answer.choices[0].message.content, "At last.")
            self.assertEqual(len(self.transport.requests), 2)
            with self.assertRaises(openai.InternalServerError) as failed:
                await self.sdk.chat.completions.parse(
                    model="bot", messages=HELLO, response_format=Place
                )
        self.assertEqual(failed.exception.code, "output_invalid")
        self.assertEqual(len(self.transport.requests), 3)

    async def test_models(self) -> None:
        account = self.client_at("/accounts/acme/v1")
        self.assertEqual([model.id async for model in account.models.list()], ["bot"])
        self.assertEqual((await account.models.retrieve("bot")).owned_by, "acme")
        self.assertEqual([model.id async for model in self.sdk.models.list()], ["bot"])
        self.assertEqual((await self.sdk.models.retrieve("gpt-5")).id, "bot")

    async def test_a_client_that_leaves_ends_the_turn(self) -> None:
        self.configure("model: scripted:echo?delay_ms=20\n")
        stream = await self.sdk.chat.completions.create(model="bot", messages=HELLO, stream=True)
        await anext(aiter(stream))
        await stream.close()
        shown = await self.api.get("/accounts/acme/usage")
        self.assertEqual(shown.status, 200)


class ServedTests(AgentFixtures, TransactionTestCase):
    """The same over a socket, from a process of its own."""

    async def test_answer_stream_tools_and_format(self) -> None:
        async with asyncio.timeout(180), served(cut_after=5) as server:
            client = openai.AsyncOpenAI(
                base_url=f"{server.url}{self.path('v1')}", api_key=self.secret
            )
            async with client:
                answer = await client.chat.completions.create(model="bot", messages=HELLO)
                self.assertEqual(answer.choices[0].message.content, ANSWER)
                stream = await client.chat.completions.create(
                    model="bot", messages=HELLO, stream=True
                )
                texts = [c.choices[0].delta.content or "" async for c in stream]
                self.assertEqual("".join(texts), ANSWER)
                called = await client.chat.completions.create(
                    model="bot", messages=HELLO, tools=[WEATHER], tool_choice="required"
                )
                self.assertEqual(called.choices[0].finish_reason, "tool_calls")
                parsed = await client.chat.completions.parse(
                    model="bot", messages=HELLO, response_format=Place
                )
                self.assertEqual(parsed.choices[0].message.parsed, Place(city=ANSWER, people=1))
