"""AG-UI: the events of a run in their order, and what its clients send."""

from __future__ import annotations

import json
from typing import Any

from asgiref.sync import sync_to_async

from accounts.models import KeyKind
from tests.sessions_app.protocols.openai.fixtures import PIXEL
from tests.sessions_app.protocols.ui.fixtures import (
    ANSWER,
    CITY,
    WANTED,
    WEATHER,
    InterfaceFixtures,
    answer_of,
    is_uuid,
    kinds_of,
    said,
    text_of,
    typed,
)
from tests.support.api_client import ApiClient
from tests.support.factories import make_key
from tests.support.fixtures import counts, stored
from tests.support.servers.mock_openai import MockOpenAI

HELLO = said("Hello")


class EventTests(InterfaceFixtures):
    async def test_a_run_begins_says_and_ends(self) -> None:
        found = await self.events(HELLO)

        self.assertEqual(
            kinds_of(found),
            [
                "RUN_STARTED",
                "TEXT_MESSAGE_START",
                "TEXT_MESSAGE_CONTENT",
                "TEXT_MESSAGE_END",
                "RUN_FINISHED",
            ],
        )
        self.assertEqual(
            found[0],
            {"type": "RUN_STARTED", "threadId": "t1", "runId": "r1", "protocolVersion": "1.0"},
        )
        self.assertEqual(text_of(found), ANSWER)
        [_, answer], [request] = await sync_to_async(stored)()
        self.assertEqual(answer_of(found)["id"], str(answer.pk))
        result = found[-1]["result"]
        self.assertEqual(result["session_id"], str(request.session_id))
        self.assertEqual(result["message_id"], str(answer.pk))
        self.assertEqual(result["finish_reason"], "stop")
        self.assertEqual(result["cost"]["currency"], "USD")
        self.assertEqual(
            found[-1]["usage"],
            [
                {
                    "provider": "scripted",
                    "model": "echo",
                    "inputTokens": result["usage"]["input_tokens"],
                    "outputTokens": result["usage"]["output_tokens"],
                    "totalTokens": result["usage"]["total_tokens"],
                    "cachedInputTokens": 0,
                    "reasoningTokens": 0,
                }
            ],
        )

    async def test_the_agents_own_tools_are_named_and_nothing_more(self) -> None:
        self.configure("model: scripted:tool\ntools: [current_time]\n")
        found = await self.events(HELLO)

        self.assertEqual(
            kinds_of(found),
            [
                "RUN_STARTED",
                "TOOL_CALL_START",
                "TOOL_CALL_ARGS",
                "TOOL_CALL_END",
                "TOOL_CALL_RESULT",
                "TEXT_MESSAGE_START",
                "TEXT_MESSAGE_CONTENT",
                "TEXT_MESSAGE_END",
                "RUN_FINISHED",
            ],
        )
        _, start, arguments, _, result, text, *_ = found
        _, [request] = await sync_to_async(stored)()
        self.assertEqual(start["toolCallName"], "current_time")
        self.assertEqual(start["toolCallId"], f"tool_{request.pk.hex}_call00001")
        self.assertEqual(arguments["delta"], "{}")
        self.assertEqual(json.loads(result["content"]), {"status": "done"})
        # What the model says after the result is a message of its own, which follows it.
        self.assertTrue(is_uuid(start["parentMessageId"]))
        self.assertEqual(text["messageId"], f"{start['parentMessageId']}-2")

    async def test_visitors_see_no_model_and_no_cost(self) -> None:
        found = await self.events(HELLO, client=await self.start())
        result = found[-1]["result"]
        self.assertEqual((result["model"], result["usage"], result["cost"]), (None, None, None))
        self.assertEqual(found[-1]["usage"], [])
        self.assertNotIn("scripted:", json.dumps(found))

    async def test_a_page_of_another_site_calls_it_with_its_visitors_token(self) -> None:
        page = {"origin": "https://shop.example"}
        _, key = await sync_to_async(make_key)(
            self.account,
            kind=KeyKind.PUBLISHABLE,
            origins=[page["origin"]],
            instance_ids=[self.instance.pk],
        )
        given = await ApiClient(key, page).post(self.path("visitors"), {})
        visitor = ApiClient(given.json()["token"], page)
        for answer in (
            await self.run_agent(HELLO, client=visitor),
            await self.chat(typed("Hi"), client=visitor),
        ):
            self.assertEqual(answer.status, 200, answer.body)
            self.assertEqual(answer.headers["access-control-allow-origin"], page["origin"])
        elsewhere = ApiClient(visitor.key, {"origin": "https://evil.example"})
        answer = await self.run_agent(HELLO, client=elsewhere)
        self.assertEqual((answer.status, answer.json()["code"]), (403, "origin_not_allowed"))

    async def test_a_failure_in_the_middle_is_a_run_error(self) -> None:
        self.configure("model: scripted:cut\n")
        found = await self.events(HELLO)

        self.assertEqual(kinds_of(found)[-2:], ["TEXT_MESSAGE_END", "RUN_ERROR"])
        self.assertEqual(found[-1]["code"], "provider_unavailable")
        outcome = found[-1]["metadata"]["salient"]
        self.assertEqual(outcome["status"], "partial")
        self.assertGreater(found[-1]["usage"][0]["outputTokens"], 0)

    async def test_a_failure_before_the_first_event_has_its_status(self) -> None:
        self.configure("model: scripted:fail\nretries: 0\n")
        await self.refused(await self.run_agent(HELLO), 502, "provider_unavailable")

    async def test_the_same_key_gives_the_same_run(self) -> None:
        key = {"Idempotency-Key": "k"}
        asked = said(WANTED)
        first = await self.events(asked, tools=[WEATHER], headers=key)
        again = await self.run_agent(asked, tools=[WEATHER], headers=key)
        self.assertEqual(again.headers["idempotency-replayed"], "true")
        second = await self.events(asked, tools=[WEATHER], headers=key)
        self.assertEqual(kinds_of(second), kinds_of(first))
        self.assertEqual(second[-1]["result"], first[-1]["result"])
        self.assertEqual((await sync_to_async(counts)())[2], 1)
        other = await self.run_agent(asked, tools=[WEATHER], headers=key, thread="t2")
        await self.refused(other, 422, "idempotency_key_reused")

    async def test_a_client_that_leaves_settles_the_turn(self) -> None:
        request = await self.settled_after_leaving(
            "ag-ui", {"threadId": "t1", "runId": "r1", "messages": [HELLO]}
        )
        self.assertEqual(
            (request.completion_status, request.error_code), ("cancelled", "client_left")
        )
        self.assertIsNotNone(request.settled_at)


