"""An answer has the format that was asked for, or the caller is told that it has not."""

import asyncio
import time
from typing import Any

from django.test import SimpleTestCase

from agents.runtime.errors import OutputInvalid
from agents.runtime.events import TextDelta
from agents.runtime.output import InvalidSchema, OutputCheck, require_usable
from agents.runtime.providers.base import Finished, OutputFormat
from agents.runtime.run import Run
from tests.agents.runtime.fakes import FakeProvider, providers
from tests.agents.runtime.runs import events_of, run
from tests.support.servers.mock_openai import MockOpenAI, Reply

CITY: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
WANTED = OutputFormat(CITY, "place", strict=True)
GOOD, BAD = '{"city": "Paris"}', '{"town": "Paris"}'


def said(*texts: str, reason: str = "stop") -> list[Any]:
    return [*map(TextDelta, texts), Finished(reason)]


class OutputTests(SimpleTestCase):
    async def finished(self, *calls: Any, wanted: OutputFormat = WANTED) -> Run:
        self.fake = FakeProvider(*calls)
        with providers({"a": self.fake}):
            subject = run("a:m", output_format=wanted)
            self.events = await events_of(subject)
        return subject

    async def test_a_good_answer_is_shown_once_it_is_whole(self) -> None:
        subject = await self.finished(said('{"city": ', '"Paris"}'))

        self.assertEqual(subject.text, GOOD)
        self.assertEqual([e.text for e in self.events if isinstance(e, TextDelta)], [GOOD])

    async def test_fences_around_it_are_left_out(self) -> None:
        subject = await self.finished(said(f"```json\n{GOOD}\n```"))
        self.assertEqual(subject.text, GOOD)

    async def test_the_model_may_mend_its_answer_once(self) -> None:
        subject = await self.finished(said(BAD), said(GOOD))

        self.assertEqual((subject.text, len(subject.calls)), (GOOD, 2))
        refused, reason = self.fake.requests[1].followup
        self.assertEqual((refused.role, refused.content), ("assistant", BAD))
        self.assertIn("town", reason.content)

    async def test_a_second_wrong_answer_is_an_error_and_no_answer(self) -> None:
        fake = FakeProvider(said(BAD), said("no JSON"), said(GOOD))
        with providers({"a": fake}), self.assertRaises(OutputInvalid):
            subject = run("a:m", output_format=WANTED)
            await events_of(subject)
        self.assertEqual((subject.text, len(subject.calls)), ("", 2))

    async def test_an_answer_that_was_cut_off_is_the_callers_to_read(self) -> None:
        subject = await self.finished(said('{"city": "Pa', reason="length"))
        self.assertEqual((subject.text, len(subject.calls)), ('{"city": "Pa', 1))

    async def test_any_json_object(self) -> None:
        self.assertEqual((await self.finished(said(BAD), wanted=OutputFormat())).text, BAD)
        subject = await self.finished(said("[1]"), said("{}"), wanted=OutputFormat())
        self.assertEqual((subject.text, len(subject.calls)), ("{}", 2))

    async def test_numbers_that_are_no_json_and_halves_of_characters_are_refused(self) -> None:
        for text in ('{"a": NaN}', '{"a": "\ud800"}', "[" * 100_000):
            with self.subTest(ascii(text[:12])):
                self.assertIsNone(await OutputCheck(OutputFormat()).accepted(text))

    async def test_schemas_are_bounded_and_reach_nothing_outside(self) -> None:
        deep: Any = {}
        for _ in range(100):
            deep = {"properties": {"a": deep}}
        for schema in (
            {"$ref": "https://example.com/schema.json"},
            {"$ref": "file:///etc/hostname"},
            {"type": "strin"},
            {"properties": {"a": {"$ref": "#/$defs/none"}}},
            {"description": "x" * 70_000},
            deep,
        ):
            with self.subTest(str(schema)[:40]), self.assertRaises(InvalidSchema) as refused:
                await require_usable(schema)
            self.assertNotIn("\n", str(refused.exception))

    async def test_a_pattern_costs_bounded_work(self) -> None:
        check = OutputCheck(OutputFormat({"type": "string", "pattern": "^(a|a)*(?=b)$"}))
        self.assertIsNone(await check.accepted(f'"{"a" * 5000}"'))

    async def test_patterns_hold_where_they_are_kept(self) -> None:
        check = OutputCheck(OutputFormat({"type": "string", "pattern": "^[a-z]+$"}))
        self.assertEqual(await check.accepted('"abc"'), TextDelta('"abc"'))
        self.assertIsNone(await check.accepted('"ABC"'))
        self.assertIn("ABC", check.followup[-1].content)

    async def test_a_schema_that_refers_to_itself_is_held(self) -> None:
        tree = {
            "type": "object",
            "properties": {"children": {"type": "array", "items": {"$ref": "#"}}},
            "required": ["children"],
        }
        await require_usable(tree)
        check = OutputCheck(OutputFormat(tree))
        good = '{"children": [{"children": []}]}'
        self.assertEqual(await check.accepted(good), TextDelta(good))
        self.assertIsNone(await check.accepted('{"children": [{}]}'))

    async def test_references_that_double_the_work_hold_nobody_up(self) -> None:
        parts: dict[str, Any] = {
            f"a{at}": {"allOf": [{"$ref": f"#/$defs/a{at + 1}"}] * 2} for at in range(40)
        }
        parts["a40"] = {"type": "object"}
        check = OutputCheck(OutputFormat({"$ref": "#/$defs/a0", "$defs": parts}))
        checking = asyncio.create_task(check.accepted("{}"))
        pauses = []
        while not checking.done():
            began = time.monotonic()
            await asyncio.sleep(0.01)
            pauses.append(time.monotonic() - began)
        self.assertIsNone(checking.result())
        self.assertIn("too much work", check.followup[-1].content)
        self.assertLess(max(pauses), 1)

    async def test_patterns_take_bounded_memory(self) -> None:
        many = {f"p{at}": {"pattern": rf"\p{{L}}{{{90 + at % 9}}}"} for at in range(1_000)}
        with self.assertRaises(InvalidSchema):
            await require_usable({"properties": many})


class WireTests(SimpleTestCase):
    async def bodies(self, *replies: Reply, wanted: OutputFormat = WANTED) -> list[dict[str, Any]]:
        async with MockOpenAI() as server:
            server.replies.extend(replies)
            subject = run(server.model, output_format=wanted, retries=0)
            await events_of(subject)
        return [request.body for request in server.requests]

    async def test_the_server_is_asked_for_it(self) -> None:
        [body] = await self.bodies(Reply(GOOD))
        self.assertEqual(
            body["response_format"],
            {
                "type": "json_schema",
                "json_schema": {"name": "place", "schema": CITY, "strict": True},
            },
        )

    async def test_json_is_named_in_the_prompt_as_openai_wants_it(self) -> None:
        [body] = await self.bodies(Reply("{}"), wanted=OutputFormat())
        self.assertEqual(body["response_format"], {"type": "json_object"})
        self.assertIn("JSON", body["messages"][0]["content"])

    async def test_a_server_without_it_is_asked_in_words(self) -> None:
        unknown = b'{"error": {"message": "Unknown field: response_format"}}'
        _, body = await self.bodies(Reply(status=400, body=unknown), Reply(GOOD))

        self.assertNotIn("response_format", body)
        self.assertIn('"city"', body["messages"][0]["content"])
