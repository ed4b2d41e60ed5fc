"""The benchmark's mock model and load client: answers are complete, and errors are counted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from unittest import TestCase

import aiohttp

from benchmarks import mock_model
from benchmarks.load import Plan, Result, percentiles, run

PATH = "/v1/chat/completions"


@asynccontextmanager
async def model() -> AsyncIterator[int]:
    server = await mock_model.serve("127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def ask(port: int, text: str, *, stream: bool) -> str:
    body = {"stream": stream, "messages": [{"role": "user", "content": text}]}
    async with (
        aiohttp.ClientSession() as client,
        client.post(f"http://127.0.0.1:{port}{PATH}", json=body) as answer,
    ):
        return await answer.text()


def contents_of(text: str) -> list[str]:
    return [event.removeprefix("data: ") for event in text.split("\n\n") if event]


@asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[int]:
    """A server that sends these bytes, one answer for each call, and closes the connection."""
    left = list(answers)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while left:
            await reader.readuntil(b"]}")
            writer.write(left.pop(0))
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def whole(status: str, body: str) -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()


async def load(port: int, *, calls: int = 1, body: str = "chunks-3", **more: Any) -> Result:
    values = {"stream": True, "messages": [{"content": body}]}
    plan = Plan(port=port, path=PATH, body=values, calls=calls, timeout=5)
    for name, value in more.items():
        setattr(plan, name, value)
    return await run(plan)


class MockModelTests(TestCase):
    def test_a_stream_has_the_requested_chunks_then_usage_then_done(self) -> None:
        async def contents_from_mock() -> list[str]:
            async with model() as port:
                return contents_of(await ask(port, "chunks-7", stream=True))

        *events, done = asyncio.run(contents_from_mock())
        chunks = [json.loads(event) for event in events]
        texts = [c["choices"][0]["delta"].get("content") for c in chunks if c["choices"]]

        self.assertEqual(len([text for text in texts if text]), 7)
        self.assertEqual(chunks[-1]["usage"]["completion_tokens"], 7)
        self.assertEqual(done, "[DONE]")

    def test_the_same_text_as_one_answer(self) -> None:
        async def both() -> tuple[str, list[str]]:
            async with model() as port:
                streamed = contents_of(await ask(port, "chunks-7", stream=True))
                return await ask(port, "chunks-7", stream=False), streamed

        answer, events = asyncio.run(both())
        choices = [choice for event in events[:-1] for choice in json.loads(event)["choices"]]
        text = "".join(choice["delta"].get("content", "") for choice in choices)

        self.assertEqual(json.loads(answer)["choices"][0]["message"]["content"], text)

    def test_the_newest_message_decides_the_behaviour(self) -> None:
        async def events() -> list[str]:
            async with model() as port:
                return contents_of(await ask(port, "chunks-9, earlier. Now chunks-2", stream=True))

        self.assertEqual(len(asyncio.run(events())), 2 + 3)

    def test_it_reports_how_many_waited_at_once(self) -> None:
        async def waited() -> list[int]:
            async with model() as port, aiohttp.ClientSession() as client:
                await load(port, connections=20, body="wait-1")
                found = []
                for _ in range(2):
                    async with client.get(f"http://127.0.0.1:{port}/waiting") as answer:
                        found.append((await answer.json())["most"])
                return found

        self.assertEqual(asyncio.run(waited()), [20, 0])


class LoadTests(TestCase):
    def of_model(self, **more: Any) -> Result:
        async def found() -> Result:
            async with model() as port:
                return await load(port, **more)

        return asyncio.run(found())

    def of_answers(self, *answers: bytes, **more: Any) -> Result:
        async def found() -> Result:
            async with answering(*answers) as port:
                return await load(port, **more)

        return asyncio.run(found())

    def test_it_counts_every_turn_of_every_connection(self) -> None:
        result = self.of_model(connections=5, calls=8, expected={'"content":"': 3, "[DONE]": 1})

        self.assertEqual((result.turns, result.errors), (40, {}))
        self.assertEqual(result.reconnects, 0)

    def test_an_answer_with_too_few_chunks_is_an_error(self) -> None:
        result = self.of_model(expected={'"content":"': 4})

        self.assertEqual(result.turns, 0)
        self.assertEqual(result.errors, {'answer without 4 x "content":"': 1})

    def test_a_status_other_than_200_is_an_error(self) -> None:
        result = self.of_answers(whole("500 Oh", "{}"), whole("200 OK", "{}"), calls=2)

        self.assertEqual((result.turns, result.errors), (1, {"status 500": 1}))

    def test_a_stream_that_breaks_is_an_error(self) -> None:
        head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"
        result = self.of_answers(head)

        self.assertEqual((result.turns, result.errors), (0, {"connection lost": 1}))

    def test_a_missing_server_is_an_error(self) -> None:
        async def found() -> Result:
            async with model() as port:
                gone = port
            return await load(gone, calls=2)

        self.assertEqual(asyncio.run(found()).errors, {"ConnectionRefusedError": 2})

    def test_a_silent_server_is_an_error(self) -> None:
        result = self.of_model(body="wait-3", timeout=0.2)

        self.assertEqual((result.turns, result.errors), (0, {"no answer in time": 1}))

    def test_the_session_that_an_answer_names_is_continued(self) -> None:
        session = "0199b1c0-0000-7000-8000-000000000000"
        answers = [whole("200 OK", f'{{"session_id":"{session}"}}')] * 2

        async def received() -> list[bytes]:
            heard = []

            async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                for each in answers:
                    heard.append(await reader.readuntil(b"]") + await reader.readuntil(b"}"))
                    writer.write(each)
                writer.close()

            server = await asyncio.start_server(answer, "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            await load(port, calls=2, continues=True)
            server.close()
            return heard

        first, second = asyncio.run(received())
        self.assertNotIn(session.encode(), first)
        self.assertIn(session.encode(), second)

    def test_percentiles_are_taken_from_all(self) -> None:
        found = percentiles([number / 1000 for number in range(1, 101)])

        self.assertEqual(found, {"p50": 51.0, "p95": 96.0, "p99": 100.0, "max": 100.0})
