"""A chunk that is nothing but text is read at once, and as it is read in full."""

from __future__ import annotations

import json
from typing import Any
from unittest import TestCase, mock

from agents.runtime.events import TextDelta
from agents.runtime.providers.openai import reading as reading_module
from agents.runtime.providers.openai.answer import plain_texts
from agents.runtime.providers.openai.reading import MOST_NOT_PLAIN, Reading

HEAD = {"id": "c-1", "created": 1, "model": "m", "object": "chat.completion.chunk"}


def chunk(delta: dict[str, Any], *, choice: dict[str, Any] | None = None, **more: Any) -> bytes:
    choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}]
    choices[0] |= choice or {}
    return json.dumps({**HEAD, "choices": choices, **more}).encode()


PLAIN = (
    chunk({"content": "hello"}),
    chunk({"role": "assistant", "content": " ü 語 "}),
    chunk({"content": "a", "refusal": None, "tool_calls": None, "reasoning": None}, usage=None),
    chunk({"content": "a", "unknown": [1]}, choice={"usage": None, "other": {}}, other="x"),
    chunk({"content": "a", "error": None}, choice={"error": None}, error=None),
)
# Each holds more than text, or no text: it is read in full.
NOT_PLAIN = (
    chunk({"content": ""}),
    chunk({"content": None}),
    chunk({"content": ["a"]}),
    chunk({"content": "a", "refusal": "no"}),
    chunk({"content": "a", "tool_calls": []}),
    chunk({"content": "a", "function_call": {"name": "f"}}),
    chunk({"content": "a", "reasoning_content": "b"}),
    chunk({"content": "a", "reasoning_details": []}),
    chunk({"content": "a", "error": {"message": "e"}}),
    chunk({"content": "a"}, choice={"finish_reason": "stop"}),
    chunk({"content": "a"}, choice={"error": {"message": "e"}}),
    chunk({"content": "a"}, choice={"usage": {"prompt_tokens": 1}}),
    chunk({"content": "a"}, choice={"message": {"content": "a"}}),
    chunk({"content": "a"}, choice={"text": "a"}),
    chunk({"content": "a"}, usage={"prompt_tokens": 1}),
    chunk({"content": "a"}, error={"message": "e"}),
    b'{"choices": []}',
    b'{"choices": [{"delta": {"content": "a"}}, {"delta": {"content": "b"}}]}',
    b'{"choices": [{"delta": {"content": "\\ud83d"}}]}',
    b'{"choices": [{"delta": {"content": "a"}}]} [DONE]',
    b'{"choices": [{"delta": []}]}',
    b'{"choices": [{"delta": {"content": "a"}}], "deep": ' + b"[" * 100_000,
    b"ping",
    b"",
)


class PlainChunkTests(TestCase):
    def test_the_text_of_a_plain_chunk(self) -> None:
        events = [(b"", data) for data in PLAIN]

        self.assertEqual(plain_texts(events, 0), ["hello", " ü 語 ", "a", "a", "a"])
        self.assertEqual(plain_texts(events, 3), ["a", "a"])

    def test_anything_else_is_read_in_full(self) -> None:
        for data in NOT_PLAIN:
            with self.subTest(data[:120]):
                self.assertEqual(plain_texts([(b"", data)], 0), [])
                self.assertEqual(plain_texts([(b"", PLAIN[0]), (b"", data)], 0), ["hello"])

    def test_an_event_with_a_name_is_read_in_full(self) -> None:
        self.assertEqual(plain_texts([(b"error", PLAIN[0])], 0), [])

    def test_what_is_no_plain_chunk_ends_a_row_of_them_and_another_row_may_follow(self) -> None:
        thought = chunk({"content": "b", "reasoning": "c"})
        rows = (PLAIN[0], PLAIN[2], thought, PLAIN[2], PLAIN[2], b"[DONE]", PLAIN[2])
        read = Reading()

        self.assertEqual(
            read.take(b"".join(b"data: " + data + b"\n\n" for data in rows)), TextDelta("helloabaa")
        )
        self.assertTrue(read.done)

    def test_a_plain_chunk_says_what_it_says_when_read_in_full(self) -> None:
        for data in PLAIN:
            event = b"data: " + data + b"\n\n"
            quick, full = Reading(), Reading()
            with mock.patch.object(reading_module, "plain_texts", return_value=[]):
                expected = full.take(event)
            with self.subTest(data):
                self.assertEqual(quick.take(event), expected)
                self.assertEqual(quick._has_text, full._has_text)
                self.assertIs(quick.fault, None)

    def test_a_stream_that_thinks_aloud_is_not_tried_for_ever(self) -> None:
        events = b"".join(
            b"data: " + chunk({"content": "a", "reasoning": "b"}) + b"\n\n" for _ in range(20)
        )
        with mock.patch.object(reading_module, "plain_texts", return_value=[]) as tried:
            read = Reading().take(events)

        self.assertEqual(read, TextDelta("a" * 20))
        self.assertEqual(tried.call_count, MOST_NOT_PLAIN + 1)
