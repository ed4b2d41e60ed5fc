"""What the tests of OpenAI's APIs share: an agent that is called as their clients call it."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import httpx2
import openai
from asgiref.sync import sync_to_async
from pydantic import BaseModel, TypeAdapter

from accounts.tenancy.context import tenant_context
from sessions_app.models import LLMRequest, Session
from tests.sessions_app.protocols.openai.app_transport import AppTransport
from tests.support.api_client import Answer
from tests.support.fixtures import MockModelFixtures
from tests.support.servers.mock_openai import MockOpenAI

PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9"
    "awAAAABJRU5ErkJggg=="
)
# Of `scripted:echo` to “Hello”.
ANSWER = (
    "Hello! This is a scripted answer, which no model has written. You wrote: “Hello”. It is "
    "the first message that I have of you."
)


class Place(BaseModel):
    """A city."""

    city: str
    people: int


@cache
def adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def assert_is(kind: Any, found: Any) -> None:
    """Expect what the OpenAPI document says of it: no field less, and none more."""
    adapter(kind).validate_json(json.dumps(found), strict=True, extra="forbid")


class OpenAIFixtures(MockModelFixtures):
    """Calls below `v1` by their bodies, which a test's own `ask` makes of messages or an input."""

    ask: Any

    def error_of(self, answer: Answer, status: int) -> dict[str, Any]:
        """Expect a refusal in OpenAI's form, keep its `headers`, and return its error."""
        self.assertEqual(answer.status, status, answer.body)
        self.assertEqual(answer.headers["content-type"], "application/json")
        self.assertTrue(answer.request_id)
        self.headers = answer.headers
        body = answer.json()
        self.assertEqual(set(body), {"error"})
        self.assertLessEqual({"message", "type", "param", "code"}, set(body["error"]))
        error: dict[str, Any] = body["error"]
        return error

    async def sent(self, asked: Any, **more: Any) -> list[dict[str, Any]]:
        """Return the messages that reach the model."""
        async with MockOpenAI() as server:
            answer = await self.ask(asked, **more)
        self.assertEqual(answer.status, 200, answer.body)
        found: list[dict[str, Any]] = server.requests[0].body["messages"]
        return found

    @sync_to_async
    def occupy(self, session_id: str) -> None:
        """Let the session's turns be running."""
        with tenant_context(self.account.pk):
            LLMRequest.objects.filter(session_id=session_id).update(
                completion_status="running", settled_at=None, server_process_id=None
            )

    @sync_to_async
    def end_users(self) -> list[str]:
        with tenant_context(self.account.pk):
            return sorted(str(session.end_user) for session in Session.objects.all())


class SDKFixtures(MockModelFixtures):
    """Calls by OpenAI's client, in this process."""

    def setUp(self) -> None:
        super().setUp()
        self.transport = AppTransport()
        self.sdk = self.client_at(self.path("v1"))

    def client_at(self, path: str, **options: Any) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(
            base_url=f"http://localhost{path}",
            api_key=self.secret,
            http_client=httpx2.AsyncClient(transport=self.transport),
            **options,
        )
