"""The error for each provider's refusal, in every place and wording."""

import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.test import SimpleTestCase

from agents.runtime.errors import (
    AnswerRefused,
    ContextTooLong,
    ProviderAuth,
    ProviderProtocol,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    RunError,
    UnknownModel,
)
from agents.runtime.providers.error_body import read_error
from agents.runtime.providers.overflow import says_too_long
from agents.runtime.providers.refusals import find_error, redacted, refusal
from tests.agents.runtime.runs import events_of, run
from tests.support.servers.mock_openai import MockOpenAI, Reply, delta, error, sse, stream

DATA = Path(settings.BASE_DIR) / "tests/data"
# OpenAI, Azure, Anthropic, Bedrock, Google, Mistral, Cohere, xAI, Groq, Together, Fireworks,
# Moonshot, DashScope, Zhipu, MiniMax, Cerebras, SambaNova, TensorRT-LLM, vLLM, SGLang, TGI,
# llama.cpp, Ollama, LM Studio, LiteLLM, OpenRouter, Cloudflare, watsonx, AI21, Copilot, Poolside,
# GitHub Models, Snowflake, Volcengine, TabbyAPI and others.
TOO_LONG = (DATA / "too_long_prompts.txt").read_text().splitlines()
# Other limits, and texts that only mention the context.
NOT_TOO_LONG = (DATA / "other_refusals.txt").read_text().splitlines()