class ToolTests(InterfaceFixtures):
    async def test_a_call_its_result_and_the_answer(self) -> None:
        found = await self.events(said(WANTED), tools=[WEATHER])
        _, start, arguments, end, finished = found
        self.assertEqual(
            [start["type"], arguments["type"], end["type"]],
            ["TOOL_CALL_START", "TOOL_CALL_ARGS", "TOOL_CALL_END"],
        )
        self.assertEqual((start["toolCallName"], arguments["delta"]), ("get_weather", CITY))
        call_id = start["toolCallId"]
        self.assertEqual(finished["result"]["finish_reason"], "tool_calls")
        call = {
            "id": call_id,
            "type": "function",
            "function": {"name": "get_weather", "arguments": CITY},
        }
        calling = {"id": start["parentMessageId"], "role": "assistant", "toolCalls": [call]}
        result = {"id": "x", "role": "tool", "toolCallId": call_id, "content": "Rain."}
        second = await self.events(said(WANTED), calling, result, tools=[WEATHER])

        self.assertEqual(text_of(second), "The tool says: Rain.")
        [session] = await self.sessions()
        self.assertEqual([role for role, _ in session], ["human", "assistant", "tool", "assistant"])

    async def test_the_agents_own_calls_come_back_and_are_no_part_of_the_prompt(self) -> None:
        self.configure("model: mock:test-model\n")
        own = f"tool_{'0' * 32}_call00001"
        call = {"id": own, "type": "function", "function": {"name": "search", "arguments": "{}"}}
        before = [
            HELLO,
            {"id": "a1", "role": "assistant", "content": "Hi.", "toolCalls": [call]},
            {"id": "t", "role": "tool", "toolCallId": own, "content": '{"status": "done"}'},
            {"id": "b", "role": "reasoning", "content": "Hm."},
            {"id": "c", "role": "activity", "activityType": "plan", "content": {}},
        ]
        async with MockOpenAI() as server:
            await self.events(*before, said("More", "u2"))

        self.assertEqual(
            server.requests[0].body["messages"][1:],
            [
                {"role": "user", "content": "Hello"},
                {"role": "assistant", "content": "Hi."},
                {"role": "user", "content": "More"},
            ],
        )

    async def test_a_failed_tool_is_told_as_such(self) -> None:
        found = await self.events(said(WANTED), tools=[WEATHER])
        call_id = found[1]["toolCallId"]
        call = {"id": call_id, "function": {"name": "get_weather", "arguments": CITY}}
        calling = {"id": found[1]["parentMessageId"], "role": "assistant", "toolCalls": [call]}
        result = {"id": "x", "role": "tool", "toolCallId": call_id, "content": "", "error": "No."}
        second = await self.events(said(WANTED), calling, result, tools=[WEATHER])
        self.assertEqual(text_of(second), "The tool says: No.")

    async def test_a_result_without_its_call_is_refused(self) -> None:
        result = {"id": "x", "role": "tool", "toolCallId": "c9", "content": "Rain."}
        await self.refused(await self.run_agent(HELLO, result), 400, "invalid_request")

    async def test_an_agent_that_takes_no_tools_says_so(self) -> None:
        self.configure("model: scripted:echo\ncallers: {tools: false}\n")
        await self.refused(
            await self.run_agent(HELLO, tools=[WEATHER]), 400, "client_tools_refused"
        )


