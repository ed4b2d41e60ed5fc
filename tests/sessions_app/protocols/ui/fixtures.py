"""What the tests of interfaces' protocols share: an agent that is called as their clients do."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async

from accounts.tenancy.context import platform_context
from sessions_app.models import LLMRequest, Message, Session
from sessions_app.protocols.ui.ag_ui.types import RunEvent
from sessions_app.protocols.ui.ai_sdk.types import UIChunk
from tests.sessions_app.protocols.openai.fixtures import assert_is
from tests.support.api_client import Answer, ApiClient, Call
from tests.support.fixtures import MockModelFixtures, stored

# Of `scripted:echo` to “Hello”.
ANSWER = (
    "Hello! This is a scripted answer, which no model has written. You wrote: “Hello”. It is "
    "the first message that I have of you."
)
WEATHER = {"name": "get_weather", "description": "Tells the weather.", "parameters": {}}
WANTED = 'get_weather {"city": "Paris"}'
CITY = '{"city": "Paris"}'


def frames_of(answer: Answer) -> list[Any]:
    """Return what stands in the frames of a stream, each of which is one line."""
    blocks = answer.body.decode().split("\n\n")
    assert blocks.pop() == "", answer.body
    assert all(block.startswith("data: ") and "\n" not in block for block in blocks), blocks
    return [block.removeprefix("data: ") for block in blocks]


class InterfaceFixtures(MockModelFixtures):
    """Calls at `ag-ui` and `ui-messages` by their bodies."""

    config = "model: scripted:echo\ncallers: {instructions: true}\n"

    async def run_agent(
        self, *messages: Any, thread: str = "t1", client: ApiClient | None = None, **more: Any
    ) -> Answer:
        headers = more.pop("headers", None)
        body = {"threadId": thread, "runId": "r1", "messages": [*messages], **more}
        return await (client or self.api).post(self.path("ag-ui"), body, headers=headers)

    async def events(self, *messages: Any, **more: Any) -> list[dict[str, Any]]:
        """Expect a run, and return its events."""
        answer = await self.run_agent(*messages, **more)
        self.assertEqual(answer.status, 200, answer.body)
        found = [json.loads(frame) for frame in frames_of(answer)]
        for event in found:
            assert_is(RunEvent, event)
        return found

    async def chat(
        self, *messages: Any, thread: str = "t1", client: ApiClient | None = None, **more: Any
    ) -> Answer:
        headers = more.pop("headers", None)
        body = {"id": thread, "messages": [*messages], "trigger": "submit-message", **more}
        return await (client or self.api).post(self.path("ui-messages"), body, headers=headers)

    async def chunks(self, *messages: Any, **more: Any) -> list[dict[str, Any]]:
        """Expect a UI-message stream, and return its chunks."""
        answer = await self.chat(*messages, **more)
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(answer.headers["x-vercel-ai-ui-message-stream"], "v1")
        *frames, done = frames_of(answer)
        self.assertEqual(done, "[DONE]")
        found = [json.loads(frame) for frame in frames]
        for chunk in found:
            assert_is(UIChunk, chunk)
        return found

    async def settled_after_leaving(self, what: str, body: Any) -> LLMRequest:
        """Let a client leave after the first frame; return the turn."""
        self.configure("model: scripted:echo?delay_ms=50\n")
        await self.leave_early(what, body)
        [request] = (await sync_to_async(stored)())[1]
        return request

    async def leave_early(self, what: str, body: Any, client: ApiClient | None = None) -> None:
        """Send a message, and leave when its first frame has come."""
        raw = json.dumps(body).encode()
        call = Call(client or self.api, "POST", self.path(what), raw=raw).begin()
        await anext(call.parts())
        await call.end()

    async def refused(self, answer: Answer, status: int, code: str) -> dict[str, Any]:
        self.assertEqual(answer.status, status, answer.body)
        self.assertEqual(answer.headers["content-type"], "application/problem+json")
        problem: dict[str, Any] = answer.json()
        self.assertEqual(problem["code"], code)
        return problem

    @sync_to_async
    def sessions(self) -> list[list[tuple[str, str]]]:
        """Return the messages of each session, oldest first."""
        with platform_context():
            return [
                [(m.role, m.content) for m in Message.objects.filter(session_id=session.pk)]
                for session in Session.objects.order_by("created_at", "id")
            ]


def said(text: str, name: str = "u1") -> dict[str, Any]:
    """Return a user's message of AG-UI."""
    return {"id": name, "role": "user", "content": text}


def typed(text: str, name: str = "u1") -> dict[str, Any]:
    """Return a user's message of the AI SDK."""
    return {"id": name, "role": "user", "parts": [{"type": "text", "text": text}]}


def text_of(events: list[dict[str, Any]]) -> str:
    kinds = {"TEXT_MESSAGE_CONTENT", "text-delta"}
    return "".join(event["delta"] for event in events if event["type"] in kinds)


def kinds_of(events: list[dict[str, Any]]) -> list[str]:
    """Return the types of events, of deltas in a row once."""
    found: list[str] = []
    for event in events:
        if not found or found[-1] != event["type"]:
            found.append(event["type"])
    return found


def answer_of(events: list[dict[str, Any]], text: str | None = None) -> dict[str, Any]:
    """Return the message that a client of AG-UI makes of a run without tools."""
    [message_id] = {event["messageId"] for event in events if "messageId" in event}
    return {"id": message_id, "role": "assistant", "content": text or text_of(events)}


def shown_of(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the message that the AI SDK makes of a stream without tools."""
    parts = [{"type": "step-start"}, {"type": "text", "text": text_of(chunks), "state": "done"}]
    return {
        "id": chunks[0]["messageId"],
        "role": "assistant",
        "parts": parts,
        "metadata": chunks[-1]["messageMetadata"],
    }


def is_uuid(text: str) -> bool:
    return str(UUID(text)) == text
