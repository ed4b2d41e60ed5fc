"""Runs for the tests: a request in one line, and a run followed to its end."""

import asyncio
from contextlib import aclosing
from typing import Any, Self

from agents.runtime.events import Event
from agents.runtime.run import ChatMessage, Run, RunRequest
from tests.support.servers.mock_openai import MockOpenAI, Reply


def run(*models: str, message: str = "Hello", **more: Any) -> Run:
    messages = (ChatMessage("user", message),)
    return Run(RunRequest(models, "You are a test.", messages, **more))


async def events_of(subject: Run) -> list[Event]:
    async with aclosing(subject.events()) as events:
        return [event async for event in events]


class OtherTask:
    """A task beside the one that is tested; `turns` counts how often it ran meanwhile."""

    def __init__(self) -> None:
        self.turns = 0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._task.cancel()

    async def _run(self) -> None:
        while True:
            self.turns += 1
            await asyncio.sleep(0)


async def answered(reply: Reply, **more: Any) -> Run:
    """The run that got this reply, without retries."""
    async with MockOpenAI() as server:
        server.replies.append(reply)
        subject = run(server.model, **{"retries": 0, **more})
        await events_of(subject)
    return subject
