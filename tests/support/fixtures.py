"""The fixtures of test cases: an account with one agent, its files, keys, staff and limits."""

from __future__ import annotations

import os
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest import mock
from uuid import UUID

from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings
from django.db.models import Sum
from django.test import Client, SimpleTestCase, TestCase, override_settings
from django.urls import reverse

from accounts.auth.caller import Caller
from accounts.auth.staff_tokens import SCOPES, new_token, write_token
from accounts.limits import budgets
from accounts.models import Account, AccountLimits, Budget, RateState, User
from accounts.tenancy.context import platform_context
from agents.config import loader
from agents.models import AgentInstance, ConfigDraft
from sessions_app.evals import saved_chats
from sessions_app.evals.saved_chats import check_publication
from sessions_app.models import LLMRequest, Message, SavedChat, SavedChatRun, Session
from tests.support.api_client import Answer, ApiClient, Call
from tests.support.factories import (
    make_account,
    make_config_draft,
    make_instance,
    make_key,
    make_saved_chat,
    write_config,
)
from tests.support.people import make_root, make_staff

SCRIPTED = "model: scripted:echo\n"


class AgentFixtures(SimpleTestCase):
    """`acme` with its instance `bot`; mix it into a TestCase or a TransactionTestCase."""

    account: Account
    instance: AgentInstance
    secret: str
    config: str = SCRIPTED

    def setUp(self) -> None:
        super().setUp()
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.enterContext(override_settings(AGENT_CONFIG_DIR=folder, DEMO=True))
        self.configure(self.config)
        self.account = make_account("acme")
        self.instance = make_instance(self.account, "bot")
        _, self.secret = make_key(self.account)
        self.api = ApiClient(self.secret)

    def configure(self, text: str, prompt: str = "Be brief.") -> Path:
        return write_config(settings.AGENT_CONFIG_DIR, "acme", "bot", text, prompt)

    def path(self, what: str, account: str = "acme", instance: str = "bot") -> str:
        return f"/accounts/{account}/agents/{instance}/{what}"

    async def start(self, **body: Any) -> ApiClient:
        """Return the client of a new visitor, or of the end user `sub`."""
        answer = await self.api.post(self.path("visitors"), body)
        return ApiClient(answer.json()["token"])

    async def leave_at(self, word: bytes) -> None:
        """Begin a stream, and leave when this has come."""
        call = Call(self.api, "POST", self.path("stream"), raw=b'{"message": "count"}').begin()
        async for part in call.parts():
            if word in part:
                call.leave()
        await call.running

    async def say(self, message: str, **body: Any) -> Any:
        answer = await self.api.post(self.path("chat"), {"message": message, **body})
        return answer.json()


class MockModelFixtures(AgentFixtures, TestCase):
    """`acme`, whose files may change between two turns and name the provider `mock`."""

    def setUp(self) -> None:
        # Configurations name it, also where none of its answers is needed.
        base_url = {"MOCK_BASE_URL": "http://127.0.0.1:9/v1"}
        self.enterContext(mock.patch.dict(os.environ, base_url))
        super().setUp()

    def configure(self, text: str, prompt: str = "Be brief.") -> Path:
        """Write the files; the next turn reads them at once."""
        loader.forget()
        return super().configure(text, prompt)


def key_client(account: Account, **fields: Any) -> ApiClient:
    """Return a client with a new key of the account."""
    return ApiClient(make_key(account, **fields)[1])


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


DRAFT = "model: scripted:echo\nsystem_prompt: Be a pirate.\n"


class PlaygroundFixtures(AgentFixtures):
    """Staff with the tokens of acme's bot, as published and with its draft."""

    staff: User
    draft: ConfigDraft

    def setUp(self) -> None:
        super().setUp()
        self.staff = make_staff(email="sam@example.com")
        self.draft = make_config_draft(self.instance, text=DRAFT)
        self.player = self.client_of(self.staff)

    def client_of(self, user: User, instance: AgentInstance | None = None, **fields: Any) -> Any:
        instance = instance or self.instance
        token = new_token(user, instance.account_id, instance.pk, **fields)
        return ApiClient(write_token(token))

    async def play(self, client: ApiClient, what: str = "chat", **body: Any) -> Answer:
        return await client.post(self.path(what), {"message": "hello", **body})


OVERRIDE = {"model": "scripted:echo", "system_prompt": "Be a pirate."}


class ChatFixtures(PlaygroundFixtures):
    def setUp(self) -> None:
        super().setUp()
        self.published = self.caller()
        self.drafted = self.caller(draft_id=self.draft.pk)

    def caller(self, **fields: Any) -> Caller:
        subject = f"staff:{self.staff.pk}"
        me = {"subject": subject, "user_id": self.staff.pk, "name": self.staff.email}
        whose = {"account_id": self.account.pk, "account_slug": "acme", "scopes": SCOPES}
        return Caller(**{**whose, **me, **fields})

    def chat(self, *messages: str, **fields: Any) -> SavedChat:
        values = {"name": "Greets", "messages": list(messages or ["hello"])} | fields
        return make_saved_chat(self.instance, **values)

    def run_chat(self, chat: SavedChat, caller: Caller | None = None) -> SavedChatRun:
        return async_to_sync(saved_chats.run)(caller or self.published, self.instance, chat)

    def failures(self) -> list[tuple[str, str]]:
        with platform_context():
            return [
                (failure.name, failure.reason)
                for failure in check_publication(self.instance, OVERRIDE)
            ]


class EvalPagesFixtures(ChatFixtures):
    def setUp(self) -> None:
        super().setUp()
        self.root = make_root(email="root@example.com")
        self.browser = self.browser_of(self.root)

    def browser_of(self, user: Any) -> Client:
        client = Client()
        client.force_login(user)
        return client

    def at(self, name: str, key: Any = None) -> str:
        return reverse(f"admin:{name}", args=[key or self.instance.pk])

    def get(self, name: str, key: Any = None, /, **query: str) -> Any:
        return self.browser.get(self.at(name, key), query, secure=True)

    def post(self, name: str, key: Any = None, /, **data: str) -> Any:
        return self.browser.post(self.at(name, key), data, secure=True)


class LimitedFixtures(AgentFixtures):
    """`acme` uses a model of unknown price, so that an assumed cost is reserved."""

    config = "model: mock:test-model\nmax_tokens: 100\nretries: 0\n"

    def budget(self, limit: Decimal, period: str = "day", **more: Any) -> Budget:
        return budgets.set_budget(self.account, period=period, limit=limit, **more)

    async def chat(self, message: str = "hello", **body: Any) -> Answer:
        return await self.api.post(self.path("chat"), {"message": message, **body})

    async def one_reservation(self) -> Decimal:
        """Return the cost that one turn reserves; nothing but its row is left of that turn."""
        await self.chat()
        _, [request] = await sync_to_async(stored)()
        await sync_to_async(forget_turns)()
        assert request.reserved_cost
        return request.reserved_cost

    def assert_books_are_closed(self) -> Decimal:
        """Expect no reservation, no running turn, and spending as the ledger has it."""
        with platform_context():
            self.assertEqual(LLMRequest.objects.running().count(), 0)
            spent = LLMRequest.objects.aggregate(sum=Sum("charged_cost"))["sum"] or Decimal(0)
            for budget in Budget.objects.all():
                self.assertEqual((budget.spent, budget.reserved), (spent, 0))
            for row in AccountLimits.objects.all():
                self.assertEqual(row.running, 0)
        return spent


def forget_turns() -> None:
    with platform_context():
        LLMRequest.objects.all().delete()
        RateState.objects.all().delete()
