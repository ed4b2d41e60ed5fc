"""Callers of one agent with conversations of their own; mix it into a TestCase."""

from __future__ import annotations

import json
from typing import Any

from asgiref.sync import sync_to_async

from accounts.models import Scope
from tests.support.api_client import Answer, ApiClient
from tests.support.fixtures import AgentFixtures, key_client


class ConversationFixtures(AgentFixtures):
    async def ask(self, who: ApiClient, **body: Any) -> str:
        answer = await who.post(self.path("chat"), {"message": "hello", **body})
        assert answer.status == 200, answer.body
        return str(answer.json()["session_id"])

    async def listed(self, who: ApiClient, **query: Any) -> list[str]:
        answer = await who.get(self.path("sessions"), **query)
        assert answer.status == 200, answer.body
        return [row["id"] for row in answer.json()["data"]]

    async def create(self, who: ApiClient, **body: Any) -> Answer:
        return await who.post(self.path("sessions"), body)

    async def change(self, who: ApiClient, session: object, **body: Any) -> Answer:
        raw = json.dumps(body).encode()
        return await who.call("PATCH", self.path(f"sessions/{session}"), raw=raw)

    async def read(self, who: ApiClient, session: object, what: str = "", **query: Any) -> Answer:
        return await who.get(self.path(f"sessions/{session}{what}"), **query)

    async def delete(self, who: ApiClient, session: object, instance: str = "bot") -> Answer:
        return await who.call("DELETE", self.path(f"sessions/{session}", instance=instance))

    async def key(self, *scopes: Scope) -> ApiClient:
        return await sync_to_async(key_client)(self.account, scopes=scopes)