class InputTests(InterfaceFixtures):
    config = "model: mock:test-model\ncallers: {instructions: true}\n"

    async def sent(self, *messages: Any, **more: Any) -> list[dict[str, Any]]:
        async with MockOpenAI() as server:
            await self.events(*messages, **more)
        found: list[dict[str, Any]] = server.requests[0].body["messages"]
        return found

    async def test_instructions_and_context_follow_the_agents_own_prompt(self) -> None:
        system = {"id": "s", "role": "system", "content": "In French."}
        context = [{"description": "The page", "value": "/prices"}]
        sent = await self.sent(system, HELLO, context=context)
        self.assertEqual(
            sent[0], {"role": "system", "content": "Be brief.\n\nIn French.\n\nThe page: /prices"}
        )

    async def test_they_are_refused_where_the_agent_takes_none(self) -> None:
        self.configure("model: mock:test-model\n")
        context = [{"description": "The page", "value": "/prices"}]
        await self.refused(
            await self.run_agent(HELLO, context=context), 400, "instructions_refused"
        )

    async def test_images_in_all_their_forms(self) -> None:
        data = PIXEL.partition(",")[2]
        parts: tuple[Any, ...] = (
            {"type": "image", "source": {"type": "data", "value": data, "mimeType": "image/png"}},
            {"type": "image", "source": {"type": "url", "value": PIXEL}},
            {"type": "binary", "mimeType": "image/png", "data": data},
            {"type": "binary", "mimeType": "image/png", "url": PIXEL},
        )
        for number, part in enumerate(parts):
            content = [{"type": "text", "text": "What is it?"}, part]
            with self.subTest(str(part)[:60]):
                sent = {"id": "u", "role": "user", "content": content}
                [_, user] = await self.sent(sent, thread=str(number))
                self.assertEqual([each["type"] for each in user["content"]], ["text", "image_url"])
                self.assertEqual(user["content"][1]["image_url"]["url"], PIXEL)

    async def test_what_cannot_be_read_is_named(self) -> None:
        source = {"type": "data", "value": "AA==", "mimeType": "audio/mp3"}
        for part, code in (
            ({"type": "audio", "source": source}, "unsupported_content"),
            ({"type": "video", "source": source}, "unsupported_content"),
            ({"type": "image", "source": {"type": "file", "value": "f"}}, "unsupported_content"),
            ({"type": "binary", "mimeType": "image/png", "id": "f"}, "unsupported_content"),
            ({"type": "hologram"}, "invalid_request"),
        ):
            content = [{"type": "text", "text": "Hi"}, part]
            answer = await self.run_agent({"id": "u", "role": "user", "content": content})
            with self.subTest(part["type"]):
                problem = await self.refused(answer, 400, code)
                if code == "invalid_request":
                    self.assertIn("hologram", problem["detail"])

    async def test_wrong_runs_are_refused(self) -> None:
        for messages in (
            [],
            [said(" ")],
            [{"id": "a", "role": "assistant", "content": "Hi"}],
            [{"id": "s", "role": "system", "content": "Hi"}],
            [{"id": "u", "role": "robot", "content": "Hi"}],
            [said("a\x00b")],
            [said("a\ud800")],
        ):
            with self.subTest(str(messages)):
                answer = await self.run_agent(*messages)
                await self.refused(answer, 400, "invalid_request")
        for more in ({"thread": ""}, {"runId": 1}, {"tools": [{"name": "a b"}]}):
            with self.subTest(str(more)):
                answer = await self.run_agent(HELLO, **more)
                await self.refused(answer, 400, "invalid_request")
        resume = [{"interruptId": "i", "status": "resolved"}]
        await self.refused(await self.run_agent(HELLO, resume=resume), 400, "unsupported_parameter")

    async def test_state_and_props_of_the_interface_are_not_read(self) -> None:
        more = {"state": {"a": 1}, "forwardedProps": {"b": 2}, "parentRunId": "r0", "x": 1}
        self.assertEqual(len(await self.sent(HELLO, **more)), 2)
