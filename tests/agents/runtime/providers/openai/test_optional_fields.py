"""Servers that refuse an optional field of the request, each with an error of its own."""

import json
from typing import Any
from unittest import mock

from django.test import SimpleTestCase

from agents.runtime.errors import ContextTooLong, ProviderRejected, RunError
from agents.runtime.run import Run
from salient.ttl import clear_caches
from tests.agents.runtime.runs import events_of, run
from tests.support.servers.mock_openai import MockOpenAI, Reply, error

EXTRA = [{"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "Extra inputs"}]
DEEP = [{**EXTRA[0], "loc": ["body", "stream_options", "include_usage"]}]
NO_MAX_TOKENS = (
    "Unsupported parameter: 'max_tokens' is not supported with this model. "
    "Use 'max_completion_tokens' instead."
)
NO_TEMPERATURE = (
    "Unsupported value: 'temperature' does not support 0.2 with this model. "
    "Only the default (1) value is supported."
)


def refused(body: Any, status: int = 400) -> Reply:
    return Reply(status=status, body=json.dumps(body).encode())


def refusal(message: str, param: str | None = None, code: str | None = None) -> Reply:
    return refused({"error": {"message": message, "param": param, "code": code}})


class OptionalFieldTests(SimpleTestCase):
    def setUp(self) -> None:
        clear_caches()

    async def bodies(
        self, *replies: Reply, provider: str = "azure", turns: int = 1, **more: Any
    ) -> list[dict[str, Any]]:
        """The requests to a server that gives these replies and then good answers."""
        async with MockOpenAI(provider=provider) as server:
            server.replies.extend(replies)
            for _ in range(turns):
                subject: Run = run(server.model, **{"retries": 0, **more})
                await events_of(subject)
                self.assertEqual(subject.text, "Hello from the mock.")
        return [request.body for request in server.requests]

    async def test_max_tokens_goes_by_the_name_that_the_server_knows(self) -> None:
        for provider, before, after, message in (
            ("azure", "max_tokens", "max_completion_tokens", NO_MAX_TOKENS),
            ("azure", "max_tokens", "max_completion_tokens", "Unknown field: max_tokens"),
            (
                "openai",
                "max_completion_tokens",
                "max_tokens",
                "Unrecognized request argument supplied: max_completion_tokens",
            ),
            (
                "openai",
                "max_completion_tokens",
                "max_tokens",
                "property 'max_completion_tokens' is unsupported, did you mean 'max_tokens'?",
            ),
        ):
            with self.subTest(message=message):
                clear_caches()
                first, second = await self.bodies(refusal(message), provider=provider, max_tokens=9)
                self.assertEqual(first[before], 9)
                self.assertEqual(second[after], 9)
                self.assertNotIn(before, second)

    async def test_a_field_whose_two_names_are_refused_is_left_out(self) -> None:
        last = (
            await self.bodies(
                refusal(NO_MAX_TOKENS),
                refusal("Unknown parameter: max_completion_tokens"),
                max_tokens=9,
            )
        )[-1]
        self.assertNotIn("max_tokens", last)
        self.assertNotIn("max_completion_tokens", last)

    async def test_too_many_tokens_become_as_many_as_the_model_writes(self) -> None:
        for message, most in (
            ("max_tokens is too large: 5000. This model supports at most 4096 tokens.", 4096),
            ("max_tokens: 5000 > 4096, which is the maximum allowed number of output tokens", 4096),
            ("Invalid max_tokens value, the valid range of max_tokens is [1, 4,096]", 4096),
            ("max_tokens must be less than or equal to 4096, the maximum", 4096),
            ("`max_tokens` must be less than or equal to `4096`, the `context_window`", 4096),
            ("max_tokens (5000) exceeds the maximum of 4096", 4096),
            ("Invalid 'max_tokens': expected a value <= 4096, but got 5000 instead.", 4096),
            ("max_tokens should be in the range (0, 4096]", 4096),
            ("The maximum output tokens is 4,096, max_tokens is larger", 4096),
            (
                "'max_tokens' or 'max_completion_tokens' is too large: 5000. This model's maximum "
                "context length is 4096 tokens and your request has 96 input tokens "
                "(5000 > 4096 - 96).",
                4000,
            ),
        ):
            with self.subTest(message=message):
                clear_caches()
                _, second = await self.bodies(refusal(message), max_tokens=5000)
                self.assertEqual(second["max_tokens"], most)

    async def test_fields_of_ours_are_left_out_however_they_are_refused(self) -> None:
        for reply in (
            refused({"detail": EXTRA}, 422),
            refused({"object": "error", "message": {"detail": DEEP}}, 422),
            refusal("Unrecognized request argument supplied: stream_options"),
            refusal("Invalid value", "stream_options"),
            refusal('Invalid JSON payload. Unknown name "stream_options": Cannot find field.'),
            refusal("unknown field `stream_options`, expected one of `model`, `temperature`"),
            refused({"error": "stream_options: Extra inputs are not permitted"}),
        ):
            with self.subTest(reply=reply.body):
                clear_caches()
                first, second = await self.bodies(reply, temperature=0.2, max_tokens=9)
                self.assertEqual(first.pop("stream_options"), {"include_usage": True})
                self.assertEqual(second, first)

    async def test_too_many_tokens_without_a_number_are_not_sent(self) -> None:
        _, second = await self.bodies(refusal("max_tokens is too large"), max_tokens=5000)
        self.assertNotIn("max_tokens", second)

    async def test_a_limit_that_depends_on_the_conversation_is_not_remembered(self) -> None:
        text = "'max_tokens' is too large: 5000 (5000 > 4096 - 96)"
        bodies = await self.bodies(refusal(text), max_tokens=5000, turns=2)
        self.assertEqual([body["max_tokens"] for body in bodies], [5000, 4000, 5000])

    async def test_openrouters_usage_is_left_out(self) -> None:
        reply = refused({"detail": [{"loc": ["body", "usage"], "msg": "Extra inputs"}]}, 422)
        first, second = await self.bodies(reply, provider="openrouter")
        self.assertIn("usage", first)
        self.assertNotIn("usage", second)

    async def test_a_temperature_that_is_no_choice_is_left_out_and_logged_once(self) -> None:
        for message in (
            NO_TEMPERATURE,
            "`temperature` is deprecated for this model.",
            "invalid temperature: only 1 is allowed for this model",
            "temperature must be 1 for this model",
            "Only temperature=1 is supported.",
            "temperature is fixed for this model",
            "Unsupported parameter: 'temperature' is not supported with this model.",
        ):
            with self.subTest(message=message), self.assertLogs("agents.runtime") as logs:
                clear_caches()
                bodies = await self.bodies(refusal(message), temperature=0.2, turns=3)
                self.assertEqual([body.get("temperature") for body in bodies], [0.2] + [None] * 3)
                self.assertEqual(len(logs.output), 1)
                self.assertIn("temperature", logs.output[0])

    async def test_the_system_prompt_finds_another_place(self) -> None:
        developer = "Unsupported value: 'system'. Use the 'developer' role: system not supported."
        for message, roles in (
            ("System role not supported", ["user"]),
            ("'messages[0].role' does not support 'system' with this model.", ["user"]),
            ("Developer instruction is not enabled for models/gemma-3-27b-it", ["user"]),
            ("Conversation roles must alternate user/assistant/user/assistant/...", ["user"]),
            (developer, ["developer", "user"]),
        ):
            with self.subTest(message=message):
                clear_caches()
                first, second = await self.bodies(refusal(message))
                self.assertEqual([m["role"] for m in first["messages"]], ["system", "user"])
                self.assertEqual([m["role"] for m in second["messages"]], roles)
                texts = [m["content"] for m in first["messages"]]
                self.assertEqual(
                    "\n\n".join(m["content"] for m in second["messages"]), "\n\n".join(texts)
                )

    async def test_several_fields_are_left_out_one_after_the_other(self) -> None:
        last = (
            await self.bodies(
                refusal(NO_MAX_TOKENS),
                refusal(NO_TEMPERATURE),
                refused({"detail": EXTRA}, 422),
                max_tokens=9,
                temperature=0.2,
            )
        )[-1]
        self.assertEqual(last["max_completion_tokens"], 9)
        self.assertFalse({"max_tokens", "temperature", "stream_options"} & set(last))

    async def test_what_a_server_does_not_know_is_remembered_for_an_hour(self) -> None:
        async with MockOpenAI() as server:
            server.replies.append(refusal(NO_MAX_TOKENS))
            for seconds in (0, 1, 3599, 3601):
                with mock.patch("salient.ttl.time") as clock:
                    clock.monotonic.return_value = 1000.0 + seconds
                    await events_of(run(server.model, max_tokens=9))
        self.assertEqual(
            ["max_tokens" in request.body for request in server.requests],
            [True, False, False, False, True],
        )

    async def test_another_model_of_the_server_gets_the_whole_request(self) -> None:
        async with MockOpenAI() as server:
            server.replies.append(refusal(NO_MAX_TOKENS))
            for model in (server.model, "mock:other"):
                await events_of(run(model, max_tokens=9))
        self.assertEqual(
            ["max_tokens" in request.body for request in server.requests], [True, False, True]
        )

    async def failed(self, *replies: Reply, **more: Any) -> tuple[RunError, int]:
        async with MockOpenAI() as server:
            server.replies.extend(replies)
            with self.assertRaises(RunError) as raised:
                await events_of(run(server.model, retries=0, temperature=0.2, **more))
        return raised.exception, len(server.requests)

    async def test_a_real_error_is_given_as_it_is_and_nothing_is_remembered(self) -> None:
        found, calls = await self.failed(
            refusal(NO_MAX_TOKENS), error(400, "prompt is too long: 9 > 8"), max_tokens=9
        )
        self.assertEqual((type(found), calls), (ContextTooLong, 2))
        first, *_ = await self.bodies(refusal(NO_MAX_TOKENS), max_tokens=9)
        self.assertIn("max_tokens", first)

    async def test_values_out_of_range_and_fields_that_matter_are_errors(self) -> None:
        for message, param in (
            ("temperature must be between 0 and 0.1", None),
            ("temperature must be 1 or less", None),
            ("Invalid 'temperature': decimal above maximum value. Expected <= 0.1 instead.", None),
            ("Invalid 'max_tokens': integer below minimum value. Expected >= 16.", "max_tokens"),
            ("Unsupported parameter: 'tools' is not supported with this model.", "tools"),
            ("Unknown parameter: 'foo'. Supported parameters: temperature, max_tokens", None),
            ("Invalid value: 'messages[0].content' is blank", "messages[0].content"),
            ("The model is not supported", "model"),
            ("usage is not allowed in your country", None),
        ):
            with self.subTest(message=message):
                found, calls = await self.failed(refusal(message, param), max_tokens=9)
                self.assertEqual((type(found), calls), (ProviderRejected, 1))

    async def test_a_server_may_refuse_all_optional_fields_one_after_the_other(self) -> None:
        names = ("temperature", "max_tokens", "max_completion_tokens", "stream_options")
        replies = [refusal(f"Unknown parameter: {name}") for name in names]
        bodies = await self.bodies(
            *replies, refusal("System role not supported"), max_tokens=9, temperature=0.2
        )
        self.assertEqual(len(bodies), 6)
        self.assertEqual(bodies[-1].keys(), {"model", "messages", "stream"})
        self.assertEqual([one["role"] for one in bodies[-1]["messages"]], ["user"])

    async def test_what_was_left_out_already_is_no_reason_to_repeat(self) -> None:
        found, calls = await self.failed(*[refusal("Unknown parameter: stream_options")] * 5)
        self.assertEqual((type(found), calls), (ProviderRejected, 2))

    async def test_a_place_that_is_the_system_role_says_that_it_is_not_known(self) -> None:
        for reply in (
            refused(
                {"detail": [{"loc": ["body", "messages", 0, "role"], "msg": "Not in enum"}]}, 422
            ),
            refusal("Input should be 'user' or 'assistant'", "messages[0].role"),
        ):
            clear_caches()
            bodies = await self.bodies(reply)
            self.assertEqual([one["role"] for one in bodies[-1]["messages"]], ["user"])