INSIDE: tuple[tuple[Any, type[RunError] | None], ...] = (
    # Numbers, texts and words, in every field that holds them.
    ({"error": {"message": "x", "code": 429}}, ProviderRateLimited),
    (
        {"error": {"message": "x", "type": "None", "param": "None", "code": "429"}},
        ProviderRateLimited,
    ),
    ({"error": {"message": "x", "code": 429.0}}, ProviderRateLimited),
    ({"error": {"message": "x", "code": "HTTP_429"}}, ProviderRateLimited),
    ({"error": {"message": "x", "status": 429}}, ProviderRateLimited),
    ({"error": {"message": "x", "status_code": "429"}}, ProviderRateLimited),
    ({"error": {"message": "x", "http_status": 401}}, ProviderAuth),
    ({"error": {"message": "x", "metadata": {"http_status": 401}}}, ProviderAuth),
    ({"error": {"message": "x", "code": "rate_limit_exceeded"}}, ProviderRateLimited),
    ({"error": {"message": "x", "type": "rate_limit_error"}}, ProviderRateLimited),
    ({"error": {"message": "x", "code": "RateLimitExceeded"}}, ProviderRateLimited),
    ({"error": {"message": "x", "status": "RESOURCE_EXHAUSTED"}}, ProviderRateLimited),
    ({"error": {"message": "x", "code": "ThrottlingException"}}, ProviderRateLimited),
    ({"error": {"message": "x", "code": "1302"}}, ProviderRateLimited),
    ({"error": {"message": "x", "code": "invalid_api_key"}}, ProviderAuth),
    ({"error": {"message": "x", "type": "authentication_error"}}, ProviderAuth),
    ({"error": {"message": "x", "type": "permission_error"}}, ProviderAuth),
    ({"error": {"message": "x", "code": "401"}}, ProviderAuth),
    ({"error": {"message": "x", "code": "model_not_found"}}, UnknownModel),
    ({"error": {"message": "x", "type": "not_found_error"}}, UnknownModel),
    ({"error": {"message": "x", "code": 404}}, UnknownModel),
    ({"error": {"message": "x", "type": "timeout"}}, ProviderTimeout),
    ({"error": {"message": "x", "code": "408"}}, ProviderTimeout),
    ({"error": {"message": "x", "type": "invalid_request_error"}}, ProviderRejected),
    ({"error": {"message": "x", "code": 400}}, ProviderRejected),
    ({"error": {"message": "x", "code": 402}}, ProviderRejected),
    ({"error": {"message": "x", "code": "content_filter"}}, AnswerRefused),
    (
        {
            "error": {
                "message": "x",
                "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {}},
                "code": "content_filter",
                "status": 400,
            }
        },
        AnswerRefused,
    ),
    ({"error": {"message": "x", "code": "content_policy_violation"}}, AnswerRefused),
    ({"error": {"message": "x", "code": "data_inspection_failed"}}, AnswerRefused),
    (
        {"error": {"message": "Filtered by Azure OpenAI's content management policy."}},
        AnswerRefused,
    ),
    ({"error": {"message": "x", "code": 413}}, ContextTooLong),
    ({"error": {"message": "x", "code": "context_length_exceeded"}}, ContextTooLong),
    ({"error": {"message": "x", "type": "exceed_context_size_error", "code": 400}}, ContextTooLong),
    ({"error": {"message": "prompt is too long: 9 > 8", "code": None}}, ContextTooLong),
    ({"error": {"message": "x", "status": "UNAVAILABLE"}}, ProviderUnavailable),
    ({"error": {"message": "x", "code": "server_error"}}, ProviderUnavailable),
    ({"error": {"message": "x"}}, ProviderUnavailable),
    # Each place in which an error may be.
    ({"choices": [{"delta": {"error": {"code": 429, "message": "x"}}}]}, ProviderRateLimited),
    ({"choices": [{"message": {"error": {"code": "401"}}}]}, ProviderAuth),
    ({"type": "error", "error": {"type": "overloaded_error"}}, ProviderUnavailable),
    ({"error": {"error": {"code": "429", "message": "x"}}}, ProviderRateLimited),
    ({"error": "rate limit exceeded"}, ProviderRateLimited),
    ({"error": "overloaded"}, ProviderUnavailable),
    ({"error": True, "message": "Incorrect API key provided"}, ProviderAuth),
    ([{"error": {"code": 429, "message": "x"}}], ProviderRateLimited),
    ({"object": "error", "message": "x", "code": 401}, ProviderAuth),
    ({"code": "429", "message": "x"}, ProviderRateLimited),
    ({"status": 429, "title": "Too Many Requests"}, ProviderRateLimited),
    ({"error_type": "context_length_exceeded", "error_message": "x"}, ContextTooLong),
    ({"detail": "Rate limit exceeded"}, ProviderRateLimited),
    ({"detail": [{"loc": ["body"], "msg": "bad", "type": "value_error"}]}, ProviderUnavailable),
    ({"success": False, "errors": [{"code": 7009, "message": "x"}]}, ProviderUnavailable),
    ({"base_resp": {"status_code": 1004, "status_msg": "login fail"}}, ProviderAuth),
    ({"error": {"message": '{"error":{"code":401,"message":"x"}}'}}, ProviderAuth),
    (
        {"error": {"code": 502, "metadata": {"raw": '{"error":{"code":"429"}}'}}},
        ProviderRateLimited,
    ),
    ({"error": {"message": "Error code: 429 - {'error': {'message': 'x'}}"}}, ProviderRateLimited),
    ({"error": {"message": "litellm.RateLimitError: x"}}, ProviderRateLimited),
    ({"choices": [{"delta": {}, "error": {"code": 502, "message": "x"}}]}, ProviderUnavailable),
    ({"choices": [{"delta": {}, "finish_reason": "error"}]}, ProviderUnavailable),
    ({"choices": [], "error": {"code": 401}}, ProviderAuth),
    # No errors.
    ({"choices": [{"delta": {"content": "x"}}], "error": {}}, None),
    ({"choices": [{"delta": {"content": "x"}}], "error": ""}, None),
    ({"choices": [{"delta": {"content": "x"}}], "error": False}, None),
    ({"choices": [{"delta": {"content": "x"}}], "error": []}, None),
    ({"choices": [{"delta": {"content": "x"}}], "error": {"code": None, "message": ""}}, None),
    ({"choices": [{"delta": {"content": "x"}}], "error": {"code": 0, "message": "ok"}}, None),
    (
        {"choices": [{"delta": {"content": "x"}, "error": {}}], "code": 0, "message": "success"},
        None,
    ),
    ({"choices": [], "usage": {"prompt_tokens": 3}}, None),
    ({"choices": []}, None),
    ({"type": "ping"}, None),
    ({"base_resp": {"status_code": 0, "status_msg": "success"}}, None),
    ({"message": {"role": "assistant", "content": "x"}}, None),
    ({}, None),
    ([], None),
)

