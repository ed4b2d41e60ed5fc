"""chat/completions as its clients read it: what breaks real ones stands in each test's name."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.conf import settings
from django.test import override_settings
from django.utils import timezone

from accounts.limits.budgets import set_budget
from accounts.tenancy.context import tenant_context
from sessions_app.models import Session
from sessions_app.protocols.openai.types import ChunkOut, CompletionOut, ModelsOut
from tests.sessions_app.protocols.openai.fixtures import PIXEL, OpenAIFixtures, assert_is
from tests.support.api_client import Answer, ApiClient
from tests.support.factories import make_instance, write_config
from tests.support.fixtures import counts, key_client, stored
from tests.support.servers.mock_openai import MockOpenAI, Reply, usage

HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}},
}
CHUNK_FIELDS = {"id", "object", "created", "model", "choices"}


def chunks_of(answer: Answer) -> list[dict[str, Any]]:
    """Return the chunks of a stream that ended well."""
    blocks = [block for block in answer.body.decode().split("\n\n") if block]
    assert all(block.startswith("data: ") for block in blocks), blocks
    assert blocks[-1] == "data: [DONE]", blocks[-1]
    return [json.loads(block.removeprefix("data: ")) for block in blocks[:-1]]


class CompletionFixtures(OpenAIFixtures):
    async def ask(
        self, messages: Any = HELLO, client: ApiClient | None = None, **more: Any
    ) -> Answer:
        headers = more.pop("headers", None)
        body = {"model": "gpt-5", "messages": messages, **more}
        answer = await (client or self.api).post(
            self.path("v1/chat/completions"), body, headers=headers
        )
        if answer.headers["content-type"] == "application/json" and answer.status == 200:
            assert_is(CompletionOut, answer.json())
        return answer

    async def streamed(self, messages: Any = HELLO, **more: Any) -> list[dict[str, Any]]:
        answer = await self.ask(messages, stream=True, **more)
        self.assertEqual(answer.status, 200, answer.body)
        found = chunks_of(answer)
        for chunk in found:
            assert_is(ChunkOut, chunk)
        return found

    async def refused(self, status: int, messages: Any = HELLO, **more: Any) -> dict[str, Any]:
        return self.error_of(await self.ask(messages, **more), status)


class AnswerTests(CompletionFixtures):
    async def test_a_whole_answer(self) -> None:
        answer = await self.ask()

        found = answer.json()
        [_, said], [request] = await sync_to_async(stored)()
        self.assertEqual(found["id"], f"chatcmpl-{request.pk.hex}")
        self.assertEqual((found["object"], found["model"]), ("chat.completion", "bot"))
        self.assertLess(abs(found["created"] - request.created_at.timestamp()), 5)
        self.assertEqual(
            found["choices"],
            [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": said.content, "refusal": None},
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
        )
        self.assertEqual(found["salient"]["session_id"], str(request.session_id))
        self.assertEqual(found["salient"]["cost"]["currency"], "USD")
        self.assertTrue(answer.request_id)
        self.assertIn("ratelimit", answer.headers)
        named = [answer.headers[f"x-ratelimit-{k}-requests"] for k in ("limit", "remaining")]
        self.assertEqual(named, ["600", "599"])
        self.assertRegex(answer.headers["x-ratelimit-reset-requests"], r"^\d+s$")
        listed = await self.api.get(self.path("v1/models"))
        self.assertEqual(listed.headers["x-ratelimit-limit-requests"], "1500")

    async def test_11_usage_has_its_details(self) -> None:
        self.configure("model: mock:test-model\n")
        async with MockOpenAI() as server:
            details = {"prompt_tokens_details": {"cached_tokens": 4}}
            details["completion_tokens_details"] = {"reasoning_tokens": 3}
            server.replies.append(Reply(usage=usage(10, 5, **details)))
            used = (await self.ask()).json()["usage"]

        self.assertEqual(used["prompt_tokens_details"]["cached_tokens"], 4)
        self.assertEqual(used["completion_tokens_details"]["reasoning_tokens"], 3)
        self.assertEqual(
            [used[f"{k}_tokens"] for k in ("prompt", "completion", "total")], [10, 5, 15]
        )

    async def test_21_without_stream_the_answer_is_json(self) -> None:
        for more in ({}, {"stream": False}, {"stream": None}):
            self.assertEqual((await self.ask(**more)).json()["object"], "chat.completion")

    async def test_visitors_see_no_cost(self) -> None:
        visitor = await self.start()
        found = (await self.ask(client=visitor)).json()
        self.assertNotIn("cost", found["salient"])

    async def test_the_same_key_gives_the_same_answer(self) -> None:
        key = {"Idempotency-Key": "k"}
        first, second = await self.ask(headers=key), await self.ask(headers=key)
        self.assertEqual(first.json(), second.json())
        self.assertEqual(second.headers["idempotency-replayed"], "true")
        third = await self.ask(headers=key, stream=True)
        self.assertEqual(third.status, 200)
        self.assertEqual(
            "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks_of(third)),
            first.json()["choices"][0]["message"]["content"],
        )
        self.assertEqual((await sync_to_async(counts)())[2], 1)


class StreamTests(CompletionFixtures):
    async def test_12_17_18_chunks_have_one_id_their_role_and_logprobs(self) -> None:
        found = await self.streamed()

        self.assertEqual(len({(c["id"], c["created"], c["model"], c["object"]) for c in found}), 1)
        self.assertEqual(found[0]["object"], "chat.completion.chunk")
        self.assertEqual(found[0]["choices"][0]["delta"]["role"], "assistant")
        self.assertTrue(all(c["choices"][0]["logprobs"] is None for c in found))
        for chunk in found[:-1]:
            self.assertEqual(set(chunk), CHUNK_FIELDS)
            self.assertIsNone(chunk["choices"][0]["finish_reason"])
        last = found[-1]
        self.assertEqual(
            (last["choices"][0]["delta"], last["choices"][0]["finish_reason"]), ({}, "stop")
        )
        self.assertIn("session_id", last["salient"])
        said = "".join(c["choices"][0]["delta"].get("content", "") for c in found)
        [_, answer], _ = await sync_to_async(stored)()
        self.assertEqual(said, answer.content)

    async def test_16_usage_comes_only_when_asked_for_and_without_choices(self) -> None:
        self.assertTrue(all("usage" not in chunk for chunk in await self.streamed()))
        *others, last = await self.streamed(stream_options={"include_usage": True})
        self.assertEqual(last["choices"], [])
        self.assertGreater(last["usage"]["total_tokens"], 0)
        self.assertTrue(all(chunk["usage"] is None for chunk in others))

    async def test_13_15_a_failure_in_the_middle_is_an_error_that_clients_raise(self) -> None:
        self.configure("model: scripted:cut\n")
        answer = await self.ask(stream=True)

        *_, last = [block for block in answer.body.decode().split("\n\n") if block]
        error = json.loads(last.removeprefix("data: "))["error"]
        self.assertEqual((error["code"], error["type"]), ("provider_unavailable", "server_error"))
        self.assertNotIn(b"[DONE]", answer.body)
        self.assertNotIn(b'"finish_reason":"', answer.body)
        [_, request] = [None, *(await sync_to_async(stored)())[1]]
        self.assertEqual(request.completion_status, "partial")

    async def test_a_failure_before_the_first_word_has_its_status(self) -> None:
        self.configure("model: scripted:fail\nretries: 0\n")
        error = await self.refused(502, stream=True)
        self.assertEqual(error["code"], "provider_unavailable")
        self.assertNotIn("x-should-retry", self.headers)

    async def test_14_a_cut_answer_says_length(self) -> None:
        self.configure("model: mock:test-model\n")
        async with MockOpenAI() as server:
            cut = {
                "choices": [{"index": 0, "message": {"content": "a"}, "finish_reason": "length"}]
            }
            server.replies.append(Reply(body=json.dumps(cut).encode()))
            found = await self.streamed()
        self.assertEqual(found[-1]["choices"][0]["finish_reason"], "length")


class ConversationTests(CompletionFixtures):
    config = "model: mock:test-model\ncallers: {instructions: true}\n"

    async def test_22_system_and_developer_follow_the_agents_own_prompt(self) -> None:
        for role in ("system", "developer"):
            parts = [{"type": "text", "text": "In French."}]
            for content in ("In French.", parts):
                sent = await self.sent([{"role": role, "content": content}, *HELLO])
                self.assertEqual(sent[0], {"role": "system", "content": "Be brief.\n\nIn French."})
                self.assertEqual(len(sent), 2)

    async def test_instructions_are_a_clear_refusal_by_default(self) -> None:
        self.configure("model: scripted:echo\n")
        error = await self.refused(400, [{"role": "developer", "content": "x"}, *HELLO])
        self.assertEqual(error["code"], "instructions_refused")
        self.assertEqual(error["type"], "invalid_request_error")

    async def test_23_an_assistants_content_may_be_null_or_parts(self) -> None:
        call = {
            "id": "c1",
            "type": "function",
            "function": {"name": "get_weather", "arguments": ""},
        }
        sent = await self.sent(
            [
                *HELLO,
                {"role": "assistant", "content": [{"type": "text", "text": "Hi."}]},
                {"role": "user", "content": [{"type": "text", "text": "Rain?"}]},
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "No"}]},
            ],
            tools=[TOOL],
        )
        self.assertEqual([m["role"] for m in sent][2:], ["assistant", "user", "assistant", "tool"])
        self.assertEqual((sent[2]["content"], sent[4]["content"]), ("Hi.", None))
        self.assertEqual(sent[5]["content"], "No")

    async def test_the_messages_are_the_conversation(self) -> None:
        sent = await self.sent([*HELLO, {"role": "assistant", "content": "Hi"}, *HELLO])
        self.assertEqual([m["content"] for m in sent[1:]], ["Hello", "Hi", "Hello"])
        self.assertEqual(await sync_to_async(counts)(), (1, 2, 1))

    async def test_a_session_goes_on_by_its_header(self) -> None:
        async with MockOpenAI() as server:
            first = (await self.ask()).json()["salient"]["session_id"]
            more = [*HELLO, {"role": "assistant", "content": "x"}, {"role": "user", "content": "2"}]
            second = await self.ask(more, headers={"Salient-Session": first})
        self.assertEqual(second.json()["salient"]["session_id"], first)
        sent = server.requests[1].body["messages"][1:]
        self.assertEqual([m["content"] for m in sent], ["Hello", "Hello from the mock.", "2"])
        for wrong, status in (("x", 400), (str(UUID(int=1)), 404)):
            await self.refused(status, headers={"Salient-Session": wrong})

    async def test_a_session_goes_on_by_its_user(self) -> None:
        async with MockOpenAI() as server:
            ids = [
                (await self.ask(user=user)).json()["salient"]["session_id"]
                for user in ("ada", "ada", "eve")
            ]
        self.assertEqual(ids[0], ids[1])
        self.assertNotEqual(ids[1], ids[2])
        self.assertEqual(len(server.requests[1].body["messages"]), 4)
        self.assertEqual(await self.end_users(), ["ada", "eve"])

    async def test_a_users_call_that_is_repeated_has_the_same_answer(self) -> None:
        key = {"Idempotency-Key": "k"}
        async with MockOpenAI() as server:
            answers = [(await self.ask(user="ada", headers=key)).json() for _ in range(2)]
        self.assertEqual(answers[0]["id"], answers[1]["id"])
        self.assertEqual(len(server.requests), 1)

    async def test_a_user_whose_session_was_closed_begins_another(self) -> None:
        async with MockOpenAI():
            first = (await self.ask(user="ada")).json()["salient"]["session_id"]
            await self.close(first)
            second = (await self.ask(user="ada")).json()["salient"]["session_id"]
        self.assertNotEqual(first, second)

    @sync_to_async
    def close(self, session_id: str) -> None:
        with tenant_context(self.account.pk):
            Session.objects.filter(pk=session_id).update(closed_at=timezone.now())

    async def test_tuning_fields_reach_the_model_and_unknown_ones_are_passed_over(self) -> None:
        async with MockOpenAI() as server:
            answer = await self.ask(
                temperature=0.3,
                top_p=1,
                seed=3,
                stop="END",
                max_completion_tokens=9,
                reasoning_effort="low",
                presence_penalty=1,
                logit_bias={"1": 2},
                service_tier="auto",
                a_field_of_tomorrow={"x": 1},
                n=1,
                logprobs=False,
                modalities=["text"],
            )
        self.assertEqual(answer.status, 200, answer.body)
        body = server.requests[0].body
        self.assertEqual(
            (body["temperature"], body["top_p"], body["seed"], body["stop"], body["max_tokens"]),
            (0.3, 1, 3, ["END"], 9),
        )
        self.assertNotIn("reasoning_effort", body)

    async def test_what_changes_the_answer_and_cannot_be_is_refused_by_name(self) -> None:
        for name, value in {
            "n": 2,
            "logprobs": True,
            "top_logprobs": 3,
            "audio": {"voice": "alloy", "format": "mp3"},
            "modalities": ["text", "audio"],
            "functions": [],
            "web_search_options": {},
        }.items():
            with self.subTest(name):
                error = await self.refused(400, **{name: value})
                self.assertEqual((error["code"], error["param"]), ("unsupported_parameter", name))
                self.assertIn(name, error["message"])

    async def test_store_false_keeps_no_text(self) -> None:
        async with MockOpenAI():
            await self.ask(store=False)
        self.assertEqual((await sync_to_async(counts)())[1:], (0, 1))

    async def test_metadata_is_kept(self) -> None:
        async with MockOpenAI():
            await self.ask(metadata={"order": "7"})
        [request] = (await sync_to_async(stored)())[1]
        self.assertEqual((request.request_body or {})["metadata"], {"order": "7"})

    async def test_wrong_messages_are_named(self) -> None:
        result = {"role": "tool", "tool_call_id": "c9", "content": "x"}
        for messages in (
            [],
            [{"role": "user", "content": " "}],
            [{"role": "user", "content": None}],
            [{"role": "assistant", "content": "Hi"}],
            [{"role": "system", "content": "Hi"}],
            [*HELLO, result],
            [{"role": "robot", "content": "Hi"}],
            [{"role": "user", "content": "a\x00b"}],
            [{"role": "user", "content": "a\ud800"}],
        ):
            with self.subTest(str(messages)):
                error = await self.refused(400, messages)
                self.assertEqual(error["code"], "invalid_request")
                self.assertRegex(str(error["param"]), "messages|body")


class ToolTests(CompletionFixtures):
    async def test_19_20_a_streamed_call_has_index_type_and_the_right_reason(self) -> None:
        found = await self.streamed(
            [{"role": "user", "content": 'get_weather {"city": "Paris"}'}], tools=[TOOL]
        )
        [call] = [c for chunk in found for c in chunk["choices"][0]["delta"].get("tool_calls", [])]
        self.assertEqual((call["index"], call["type"]), (0, "function"))
        self.assertEqual(
            call["function"], {"name": "get_weather", "arguments": '{"city": "Paris"}'}
        )
        self.assertEqual(found[-1]["choices"][0]["finish_reason"], "tool_calls")

    async def test_a_call_its_result_and_the_answer(self) -> None:
        messages: list[Any] = [{"role": "user", "content": "get_weather"}]
        choice = (await self.ask(messages, tools=[TOOL])).json()["choices"][0]
        self.assertEqual(choice["finish_reason"], "tool_calls")
        self.assertIsNone(choice["message"]["content"])
        [call] = choice["message"]["tool_calls"]
        messages += [
            choice["message"],
            {"role": "tool", "tool_call_id": call["id"], "content": "Rain."},
        ]
        second = (await self.ask(messages, tools=[TOOL])).json()
        self.assertEqual(second["choices"][0]["message"]["content"], "The tool says: Rain.")
        messages_, requests = await sync_to_async(stored)()
        self.assertEqual([m.role for m in messages_], ["human", "assistant", "tool", "assistant"])
        self.assertEqual(len({request.session_id for request in requests}), 1)

    async def test_a_replayed_call_is_the_same_call(self) -> None:
        messages = [{"role": "user", "content": "get_weather"}]
        key = {"Idempotency-Key": "k"}
        first = await self.ask(messages, tools=[TOOL], headers=key)
        second = await self.ask(messages, tools=[TOOL], headers=key)
        self.assertEqual(first.json(), second.json())

    async def test_the_choice_of_tools(self) -> None:
        other = {"type": "function", "function": {"name": "book"}}
        named = {"type": "function", "function": {"name": "book"}}
        allowed = {"mode": "required", "tools": [named]}
        for choice, expected in (
            ("auto", []),
            ("none", []),
            ("required", ["get_weather"]),
            (named, ["book"]),
            ({"type": "allowed_tools", "allowed_tools": allowed}, ["book"]),
        ):
            answer = await self.ask(tools=[TOOL, other], tool_choice=choice)
            calls = answer.json()["choices"][0]["message"].get("tool_calls", [])
            with self.subTest(choice):
                self.assertEqual([call["function"]["name"] for call in calls], expected)

    async def test_wrong_tools_are_refused(self) -> None:
        named = {"type": "function", "function": {"name": "none"}}
        for more in (
            {"tools": [TOOL, TOOL]},
            {"tools": [TOOL], "tool_choice": named},
            {"tools": [{"type": "custom", "custom": {"name": "x"}}]},
            {"tools": [{"type": "function", "function": {"name": "a b"}}]},
        ):
            with self.subTest(str(more)):
                self.assertEqual((await self.refused(400, **more))["code"], "invalid_request")
        self.configure("model: scripted:echo\ncallers: {tools: false}\n")
        error = await self.refused(400, tools=[TOOL])
        self.assertEqual((error["code"], error["param"]), ("client_tools_refused", "tools"))

    async def going_on(self, signature: str, model: str = "mock:test-model") -> dict[str, Any]:
        """Return what the model is sent of its own call, which had this signature."""
        self.configure("model: mock:test-model\n")
        call: dict[str, Any] = {"id": "c", "type": "function"}
        call["function"] = {"name": "get_weather", "arguments": "{}"}
        call["extra_content"] = {"google": {"thought_signature": signature}}
        said: dict[str, Any] = {"role": "assistant", "content": None, "tool_calls": [call]}
        said["reasoning_content"] = "Weather is asked for."
        whole = {"choices": [{"index": 0, "message": said, "finish_reason": "tool_calls"}]}
        messages: list[Any] = [{"role": "user", "content": "How is it in Paris?"}]
        async with MockOpenAI() as server, MockOpenAI(provider="other") as other:
            server.replies.append(Reply(body=json.dumps(whole).encode()))
            message = (await self.ask(messages, tools=[TOOL])).json()["choices"][0]["message"]
            self.assertNotIn("signature", json.dumps(message))
            result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"]}
            self.configure(f"model: {model}\n")
            await self.ask([*messages, message, {**result, "content": "Rain."}], tools=[TOOL])
            sent = (other if model.startswith("other") else server).requests[-1].body["messages"]
        found: dict[str, Any] = next(each for each in sent if each["role"] == "assistant")
        return found

    async def test_what_a_provider_wants_back_with_its_call_goes_back_to_it(self) -> None:
        found = await self.going_on("c2ln")
        self.assertEqual(found["reasoning_content"], "Weather is asked for.")
        [call] = found["tool_calls"]
        self.assertEqual(call["extra_content"], {"google": {"thought_signature": "c2ln"}})

    async def test_but_to_no_other_and_not_where_it_is_large(self) -> None:
        other = await self.going_on("c2ln", model="other:test-model")
        large = await self.going_on("c2ln" * 20_000)
        for found in (other, large):
            self.assertNotIn("reasoning_content", found)
            self.assertEqual(set(found["tool_calls"][0]), {"id", "type", "function"})

    async def test_a_model_without_tools_says_so(self) -> None:
        self.configure("model: local:smollm2-135m\n")
        error = await self.refused(400, tools=[TOOL])
        self.assertEqual(error["code"], "unsupported_tools")


class FormatTests(CompletionFixtures):
    SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}

    def wanted(self) -> dict[str, Any]:
        return {
            "type": "json_schema",
            "json_schema": {"name": "place", "schema": self.SCHEMA, "strict": True},
        }

    async def test_24_the_answer_has_the_format(self) -> None:
        answer = await self.ask(response_format=self.wanted())
        self.assertIn("city", json.loads(answer.json()["choices"][0]["message"]["content"]))
        chunks = await self.streamed(response_format={"type": "json_object"})
        text = "".join(c["choices"][0]["delta"].get("content", "") for c in chunks)
        self.assertIsInstance(json.loads(text), dict)
        plain = await self.ask(response_format={"type": "text"})
        self.assertEqual(plain.status, 200)

    async def test_an_answer_that_never_fits_is_an_error_without_a_retry(self) -> None:
        self.configure("model: mock:test-model\n")
        async with MockOpenAI() as server:
            error = await self.refused(502, response_format=self.wanted())
            self.assertEqual(len(server.requests), 2)
            streamed = await self.ask(response_format=self.wanted(), stream=True)
        self.assertEqual(error["code"], "output_invalid")
        self.assertEqual(self.headers["x-should-retry"], "false")
        self.assertIn(b'"code":"output_invalid"', streamed.body)

    async def test_a_broken_schema_is_refused(self) -> None:
        broken = {"name": "x", "schema": {"type": "strin"}}
        error = await self.refused(
            400, response_format={"type": "json_schema", "json_schema": broken}
        )
        self.assertEqual(error["param"], "response_format")


class ContentTests(CompletionFixtures):
    def message(self, *parts: Any) -> list[Any]:
        return [{"role": "user", "content": [{"type": "text", "text": "Look"}, *parts]}]

    async def test_an_image_and_a_file_reach_the_model(self) -> None:
        file = {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0xLjQK"}
        image = {"type": "image_url", "image_url": {"url": PIXEL, "detail": "auto"}}
        answer = await self.ask(self.message(image, {"type": "file", "file": file}))
        said = answer.json()["choices"][0]["message"]["content"]
        self.assertIn("With it came: image/png, application/pdf.", said)

    async def test_what_cannot_be_read_is_refused(self) -> None:
        local = {"type": "image_url", "image_url": {"url": "https://127.0.0.1/x.png"}}
        text = {"type": "image_url", "image_url": {"url": "data:text/plain;base64,QUJD"}}
        audio = {"type": "input_audio", "input_audio": {"data": "x", "format": "mp3"}}
        kept = {"type": "file", "file": {"file_id": "file-1"}}
        for part in (local, text, audio, kept):
            with self.subTest(part["type"]):
                error = await self.refused(400, self.message(part))
                self.assertEqual(
                    (error["code"], error["param"]), ("unsupported_content", "messages")
                )

    async def test_a_model_that_reads_text_only_says_so(self) -> None:
        self.configure("model: local:smollm2-135m\n")
        image = {"type": "image_url", "image_url": {"url": PIXEL}}
        self.assertEqual(
            (await self.refused(400, self.message(image)))["code"], "unsupported_content"
        )

    async def test_a_file_may_be_as_large_as_the_settings_say(self) -> None:
        # Larger than the bodies that Django reads of a form.
        answer = await self.ask(HELLO, metadata={}, unknown="x" * 3_000_000)

        self.assertEqual(answer.status, 200, answer.body[:500])

    @override_settings(MAX_FILES_BODY_BYTES=1024)
    async def test_a_body_that_is_too_large_has_the_same_form(self) -> None:
        error = await self.refused(413, self.message({"type": "text", "text": "x" * 2000}))
        self.assertEqual(error["code"], "body_too_large")


class ErrorTests(CompletionFixtures):
    async def test_25_every_error_under_v1_has_openais_form(self) -> None:
        nobody, base = ApiClient(), "/accounts/acme"
        for client, method, path, status, code in (
            (nobody, "POST", f"{base}/agents/bot/v1/chat/completions", 401, "unauthenticated"),
            (ApiClient("sk-x"), "GET", f"{base}/v1/models", 401, "unauthenticated"),
            (self.api, "GET", f"{base}/agents/bot/v1/chat/completions", 405, "method_not_allowed"),
            (self.api, "POST", f"{base}/agents/none/v1/chat/completions", 404, "not_found"),
            (self.api, "POST", "/accounts/beta/v1/chat/completions", 404, "not_found"),
            (self.api, "POST", f"{base}/v1/embeddings", 404, "unknown_route"),
            (self.api, "GET", f"{base}/agents/bot/v1/", 404, "unknown_route"),
            (self.api, "GET", f"{base}/v1/models/none", 404, "model_not_found"),
        ):
            with self.subTest(path, status=status):
                answer = await client.call(method, path, raw=b"{}" if method == "POST" else b"")
                self.assertEqual(answer.status, status, answer.body)
                error = answer.json()["error"]
                self.assertEqual(error["code"], code)
                self.assertEqual(answer.headers["content-type"], "application/json")
        ordinary = await nobody.get(f"{base}/agents")
        self.assertEqual(ordinary.headers["content-type"], "application/problem+json")

    async def test_a_body_that_is_no_json(self) -> None:
        answer = await self.api.post(self.path("v1/chat/completions"), b"{")
        self.assertEqual(answer.json()["error"]["code"], "invalid_request")

    async def test_a_retry_that_cannot_help_is_advised_against(self) -> None:
        await sync_to_async(set_budget)(self.account, period="day", limit=Decimal(0))
        self.configure("model: openai:gpt-5-mini\n")
        error = await self.refused(402)
        self.assertEqual((error["type"], error["code"]), ("insufficient_quota", "budget_exceeded"))
        self.assertEqual(self.headers["x-should-retry"], "false")

    async def test_a_running_turn_is_not_worth_a_retry(self) -> None:
        first = (await self.ask()).json()["salient"]["session_id"]
        await self.occupy(first)
        error = await self.refused(409, headers={"Salient-Session": first})
        self.assertEqual(error["code"], "turn_in_progress")
        self.assertEqual(self.headers["x-should-retry"], "false")


class ModelTests(CompletionFixtures):
    async def test_an_account_lists_what_the_key_may_use(self) -> None:
        await self.more()
        found = (await self.api.get("/accounts/acme/v1/models")).json()
        assert_is(ModelsOut, found)
        self.assertEqual([model["id"] for model in found["data"]], ["bot", "other"])
        self.assertEqual(
            (found["object"], found["data"][0]["object"], found["data"][0]["owned_by"]),
            ("list", "model", "acme"),
        )
        limited = (await self.limited.get("/accounts/acme/v1/models")).json()
        self.assertEqual([model["id"] for model in limited["data"]], ["other"])
        agents_own = (await self.api.get(self.path("v1/models"))).json()
        self.assertEqual([model["id"] for model in agents_own["data"]], ["bot"])
        one = (await self.api.get("/accounts/acme/v1/models/other")).json()
        self.assertEqual(one["id"], "other")

    async def test_the_model_of_an_account_is_an_agent(self) -> None:
        await self.more()
        path = "/accounts/acme/v1/chat/completions"
        answer = await self.limited.post(path, {"model": "other", "messages": HELLO})
        self.assertEqual(answer.json()["model"], "other")
        for model in ("bot", "none", "gpt-5 mini"):
            refused = await self.limited.post(path, {"model": model, "messages": HELLO})
            error = refused.json()["error"]
            self.assertEqual(
                (refused.status, error["code"], error["param"]), (404, "model_not_found", "model")
            )

    @sync_to_async
    def more(self) -> None:
        write_config(settings.AGENT_CONFIG_DIR, "acme", "other", "model: scripted:echo\n")
        other = make_instance(self.account, "other")
        self.limited = key_client(self.account, instance_ids=[other.pk])
