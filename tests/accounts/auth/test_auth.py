"""API keys: what is checked, in which order, and what a refusal looks like."""

from __future__ import annotations

import hmac
from datetime import timedelta
from typing import Any
from unittest.mock import MagicMock, patch

from asgiref.sync import sync_to_async
from django.test import TestCase, override_settings
from django.utils import timezone

from accounts.auth import key_text, visitor_tokens
from accounts.models import Account, ApiKey, KeyKind, KeyMode, MemberRole, Scope
from agents.api import decorators
from salient.ttl import clear_caches
from sessions_app.models import LLMRequest
from tests.accounts.member_fixtures import browser_of, make_member
from tests.support.api_client import Answer, ApiClient
from tests.support.database.stored import change_row, row_of, rows_of
from tests.support.factories import make_account, make_instance
from tests.support.fixtures import AgentFixtures, counts, key_client, stored

SHOP = "https://shop.example"
# A well-formed key that nobody has.
UNKNOWN = key_text.new_key().text


def looks(answer: Answer) -> tuple[int, dict[str, str], bytes]:
    """All that a caller sees."""
    return answer.status, answer.headers, answer.body


class KeyFixtures(AgentFixtures, TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.beta = make_account("beta")
        self.theirs = make_instance(self.beta, "bot")
        self.second = make_instance(self.account, "second")

    async def key(self, **fields: Any) -> ApiClient:
        return await sync_to_async(key_client)(self.account, **fields)

    async def row(self, client: ApiClient) -> ApiKey:
        return await sync_to_async(row_of)(ApiKey, key_id=key_text.key_id_of(client.key or ""))

    async def change(self, client: ApiClient, **fields: Any) -> None:
        await sync_to_async(change_row)(await self.row(client), **fields)
        clear_caches()

    async def chat(self, client: ApiClient, path: str = "", **headers: str) -> Answer:
        path = path or self.path("chat")
        return await client.post(path, {"message": "hello"}, headers=headers)

    async def code(self, client: ApiClient, path: str = "", **headers: str) -> tuple[int, str]:
        answer = await self.chat(client, path, **headers)
        return answer.status, answer.json().get("code", "")


class OrderTests(KeyFixtures):
    async def test_of_many_faults_the_first_in_order_answers(self) -> None:
        now = timezone.now()
        client = await self.key(
            scopes=[Scope.AGENTS_READ],
            networks=["203.0.113.0/24"],
            expires_at=now - timedelta(days=1),
            instance_ids=[self.second.pk],
        )
        await self.change(client, revoked_at=now)
        secret = client.key or ""
        wrong = secret[:-1] + ("a" if secret[-1] != "a" else "b")
        path = self.path("chat", account="beta")

        self.assertEqual(await self.code(ApiClient(wrong), path), (401, "unauthenticated"))
        revoked = await self.chat(client, path)
        self.assertIn("revoked", revoked.json()["detail"])
        await self.change(client, revoked_at=None)
        expired = await self.chat(client, path)
        self.assertEqual(expired.status, 401)
        self.assertIn("expired", expired.json()["detail"])
        await self.change(client, expires_at=now + timedelta(days=1))
        self.assertEqual(await self.code(client, path), (403, "network_not_allowed"))
        await self.change(client, networks=["127.0.0.0/8"])
        self.assertEqual(await self.code(client, path), (404, "not_found"))
        path = self.path("chat")
        self.assertEqual(await self.code(client, path), (403, "forbidden"))
        await self.change(client, scopes=[Scope.CHAT])
        self.assertEqual(await self.code(client, path), (404, "not_found"))
        await self.change(client, instance_ids=[])
        self.assertEqual(await self.code(client, path), (200, ""))

    async def test_a_suspended_account_says_so_and_a_deleted_one_is_the_same_404(self) -> None:
        unknown = await self.chat(self.api, self.path("chat", account="nobody"))

        def change(status: str) -> None:
            values = {"status": status, "suspended_reason": "an unpaid invoice"}
            Account.objects.filter(pk=self.account.pk).update(**values)
            clear_caches()

        await sync_to_async(change)("suspended")
        answer = await self.chat(self.api)
        self.assertEqual((answer.status, answer.json()["code"]), (403, "suspended"))
        self.assertEqual(answer.json()["what"], "account")
        self.assertNotIn(b"invoice", answer.body)
        await sync_to_async(change)("deleted")
        self.assertEqual(looks(await self.chat(self.api)), looks(unknown))

    async def test_it_says_so_to_members_and_visitors_too_and_to_nobody_else(self) -> None:
        def cookies() -> dict[str, ApiClient]:
            member = make_member(self.account, MemberRole.VIEWER).user
            stranger = make_member(make_account("gamma"), MemberRole.OWNER).user
            response = MagicMock()
            visitor_tokens.set_cookie(response, "acme", "bot")
            visitor = "{}={}".format(*response.set_cookie.call_args.args)
            here = {"sec-fetch-site": "same-origin"}
            return {
                "member": browser_of(member),
                "visitor": ApiClient(headers=here | {"cookie": visitor}),
                "stranger": browser_of(stranger),
                "nobody": ApiClient(headers=here),
            }

        def change(status: str) -> None:
            Account.objects.filter(pk=self.account.pk).update(status=status)
            clear_caches()

        callers, path = await sync_to_async(cookies)(), self.path("history")
        for status, member, visitor in (
            ("suspended", (403, "suspended"), (403, "suspended")),
            ("deleted", (401, "unauthenticated"), (404, "not_found")),
        ):
            await sync_to_async(change)(status)
            expected = {"member": member, "visitor": visitor}
            for name, caller in callers.items():
                with self.subTest(status=status, caller=name):
                    answer = await caller.get(path)
                    told = (answer.status, answer.json()["code"])
                    self.assertEqual(told, expected.get(name, (401, "unauthenticated")))


class LooksAlikeTests(KeyFixtures):
    async def test_unknown_key_and_wrong_secret_are_one_answer(self) -> None:
        secret = self.secret
        changed = secret[:20] + ("a" if secret[20] != "a" else "b") + secret[21:-6]
        forged = changed + key_text._checksum(changed)
        self.assertEqual(key_text.key_id_of(forged), key_text.key_id_of(secret))
        answers = [await self.chat(ApiClient(text)) for text in (UNKNOWN, forged, "sal_sk_x", "x")]

        self.assertEqual(answers[0].status, 401)
        for answer in answers[1:]:
            self.assertEqual(looks(answer), looks(answers[0]))

    async def test_each_costs_one_hash_and_one_comparison(self) -> None:
        secret = self.secret[:-7] + ("a" if self.secret[-7] != "a" else "b")
        wrong = secret + key_text._checksum(secret)
        for text in (self.secret, UNKNOWN, wrong):
            with (
                patch.object(key_text, "secret_hash", wraps=key_text.secret_hash) as hashed,
                patch.object(hmac, "compare_digest", wraps=hmac.compare_digest) as compared,
            ):
                await self.chat(ApiClient(text))
            self.assertEqual((hashed.call_count, compared.call_count), (1, 1))
            self.assertEqual({len(text) for text in compared.call_args.args}, {64})

    async def test_unknown_foreign_and_forbidden_instances_get_one_answer(self) -> None:
        client = await self.key(instance_ids=[self.instance.pk])
        await sync_to_async(make_instance)(self.beta, "theirs")
        agent = await self.chat(client, self.path("chat", instance="nobody"))
        elsewhere = await self.chat(client, self.path("chat", account="no-account"))
        self.assertEqual((agent.status, elsewhere.status), (404, 404))
        for account, instance in (
            ("acme", "second"),
            ("acme", "theirs"),
            ("acme", str(self.second.pk)),
            ("beta", "bot"),
            ("nobody", "bot"),
            (str(self.account.pk), "bot"),
        ):
            with self.subTest(account=account, instance=instance):
                answer = await self.chat(client, self.path("chat", account, instance))
                unknown = agent if account == "acme" else elsewhere
                self.assertEqual(looks(answer), looks(unknown))

    async def test_a_forbidden_instance_is_looked_up_as_an_unknown_one_is(self) -> None:
        client = await self.key(instance_ids=[self.instance.pk])
        await self.chat(self.api, self.path("chat", instance="second"))  # now it is cached
        with patch.object(decorators, "_load", wraps=decorators._load) as load:
            for instance in ("second", "nobody"):
                await self.chat(client, self.path("chat", instance=instance))
        self.assertEqual(load.call_count, 2)


class InstanceTests(KeyFixtures):
    async def test_a_key_lists_and_uses_its_instances_alone(self) -> None:
        client = await self.key(instance_ids=[self.instance.pk])

        listed = (await client.get("/accounts/acme/agents")).json()["instances"]
        self.assertEqual([row["instance_slug"] for row in listed], ["bot"])
        self.assertEqual((await self.code(client))[0], 200)
        for what in ("", "/metadata", "/history"):
            answer = await client.get(f"/accounts/acme/agents/second{what}")
            self.assertEqual(answer.status, 404)


class NetworkTests(KeyFixtures):
    async def test_a_key_works_from_its_networks_alone(self) -> None:
        client = await self.key(networks=["203.0.113.0/24", "2001:db8::/32"])
        forwarded = {"x-forwarded-for": "203.0.113.9"}

        self.assertEqual(await self.code(client, **forwarded), (403, "network_not_allowed"))
        with override_settings(TRUST_PROXY_HEADERS=True):
            for address, status in (
                ("203.0.113.9", 200),
                ("2001:db8::1", 200),
                ("198.51.100.7", 403),
                ("203.0.113.9, 198.51.100.7", 403),
                ("nonsense", 403),
            ):
                with self.subTest(address):
                    answer = await self.chat(client, **{"x-forwarded-for": address})
                    self.assertEqual(answer.status, status)


class MisplacedKeyTests(KeyFixtures):
    async def test_a_key_elsewhere_is_refused_with_a_hint(self) -> None:
        nobody = ApiClient()
        for name, answer, status in (
            ("header", await self.chat(nobody, **{"x-api-key": self.secret}), 401),
            ("query", await nobody.call("POST", self.path("chat"), query={"k": self.secret}), 400),
            ("body", await nobody.post(self.path("chat"), {"api_key": self.secret}), 401),
            ("basic", await self.chat(nobody, authorization=f"Basic {self.secret}"), 401),
            ("naked", await self.chat(nobody, authorization=self.secret), 401),
            ("body, too", await self.api.post(self.path("chat"), {"api_key": self.secret}), 400),
        ):
            with self.subTest(name):
                self.assertEqual(answer.status, status)
                self.assertNotIn(self.secret.encode(), answer.body)
                if name != "body, too":
                    self.assertIn("Authorization: Bearer", answer.json()["detail"])
        self.assertEqual(await sync_to_async(counts)(), (0, 0, 0))

    async def test_a_key_in_an_address_is_refused_even_beside_a_good_one(self) -> None:
        for query in ({"access_token": self.secret}, {"message": self.secret}):
            answer = await self.api.get(self.path("stream"), **query)
            self.assertEqual(answer.status, 400)
            self.assertIn("Rotate", answer.json()["detail"])

    async def test_the_scheme_is_read_in_any_case(self) -> None:
        nobody = ApiClient()
        for scheme in ("Bearer", "bearer", "BEARER"):
            answer = await self.chat(nobody, authorization=f"{scheme} {self.secret}")
            self.assertEqual(answer.status, 200)


class PublishableKeyTests(KeyFixtures):
    async def page(self, **fields: Any) -> ApiClient:
        values = {
            "kind": KeyKind.PUBLISHABLE,
            "instance_ids": [self.instance.pk],
            "origins": [SHOP],
        }
        return await self.key(**values | fields)

    async def begin(self, client: ApiClient, instance: str = "bot", **headers: str) -> Answer:
        path = self.path("visitors", instance=instance)
        return await client.post(path, {}, headers={"origin": SHOP} | headers)

    async def test_starts_a_visitor_of_its_one_instance(self) -> None:
        client = await self.page()

        self.assertTrue((client.key or "").startswith("sal_pk_"))
        self.assertEqual((await self.begin(client)).status, 201)
        self.assertEqual((await self.begin(client, "second")).status, 404)

    async def test_only_from_pages_of_its_origins(self) -> None:
        client = await self.page()
        for origin in (
            *("null", "", "*", "https://shop.example.evil.example", "http://shop.example"),
            *("https://shop.example:8443", "https://SHOP.example", "https://shop.example/"),
        ):
            with self.subTest(origin):
                answer = await self.begin(client, origin=origin)
                self.assertEqual(
                    (answer.status, answer.json()["code"]), (403, "origin_not_allowed")
                )
        answer = await client.post(self.path("visitors"), {})
        self.assertEqual((answer.status, answer.json()["code"]), (403, "origin_not_allowed"))

    async def test_does_nothing_else(self) -> None:
        client = await self.page()
        client.headers["origin"] = SHOP
        for method, path in (
            ("POST", self.path("chat")),
            ("POST", self.path("stream")),
            ("GET", self.path("stream")),
            ("GET", self.path("history")),
            ("GET", self.path("sessions")),
            ("DELETE", self.path(f"sessions/{self.instance.pk}")),
            ("GET", "/accounts/acme/agents"),
            ("GET", "/accounts/acme/me"),
            ("POST", "/accounts/acme/keys/rotate"),
        ):
            with self.subTest(f"{method} {path}"):
                answer = await client.call(method, path, raw=b"{}")
                self.assertEqual((answer.status, answer.json()["code"]), (403, "forbidden"))

    async def test_names_no_end_user_no_origin_and_no_time(self) -> None:
        client = await self.page()
        for body in ({"sub": "customer-42"}, {"origin": SHOP}, {"expires_in": 60}, {"sub": None}):
            with self.subTest(body):
                answer = await client.post(self.path("visitors"), body, headers={"origin": SHOP})
                self.assertEqual(answer.status, 403)


class TestModeTests(KeyFixtures):
    async def test_a_test_key_meets_the_script_and_costs_nothing(self) -> None:
        self.configure("model: openai:gpt-4.1-mini\n")
        client = await self.key(mode=KeyMode.TEST)
        self.assertTrue((client.key or "").startswith("sal_tk_"))
        answer = await self.chat(client)

        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(answer.json()["model"], "scripted:echo")
        [request] = (await sync_to_async(stored)())[1]
        self.assertIsInstance(request, LLMRequest)
        self.assertTrue(request.is_test)
        self.assertEqual((request.total_cost, request.provider), (0, "scripted"))

    async def test_a_test_key_does_not_pass_as_a_live_one(self) -> None:
        client = await self.key(mode=KeyMode.TEST)
        body = (client.key or "").replace("sal_tk_", "sal_sk_")[:-6]

        answer = await self.chat(ApiClient(body + key_text._checksum(body)))
        self.assertEqual(answer.status, 401)


class HeaderTests(KeyFixtures):
    async def test_no_answer_is_kept_by_a_cache(self) -> None:
        for client, path in (
            (self.api, "/accounts/acme/me"),
            (self.api, "/accounts/acme/agents"),
            (self.api, "/accounts/beta/me"),
            (ApiClient(), "/accounts/acme/me"),
        ):
            answer = await client.get(path)
            self.assertEqual(answer.headers["cache-control"], "no-store, private")
            self.assertEqual(answer.headers["vary"], "Authorization, Cookie, Origin")


class LastUsedTests(KeyFixtures):
    async def test_is_written_once_a_minute(self) -> None:
        await self.chat(self.api)
        first: Any = (await self.row(self.api)).last_used_at
        clear_caches()
        await self.chat(self.api)
        self.assertEqual((await self.row(self.api)).last_used_at, first)
        await self.change(self.api, last_used_at=first - timedelta(seconds=61))
        await self.chat(self.api)
        self.assertGreater((await self.row(self.api)).last_used_at, first)


class SecrecyTests(KeyFixtures):
    async def test_no_secret_stands_in_a_row_a_log_or_an_answer(self) -> None:
        with self.assertLogs(level="DEBUG") as logs:
            me = await self.api.get("/accounts/acme/me")
            with patch("accounts.api.views.describe", side_effect=RuntimeError("broken")):
                broken = await self.api.get("/accounts/acme/me")
            refused = await self.chat(ApiClient(UNKNOWN))
            rotated = await self.api.post("/accounts/acme/keys/rotate", {})
            await self.chat(self.api)
        new = rotated.json()["key"]
        rows = [vars(row) for row in await sync_to_async(rows_of)(ApiKey)]

        written = "\n".join([*logs.output, str(rows), str(me.body)])
        written += str(refused.body) + str(broken.body)
        self.assertIn("broken", written)
        for secret in (self.secret, new, UNKNOWN):
            self.assertNotIn(secret, written)
            self.assertNotIn(secret[20:52], written)
