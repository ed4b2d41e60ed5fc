"""UI-message streams: the chunks of an answer in their order, and what `useChat` sends."""

from __future__ import annotations

import json
from typing import Any

from asgiref.sync import sync_to_async
from django.test import override_settings

from tests.sessions_app.protocols.openai.fixtures import PIXEL
from tests.sessions_app.protocols.ui.fixtures import (
    ANSWER,
    CITY,
    WANTED,
    InterfaceFixtures,
    frames_of,
    kinds_of,
    text_of,
    typed,
)
from tests.support.fixtures import counts, stored
from tests.support.servers.mock_openai import MockOpenAI, Reply

HELLO = typed("Hello")
TOOLS = {"get_weather": {"description": "Tells the weather.", "parameters": {"type": "object"}}}


def called(chunks: list[dict[str, Any]], **outcome: Any) -> dict[str, Any]:
    """Return the message that the AI SDK makes of a call and what the page says of it."""
    [call] = [chunk for chunk in chunks if chunk["type"] == "tool-input-available"]
    part = {
        "type": f"tool-{call['toolName']}",
        "toolCallId": call["toolCallId"],
        "state": "output-available",
        "input": call["input"],
        **outcome,
    }
    parts = [{"type": "step-start"}, part]
    return {"id": chunks[0]["messageId"], "role": "assistant", "parts": parts}


class ChunkTests(InterfaceFixtures):
    async def test_a_message_begins_says_and_ends(self) -> None:
        found = await self.chunks(HELLO)

        self.assertEqual(
            kinds_of(found),
            [
                "start",
                "start-step",
                "text-start",
                "text-delta",
                "text-end",
                "finish-step",
                "finish",
            ],
        )
        self.assertEqual(text_of(found), ANSWER)
        [_, answer], [request] = await sync_to_async(stored)()
        self.assertEqual(found[0]["messageId"], str(answer.pk))
        self.assertEqual(found[-1]["finishReason"], "stop")
        outcome = found[-1]["messageMetadata"]["salient"]
        self.assertEqual(outcome["session_id"], str(request.session_id))
        self.assertEqual(outcome["model"], "scripted:echo")
        self.assertEqual(outcome["cost"]["currency"], "USD")

    async def test_the_agents_own_tools_are_named_and_nothing_more(self) -> None:
        self.configure("model: scripted:tool\ntools: [current_time]\n")
        found = await self.chunks(HELLO)

        _, [request] = await sync_to_async(stored)()
        own = {
            "toolCallId": f"tool_{request.pk.hex}_call00001",
            "dynamic": True,
            "providerExecuted": True,
        }
        named = own | {"toolName": "current_time"}
        self.assertEqual(
            found[1:7],
            [
                {"type": "start-step"},
                {"type": "tool-input-start", **named},
                {"type": "tool-input-available", **named, "input": {}},
                {"type": "tool-output-available", **own, "output": {"status": "done"}},
                {"type": "finish-step"},
                {"type": "start-step"},
            ],
        )
        self.assertEqual(found[7]["type"], "text-start")

    async def test_an_own_tool_that_fails_says_no_more_than_that(self) -> None:
        self.configure("model: mock:test-model\ntools: [current_time]\n")
        async with MockOpenAI() as server:
            server.replies.append(Reply("", tool_calls=[("current_time", '{"secret": 1}')]))
            found = await self.chunks(HELLO)

        [failed] = [chunk for chunk in found if chunk["type"] == "tool-output-error"]
        self.assertEqual(failed["errorText"], "failed")
        self.assertNotIn("secret", json.dumps(found))

    async def test_visitors_see_no_model_and_no_cost(self) -> None:
        found = await self.chunks(HELLO, client=await self.start())
        outcome = found[-1]["messageMetadata"]["salient"]
        self.assertEqual((outcome["model"], outcome["usage"], outcome["cost"]), (None, None, None))
        self.assertNotIn("scripted:", json.dumps(found))

    async def test_a_failure_in_the_middle_is_a_problem_document(self) -> None:
        self.configure("model: scripted:cut\n")
        found = await self.chunks(HELLO)

        self.assertEqual(kinds_of(found)[-3:], ["text-end", "message-metadata", "error"])
        problem = json.loads(found[-1]["errorText"])
        self.assertEqual((problem["code"], problem["status"]), ("provider_unavailable", 502))
        self.assertEqual(found[-2]["messageMetadata"]["salient"]["status"], "partial")

    async def test_a_failure_before_the_first_chunk_has_its_status(self) -> None:
        self.configure("model: scripted:fail\nretries: 0\n")
        await self.refused(await self.chat(HELLO), 502, "provider_unavailable")

    async def test_a_cut_answer_says_length(self) -> None:
        self.configure("model: mock:test-model\n")
        cut = {"choices": [{"index": 0, "message": {"content": "a"}, "finish_reason": "length"}]}
        async with MockOpenAI() as server:
            server.replies.append(Reply(body=json.dumps(cut).encode()))
            found = await self.chunks(HELLO)
        self.assertEqual(found[-1]["finishReason"], "length")

    async def test_the_same_key_gives_the_same_message(self) -> None:
        key = {"Idempotency-Key": "k"}
        first = await self.chunks(typed(WANTED), tools=TOOLS, headers=key)
        again = await self.chat(typed(WANTED), tools=TOOLS, headers=key)
        self.assertEqual(again.headers["idempotency-replayed"], "true")
        second = [json.loads(frame) for frame in frames_of(again)[:-1]]
        self.assertEqual(kinds_of(second), kinds_of(first))
        self.assertEqual(second[-1], first[-1])
        self.assertEqual((await sync_to_async(counts)())[2], 1)

    async def test_a_client_that_leaves_settles_the_turn(self) -> None:
        request = await self.settled_after_leaving("ui-messages", {"id": "t1", "messages": [HELLO]})
        self.assertEqual(
            (request.completion_status, request.error_code), ("cancelled", "client_left")
        )
        self.assertIsNotNone(request.settled_at)


