from __future__ import annotations

import json
import re
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.test import Client, TestCase, override_settings

from accounts.auth import visitor_tokens
from accounts.models import Account, AccountStatus
from accounts.tenancy.context import platform_context
from agents.models import AgentInstance, InstanceStatus
from sessions_app.models import Role, Session
from tests.support.api_client import ApiClient
from tests.support.factories import (
    make_account,
    make_instance,
    make_message,
    make_user,
    write_config,
)
from tests.support.fixtures import AgentFixtures

PAGE = "/accounts/acme/agents/bot/"


def history_in(page: Any) -> Any:
    found = re.search(r'<script id="chat-history"[^>]*>(.*?)</script>', page.content.decode())
    return json.loads(found[1]) if found else None


class PageCase(AgentFixtures, TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.enterContext(override_settings(DEMO=True))
        self.cookie = visitor_tokens.cookie_name("acme", "bot")

    def get(self, path: str = PAGE, **options: Any) -> Any:
        return self.client.get(path, secure=True, **options)

    def visitor(self) -> ApiClient:
        """Call as the page's script does: with the browser's cookie, from the same origin."""
        value = self.client.cookies[self.cookie].value
        headers = {"cookie": f"{self.cookie}={value}", "sec-fetch-site": "same-origin"}
        return ApiClient(headers=headers)


class WhoMaySeeItTests(PageCase):
    def test_in_the_demo_it_is_open(self) -> None:
        self.assertEqual(self.get().status_code, 200)

    def test_otherwise_it_asks_for_a_login_and_shows_nothing(self) -> None:
        with self.settings(DEMO=False):
            answers = [self.get(), self.get("/accounts/acme/agents/nothing/")]

        for answer in answers:
            self.assertEqual(answer.status_code, 302)
            self.assertIn("/admin/login/?next=/accounts/acme/agents/", answer["Location"])
            self.assertNotIn(self.cookie, answer.cookies)

    def test_staff_see_it_and_other_people_do_not(self) -> None:
        for is_staff, status in ((True, 200), (False, 302)):
            with self.subTest(is_staff=is_staff), self.settings(DEMO=False):
                self.client.force_login(make_user(is_staff=is_staff))
                self.assertEqual(self.get().status_code, status)

    def test_an_auditor_is_refused_and_not_led_in_a_circle(self) -> None:
        self.client.force_login(make_user(is_staff=True, is_auditor=True))
        with self.settings(DEMO=False):
            page = self.get()

        self.assertContains(page, "Auditors cannot chat", status_code=403)

    def test_what_is_not_there_or_not_active_is_the_same_404(self) -> None:
        with platform_context():
            make = AgentInstance.objects.create
            make(account=self.account, instance_slug="old", status=InstanceStatus.ARCHIVED)
        make_instance(make_account("gone", status=AccountStatus.SUSPENDED), "bot")
        paths = ["acme/agents/nothing", "acme/agents/old", "gone/agents/bot", "nobody/agents/bot"]
        bodies = set()
        for path in paths:
            with self.subTest(path=path):
                answer = self.get(f"/accounts/{path}/")
                self.assertEqual(answer.status_code, 404)
                bodies.add(answer.content)
        self.assertEqual(len(bodies), 1)


class WhatItShowsTests(PageCase):
    def test_the_agent_its_opening_and_which_model_answers(self) -> None:
        self.configure(
            "model: scripted:echo\ndisplay_name: Desk\nopening_message: Hi <you>!\n"
            "visitors: {show_model: true}\n"
        )
        page = self.get().content.decode()

        self.assertIn("<h1>Desk</h1>", page)
        self.assertIn("Hi &lt;you&gt;!", page)
        self.assertIn("scripted:echo", page)
        self.assertIn("the answers are scripted", page)

    def test_a_configuration_that_cannot_serve_is_shown_and_not_a_500(self) -> None:
        self.configure("modle: scripted:echo\n")
        answer = self.get()

        self.assertEqual(answer.status_code, 200)
        self.assertIn("configuration has an error", answer.content.decode())

    def test_a_model_that_cannot_answer_is_named(self) -> None:
        self.configure("model: openai:gpt-5-mini\n")
        self.assertIn("OPENAI_API_KEY", self.get().content.decode())

    def test_it_is_kept_out_of_caches_and_under_a_strict_policy(self) -> None:
        answer = self.get()

        self.assertIn("no-store", answer["Cache-Control"])
        policy = answer["Content-Security-Policy"]
        self.assertIn("default-src 'self'", policy)
        self.assertNotIn("unsafe", policy)

    def test_it_has_no_inline_script_style_or_handler(self) -> None:
        page = self.get().content.decode()

        scripts = re.findall(r"<script([^>]*)>", page)
        self.assertTrue(all("src=" in s or 'type="application/json"' in s for s in scripts))
        self.assertIsNone(re.search(r"<style|\sstyle=|\son\w+=", page))

    def test_a_message_cannot_end_the_script_that_holds_it(self) -> None:
        self.get()
        key = self.session_key()
        nasty = "</script><script>alert(1)</script>"
        session = self.session(key)
        make_message(session, content=nasty)

        page = self.get()

        self.assertNotIn("<script>alert", page.content.decode())
        self.assertEqual(history_in(page)["messages"][0]["content"], nasty)

    def session_key(self) -> str:
        request = HttpResponse()
        request.COOKIES = {self.cookie: self.client.cookies[self.cookie].value}  # type: ignore[attr-defined]
        visitor = visitor_tokens.cookie_visitor(request, "acme", "bot")  # type: ignore[arg-type]
        assert visitor is not None
        return visitor.session_key

    def session(self, key: str) -> Session:
        with platform_context():
            made: Session = Session.objects.create(
                account=self.account,
                account_slug="acme",
                agent_instance=self.instance,
                agent_instance_slug="bot",
                session_key=key,
            )
        return made

    def test_only_the_newest_messages_are_on_the_page(self) -> None:
        self.get()
        session = self.session(self.session_key())
        for number in range(60):
            make_message(session, content=str(number), role=Role.HUMAN)

        history = history_in(self.get())

        self.assertEqual(
            [m["content"] for m in history["messages"]], [str(n) for n in range(10, 60)]
        )
        self.assertIsNotNone(history["before"])


class CookieTests(PageCase):
    def test_the_first_visit_mints_one_that_scripts_and_other_sites_cannot_use(self) -> None:
        morsel = self.get().cookies[self.cookie]

        self.assertTrue(morsel["httponly"])
        self.assertEqual(morsel["samesite"], "Lax")
        self.assertEqual(bool(morsel["secure"]), settings.HTTPS)

    def test_the_second_visit_keeps_it(self) -> None:
        self.get()
        self.assertNotIn(self.cookie, self.get().cookies)

    def test_a_forged_one_and_one_of_another_agent_are_replaced(self) -> None:
        write_config(settings.AGENT_CONFIG_DIR, "acme", "other", "model: scripted:echo\n")
        make_instance(self.account, "other")
        self.get("/accounts/acme/agents/other/")
        others = self.client.cookies[visitor_tokens.cookie_name("acme", "other")].value
        for value in ("forged", others):
            with self.subTest(value=value[:6]):
                self.client.cookies[self.cookie] = value
                self.assertNotEqual(self.get().cookies[self.cookie].value, value)

    async def test_it_is_all_that_the_script_needs_to_talk(self) -> None:
        await self.async_client.get(PAGE, secure=True)
        self.client.cookies = self.async_client.cookies
        stream = await self.visitor().post(PAGE + "stream", {"message": "hello"})

        self.assertEqual(stream.events()[-1][0], "done")
        page = await self.async_client.get(PAGE, secure=True)
        self.assertEqual([m["role"] for m in history_in(page)["messages"]], ["user", "bot"])

    async def test_another_site_cannot_use_it(self) -> None:
        await self.async_client.get(PAGE, secure=True)
        self.client.cookies = self.async_client.cookies
        foreign = self.visitor()
        foreign.headers["sec-fetch-site"] = "cross-site"

        answer = await foreign.post(PAGE + "stream", {"message": "hello"})

        self.assertEqual(answer.status, 403)


class NewConversationTests(PageCase):
    def test_mints_a_new_visitor_and_shows_the_empty_page(self) -> None:
        before = self.get().cookies[self.cookie].value
        answer = self.client.post(PAGE, secure=True)

        self.assertEqual((answer.status_code, answer["Location"]), (303, PAGE))
        self.assertNotEqual(answer.cookies[self.cookie].value, before)
        self.assertEqual(history_in(self.get())["messages"], [])

    def test_needs_the_token_of_the_page(self) -> None:
        browser = Client(enforce_csrf_checks=True)
        answer = browser.post(PAGE, secure=True)

        self.assertEqual(answer.status_code, 403)
        self.assertNotIn(self.cookie, answer.cookies)

    def test_of_an_account_that_is_not_there_is_a_404(self) -> None:
        Account.objects.update(status=AccountStatus.SUSPENDED)
        self.assertEqual(self.client.post(PAGE, secure=True).status_code, 404)