# An HTTP status beside a body that says more, or less.
ANSWERED: tuple[tuple[int, Any, type[RunError]], ...] = (
    (400, {"error": {"code": "rate_limit_exceeded"}}, ProviderRateLimited),
    (400, {"error": {"type": "overloaded_error"}}, ProviderUnavailable),
    (400, {"error": {"code": "context_length_exceeded"}}, ContextTooLong),
    (500, {"error": {"code": "context_length_exceeded"}}, ContextTooLong),
    (400, {"error": {"details": [{"reason": "API_KEY_INVALID"}]}}, ProviderAuth),
    (400, {"error": "Incorrect API key provided: x."}, ProviderAuth),
    (400, {"error": {"message": "Model Not Exist"}}, UnknownModel),
    (403, {"error": {"code": "insufficient_quota"}}, ProviderRateLimited),
    (403, {"error": {"message": "Your input was flagged"}}, AnswerRefused),
    (502, {"error": {"code": 429, "message": "x"}}, ProviderRateLimited),
    (500, {"error": {"code": "401", "message": "x"}}, ProviderAuth),
    (401, {"error": {"type": "invalid_request_error"}}, ProviderAuth),
    (404, {"error": {"type": "invalid_request_error"}}, UnknownModel),
    (503, {"error": {"type": "server_error"}}, ProviderUnavailable),
    (504, {"error": {"type": "timeout"}}, ProviderUnavailable),
    (400, {"error": {"type": "api_error", "message": "x"}}, ProviderRejected),
    (422, {"detail": [{"loc": ["body", "temperature"], "msg": "too high"}]}, ProviderRejected),
    (425, {}, ProviderUnavailable),
    (307, {"error": {"code": 429}}, ProviderProtocol),
)


class MeaningTests(SimpleTestCase):
    def test_an_error_inside_a_200_means_what_its_status_would(self) -> None:
        for answer, kind in INSIDE:
            with self.subTest(answer=answer):
                found = find_error(json.dumps(answer).encode())
                self.assertIs(type(found), kind or type(None))

    def test_a_status_and_a_code_within_it_mean_the_same(self) -> None:
        for status in (400, 401, 402, 403, 404, 408, 409, 413, 422, 425, 429, 500, 502, 503, 529):
            for code in (status, str(status)):
                with self.subTest(status=status, code=code):
                    http = refusal(status, '{"error": {"message": "x"}}', {})
                    inside = find_error(json.dumps({"error": {"code": code}}).encode())
                    assert inside is not None
                    self.assertIs(type(inside), type(http))
                    self.assertEqual(inside.retryable, http.retryable)
                    self.assertEqual(inside.refused, http.refused)

    def test_a_body_may_say_more_than_its_status(self) -> None:
        for status, body, kind in ANSWERED:
            with self.subTest(status=status, body=body):
                self.assertIs(type(refusal(status, json.dumps(body), {})), kind)

    def test_what_waiting_does_not_mend_is_not_tried_again(self) -> None:
        per_minute = "Request too large for x on tokens per min (TPM): Limit 6000, Requested 7012."
        for status, message, code in (
            (429, "x", "insufficient_quota"),
            (429, "Your credit balance is too low", None),
            (403, "insufficient balance", None),
            (413, per_minute, "rate_limit_exceeded"),
            (429, per_minute, "rate_limit_exceeded"),
        ):
            with self.subTest(status=status, message=message):
                found = refusal(
                    status, json.dumps({"error": {"message": message, "code": code}}), {}
                )
                self.assertIs(type(found), ProviderRateLimited)
                self.assertFalse(found.retryable)