class ToolTests(InterfaceFixtures):
    async def test_a_call_its_result_and_the_answer_are_one_message(self) -> None:
        first = await self.chunks(typed(WANTED), tools=TOOLS)
        call_id = first[2]["toolCallId"]
        self.assertEqual(
            first[2:5],
            [
                {"type": "tool-input-start", "toolCallId": call_id, "toolName": "get_weather"},
                {"type": "tool-input-delta", "toolCallId": call_id, "inputTextDelta": CITY},
                {
                    "type": "tool-input-available",
                    "toolCallId": call_id,
                    "toolName": "get_weather",
                    "input": {"city": "Paris"},
                },
            ],
        )
        self.assertEqual(first[-1]["finishReason"], "tool-calls")
        calling = called(first, output={"sky": "grey"})
        second = await self.chunks(typed(WANTED), calling, tools=TOOLS, messageId=calling["id"])

        self.assertEqual(second[0]["messageId"], first[0]["messageId"])
        self.assertEqual(text_of(second), 'The tool says: {"sky": "grey"}')
        [session] = await self.sessions()
        self.assertEqual([role for role, _ in session], ["human", "assistant", "tool", "assistant"])

    async def test_a_failed_tool_is_told_as_such(self) -> None:
        first = await self.chunks(typed(WANTED), tools=TOOLS)
        calling = called(first, state="output-error", errorText="No.")
        second = await self.chunks(typed(WANTED), calling, tools=TOOLS)
        self.assertEqual(text_of(second), "The tool says: No.")

    async def test_a_call_without_a_result_is_none_to_go_on_from(self) -> None:
        first = await self.chunks(typed(WANTED), tools=TOOLS)
        calling = called(first, state="input-available")
        await self.refused(await self.chat(typed(WANTED), calling), 400, "invalid_request")
        found = await self.chunks(typed(WANTED), calling, typed("Never mind", "u2"), tools=TOOLS)
        self.assertIn("Never mind", text_of(found))

    async def test_large_numbers_of_a_model_are_written_as_they_are(self) -> None:
        wanted = 'get_weather {"city": 123456789012345678901234567890}'
        first = await self.chunks(typed(wanted), tools=TOOLS)
        self.assertEqual(first[4]["input"], {"city": 123456789012345678901234567890})

    async def test_an_agent_that_takes_no_tools_says_so(self) -> None:
        self.configure("model: scripted:echo\ncallers: {tools: false}\n")
        await self.refused(await self.chat(HELLO, tools=TOOLS), 400, "client_tools_refused")


