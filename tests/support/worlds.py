"""A small world to call the API in: an account with one agent, its files and a key."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.test import override_settings

from accounts.models import Account
from accounts.tenancy.context import platform_context
from agents.models import AgentInstance
from sessions_app.models import LLMRequest, Message, Session
from tests.support.api_client import ApiClient
from tests.support.factories import make_account, make_instance, make_key, write_config

SCRIPTED = "model: scripted:echo\n"


class World:
    """`acme` with its instance `bot`; mix it into a TestCase or a TransactionTestCase."""

    account: Account
    instance: AgentInstance
    secret: str
    config: str = SCRIPTED

    def make_world(self) -> None:
        folder = tempfile.TemporaryDirectory()
        overridden = override_settings(AGENT_CONFIG_DIR=Path(folder.name), DEMO=True)
        overridden.enable()
        self.addCleanup(folder.cleanup)  # type: ignore[attr-defined]
        self.addCleanup(overridden.disable)  # type: ignore[attr-defined]
        self.configure(self.config)
        self.account = make_account("acme")
        self.instance = make_instance(self.account, "bot")
        _, self.secret = make_key(self.account)
        self.api = ApiClient(self.secret)

    def configure(self, text: str, prompt: str = "Be brief.") -> Path:
        return write_config(settings.AGENT_CONFIG_DIR, "acme", "bot", text, prompt)

    def path(self, what: str, account: str = "acme", instance: str = "bot") -> str:
        return f"/accounts/{account}/agents/{instance}/{what}"

    async def say(self, message: str, **body: Any) -> Any:
        answer = await self.api.post(self.path("chat"), {"message": message, **body})
        return answer.json()


def stored(session_id: str | UUID | None = None) -> tuple[list[Message], list[LLMRequest]]:
    """Return all messages and requests, oldest first, as the platform sees them."""
    with platform_context():
        messages, requests = Message.objects.all(), LLMRequest.objects.order_by("created_at")
        if session_id is not None:
            messages = messages.filter(session_id=session_id)
            requests = requests.filter(session_id=session_id)
        return list(messages), list(requests)


def counts() -> tuple[int, int, int]:
    """Return how many sessions, messages and requests there are."""
    with platform_context():
        return Session.objects.count(), Message.objects.count(), LLMRequest.objects.count()