class TooLongTests(SimpleTestCase):
    def test_too_long_is_known_by_its_words_at_any_status_and_never_tried_again(self) -> None:
        for words in TOO_LONG:
            bodies = ({"error": {"message": words}}, {"message": words}, {"error": words})
            for status in (400, 413, 422, 500):
                for body in bodies:
                    with self.subTest(words=words, status=status):
                        found = refusal(status, json.dumps(body), {})
                        self.assertIs(type(found), ContextTooLong)
                        self.assertFalse(found.retryable)

    def test_other_limits_are_not_too_long(self) -> None:
        for words in NOT_TOO_LONG:
            with self.subTest(words=words):
                found = refusal(400, json.dumps({"error": {"message": words}}), {})
                self.assertIsNot(type(found), ContextTooLong)

    def test_codes_of_many_servers(self) -> None:
        for code in (
            "context_length_exceeded",
            "model_max_prompt_tokens_exceeded",
            "exceed_context_size_error",
            "ContextWindowExceededError",
            "model_context_window_exceeded",
            "prompt_too_long",
            "input_too_long",
            "request_too_large",
            "tokens_limit_reached",
            "1261",
            "3051",
        ):
            for place in ("code", "type", "error_type"):
                with self.subTest(code=code, place=place):
                    found = refusal(400, json.dumps({"error": {place: code, "message": "x"}}), {})
                    self.assertIs(type(found), ContextTooLong)

    async def test_it_is_one_call(self) -> None:
        for status in (400, 500):
            async with MockOpenAI() as server:
                server.replies.append(error(status, "Prompt exceeds max length"))
                with self.assertRaises(ContextTooLong):
                    await events_of(run(server.model))
            self.assertEqual(len(server.requests), 1)


class InStreamTests(SimpleTestCase):
    async def failed(self, reply: Reply, **more: Any) -> tuple[RunError, str]:
        async with MockOpenAI() as server:
            server.replies.append(reply)
            subject = run(server.model, retries=0, **more)
            with self.assertRaises(RunError) as raised:
                await events_of(subject)
        return raised.exception, subject.text

    async def test_an_error_event_and_an_error_in_the_choice(self) -> None:
        cases: tuple[tuple[object, type[RunError]], ...] = (
            (b'event: error\ndata: {"message": "x", "code": 429}\n\n', ProviderRateLimited),
            (b"event: error\ndata: out of memory\n\n", ProviderUnavailable),
            (b"event: error\ndata: {}\n\n", ProviderUnavailable),
            (sse({"detail": "Rate limit exceeded"}), ProviderRateLimited),
            (sse({"choices": [], "usage": None, "code": 429, "message": "x"}), ProviderRateLimited),
            (sse([{"error": {"code": 401}}]), ProviderAuth),
            (sse({"choices": [{"error": {"code": 502}, "delta": {}}]}), ProviderUnavailable),
        )
        for event, kind in cases:
            with self.subTest(event=event):
                found, text = await self.failed(stream(delta("Half"), event))
                self.assertEqual((type(found), text), (kind, "Half"))

    async def test_a_whole_answer_that_is_an_error(self) -> None:
        for answer, kind in INSIDE:
            if kind is not None:
                with self.subTest(answer=answer):
                    reply = Reply(body=json.dumps(answer).encode())
                    found, _ = await self.failed(reply, stream=False)
                    self.assertIs(type(found), kind)

    async def test_an_empty_error_beside_a_good_answer_is_none(self) -> None:
        nothings: tuple[object, ...] = ({}, None, "", False, [], {"code": None, "message": ""})
        for nothing in nothings:
            async with MockOpenAI() as server:
                server.replies.append(stream({**delta("Hi", "stop"), "error": nothing}))
                subject = run(server.model, retries=0)
                await events_of(subject)
            self.assertEqual(subject.text, "Hi")

    async def test_a_refusal_may_come_in_pieces(self) -> None:
        body = json.dumps({"error": {"message": "x" * 3000, "code": "invalid_api_key"}}).encode()
        pieces = [body[at : at + 500] for at in range(0, len(body), 500)]
        found, _ = await self.failed(Reply(status=400, body=pieces, chunk_delay=0.01))
        self.assertIs(type(found), ProviderAuth)

    async def test_a_refusal_that_is_cut_off_is_one(self) -> None:
        body = [b'{"error": {"code": "invalid_api_key", "mess', b"age"]
        found, _ = await self.failed(Reply(status=400, body=body, cut_after=1))
        self.assertIs(type(found), ProviderAuth)

    async def test_too_early_is_tried_again(self) -> None:
        async with MockOpenAI() as server:
            server.replies.append(error(425, "too early", Retry_After="0"))
            subject = run(server.model, retries=1)
            await events_of(subject)
        self.assertEqual(len(server.requests), 2)


