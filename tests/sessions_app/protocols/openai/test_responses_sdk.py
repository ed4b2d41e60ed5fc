"""The official client of OpenAI, unmodified, with the Responses API; and what Open Responses asks.

Open Responses is the specification at https://www.openresponses.org; its compliance cases are
played here with their bodies.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
from django.test import TransactionTestCase

from tests.sessions_app.protocols.openai.fixtures import ANSWER, PIXEL, Place, SDKFixtures
from tests.support.api_client import Answer
from tests.support.fixtures import AgentFixtures
from tests.support.servers.mock_openai import MockOpenAI, Reply
from tests.support.servers.served import served

WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "Tells the weather of a city.",
    "parameters": {"type": "object", "properties": {"location": {"type": "string"}}},
}


class ResponsesFixtures(SDKFixtures):
    config = "model: scripted:echo\ncallers: {instructions: true}\n"


class SDKTests(ResponsesFixtures):
    async def test_an_answer_and_its_figures(self) -> None:
        answer = await self.sdk.responses.create(model="bot", input="Hello")
        self.assertEqual(answer.output_text, ANSWER)
        assert answer.usage is not None
        self.assertEqual(answer.usage.input_tokens_details.cached_tokens, 0)
        self.assertEqual(answer.usage.output_tokens_details.reasoning_tokens, 0)
        extra: Any = answer.model_extra
        self.assertEqual(set(extra["salient"]), {"cost", "session_id", "config_version"})
        self.assertRegex(answer.id, "^resp_[0-9a-f]{32}$")

    async def test_a_stream(self) -> None:
        stream = await self.sdk.responses.create(model="bot", input="Hello", stream=True)
        events = [event async for event in stream]
        texts = [event.delta for event in events if event.type == "response.output_text.delta"]
        self.assertEqual("".join(texts), ANSWER)
        assert events[-1].type == "response.completed"
        self.assertEqual(events[-1].response.output_text, ANSWER)

    async def test_1_4_5_6_the_stream_helper_puts_it_together(self) -> None:
        async with self.sdk.responses.stream(model="bot", input="Hello") as stream:
            kinds = [event.type async for event in stream]
            final = await stream.get_final_response()
        self.assertIn("response.output_text.done", kinds)
        self.assertEqual(final.output_text, ANSWER)
        assert final.usage is not None
        self.assertGreater(final.usage.total_tokens, 0)

    async def test_a_conversation_with_tools(self) -> None:
        first = await self.sdk.responses.create(
            model="bot", input='get_weather {"location": "Paris"}', tools=[WEATHER]
        )
        [call] = first.output
        assert call.type == "function_call"
        self.assertEqual(json.loads(call.arguments), {"location": "Paris"})
        result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "Rain."}
        second = await self.sdk.responses.create(
            model="bot", input=[result], previous_response_id=first.id, tools=[WEATHER]
        )
        self.assertEqual(second.output_text, "The tool says: Rain.")

    async def test_9_the_output_is_replayed_as_it_came(self) -> None:
        said: Any = [{"role": "user", "content": "get_weather"}]
        first = await self.sdk.responses.create(model="bot", input=said, tools=[WEATHER])
        said += first.output
        call: Any = first.output[0]
        said.append({"type": "function_call_output", "call_id": call.call_id, "output": "Rain."})
        second = await self.sdk.responses.create(model="bot", input=said, tools=[WEATHER])
        self.assertEqual(second.output_text, "The tool says: Rain.")
        said += second.output
        said.append({"role": "user", "content": "Thanks"})
        third = await self.sdk.responses.create(model="bot", input=said, tools=[WEATHER])
        self.assertIn("You wrote: “Thanks”.", third.output_text)

    async def test_a_streamed_call(self) -> None:
        async with self.sdk.responses.stream(
            model="bot", input='get_weather {"location": "Paris"}', tools=[WEATHER]
        ) as stream:
            final = await stream.get_final_response()
        [call] = final.output
        assert call.type == "function_call"
        self.assertEqual(call.arguments, '{"location": "Paris"}')

    async def test_structured_output(self) -> None:
        parsed = await self.sdk.responses.parse(model="bot", input="Hello", text_format=Place)
        self.assertEqual(parsed.output_parsed, Place(city=ANSWER, people=1))
        async with self.sdk.responses.stream(
            model="bot", input="Hello", text_format=Place
        ) as stream:
            final = await stream.get_final_response()
        self.assertEqual(final.output_parsed, Place(city=ANSWER, people=1))

    async def test_7_8_a_streamed_response_is_gone_on_from_at_once(self) -> None:
        stream = await self.sdk.responses.create(model="bot", input="Hello", stream=True)
        begun = await anext(aiter(stream))
        assert begun.type == "response.created"
        async for _ in stream:
            pass
        second = await self.sdk.responses.create(
            model="bot", input="More", previous_response_id=begun.response.id
        )
        self.assertIn("the last one was: “Hello”", second.output_text)

    async def test_a_response_is_retrieved_and_deleted(self) -> None:
        answer = await self.sdk.responses.create(model="bot", input="Hello")
        found = await self.sdk.responses.retrieve(answer.id)
        self.assertEqual(found.model_dump(), answer.model_dump())
        await self.sdk.responses.delete(answer.id)
        with self.assertRaises(openai.NotFoundError):
            await self.sdk.responses.retrieve(answer.id)

    async def test_what_a_response_was_made_of_is_listed(self) -> None:
        first = await self.sdk.responses.create(
            model="bot", input='get_weather {"location": "Paris"}', tools=[WEATHER]
        )
        [call] = first.output
        assert call.type == "function_call"
        said: Any = [
            {"type": "function_call_output", "call_id": call.call_id, "output": "Rain."},
            {"role": "user", "content": "And now?"},
        ]
        second = await self.sdk.responses.create(
            model="bot", input=said, previous_response_id=first.id, tools=[WEATHER]
        )
        listed = self.sdk.responses.input_items.list
        found: Any = [item async for item in listed(second.id, order="asc")]
        self.assertEqual(
            [item.type for item in found],
            ["message", "function_call", "function_call_output", "message"],
        )
        self.assertEqual(found[0].content[0].text, 'get_weather {"location": "Paris"}')
        self.assertEqual((found[1].id, found[1].arguments), (call.id, call.arguments))
        self.assertEqual((found[2].call_id, found[2].output), (call.call_id, "Rain."))
        self.assertEqual(found[3].content[0].text, "And now?")
        # The SDK turns the pages itself; the newest come first.
        paged: Any = [item.id async for item in listed(second.id, limit=1)]
        self.assertEqual(paged, [item.id for item in reversed(found)])
        with self.assertRaises(openai.BadRequestError) as unknown:
            await listed(second.id, after="msg_none")
        self.assertEqual(unknown.exception.param, "after")

    async def test_the_agents_own_calls_are_not_listed(self) -> None:
        self.configure("model: scripted:tool\ntools: [current_time]\n")
        first = await self.sdk.responses.create(model="bot", input="Hello")
        second = await self.sdk.responses.create(
            model="bot", input="More", previous_response_id=first.id
        )
        found: Any = [i async for i in self.sdk.responses.input_items.list(second.id, order="asc")]
        self.assertEqual([item.role for item in found], ["user", "assistant", "user"])

    async def test_nor_are_their_results_in_a_branch_that_has_copied_them(self) -> None:
        self.configure("model: mock:test-model\ntools: [current_time]\n")
        own, theirs = ("current_time", "{}"), ("get_weather", "{}")
        async with MockOpenAI() as server:
            server.replies.extend(Reply(text="", tool_calls=[each]) for each in (own, theirs))
            first = await self.sdk.responses.create(model="bot", input="Rain?", tools=[WEATHER])
            [call] = first.output
            assert call.type == "function_call"
            said: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "No."}
            for _ in range(2):
                last = await self.sdk.responses.create(
                    model="bot", input=[said], previous_response_id=first.id, tools=[WEATHER]
                )
        listed = self.sdk.responses.input_items.list
        found: Any = [item async for item in listed(last.id, order="asc")]
        self.assertEqual(
            [item.type for item in found], ["message", "function_call", "function_call_output"]
        )
        self.assertEqual((found[1].call_id, found[2].output), (call.call_id, "No."))

    async def test_calls_that_the_caller_brings_are_listed_with_their_results(self) -> None:
        said: Any = [
            {"role": "user", "content": "Rain?"},
            {"type": "function_call", "call_id": "c1", "name": "get_weather", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "No."},
            {"role": "user", "content": "Sure?"},
        ]
        made = await self.sdk.responses.create(model="bot", input=said, tools=[WEATHER])
        listed = self.sdk.responses.input_items.list
        found: Any = [item async for item in listed(made.id, order="asc")]
        self.assertEqual(
            [item.type for item in found],
            ["message", "function_call", "function_call_output", "message"],
        )

    async def test_errors_have_their_class_and_code(self) -> None:
        with self.assertRaises(openai.BadRequestError) as unknown:
            await self.sdk.responses.create(
                model="bot", input="Hello", previous_response_id="resp_none"
            )
        self.assertEqual(unknown.exception.code, "previous_response_not_found")
        with self.assertRaises(openai.BadRequestError) as background:
            await self.sdk.responses.create(
                model="bot", input="Hello", background=True, store=False
            )
        self.assertEqual(background.exception.param, "background")

    async def test_13_a_failure_in_the_middle_is_raised_by_iterator_and_helper(self) -> None:
        self.configure("model: scripted:cut\n")
        stream = await self.sdk.responses.create(model="bot", input="Hello", stream=True)
        with self.assertRaises(openai.APIError) as failed:
            async for event in stream:
                last = event
        self.assertEqual(failed.exception.code, "provider_unavailable")
        assert last.type == "response.failed"
        self.assertEqual(last.response.status, "failed")
        with self.assertRaises(openai.APIError):
            async with self.sdk.responses.stream(model="bot", input="Hello") as helper:
                await helper.get_final_response()

    async def test_a_client_that_leaves_ends_the_turn(self) -> None:
        self.configure("model: scripted:echo?delay_ms=20\n")
        stream = await self.sdk.responses.create(model="bot", input="Hello", stream=True)
        begun = await anext(aiter(stream))
        assert begun.type == "response.created"
        await stream.close()
        found = await self.sdk.responses.retrieve(begun.response.id)
        self.assertEqual(found.status, "cancelled")


class OpenResponsesTests(ResponsesFixtures):
    """The compliance cases of Open Responses."""

    async def post(self, **body: Any) -> Answer:
        answer = await self.api.post(self.path("v1/responses"), {"model": "bot", **body})
        self.assertEqual(answer.status, 200, answer.body)
        return answer

    @staticmethod
    def message(role: str, content: Any) -> dict[str, Any]:
        return {"type": "message", "role": role, "content": content}

    def assert_completed(self, found: dict[str, Any]) -> dict[str, Any]:
        self.assertEqual(found["status"], "completed")
        self.assertTrue(found["output"])
        return found

    async def test_basic_response(self) -> None:
        said = self.message("user", "Say hello in exactly 3 words.")
        self.assert_completed((await self.post(input=[said])).json())

    async def test_streaming_response(self) -> None:
        said = self.message("user", "Count from 1 to 5.")
        events = (await self.post(input=[said], stream=True)).events()
        self.assertEqual(events[-1][0], "response.completed")
        self.assert_completed(json.loads(events[-1][1])["response"])

    async def test_system_prompt(self) -> None:
        system = self.message("system", "You are a pirate. Always respond in pirate speak.")
        said = self.message("user", "Say hello.")
        self.assert_completed((await self.post(input=[system, said])).json())

    async def test_tool_calling(self) -> None:
        said = self.message("user", "get_weather: what's the weather like in San Francisco?")
        found = self.assert_completed((await self.post(input=[said], tools=[WEATHER])).json())
        self.assertEqual([item["type"] for item in found["output"]], ["function_call"])

    async def test_streamed_tool_calling(self) -> None:
        said = self.message("user", "get_weather: what's the weather like in San Francisco?")
        events = (await self.post(input=[said], tools=[WEATHER], stream=True)).events()
        found = self.assert_completed(json.loads(events[-1][1])["response"])
        self.assertEqual([item["type"] for item in found["output"]], ["function_call"])

    async def test_image_input(self) -> None:
        content = [
            {"type": "input_text", "text": "What do you see in this image?"},
            {"type": "input_image", "image_url": PIXEL},
        ]
        found = (await self.post(input=[self.message("user", content)])).json()
        self.assertIn("image/png", self.assert_completed(found)["output"][0]["content"][0]["text"])

    async def test_multi_turn(self) -> None:
        said = [
            self.message("user", "My name is Alice."),
            self.message("assistant", "Hello Alice! Nice to meet you. How can I help you today?"),
            self.message("user", "What is my name?"),
        ]
        found = self.assert_completed((await self.post(input=said)).json())
        self.assertIn("My name is Alice.", found["output"][0]["content"][0]["text"])


class ServedTests(AgentFixtures, TransactionTestCase):
    """The same over a socket; a response is gone on from at another process."""

    async def test_a_chain_over_two_processes(self) -> None:
        async with asyncio.timeout(240), served(cut_after=5) as one, served(cut_after=5) as two:
            clients = [
                openai.AsyncOpenAI(
                    base_url=f"{server.url}{self.path('v1')}", api_key=self.secret, max_retries=0
                )
                for server in (one, two)
            ]
            async with clients[0], clients[1]:
                stream = await clients[0].responses.create(model="bot", input="Hello", stream=True)
                async for event in stream:
                    last = event
                assert last.type == "response.completed"
                self.assertEqual(last.response.output_text, ANSWER)
                second = await clients[1].responses.create(
                    model="bot", input="More", previous_response_id=last.response.id
                )
                self.assertIn("the last one was: “Hello”", second.output_text)
                found = await clients[0].responses.retrieve(second.id)
                self.assertEqual(found.output_text, second.output_text)
