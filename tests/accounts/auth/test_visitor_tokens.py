"""Visitors: this server alone makes them, each for one account and one agent instance."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core import signing
from django.http import HttpResponse
from django.test import RequestFactory, SimpleTestCase, TestCase, override_settings
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from accounts.auth import key_text, visitor_tokens
from accounts.keys.services import rotate_api_key
from accounts.models import ApiKey, KeyKind, KeyMode, Scope
from agents.models import AgentInstance
from salient.api.problems import Unauthenticated
from salient.ttl import clear_caches
from sessions_app.models import LLMRequest, Message, Session
from tests.support.api_client import Answer, ApiClient
from tests.support.database.stored import change_row, row_of, rows_of
from tests.support.factories import make_account, make_instance, make_key, write_config
from tests.support.fixtures import SCRIPTED, AgentFixtures, counts, stored

SHOP, BLOG = "https://shop.example", "https://blog.example"


class CookieTests(SimpleTestCase):
    @override_settings(HTTPS=True)
    def test_the_cookie_is_bound_to_this_host_and_out_of_scripts_reach(self) -> None:
        response = HttpResponse()
        visitor_tokens.set_cookie(response, "acme", "bot")

        [cookie] = response.cookies.values()
        self.assertEqual(cookie.key, "__Host-salient.acme.bot")
        self.assertEqual(
            {name: cookie[name] for name in ("secure", "httponly", "samesite", "path", "domain")},
            {"secure": True, "httponly": True, "samesite": "Lax", "path": "/", "domain": ""},
        )
        # 256 bits in base64.
        self.assertEqual(len(cookie.value.split(".")[0]), 43)

    def test_a_value_that_the_client_brings_is_never_adopted(self) -> None:
        for name, value in (
            ("salient_session", "a" * 32),
            ("session_key", "a" * 64),
            (visitor_tokens.cookie_name("acme", "bot"), "chosen-by-me"),
            (visitor_tokens.cookie_name("acme", "bot"), signing.Signer().sign("chosen-by-me")),
            # As cookies were made before they had a timestamp.
            (
                visitor_tokens.cookie_name("acme", "bot"),
                signing.Signer(salt="visitor/acme/bot").sign("a" * 43),
            ),
        ):
            request = RequestFactory().get("/", headers={"cookie": f"{name}={value}"})
            self.assertIsNone(visitor_tokens.cookie_visitor(request, "acme", "bot"))


class TokenTextTests(SimpleTestCase):
    def token(self, **fields: Any) -> visitor_tokens.VisitorToken:
        return visitor_tokens.new_token("0" * 12, make_uuid(), **{"seconds": 60} | fields)

    @given(st.none() | st.text(max_size=255), st.none() | st.just(SHOP))
    def test_is_read_as_it_was_written(self, sub: str | None, origin: str | None) -> None:
        token = self.token(end_user=sub, origin=origin)
        text = visitor_tokens.write_token(token)

        self.assertEqual(visitor_tokens.read_token(text), token)
        # What may stand behind “Bearer” (RFC 6750, 2.1).
        self.assertRegex(text, r"\Asal_vt_[A-Za-z0-9._~+/-]+\Z")

    @given(st.data())
    def test_one_changed_character_is_a_forgery(self, data: st.DataObject) -> None:
        text = visitor_tokens.write_token(self.token())
        position = data.draw(st.integers(len(visitor_tokens.TOKEN_PREFIX), len(text) - 2))
        other = data.draw(st.characters(codec="ascii").filter(lambda c: c != text[position]))
        with self.assertRaises(Unauthenticated):
            visitor_tokens.read_token(text[:position] + other + text[position + 1 :])

    @given(st.text())
    def test_no_text_is_more_than_a_bad_token(self, text: str) -> None:
        with self.assertRaises(Unauthenticated):
            visitor_tokens.read_token(visitor_tokens.TOKEN_PREFIX + text)

    def test_other_things_that_this_server_signs_are_no_tokens(self) -> None:
        facts = {"k": "0" * 12, "i": make_uuid().hex, "e": 2**40, "o": None, "s": "x", "v": ""}
        for salt in ("visitor/acme/bot", "django.core.signing", "salient.visitor"):
            signed = signing.Signer(salt=salt, sep=".").sign_object(facts)
            with self.assertRaises(Unauthenticated):
                visitor_tokens.read_token(visitor_tokens.TOKEN_PREFIX + signed)

    def test_two_visitors_are_never_the_same(self) -> None:
        keys_of_them = {self.token().session_key for _ in range(100)}
        self.assertEqual(len(keys_of_them), 100)

    def test_ends_on_the_second(self) -> None:
        text = visitor_tokens.write_token(self.token(seconds=60))
        now = timezone.now()
        with patch.object(timezone, "now", return_value=now + timedelta(seconds=58)):
            visitor_tokens.read_token(text)
        with (
            patch.object(timezone, "now", return_value=now + timedelta(seconds=60)),
            self.assertRaisesMessage(Unauthenticated, "has expired"),
        ):
            visitor_tokens.read_token(text)


def make_uuid() -> Any:
    return AgentInstance().pk


class VisitorFixtures(AgentFixtures, TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.second = make_instance(self.account, "second")
        self.page_key, page = make_key(
            self.account,
            kind=KeyKind.PUBLISHABLE,
            instance_ids=[self.instance.pk],
            origins=[SHOP, BLOG],
        )
        self.page = ApiClient(page, headers={"origin": SHOP})

    async def start(self, client: ApiClient | None = None, **body: Any) -> ApiClient:
        """Return a client that sends the new visitor's token from the shop's pages."""
        answer = await (client or self.page).post(self.path("visitors"), body)
        self.assertEqual(answer.status, 201, answer.body)
        return ApiClient(answer.json()["token"], headers={"origin": SHOP})

    async def end_user(self, sub: str = "customer-42", **body: Any) -> ApiClient:
        return await self.start(self.api, sub=sub, **body)

    async def ask(self, who: ApiClient, message: str = "hello", **body: Any) -> Answer:
        return await who.post(self.path("chat"), {"message": message, **body})

    async def status(self, who: ApiClient, instance: str = "bot", account: str = "acme") -> int:
        path = self.path("chat", account, instance)
        return (await who.post(path, {"message": "hello"})).status

    async def change_key(self, **fields: Any) -> None:
        await sync_to_async(change_row)(self.page_key, **fields)
        clear_caches()


class EmbedTests(VisitorFixtures):
    async def test_a_visitor_finds_its_conversation_again_and_no_other(self) -> None:
        ada, bob = await self.start(), await self.start()
        first = await self.ask(ada, "my name is Ada")
        second = await self.ask(ada, "and now?")

        self.assertEqual(first.status, 200)
        self.assertEqual(second.json()["session_id"], first.json()["session_id"])
        self.assertIn("my name is Ada", second.json()["response"])
        self.assertNotIn("Ada", (await self.ask(bob, "and now?")).json()["response"])

    async def test_starting_one_stores_nothing(self) -> None:
        await self.start()
        self.assertEqual(await sync_to_async(counts)(), (0, 0, 0))

    async def test_the_default_life_is_thirty_days_and_can_only_be_shortened(self) -> None:
        for body, seconds in (({}, 30 * 86_400), ({"expires_in": 60}, 60)):
            answer = await self.api.post(self.path("visitors"), body)
            left = life_of(answer)
            self.assertAlmostEqual(left, seconds, delta=5)
        answer = await self.api.post(self.path("visitors"), {"expires_in": 31 * 86_400})
        self.assertEqual(answer.status, 400)

    async def test_a_stolen_token_works_nowhere_else(self) -> None:
        await sync_to_async(make_instance)(await sync_to_async(make_account)("beta"), "bot")
        thief = await self.start()
        say = {"message": "x"}
        agent = await thief.post(self.path("chat", instance="nobody"), say)
        account = await thief.post(self.path("chat", account="no-account"), say)

        self.assertEqual(await self.status(thief), 200)
        for path, unknown in (
            (self.path("chat", instance="second"), agent),
            (self.path("chat", account="beta"), account),
            (self.path("chat", account="nobody"), account),
        ):
            answer = await thief.post(path, say)
            self.assertEqual((answer.status, answer.body), (404, unknown.body))
            self.assertEqual(answer.headers, unknown.headers)
        for origin in (BLOG, "https://evil.example", "null", ""):
            thief.headers["origin"] = origin
            answer = await self.ask(thief)
            self.assertEqual((answer.status, answer.json()["code"]), (403, "origin_not_allowed"))
        del thief.headers["origin"]
        self.assertEqual(await self.status(thief), 403)

    async def test_an_expired_or_forged_token_is_refused(self) -> None:
        expired = visitor_tokens.new_token(self.page_key.key_id, self.instance.pk, seconds=0)
        nobodys = visitor_tokens.new_token("0" * 12, self.instance.pk, seconds=60)
        for text in (
            visitor_tokens.write_token(expired),
            visitor_tokens.write_token(nobodys),
            ((await self.start()).key or "")[:-3] + "abc",
            "sal_vt_",
            "sal_vt_é",
        ):
            self.assertEqual(await self.status(ApiClient(text)), 401)

    async def test_who_revokes_a_key_ends_its_visitors(self) -> None:
        visitor = await self.start()
        await self.change_key(revoked_at=timezone.now())
        self.assertEqual(await self.status(visitor), 401)

    async def test_an_expired_key_ends_its_visitors_and_a_rotated_one_does_not(self) -> None:
        visitor = await self.start()
        yesterday = timezone.now() - timedelta(days=1)
        await self.change_key(expires_at=yesterday)
        self.assertEqual(await self.status(visitor), 401)
        await self.change_key(rotated_at=yesterday)
        self.assertEqual(await self.status(visitor), 200)

    async def test_a_rotated_keys_visitors_stay(self) -> None:
        visitor = await self.start()
        session = (await self.ask(visitor)).json()["session_id"]
        await sync_to_async(rotate_api_key)(self.account.pk, self.page_key.pk, timedelta(0))
        clear_caches()

        self.assertEqual((await self.page.post(self.path("visitors"), {})).status, 401)
        self.assertEqual((await self.ask(visitor)).json()["session_id"], session)

    async def test_an_origin_or_instance_that_is_removed_ends_its_visitors(self) -> None:
        visitor = await self.start()
        await self.change_key(origins=[BLOG])
        self.assertEqual(await self.status(visitor), 403)
        await self.change_key(origins=[SHOP], instance_ids=[self.second.pk])
        self.assertEqual(await self.status(visitor), 404)

    async def test_a_suspended_account_has_no_visitors(self) -> None:
        visitor = await self.start()
        await sync_to_async(change_row)(self.account, status="suspended")
        clear_caches()
        self.assertEqual(await self.status(visitor), 403)

    async def test_a_visitor_talks_and_reads_and_does_nothing_else(self) -> None:
        for who in (await self.start(), await self.end_user()):
            for method, path, status in (
                ("GET", "/accounts/acme/me", 200),
                ("GET", self.path("sessions"), 200),
                ("GET", "/accounts/acme/agents", 403),
                ("GET", "/accounts/acme/agents/bot", 403),
                ("POST", self.path("visitors"), 403),
                ("POST", "/accounts/acme/keys/rotate", 403),
            ):
                with self.subTest(f"{method} {path}"):
                    answer = await who.call(method, path, raw=b"{}")
                    self.assertEqual(answer.status, status)

    async def test_a_key_without_the_scope_starts_none(self) -> None:
        _, secret = await sync_to_async(make_key)(self.account, scopes=[Scope.CHAT])
        answer = await ApiClient(secret).post(self.path("visitors"), {})
        self.assertEqual(answer.status, 403)

    async def test_a_test_keys_visitors_meet_the_script(self) -> None:
        _, secret = await sync_to_async(make_key)(self.account, mode=KeyMode.TEST)
        self.configure("model: openai:gpt-4.1-mini\n")
        answer = await self.ask(await self.start(ApiClient(secret)))

        self.assertIn("scripted answer", answer.json()["response"])
        [request] = (await sync_to_async(stored)())[1]
        self.assertEqual(f"{request.provider}:{request.model}", "scripted:echo")
        self.assertTrue(request.is_test)


def life_of(answer: Answer) -> float:
    ends = datetime.fromisoformat(answer.json()["expires_at"])
    return float((ends - timezone.now()).total_seconds())


class EndUserTests(VisitorFixtures):
    async def test_sessions_are_theirs_on_any_device(self) -> None:
        phone, laptop = await self.end_user(), await self.end_user()
        first = (await self.ask(phone, "my name is Ada")).json()
        second = await self.ask(laptop, "and now?", session_id=first["session_id"])

        self.assertIn("my name is Ada", second.json()["response"])
        history = await laptop.get(self.path("history"), session_id=first["session_id"])
        self.assertEqual(len(history.json()["messages"]), 4)

    async def test_without_a_session_id_a_new_one_starts(self) -> None:
        phone = await self.end_user()
        first, second = (await self.ask(phone)).json(), (await self.ask(phone)).json()
        self.assertNotEqual(first["session_id"], second["session_id"])

    async def test_the_account_finds_its_own_name_for_them(self) -> None:
        await self.ask(await self.end_user())

        row = await sync_to_async(row_of)(Session)
        self.assertEqual((row.end_user, row.is_anonymous), ("customer-42", False))

    async def test_sessions_of_others_are_the_same_404(self) -> None:
        anonymous = (await self.ask(await self.start())).json()["session_id"]
        keys_own = (await self.say("hello"))["session_id"]
        others = (await self.ask(await self.end_user("customer-43"))).json()["session_id"]
        ada = await self.end_user()
        random = "00000000-0000-7000-8000-000000000000"
        unknown = await self.ask(ada, session_id=random)
        self.assertEqual(unknown.status, 404)
        for who in (ada, await self.start()):
            for session in (anonymous, keys_own, others, random):
                for answer in (
                    await self.ask(who, session_id=session),
                    await who.get(self.path("history"), session_id=session),
                    await who.call("DELETE", self.path(f"sessions/{session}")),
                ):
                    self.assertEqual((answer.status, answer.body), (404, unknown.body))
                    self.assertEqual(answer.headers, unknown.headers)

    async def test_who_they_are_is_never_taken_from_a_body(self) -> None:
        for who in (await self.start(), await self.end_user("customer-43"), self.api):
            for field in ("sub", "end_user", "account", "visitor", "session_key"):
                answer = await self.ask(who, **{field: "customer-42"})
                self.assertEqual((answer.status, field in answer.json()["detail"]), (400, True))
        for body in (
            {"sub": "customer-42", "account": "beta"},
            {"sub": "customer-42", "instance": "second"},
            {"scopes": ["agents:read"]},
        ):
            self.assertEqual((await self.api.post(self.path("visitors"), body)).status, 400)

    async def test_a_name_is_short_and_printable(self) -> None:
        subs: list[Any] = ["", " ", "a ", "a\n", "a\x00", "x" * 256, 42, ["x"], {}]
        for sub in subs:
            with self.subTest(sub=sub):
                answer = await self.api.post(self.path("visitors"), {"sub": sub})
                self.assertEqual(answer.status, 400)
        self.assertEqual(await self.status(await self.end_user("Ünïcode 日本 🦜")), 200)

    async def test_their_token_is_short_lived(self) -> None:
        default = await self.api.post(self.path("visitors"), {"sub": "customer-42"})
        self.assertAlmostEqual(life_of(default), 900, delta=5)
        for seconds, status in ((86_400, 201), (86_401, 400), (0, 400), (-1, 400), ("60", 400)):
            body = {"sub": "customer-42", "expires_in": seconds}
            answer = await self.api.post(self.path("visitors"), body)
            self.assertEqual(answer.status, status, answer.body)

    async def test_a_token_may_be_bound_to_an_origin(self) -> None:
        who = await self.end_user(origin=SHOP)
        self.assertEqual(await self.status(who), 200)
        who.headers["origin"] = BLOG
        self.assertEqual(await self.status(who), 403)
        answer = await self.api.post(self.path("visitors"), {"origin": "https://shop.example/"})
        self.assertEqual(answer.status, 400)

    async def test_the_same_name_in_another_account_is_another_person(self) -> None:
        def other_account() -> str:
            beta = make_account("beta")
            make_instance(beta, "bot")
            write_config(settings.AGENT_CONFIG_DIR, "beta", "bot", SCRIPTED)
            return make_key(beta)[1]

        secret = await sync_to_async(other_account)()
        session = (await self.ask(await self.end_user())).json()["session_id"]
        path = self.path("visitors", account="beta")
        token = (await ApiClient(secret).post(path, {"sub": "customer-42"})).json()["token"]
        theirs = ApiClient(token)

        self.assertEqual(await self.status(theirs), 404)
        body = {"message": "x", "session_id": session}
        answer = await theirs.post(self.path("chat", account="beta"), body)
        self.assertEqual(answer.status, 404)


class TokenSecrecyTests(VisitorFixtures):
    async def test_no_token_and_no_visitor_stands_in_a_row(self) -> None:
        visitor = await self.start()
        await self.ask(visitor)
        token = visitor_tokens.read_token(visitor.key or "")

        rows = [
            vars(row)
            for model in (Session, ApiKey, Message, LLMRequest)
            for row in await sync_to_async(rows_of)(model)
        ]
        written = str(rows)
        self.assertIn(token.session_key or "?", written)
        self.assertNotIn(token.visitor, written + repr(token))
        self.assertNotIn((visitor.key or "")[-30:], written)
        self.assertIsNone(key_text.key_id_of(visitor.key or ""))