class HostileBodyTests(SimpleTestCase):
    def test_a_body_without_sense_is_an_error_and_no_crash(self) -> None:
        deep = "[" * 3000 + "]" * 3000
        for body in (
            *("", "null", "7", '"x"', "[]", "{", "\x00", deep, '{"error":' * 500 + "1" + "}" * 500),
            '{"error": {"code": 1e999}}',
            '{"error": {"code": -0.5, "status": [], "type": {}}}',
            json.dumps({"error": {"code": 10**30}}),
            json.dumps({"error": [{"message": "x"}] * 5000}),
        ):
            with self.subTest(body=body[:40]):
                self.assertIs(type(refusal(400, body, {})), ProviderRejected)
                self.assertIs(type(refusal(503, body, {})), ProviderUnavailable)
                find_error(body.encode())

    def test_of_long_texts_so_much_is_looked_at_and_no_more(self) -> None:
        for body in ({"error": "Ab " * 400_000}, {"errors": ["Ab " * 4000] * 100}):
            error = read_error(json.dumps(body))
            self.assertLessEqual(len(error.text), 33_000)
        last = {"error": "x " * 400_000 + "maximum context length is 8 tokens"}
        self.assertIsInstance(refusal(400, json.dumps(last), {}), ContextTooLong)

    def test_words_are_looked_for_at_both_ends_of_a_text_only(self) -> None:
        words, echo = "Input is too long for requested model.", "x" * 5000
        for text, found in (
            (f"{words} {echo}{echo}", True),
            (f"{echo}{echo} {words}", True),
            (f"{echo} {words} {echo}", False),
        ):
            self.assertEqual(says_too_long(text), found)


class LogTests(SimpleTestCase):
    def test_control_characters_of_providers_are_escaped(self) -> None:
        for char in "\x00\x07\x08\x1b\x7f\x80\x9b\u200b\u200e\u202e\u2066\ufeff\ud800":
            with self.subTest(char=ascii(char)):
                shown = redacted(f"a{char}[31mb")
                self.assertTrue(shown.isprintable())
                self.assertEqual(shown.encode().decode("unicode_escape"), f"a{char}[31mb")
        self.assertEqual(redacted("a\r\nb\u2028c\u2029d\x0be\x85f"), "a b c d e f")
        self.assertEqual(redacted("Grüße, 你好 🙂"), "Grüße, 你好 🙂")

    def test_a_key_is_replaced_and_a_placeholder_too_short_for_one_garbles_nothing(self) -> None:
        text = "the maximum is max-seat, see max-seats"

        self.assertEqual(redacted(text, "x"), text)
        self.assertEqual(redacted(text, "max-sea"), text)
        self.assertEqual(redacted(text, "max-seat"), "the maximum is [key], see [key]s")

    async def test_the_log_of_a_failed_call_is_one_printable_line(self) -> None:
        async with MockOpenAI() as server:
            server.replies.append(Reply(status=400, body=b"bad\x1b[2J\x9b\r\nWARNING fine\x07"))
            with (
                self.assertLogs("agents.runtime", "WARNING") as logs,
                self.assertRaises(ProviderRejected),
            ):
                await events_of(run(server.model))
        self.assertTrue(logs.output[0].isprintable())
        self.assertIn("bad\\x1b[2J", logs.output[0])
