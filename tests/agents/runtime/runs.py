"""Runs for the tests: a request in one line, and a run followed to its end."""

from contextlib import aclosing
from typing import Any

from agents.runtime.events import Event
from agents.runtime.run import ChatMessage, Run, RunRequest
from tests.support.servers.mock_openai import MockOpenAI, Reply


def run(*models: str, message: str = "Hello", **more: Any) -> Run:
    messages = (ChatMessage("user", message),)
    return Run(RunRequest(models, "You are a test.", messages, **more))


async def events_of(subject: Run) -> list[Event]:
    async with aclosing(subject.events()) as events:
        return [event async for event in events]


async def answered(reply: Reply, **more: Any) -> Run:
    """The run that got this reply, without retries."""
    async with MockOpenAI() as server:
        server.replies.append(reply)
        subject = run(server.model, **{"retries": 0, **more})
        await events_of(subject)
    return subject
