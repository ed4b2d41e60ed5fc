"""The Responses API as its clients read it: what breaks real ones stands in each test's name."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.conf import settings

from accounts.tenancy.context import platform_context
from sessions_app.models import LLMRequest, Message, Session
from sessions_app.protocols.openai.responses.types import EVENTS, ResponseOut
from tests.sessions_app.protocols.openai.fixtures import PIXEL, OpenAIFixtures, assert_is
from tests.support.api_client import Answer, ApiClient
from tests.support.factories import make_instance, make_key, write_config
from tests.support.fixtures import counts, key_client, stored
from tests.support.servers.mock_openai import MockOpenAI, Reply, usage

TOOL = {"type": "function", "name": "get_weather", "parameters": {"type": "object"}}
TEXT_EVENTS = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
]
CALL_EVENTS = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.output_item.done",
    "response.completed",
]


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def text_of(response: dict[str, Any]) -> str:
    return "".join(
        part["text"]
        for item in response["output"]
        if item["type"] == "message"
        for part in item["content"]
    )


def kinds_of(events: list[dict[str, Any]]) -> list[str]:
    """Return the types in their order; deltas in a row count once."""
    kinds = [event["type"] for event in events]
    return [kind for at, kind in enumerate(kinds) if at == 0 or kinds[at - 1] != kind]


class ResponseFixtures(OpenAIFixtures):
    async def ask(
        self, input_: Any = "Hello", client: ApiClient | None = None, **more: Any
    ) -> Answer:
        headers = more.pop("headers", None)
        body = {"model": "gpt-5", "input": input_, **more}
        return await (client or self.api).post(self.path("v1/responses"), body, headers=headers)

    async def answered(self, input_: Any = "Hello", **more: Any) -> dict[str, Any]:
        answer = await self.ask(input_, **more)
        self.assertEqual(answer.status, 200, answer.body)
        found: dict[str, Any] = answer.json()
        assert_is(ResponseOut, found)
        return found

    async def streamed(self, input_: Any = "Hello", **more: Any) -> list[dict[str, Any]]:
        answer = await self.ask(input_, stream=True, **more)
        self.assertEqual(answer.status, 200, answer.body)
        events = []
        for number, (name, data) in enumerate(answer.events()):
            event = json.loads(data)
            self.assertEqual((event["type"], event["sequence_number"]), (name, number))
            assert_is(EVENTS[name], event)
            events.append(event)
        return events

    async def refused(self, status: int, input_: Any = "Hello", **more: Any) -> dict[str, Any]:
        return self.error_of(await self.ask(input_, **more), status)

    async def read(self, response_id: str, client: ApiClient | None = None) -> Answer:
        return await (client or self.api).get(self.path(f"v1/responses/{response_id}"))


class AnswerTests(ResponseFixtures):
    async def test_a_whole_response(self) -> None:
        answer = await self.ask(metadata={"order": "7"}, temperature=0.5)

        found = answer.json()
        [_, said], [request] = await sync_to_async(stored)()
        self.assertEqual(found["id"], f"resp_{request.pk.hex}")
        self.assertEqual((found["object"], found["status"]), ("response", "completed"))
        self.assertEqual(found["model"], "bot")
        self.assertEqual(
            found["output"],
            [
                {
                    "type": "message",
                    "id": f"msg_{said.pk.hex}",
                    "status": "completed",
                    "role": "assistant",
                    "content": [
                        {
                            "type": "output_text",
                            "text": said.content,
                            "annotations": [],
                            "logprobs": [],
                        }
                    ],
                }
            ],
        )
        self.assertLess(abs(found["created_at"] - request.created_at.timestamp()), 5)
        self.assertGreaterEqual(found["completed_at"], found["created_at"])
        self.assertEqual((found["metadata"], found["temperature"]), ({"order": "7"}, 0.5))
        self.assertEqual(found["salient"]["session_id"], str(request.session_id))
        self.assertEqual(found["salient"]["cost"]["currency"], "USD")
        self.assertTrue(answer.request_id)
        self.assertIn("ratelimit", answer.headers)

    async def test_every_field_that_open_responses_requires_is_there(self) -> None:
        found = await self.answered()
        numbers = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "top_logprobs")
        for name in numbers:
            self.assertIsInstance(found[name], int | float, name)
        nulls = ("error", "incomplete_details", "instructions", "previous_response_id", "user")
        for name in (*nulls, "max_output_tokens", "max_tool_calls", "safety_identifier"):
            self.assertIsNone(found[name], name)
        self.assertEqual((found["tools"], found["tool_choice"]), ([], "auto"))
        self.assertEqual(
            (found["text"], found["truncation"]), ({"format": {"type": "text"}}, "disabled")
        )
        self.assertEqual((found["store"], found["background"]), (True, False))
        self.assertEqual((found["service_tier"], found["parallel_tool_calls"]), ("default", True))
        self.assertEqual(found["reasoning"], {"effort": None, "summary": None})

    async def test_11_usage_has_its_details(self) -> None:
        self.configure("model: mock:test-model\n")
        async with MockOpenAI() as server:
            details = {"prompt_tokens_details": {"cached_tokens": 4}}
            details["completion_tokens_details"] = {"reasoning_tokens": 3}
            server.replies.append(Reply(usage=usage(10, 5, **details)))
            whole = await self.answered()
            used = whole["usage"]
            [*_, last] = await self.streamed()
        self.assertEqual(
            used,
            {
                "input_tokens": 10,
                "input_tokens_details": {"cached_tokens": 4},
                "output_tokens": 5,
                "output_tokens_details": {"reasoning_tokens": 3},
                "total_tokens": 15,
            },
        )
        self.assertEqual(set(last["response"]["usage"]), set(used))
        stored = await self.api.get(self.path(f"v1/responses/{whole['id']}"))
        self.assertEqual(stored.json()["usage"], used)

    async def test_a_cut_answer_is_incomplete(self) -> None:
        self.configure("model: mock:test-model\n")
        cut = {"choices": [{"index": 0, "message": {"content": "a"}, "finish_reason": "length"}]}
        async with MockOpenAI() as server:
            server.replies += [Reply(body=json.dumps(cut).encode())] * 2
            whole = await self.answered()
            [*_, last] = await self.streamed()
        self.assertEqual(last["type"], "response.incomplete")
        for found in (whole, last["response"]):
            self.assertEqual(found["status"], "incomplete")
            self.assertEqual(found["incomplete_details"], {"reason": "max_output_tokens"})
            self.assertEqual(found["output"][0]["status"], "incomplete")
            self.assertEqual((await self.read(found["id"])).json(), found)

    async def test_visitors_see_no_cost(self) -> None:
        visitor = await self.start()
        found = await self.answered(client=visitor)
        self.assertEqual(set(found["salient"]), {"session_id", "config_version"})
        second = await self.answered(client=visitor, previous_response_id=found["id"])
        self.assertEqual(second["salient"]["session_id"], found["salient"]["session_id"])

    async def test_the_same_key_gives_the_same_response(self) -> None:
        first = await self.answered("get_weather", tools=[TOOL])
        more = {"headers": {"Idempotency-Key": "k"}, "previous_response_id": first["id"]}
        result = {"type": "function_call_output", "call_id": first["output"][0]["call_id"]}
        one = await self.ask([result | {"output": "Rain."}], **more)
        # The response that it goes on from is not the newest any more.
        two = await self.ask([result | {"output": "Rain."}], **more)
        self.assertEqual(one.json(), two.json())
        self.assertEqual(two.headers["idempotency-replayed"], "true")
        [*_, last] = await self.streamed([result | {"output": "Rain."}], **more)
        self.assertEqual(last["response"], one.json())
        other = await self.ask("Something else", **more)
        self.assertEqual(other.status, 422)
        self.assertEqual((await sync_to_async(counts)())[2], 2)


class StreamTests(ResponseFixtures):
    async def test_1_no_event_is_left_out(self) -> None:
        self.assertEqual(kinds_of(await self.streamed()), TEXT_EVENTS)

    async def test_2_3_4_12_every_event_says_where_it_belongs(self) -> None:
        for event in await self.streamed():
            kind = event["type"]
            if kind.startswith(("response.output_text", "response.content_part")):
                self.assertEqual((event["output_index"], event["content_index"]), (0, 0), kind)
                self.assertTrue(event["item_id"].startswith("msg_"), kind)
            if kind.startswith("response.output_text"):
                self.assertEqual(event["logprobs"], [])
            if kind.startswith("response.output_item"):
                self.assertEqual(event["output_index"], 0)

    async def test_5_every_event_with_a_response_has_the_whole_object(self) -> None:
        whole = await self.answered()
        for event in await self.streamed():
            if "response" in event:
                self.assertLessEqual(set(whole) - {"salient"}, set(event["response"]))

    async def test_6_7_10_completed_has_its_output_and_all_ids_are_the_stored_ones(self) -> None:
        events = await self.streamed()

        [_, said], [request] = await sync_to_async(stored)()
        responses = [event["response"] for event in events if "response" in event]
        self.assertEqual({each["id"] for each in responses}, {f"resp_{request.pk.hex}"})
        items = {event["item_id"] for event in events if "item_id" in event}
        items |= {event["item"]["id"] for event in events if "item" in event}
        self.assertEqual(items, {f"msg_{said.pk.hex}"})
        self.assertEqual(text_of(responses[-1]), said.content)
        deltas = [event["delta"] for event in events if "delta" in event]
        self.assertGreater(len(deltas), 5)
        self.assertEqual("".join(deltas), said.content)
        self.assertEqual((await self.read(responses[-1]["id"])).json(), responses[-1])

    async def test_13_a_failure_in_the_middle_fails_the_response_and_is_an_error_event(
        self,
    ) -> None:
        self.configure("model: scripted:cut\n")
        *_, failed, error = await self.streamed()
        self.assertEqual((failed["type"], error["type"]), ("response.failed", "error"))
        response = failed["response"]
        self.assertEqual(
            (response["status"], response["error"]["code"]), ("failed", "provider_unavailable")
        )
        self.assertEqual(response["output"][0]["status"], "incomplete")
        self.assertIsNotNone(response["usage"])
        self.assertEqual(error["code"], "provider_unavailable")
        self.assertEqual(error["error"]["type"], "server_error")
        self.assertEqual((await self.read(response["id"])).json(), response)

    async def test_a_failure_before_the_first_word_has_its_status(self) -> None:
        self.configure("model: scripted:fail\nretries: 0\n")
        for stream in (True, False):
            error = await self.refused(502, stream=stream)
            self.assertEqual(error["code"], "provider_unavailable")

    async def test_21_without_stream_the_answer_is_json(self) -> None:
        for more in ({}, {"stream": False}, {"stream": None}):
            self.assertEqual((await self.answered(**more))["object"], "response")


class InputTests(ResponseFixtures):
    config = "model: mock:test-model\ncallers: {instructions: true}\n"

    async def test_9_replayed_items_come_with_ids_or_without_and_as_text_or_parts(self) -> None:
        parts = [{"type": "output_text", "text": "Hi.", "annotations": [], "logprobs": []}]
        refusal = [{"type": "refusal", "refusal": "No."}]
        for answer, text in (
            ({"role": "assistant", "content": "Hi."}, "Hi."),
            ({"type": "message", "role": "assistant", "content": parts}, "Hi."),
            ({"role": "assistant", "content": parts, "id": "msg_x", "status": "completed"}, "Hi."),
            ({"role": "assistant", "content": refusal}, "No."),
        ):
            reasoning = {"type": "reasoning", "id": "rs_1", "summary": []}
            sent = await self.sent([user("Hello"), reasoning, answer, user("More")])
            self.assertEqual([m["content"] for m in sent[1:]], ["Hello", text, "More"])

    async def test_instructions_and_system_items_follow_the_agents_own_prompt(self) -> None:
        parts = [{"type": "input_text", "text": "In French."}]
        for content in ("In French.", parts):
            for role in ("system", "developer"):
                sent = await self.sent(
                    [{"role": role, "content": content}, user("Hello")], instructions="Be kind."
                )
                self.assertEqual(
                    sent[0], {"role": "system", "content": "Be brief.\n\nBe kind.\n\nIn French."}
                )
                self.assertEqual(len(sent), 2)

    async def test_instructions_are_a_clear_refusal_by_default(self) -> None:
        self.configure("model: scripted:echo\n")
        error = await self.refused(400, instructions="x")
        self.assertEqual((error["code"], error["param"]), ("instructions_refused", "instructions"))

    async def test_calls_and_results_in_the_input(self) -> None:
        def call(name: str) -> dict[str, Any]:
            return {
                "type": "function_call",
                "call_id": name,
                "name": "get_weather",
                "arguments": "",
            }

        def result(name: str, output: Any = "Rain.") -> dict[str, Any]:
            return {"type": "function_call_output", "call_id": name, "output": output}

        parts = [{"type": "input_text", "text": "Rain."}]
        sent = await self.sent(
            [user("Hello"), call("a"), call("b"), result("a"), result("b", parts)], tools=[TOOL]
        )
        self.assertEqual([m["role"] for m in sent[1:]], ["user", "assistant", "tool", "tool"])
        self.assertEqual([m["content"] for m in sent[3:]], ["Rain.", "Rain."])
        error = await self.refused(400, [user("Hello"), result("c")])
        self.assertEqual(error["param"], "input")

    async def test_tuning_fields_reach_the_model_and_unknown_ones_are_passed_over(self) -> None:
        async with MockOpenAI() as server:
            found = await self.answered(
                temperature=0.3,
                top_p=0.5,
                max_output_tokens=9,
                truncation="auto",
                reasoning={"effort": "low"},
                include=["reasoning.encrypted_content"],
                service_tier="auto",
                text={"verbosity": "low"},
                prompt_cache_key="k",
                a_field_of_tomorrow={"x": 1},
                background=False,
                top_logprobs=0,
            )
        body = server.requests[0].body
        self.assertEqual((body["temperature"], body["top_p"], body["max_tokens"]), (0.3, 0.5, 9))
        self.assertEqual((found["max_output_tokens"], found["truncation"]), (9, "auto"))
        self.assertEqual(found["prompt_cache_key"], "k")
        self.assertEqual((await self.read(found["id"])).json(), found)

    async def test_what_changes_the_answer_and_cannot_be_is_refused_by_name(self) -> None:
        for name, value in {
            "prompt": {"id": "pmpt_1"},
            "top_logprobs": 2,
            "include": ["message.output_text.logprobs"],
        }.items():
            error = await self.refused(400, **{name: value})
            self.assertEqual((error["code"], error["param"]), ("unsupported_parameter", name))
        error = await self.refused(400, background=True, store=False)
        self.assertEqual((error["code"], error["param"]), ("unsupported_parameter", "background"))
        error = await self.refused(400, tools=[{"type": "web_search"}])
        self.assertIn("tools.0.type", error["param"])
        error = await self.refused(400, [{"type": "web_search_call", "id": "ws_1"}])
        self.assertIn("input", error["param"])

    async def test_wrong_input_is_named(self) -> None:
        for input_ in (
            "",
            " ",
            [],
            [user(" ")],
            [{"role": "assistant", "content": "Hi"}],
            [{"role": "system", "content": "Hi"}],
            [{"role": "robot", "content": "Hi"}],
            [{"role": "user", "content": None}],
            [user("a\x00b")],
            [user("a\ud800")],
            [{"type": "item_reference", "id": "msg_nothing"}],
            [{"id": "fc_" + "0" * 34}],
        ):
            with self.subTest(str(input_)):
                error = await self.refused(400, input_)
                self.assertEqual(error["code"], "invalid_request")
                self.assertRegex(str(error["param"]), "^input|body")

    async def test_an_image_and_a_file_reach_the_model(self) -> None:
        self.configure("model: scripted:echo\n")
        file = "data:application/pdf;base64,JVBERi0xLjQK"
        content = [
            {"type": "input_text", "text": "Look"},
            {"type": "input_image", "image_url": PIXEL, "detail": "auto"},
            {"type": "input_file", "filename": "a.pdf", "file_data": file},
        ]
        found = await self.answered([{"role": "user", "content": content}])
        self.assertIn("With it came: image/png, application/pdf.", text_of(found))

    async def test_what_cannot_be_read_is_refused(self) -> None:
        for part in (
            {"type": "input_image", "image_url": "https://127.0.0.1/x.png"},
            {"type": "input_image", "file_id": "file-1"},
            {"type": "input_file", "file_url": "http://localhost/x.pdf"},
            {"type": "input_audio", "input_audio": {"data": "x"}},
        ):
            with self.subTest(part["type"]):
                error = await self.refused(400, [{"role": "user", "content": [part]}])
                self.assertEqual((error["code"], error["param"]), ("unsupported_content", "input"))


class ToolTests(ResponseFixtures):
    async def test_a_call_its_result_and_the_answer_by_the_previous_response(self) -> None:
        first = await self.answered("get_weather", tools=[TOOL])
        [call] = first["output"]
        self.assertEqual((call["type"], call["status"]), ("function_call", "completed"))
        self.assertEqual(call["id"], "fc_" + call["call_id"].removeprefix("call_"))
        self.assertEqual(first["status"], "completed")
        self.assertEqual(first["tools"][0]["name"], "get_weather")
        self.assertEqual((await self.read(first["id"])).json(), first)
        result = {"type": "function_call_output", "call_id": call["call_id"], "output": "Rain."}
        second = await self.answered([result], previous_response_id=first["id"], tools=[TOOL])
        self.assertEqual(text_of(second), "The tool says: Rain.")
        self.assertEqual(second["previous_response_id"], first["id"])
        messages, requests = await sync_to_async(stored)()
        self.assertEqual([m.role for m in messages], ["human", "assistant", "tool", "assistant"])
        self.assertEqual(len({request.session_id for request in requests}), 1)

    async def test_a_call_its_result_and_the_answer_by_all_items(self) -> None:
        items = [user("get_weather")]
        first = await self.answered(items, tools=[TOOL])
        [call] = first["output"]
        result = {"type": "function_call_output", "call_id": call["call_id"], "output": "Rain."}
        second = await self.answered([*items, call, result], tools=[TOOL])
        self.assertEqual(text_of(second), "The tool says: Rain.")
        again = await self.answered([*items, {"id": call["id"]}, result], tools=[TOOL])
        self.assertEqual(text_of(again), "The tool says: Rain.")

    async def test_a_streamed_call_has_all_events_and_the_right_ids(self) -> None:
        events = await self.streamed('get_weather {"city": "Paris"}', tools=[TOOL])
        self.assertEqual(kinds_of(events), CALL_EVENTS)
        [_, _, added, delta, done, closed, completed] = events
        [call] = completed["response"]["output"]
        self.assertEqual(call["arguments"], '{"city": "Paris"}')
        self.assertEqual(added["item"], call | {"status": "in_progress", "arguments": ""})
        self.assertEqual((delta["delta"], done["arguments"]), (call["arguments"],) * 2)
        self.assertEqual(closed["item"], call)
        self.assertEqual({event["item_id"] for event in (delta, done)}, {call["id"]})
        self.assertTrue(all(event["output_index"] == 0 for event in events[2:6]))

    async def test_text_before_calls_is_an_item_before_them(self) -> None:
        self.configure("model: mock:test-model\n")
        names = ("get_weather", "book")
        calls = [
            {"id": f"c{n}", "type": "function", "function": {"name": name, "arguments": "{}"}}
            for n, name in enumerate(names)
        ]
        message = {"role": "assistant", "content": "Let me look.", "tool_calls": calls}
        reply = {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
        tools = [TOOL, TOOL | {"name": "book"}]
        async with MockOpenAI() as server:
            server.replies += [Reply(body=json.dumps(reply).encode())] * 2
            events = await self.streamed("Go", tools=tools)
            result = {"type": "function_call_output", "output": "done"}
            whole = events[-1]["response"]
            await self.answered(
                [user("Go"), *whole["output"]]
                + [result | {"call_id": item["call_id"]} for item in whole["output"][1:]],
                tools=tools,
            )
        kinds = [item["type"] for item in whole["output"]]
        self.assertEqual(kinds, ["message", "function_call", "function_call"])
        added = [e for e in events if e["type"] == "response.output_item.added"]
        self.assertEqual([event["output_index"] for event in added], [0, 1, 2])
        self.assertEqual((await self.read(whole["id"])).json(), whole)

    async def test_the_choice_of_tools(self) -> None:
        named = {"type": "function", "name": "book"}
        allowed = {"type": "allowed_tools", "mode": "required", "tools": [named]}
        for choice, expected in (
            ("auto", []),
            ("none", []),
            ("required", ["get_weather"]),
            (named, ["book"]),
            (allowed, ["book"]),
        ):
            found = await self.answered(tools=[TOOL, TOOL | {"name": "book"}], tool_choice=choice)
            calls = [item["name"] for item in found["output"] if item["type"] == "function_call"]
            with self.subTest(str(choice)):
                self.assertEqual(calls, expected)
                self.assertEqual(found["tool_choice"], choice)

    async def test_wrong_tools_and_results_are_refused(self) -> None:
        named = {"type": "function", "name": "none"}
        for more in ({"tools": [TOOL, TOOL]}, {"tools": [TOOL], "tool_choice": named}):
            self.assertEqual((await self.refused(400, **more))["code"], "invalid_request")
        first = await self.answered("get_weather", tools=[TOOL])
        result = {"type": "function_call_output", "call_id": "call_x", "output": "Rain."}
        error = await self.refused(400, [result], previous_response_id=first["id"])
        self.assertEqual((error["code"], error["param"]), ("unknown_tool_call", "input"))


class FormatTests(ResponseFixtures):
    SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}

    def wanted(self) -> dict[str, Any]:
        return {"format": {"type": "json_schema", "name": "place", "schema": self.SCHEMA}}

    async def test_24_the_answer_has_the_format(self) -> None:
        found = await self.answered(text=self.wanted())
        self.assertIn("city", json.loads(text_of(found)))
        self.assertEqual(found["text"]["format"]["schema"], self.SCHEMA)
        [*_, last] = await self.streamed(text={"format": {"type": "json_object"}})
        self.assertIsInstance(json.loads(text_of(last["response"])), dict)

    async def test_an_answer_that_never_fits_is_an_error_without_a_retry(self) -> None:
        self.configure("model: mock:test-model\n")
        async with MockOpenAI():
            error = await self.refused(502, text=self.wanted())
            self.assertEqual(self.headers["x-should-retry"], "false")
            *_, last = await self.streamed(text=self.wanted())
        self.assertEqual((error["code"], last["code"]), ("output_invalid", "output_invalid"))

    async def test_a_broken_schema_is_refused(self) -> None:
        broken = {"type": "json_schema", "name": "x", "schema": {"type": "strin"}}
        self.assertEqual((await self.refused(400, text={"format": broken}))["param"], "text.format")


class ChainTests(ResponseFixtures):
    config = "model: mock:test-model\ncallers: {instructions: true}\n"

    async def chain(self, *asked: tuple[Any, dict[str, Any]]) -> list[list[str]]:
        """Ask one after another, and return the texts that the model was sent each time."""
        async with MockOpenAI() as server:
            self.found: list[dict[str, Any]] = []
            for input_, more in asked:
                if isinstance(previous := more.get("previous_response_id"), int):
                    more["previous_response_id"] = self.found[previous]["id"]
                self.found.append(await self.answered(input_, **more))
        return [[m["content"] for m in each.body["messages"][1:]] for each in server.requests]

    def sessions(self) -> list[str]:
        return [each["salient"]["session_id"] for each in self.found]

    async def test_8_a_follow_up_has_the_history_at_once(self) -> None:
        sent = await self.chain(
            ("One", {}),
            ("Two", {"previous_response_id": 0}),
            ("Three", {"previous_response_id": 1}),
        )
        said = "Hello from the mock."
        self.assertEqual(sent[2], ["One", said, "Two", said, "Three"])
        self.assertEqual(len(set(self.sessions())), 1)

    async def test_an_older_response_begins_a_branch_that_goes_on(self) -> None:
        sent = await self.chain(
            ("One", {}),
            ("Two", {"previous_response_id": 0}),
            ("Other", {"previous_response_id": 0}),
            ("More", {"previous_response_id": 2}),
            ("Three", {"previous_response_id": 1}),
        )
        said = "Hello from the mock."
        self.assertEqual(sent[2], ["One", said, "Other"])
        self.assertEqual(sent[3], ["One", said, "Other", said, "More"])
        self.assertEqual(sent[4], ["One", said, "Two", said, "Three"])
        a, b, c, d, e = self.sessions()
        self.assertEqual((a, c), (b, d))
        self.assertEqual(e, a)
        self.assertNotEqual(a, c)

    async def test_a_conversation_that_was_sent_is_part_of_the_history(self) -> None:
        said = "Hello from the mock."
        items = [user("One"), {"role": "assistant", "content": "1"}, user("Two")]
        sent = await self.chain((items, {}), ("Three", {"previous_response_id": 0}))
        self.assertEqual(sent[1], ["One", "1", "Two", said, "Three"])
        shown = await self.api.get(self.path("history"), session_id=self.sessions()[0])
        texts = [message["content"] for message in shown.json()["messages"]]
        self.assertEqual(texts, ["One", "1", "Two", said, "Three", said])

    async def test_our_own_items_that_are_sent_again_count_once(self) -> None:
        said = "Hello from the mock."
        await self.chain(("One", {}))
        [first] = self.found
        async with MockOpenAI() as server:
            for item in (first["output"][0], {"id": first["output"][0]["id"]}):
                more = {"previous_response_id": first["id"]}
                await self.answered([item, user("Two")], **more)
                [*_, last] = server.requests
                texts = [m["content"] for m in last.body["messages"][1:]]
                self.assertEqual(texts, ["One", said, "Two"])
            await self.answered([user("One"), {"id": first["output"][0]["id"]}, user("Three")])
            [*_, last] = server.requests
        self.assertEqual([m["content"] for m in last.body["messages"][1:]], ["One", said, "Three"])

    async def test_foreign_items_between_begin_a_branch_with_them(self) -> None:
        said = "Hello from the mock."
        added = [user("Two"), {"role": "assistant", "content": "2"}, user("Three")]
        sent = await self.chain(
            ("One", {}), (added, {"previous_response_id": 0}), ("Four", {"previous_response_id": 1})
        )
        self.assertEqual(sent[2], ["One", said, "Two", "2", "Three", said, "Four"])

    async def test_system_items_hold_for_the_chain_and_instructions_for_one_response(self) -> None:
        items = [{"role": "system", "content": "In French."}, user("One")]
        async with MockOpenAI() as server:
            first = await self.answered(items, instructions="Be kind.")
            second = await self.answered("Two", previous_response_id=first["id"])
            await self.answered("Three", previous_response_id=second["id"])
        prompts = [each.body["messages"][0]["content"] for each in server.requests]
        self.assertEqual(
            prompts, ["Be brief.\n\nBe kind.\n\nIn French.", *["Be brief.\n\nIn French."] * 2]
        )
        self.assertEqual((first["instructions"], second["instructions"]), ("Be kind.", None))

    async def test_results_for_an_older_response_begin_a_branch(self) -> None:
        self.configure("model: scripted:echo\n")
        first = await self.answered("get_weather", tools=[TOOL])
        result = {"type": "function_call_output", "call_id": first["output"][0]["call_id"]}
        more = {"previous_response_id": first["id"], "tools": [TOOL]}
        one = await self.answered([result | {"output": "Rain."}], **more)
        two = await self.answered([result | {"output": "Sun."}], **more)
        self.assertEqual(
            (text_of(one), text_of(two)), ("The tool says: Rain.", "The tool says: Sun.")
        )
        self.assertNotEqual(one["salient"]["session_id"], two["salient"]["session_id"])
        three = await self.answered("Again", previous_response_id=two["id"])
        self.assertIn("I remember one earlier message of yours", text_of(three))
        roles = [m.role for m in (await sync_to_async(stored)(two["salient"]["session_id"]))[0]]
        self.assertEqual(roles, ["human", "assistant", "tool", "assistant", "human", "assistant"])

    async def test_a_branch_keeps_what_the_provider_wants_back_with_its_calls(self) -> None:
        self.configure("model: mock:test-model\n")
        call: dict[str, Any] = {"id": "c", "type": "function", "extra_content": {"sign": "c2ln"}}
        call["function"] = {"name": "get_weather", "arguments": "{}"}
        said = {"role": "assistant", "content": None, "tool_calls": [call]}
        said["reasoning_content"] = "Weather is asked for."
        whole = {"choices": [{"index": 0, "message": said, "finish_reason": "tool_calls"}]}
        async with MockOpenAI() as server:
            server.replies.append(Reply(body=json.dumps(whole).encode()))
            first = await self.answered("Rain?", tools=[TOOL])
            result = {"type": "function_call_output", "call_id": first["output"][0]["call_id"]}
            more = {"previous_response_id": first["id"], "tools": [TOOL]}
            for word in ("Yes.", "No."):
                branch = await self.answered([result | {"output": word}], **more)
            await self.answered("Sure?", previous_response_id=branch["id"])
            sent = server.requests[-1].body["messages"]
        found: dict[str, Any] = next(each for each in sent if each["role"] == "assistant")
        self.assertEqual(found["reasoning_content"], "Weather is asked for.")
        self.assertEqual(found["tool_calls"][0]["extra_content"], {"sign": "c2ln"})

    async def test_a_conversation_is_a_session(self) -> None:
        said = "Hello from the mock."
        await self.chain(("One", {}))
        session = UUID(self.sessions()[0])
        async with MockOpenAI() as server:
            for named in (str(session), f"conv_{session.hex}", {"id": f"conv_{session.hex}"}):
                found = await self.answered("More", conversation=named)
                self.assertEqual(found["conversation"], {"id": f"conv_{session.hex}"})
                self.assertEqual((await self.read(found["id"])).json(), found)
        sent = [m["content"] for m in server.requests[2].body["messages"][1:]]
        self.assertEqual(sent, ["One", said, "More", said, "More", said, "More"])
        foreign = [{"role": "assistant", "content": "x"}, user("y")]
        error = await self.refused(400, foreign, conversation=str(session))
        self.assertEqual(error["param"], "input")
        await self.refused(404, conversation=str(UUID(int=1)))
        self.assertEqual((await self.refused(400, conversation="x"))["param"], "conversation")
        both = {"conversation": str(session), "previous_response_id": self.found[0]["id"]}
        self.assertEqual((await self.refused(400, **both))["param"], "conversation")

    async def test_only_stored_responses_of_ones_own_are_gone_on_from(self) -> None:
        await self.more()
        async with MockOpenAI():
            first = await self.answered()
            unstored = await self.answered(store=False)
            chat = await self.api.post(self.path("chat"), {"message": "Hello"})
            other = await self.api.post(
                self.path("v1/responses", instance="other"), {"model": "x", "input": "Hello"}
            )
        visitor = await self.start()
        turn = UUID(chat.json()["llm_request_id"]).hex
        for previous, client in (
            (first["id"], visitor),
            (unstored["id"], None),
            (f"resp_{turn}", None),
            (other.json()["id"], None),
            (f"resp_{UUID(int=1).hex}", None),
            ("resp_x", None),
            ("chatcmpl-x", None),
        ):
            error = await self.refused(400, previous_response_id=previous, client=client)
            self.assertEqual(
                (error["code"], error["param"]),
                ("previous_response_not_found", "previous_response_id"),
            )

    async def test_two_follow_ups_at_once_are_both_answered(self) -> None:
        self.configure("model: scripted:echo?first_ms=300\n")
        first = await self.answered("One")
        more = {"previous_response_id": first["id"]}
        found = await asyncio.gather(self.answered("A", **more), self.answered("B", **more))
        for each, said in zip(found, ("A", "B"), strict=True):
            self.assertIn(f"You wrote: “{said}”.", text_of(each))
            self.assertIn("I remember one earlier message of yours", text_of(each))
        self.assertEqual(len({each["salient"]["session_id"] for each in found}), 2)

    async def test_store_false_goes_on_and_is_not_part_of_the_conversation(self) -> None:
        sent = await self.chain(
            ("One", {}),
            ("Two", {"previous_response_id": 0, "store": False}),
            ("Three", {"previous_response_id": 0}),
        )
        said = "Hello from the mock."
        self.assertEqual(sent[1:], [["One", said, "Two"], ["One", said, "Three"]])
        self.assertEqual(len(set(self.sessions())), 1)

    async def test_one_that_is_being_made_is_waited_for(self) -> None:
        await self.chain(("One", {}))
        [first] = self.found
        await self.occupy(first["salient"]["session_id"])
        error = await self.refused(409, previous_response_id=first["id"])
        self.assertEqual(error["code"], "turn_in_progress")
        self.assertEqual((await self.read(first["id"])).json()["status"], "in_progress")
        self.assertEqual((await self.delete(first["id"])).status, 409)

    async def delete(self, response_id: str) -> Answer:
        return await self.api.call("DELETE", self.path(f"v1/responses/{response_id}"))

    @sync_to_async
    def more(self) -> None:
        write_config(settings.AGENT_CONFIG_DIR, "acme", "other", "model: scripted:echo\n")
        make_instance(self.account, "other")


class StoreTests(ResponseFixtures):
    async def delete(self, response_id: str, client: ApiClient | None = None) -> Answer:
        path = self.path(f"v1/responses/{response_id}")
        return await (client or self.cleaner).call("DELETE", path)

    def setUp(self) -> None:
        super().setUp()
        self.cleaner = key_client(
            self.account, scopes=["chat", "history:read", "history:delete"], name="cleaner"
        )

    async def test_store_false_keeps_nothing_but_figures(self) -> None:
        self.configure("model: scripted:echo\ncallers: {instructions: true}\n")
        canary = "canary-7f3a"
        tool = TOOL | {"description": canary}
        found = await self.answered(
            [user(canary), {"role": "assistant", "content": canary}, user(f"{canary} get_weather")],
            store=False,
            metadata={"a": canary},
            instructions=canary,
            user=canary,
            tools=[tool],
        )
        self.assertFalse(found["store"])
        self.assertEqual((await sync_to_async(counts)())[1:], (0, 1))
        self.assertNotIn(canary, await self.everything())
        self.assertEqual((await self.read(found["id"])).status, 404)
        self.assertEqual((await self.delete(found["id"])).status, 404)

    @sync_to_async
    def everything(self) -> str:
        with platform_context():
            models = (Session, Message, LLMRequest)
            return str([list(model.objects.values()) for model in models])

    async def test_a_response_is_read_again_as_it_was_answered(self) -> None:
        self.configure("model: scripted:echo\ncallers: {instructions: true}\n")
        found = await self.answered(
            instructions="Be kind.",
            tools=[TOOL],
            tool_choice="none",
            parallel_tool_calls=False,
            metadata={"a": "b"},
            user="ada",
            safety_identifier="s",
            max_output_tokens=100,
        )
        self.assertEqual((await self.read(found["id"])).json(), found)
        account = await self.api.get(f"/accounts/acme/v1/responses/{found['id']}")
        self.assertEqual(account.json(), found)

    async def test_one_that_failed_is_read_as_failed(self) -> None:
        self.configure("model: scripted:fail\nretries: 0\n")
        await self.refused(502)
        _, [request] = await sync_to_async(stored)()
        found = (await self.read(f"resp_{request.pk.hex}")).json()
        self.assertEqual((found["status"], found["output"]), ("failed", []))
        self.assertEqual(found["error"]["code"], "provider_unavailable")

    async def test_deleting_takes_the_texts_and_leaves_the_figures(self) -> None:
        self.configure("model: scripted:say\n")
        items = [user("canary-1"), {"role": "assistant", "content": "canary-2"}, user("canary-3")]
        first = await self.answered(items, metadata={"a": "canary-4"})
        second = await self.answered("Two", previous_response_id=first["id"])
        gone = await self.delete(first["id"])
        self.assertEqual(
            (gone.status, gone.json()),
            (200, {"id": first["id"], "object": "response", "deleted": True}),
        )
        self.assertNotIn("canary", await self.everything())
        for again in (await self.read(first["id"]), await self.delete(first["id"])):
            self.assertEqual(again.status, 404)
        kept = (await self.read(second["id"])).json()
        self.assertEqual(kept["id"], second["id"])
        _, requests = await sync_to_async(stored)()
        self.assertEqual(len(requests), 2)
        self.assertTrue(all(request.total_tokens for request in requests))
        self.assertEqual((await self.delete(second["id"])).status, 200)
        self.assertEqual((await sync_to_async(counts)())[1], 0)
        shown = await self.api.get(self.path("sessions"))
        self.assertEqual(shown.json()["sessions"], [])

    async def test_rights(self) -> None:
        first = await self.answered()
        _, chatter = await sync_to_async(make_key)(self.account, scopes=["chat"], name="chatter")
        self.assertEqual((await self.read(first["id"], ApiClient(chatter))).status, 403)
        self.assertEqual((await self.delete(first["id"], ApiClient(chatter))).status, 403)
        visitor = await self.start()
        self.assertEqual((await self.read(first["id"], visitor)).status, 404)
        own = await self.answered(client=visitor)
        self.assertEqual((await self.read(own["id"], visitor)).json(), own)
        self.assertEqual((await self.delete(own["id"], visitor)).status, 200)

    async def test_a_user_is_the_end_user_of_the_session(self) -> None:
        first = await self.answered(user="ada")
        await self.answered("Two", previous_response_id=first["id"], user="ada")
        await self.answered("Three", previous_response_id=first["id"])
        await self.answered(safety_identifier="eve")
        self.assertEqual(await self.end_users(), ["ada", "ada", "eve"])


class AccountTests(ResponseFixtures):
    async def test_the_model_of_an_account_is_an_agent(self) -> None:
        path = "/accounts/acme/v1/responses"
        answer = await self.api.post(path, {"model": "bot", "input": "Hello"})
        self.assertEqual((answer.status, answer.json()["model"]), (200, "bot"))
        refused = await self.api.post(path, {"model": "none", "input": "Hello"})
        self.assertEqual(
            (refused.status, refused.json()["error"]["code"]), (404, "model_not_found")
        )

    async def test_25_errors_have_openais_form(self) -> None:
        for path, status in (
            (self.path("v1/responses/resp_x"), 404),
            ("/accounts/acme/v1/responses/resp_x", 404),
            (f"/accounts/acme/v1/responses/resp_{UUID(int=1).hex}", 404),
            (self.path("v1/responses"), 405),
        ):
            answer = await self.api.get(path)
            self.assertEqual(answer.status, status)
            self.assertTrue(answer.json()["error"]["code"])