class InputTests(InterfaceFixtures):
    config = "model: mock:test-model\ncallers: {instructions: true}\n"

    async def sent(self, *messages: Any, **more: Any) -> list[dict[str, Any]]:
        async with MockOpenAI() as server:
            await self.chunks(*messages, **more)
        found: list[dict[str, Any]] = server.requests[0].body["messages"]
        return found

    async def test_instructions_follow_the_agents_own_prompt(self) -> None:
        system = {"id": "s", "role": "system", "parts": [{"type": "text", "text": "In French."}]}
        sent = await self.sent(system, HELLO, system="Be kind.")
        self.assertEqual(sent[0]["content"], "Be brief.\n\nBe kind.\n\nIn French.")
        self.configure("model: mock:test-model\n")
        await self.refused(await self.chat(system, HELLO), 400, "instructions_refused")

    async def test_a_file_is_read(self) -> None:
        file = {"type": "file", "mediaType": "image/png", "url": PIXEL, "filename": "a.png"}
        [_, user] = await self.sent(HELLO | {"parts": [file, *HELLO["parts"]]})
        self.assertEqual([each["type"] for each in user["content"]], ["text", "image_url"])
        self.assertEqual(user["content"][1]["image_url"]["url"], PIXEL)

    async def test_what_an_interface_shows_beside_the_talk_is_not_read(self) -> None:
        beside = [
            {"type": "reasoning", "text": "Hm."},
            {"type": "source-url", "sourceId": "s", "url": "https://example.com"},
            {"type": "data-weather", "data": {"sky": "grey"}},
            {
                "type": "dynamic-tool",
                "toolName": "search",
                "toolCallId": f"tool_{'0' * 32}_call00001",
                "state": "output-available",
                "input": {},
                "output": {"status": "done"},
                "providerExecuted": True,
            },
        ]
        parts = [{"type": "step-start"}, *beside, {"type": "text", "text": "Hi."}]
        before = {"id": "a1", "role": "assistant", "parts": parts}
        sent = await self.sent(HELLO, before, typed("More", "u2"))
        self.assertEqual([each["content"] for each in sent[1:]], ["Hello", "Hi.", "More"])

    async def test_an_unknown_part_is_refused_by_its_name(self) -> None:
        for kind in ("hologram", "", "audio"):
            parts = [*HELLO["parts"], {"type": kind, "text": "x"}]
            problem = await self.refused(
                await self.chat(HELLO | {"parts": parts}), 400, "invalid_request"
            )
            self.assertIn(f"“{kind}”", problem["detail"])

    async def test_wrong_chats_are_refused(self) -> None:
        for messages in (
            [],
            [typed(" ")],
            [{"id": "u", "role": "user", "parts": []}],
            [{"id": "a", "role": "assistant", "parts": HELLO["parts"]}],
            [{"id": "u", "role": "tool", "parts": HELLO["parts"]}],
            [{"id": "u", "role": "user", "parts": [{"text": "x"}]}],
            [{"id": "u", "role": "user", "parts": ["x"]}],
            [{"id": "a", "role": "assistant", "parts": [{"type": "tool-x"}]}, HELLO],
            [typed("a\x00b")],
            [typed("a\ud800")],
        ):
            with self.subTest(str(messages)):
                await self.refused(await self.chat(*messages), 400, "invalid_request")
        wrong: list[dict[str, Any]] = [
            {"thread": ""},
            {"trigger": "resume"},
            {"tools": {"a b": {}}},
        ]
        for more in wrong:
            with self.subTest(str(more)):
                await self.refused(await self.chat(HELLO, **more), 400, "invalid_request")

    async def test_what_a_page_adds_to_the_body_is_not_read(self) -> None:
        self.assertEqual(len(await self.sent(HELLO, colour="red", config={})), 2)

    @override_settings(MAX_BODY_BYTES=1024, MAX_FILES_BODY_BYTES=4096)
    async def test_a_body_may_be_as_large_as_files_are(self) -> None:
        await self.sent(typed("x" * 2048))
        for send in (self.chat, self.run_agent):
            await self.refused(await send(typed("x" * 4096)), 413, "body_too_large")
