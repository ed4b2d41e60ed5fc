"""Visitors and end users see no model, tokens, cost or budget, unless the agent shows them."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from typing import Any
from unittest import mock

from asgiref.sync import sync_to_async
from django.test import Client, TestCase

from accounts.limits import budgets
from accounts.models import MemberRole
from agents.config import loader
from tests.accounts.member_fixtures import browser_of, make_member
from tests.sessions_app.session_fixtures import ConversationFixtures
from tests.support.api_client import Answer, ApiClient

MODEL = "scripted:echo"
ALL = "visitors:\n  show_model: true\n  show_usage: true\n  show_cost: true\n"
FIGURES = ("model", "usage", "cost")
NAMELESS = {"model": "anything", "messages": [{"role": "user", "content": "hello"}]}
# What would tell a visitor of money.
WORDS = ("budget", "cost", "dollar", "usd", "spent", "price")


class ShownCase(ConversationFixtures, TestCase):
    def show(self, *names: str) -> None:
        lines = [f"  show_{name}: true" for name in names]
        loader.forget()
        self.configure("\n".join([f"model: {MODEL}", "visitors:", *lines, ""]))

    async def visitors(self) -> list[tuple[str, ApiClient]]:
        return [("visitor", await self.start()), ("end user", await self.start(sub="ada"))]

    async def owner(self) -> ApiClient:
        member = await sync_to_async(make_member)(self.account, MemberRole.OWNER, "o@example.com")
        return await sync_to_async(browser_of)(member.user)

    async def chat(self, who: ApiClient, **more: Any) -> Answer:
        return await who.post(self.path("chat"), {"message": "hello"}, **more)

    async def chat_dry(self, who: ApiClient) -> Answer:
        return await who.post(self.path("chat"), {"message": "hello", "dry_run": True})

    def figures(self, body: dict[str, Any]) -> list[str]:
        return [name for name in FIGURES if body[name] is not None]


class AnswerTests(ShownCase):
    async def test_visitors_get_the_answer_and_no_figures(self) -> None:
        for name, who in await self.visitors():
            for what in ("chat", "stream"):
                with self.subTest(who=name, what=what):
                    answer = await who.post(self.path(what), {"message": "hello"})
                    body = answer.json() if what == "chat" else json.loads(answer.events()[-1][1])
                    self.assertEqual(self.figures(body), [])
                    self.assertNotIn(MODEL, answer.body.decode())

    async def test_the_accounts_own_callers_get_all_of_them(self) -> None:
        for who in (self.api, await self.owner()):
            body = (await self.chat(who)).json()
            self.assertEqual(self.figures(body), list(FIGURES))
            self.assertEqual(body["model"], MODEL)

    async def test_each_is_shown_where_the_agent_says_so(self) -> None:
        for name in FIGURES:
            self.show(name)
            for _, who in await self.visitors():
                self.assertEqual(self.figures((await self.chat(who)).json()), [name])

    async def test_a_dry_run_shows_what_the_turn_would(self) -> None:
        of = {"model": "model", "usage": "input_tokens", "cost": "cost"}
        for name in FIGURES:
            self.show(name)
            for _, who in await self.visitors():
                tried = (await self.chat_dry(who)).json()
                shown = [each for each, field in of.items() if tried[field] is not None]
                self.assertEqual(shown, [name])

    async def test_a_repeated_call_shows_no_more_than_the_first(self) -> None:
        who, header = await self.start(), {"idempotency-key": "once"}
        await self.chat(who, headers=header)
        again = await self.chat(who, headers=header)
        self.assertEqual(again.headers["idempotency-replayed"], "true")
        self.assertEqual(self.figures(again.json()), [])

        self.show("cost")
        self.assertEqual(self.figures((await self.chat(who, headers=header)).json()), ["cost"])

    async def test_messages_name_the_model_where_it_is_shown(self) -> None:
        who = await self.start(sub="ada")
        session = await self.ask(who)
        for shown in (False, True):
            if shown:
                self.show("model")
            for what, query in (("/messages", {}), ("/export", {"format": "json"})):
                answer = await self.read(who, session, what, **query)
                self.assertEqual(MODEL in answer.body.decode(), shown, what)


class OpenAITests(ShownCase):
    async def complete(self, who: ApiClient, **more: Any) -> Answer:
        return await who.post(self.path("v1/chat/completions"), NAMELESS | more)

    async def respond(self, who: ApiClient, **more: Any) -> Answer:
        return await who.post(self.path("v1/responses"), {"model": "x", "input": "hi"} | more)

    async def test_chat_completions_have_neither_usage_nor_cost(self) -> None:
        for _, who in await self.visitors():
            body = (await self.complete(who)).json()
            self.assertNotIn("usage", body)
            self.assertNotIn("cost", body["salient"])
            asked = {"stream": True, "stream_options": {"include_usage": True}}
            stream = (await self.complete(who, **asked)).body.decode()
            self.assertNotIn("prompt_tokens", stream)
            self.assertNotIn('"cost"', stream)
            self.assertTrue(stream.endswith("data: [DONE]\n\n"))

    async def test_responses_have_neither_nor_when_they_are_read_again(self) -> None:
        who = await self.start(sub="ada")
        made = (await self.respond(who)).json()
        read = (await who.get(self.path(f"v1/responses/{made['id']}"))).json()
        for body in (made, read):
            self.assertIsNone(body["usage"])
            self.assertNotIn("cost", body["salient"])
        stream = (await self.respond(who, stream=True)).body.decode()
        self.assertNotIn("input_tokens", stream)

    async def test_the_agent_may_show_both_and_keys_see_them_anyway(self) -> None:
        key = (await self.complete(self.api)).json()
        self.show("usage", "cost")
        shown = (await self.complete(await self.start())).json()

        for body in (key, shown):
            self.assertIn("prompt_tokens", body["usage"])
            self.assertIn("total", body["salient"]["cost"])


class RefusalTests(ShownCase):
    config = "model: mock:test-model\nmax_tokens: 100\n"

    def setUp(self) -> None:
        base_url = {"MOCK_BASE_URL": "http://127.0.0.1:9/v1"}
        self.enterContext(mock.patch.dict(os.environ, base_url))
        super().setUp()

    async def spend_all(self) -> None:
        await sync_to_async(budgets.set_budget)(self.account, period="day", limit=Decimal(0))

    async def test_an_exhausted_budget_is_no_word_to_visitors(self) -> None:
        await self.spend_all()
        for _, who in await self.visitors():
            for path in ("chat", "stream", "v1/chat/completions"):
                body = NAMELESS if path.startswith("v1") else {"message": "hello"}
                answer = await who.post(self.path(path), body)
                with self.subTest(path=path):
                    self.assertEqual(answer.status, 503)
                    text = f"{answer.headers} {answer.body.decode()}".lower()
                    self.assertIn("agent_unavailable", text)
                    self.assertEqual([word for word in WORDS if word in text], [])

    async def test_nor_is_it_in_a_dry_run(self) -> None:
        await self.spend_all()
        for name, who in await self.visitors():
            answer = await self.chat_dry(who)
            with self.subTest(who=name):
                self.assertEqual(answer.json()["refusal"]["code"], "agent_unavailable")
                text = json.dumps(answer.json()["refusal"]).lower()
                self.assertEqual([word for word in WORDS if word in text], [])
        told = (await self.chat_dry(self.api)).json()["refusal"]
        self.assertEqual(told["code"], "budget_exceeded")

    async def test_a_dry_run_says_no_more_of_what_is_wrong_with_the_agent(self) -> None:
        loader.forget()
        self.configure("model: acme.server:gpt\n")
        for who, code in ((self.api, "agent_misconfigured"), (await self.start(), None)):
            answer = await self.chat_dry(who)
            self.assertEqual(
                (answer.status, answer.json()["code"]), (503, code or "agent_unavailable")
            )

    async def test_keys_are_told_and_visitors_where_costs_are_shown(self) -> None:
        await self.spend_all()
        self.assertEqual((await self.chat(self.api)).status, 402)
        loader.forget()
        self.configure(f"{self.config}{ALL}")
        answer = await self.chat(await self.start())
        self.assertEqual((answer.status, answer.json()["code"]), (402, "budget_exceeded"))

    async def test_what_is_wrong_with_the_agent_is_for_its_owner(self) -> None:
        loader.forget()
        self.configure("model: acme.server:gpt\n")
        for who, code in ((self.api, "agent_misconfigured"), (await self.start(), None)):
            answer = await self.chat(who)
            self.assertEqual(
                (answer.status, answer.json()["code"]), (503, code or "agent_unavailable")
            )


class PageTests(ShownCase):
    def page(self) -> str:
        return str(Client().get(self.path(""), secure=True).content.decode())

    def test_the_chat_page_names_the_model_where_it_is_shown(self) -> None:
        self.assertNotIn(MODEL, self.page())
        self.show("model")
        self.assertIn(MODEL, self.page())
