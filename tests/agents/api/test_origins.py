"""Which other sites' pages may call an agent (promises 20 and 21)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from unittest import mock

from asgiref.sync import sync_to_async
from django.core.exceptions import ValidationError
from django.db import OperationalError
from django.test import TestCase, override_settings
from django.utils import timezone

from accounts.auth import visitor_tokens
from accounts.models import Account, AccountStatus, ApiKey, KeyKind
from accounts.tenancy.context import platform_context
from agents.api import origins
from agents.models import AgentInstance, InstanceStatus
from salient.api.problems.openai import RATE_HEADERS
from salient.ttl import clear_caches
from tests.support.api_client import Answer, ApiClient
from tests.support.database.stored import change_row
from tests.support.factories import make_instance
from tests.support.fixtures import AgentFixtures, counts, key_client

SHOP, EVIL = "https://shop.example", "https://evil.example"
ROUTES = (
    "chat",
    "stream",
    "history",
    "sessions",
    "visitors",
    "ag-ui",
    "ui-messages",
    "ui-messages/t/stream",
)


class OriginTests(AgentFixtures, TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.list(SHOP)

    def list(self, *listed: str, **fields: Any) -> None:
        change_row(self.instance, allowed_origins=list(listed), **fields)
        clear_caches()

    async def preflight(self, path: str, origin: str = SHOP, method: str = "POST") -> Answer:
        return await ApiClient().call(
            "OPTIONS",
            path,
            headers={
                "origin": origin,
                "access-control-request-method": method,
                "access-control-request-headers": "authorization, content-type",
            },
        )

    async def test_a_listed_origins_question_is_answered_without_a_key(self) -> None:
        for route in ROUTES:
            with self.subTest(route):
                answer = await self.preflight(self.path(route))
                self.assertEqual((answer.status, answer.body), (204, b""))
                self.assertEqual(answer.headers["access-control-allow-origin"], SHOP)
                self.assertIn("Authorization", answer.headers["access-control-allow-headers"])
                self.assertIn("Origin", answer.headers["vary"])
                self.assertNotIn("access-control-allow-credentials", answer.headers)

    async def test_the_methods_are_those_of_the_route(self) -> None:
        for route, methods in (("chat", "POST"), ("stream", "POST, GET"), ("history", "GET")):
            answer = await self.preflight(self.path(route))
            self.assertEqual(answer.headers["access-control-allow-methods"], methods)

    async def test_no_other_origin_reads_what_a_known_caller_is_answered(self) -> None:
        for origin in (
            EVIL,
            "null",
            "*",
            "https://shop.example.evil.example",
            "https://sub.shop.example",
            "http://shop.example",
            "https://shop.example:8443",
            "https://SHOP.example",
            "https://shop.example/",
            "https://shop.example.",
            "https://evil.example, https://shop.example",
        ):
            with self.subTest(origin):
                for body in ({"message": "x"}, {"message": ""}):
                    answer = await self.ask(origin, body=body)
                    self.assertIn(answer.status, {200, 400})
                    self.assertEqual(cors_headers(answer), {})
                    self.assertIn("Origin", answer.headers["vary"])

    async def ask(self, origin: str, *, body: Any = None, instance: str = "bot") -> Answer:
        path = self.path("chat", instance=instance)
        return await self.api.post(path, body or {"message": "x"}, headers={"origin": origin})

    async def test_null_and_star_in_the_list_open_nothing(self) -> None:
        await sync_to_async(self.list)("null", "*")
        for origin in ("null", "*", EVIL):
            self.assertEqual(cors_headers(await self.ask(origin)), {})
        for origin in ("null", "*"):
            self.assertEqual(cors_headers(await self.preflight(self.path("chat"), origin)), {})

    async def test_no_answer_to_a_stranger_tells_which_agents_there_are(self) -> None:
        """The answer is the same for an agent that lists the origin and for one that is missing."""
        await sync_to_async(make_instance)(self.account, "closed")
        wrong = ApiClient("sal_sk_wrong")
        for origin in (SHOP, EVIL, "null", "*", "nonsense"):
            for method in ("OPTIONS", "POST", "PUT", "GET"):
                answers = [
                    [
                        await self.preflight(path, origin),
                        await wrong.call(method, path, headers={"origin": origin}),
                        await ApiClient().call(method, path, headers={"origin": origin}),
                    ]
                    for path in (
                        self.path("chat"),
                        self.path("chat", instance="closed"),
                        self.path("chat", instance="nobody"),
                        self.path("chat", account="nobody"),
                        self.path("chat", instance="%00"),
                    )
                ]
                with self.subTest(f"{method} from {origin}"):
                    self.assertEqual(answers[1:], answers[:1] * 4)

    async def test_no_404_tells_which_agents_there_are(self) -> None:
        other = await sync_to_async(make_instance)(self.account, "other")
        held = await sync_to_async(key_client)(self.account, instance_ids=[other.pk])
        for origin in (SHOP, EVIL):
            hidden, nowhere = [
                await held.post(self.path("chat", instance=name), {}, headers={"origin": origin})
                for name in ("bot", "nobody")
            ]
            self.assertEqual(hidden.status, 404)
            self.assertEqual(hidden, nowhere)

    async def test_a_stranger_has_nothing_looked_up(self) -> None:
        with mock.patch.object(origins, "origins_of") as looked:
            await self.preflight(self.path("chat"))
            await ApiClient("sal_sk_wrong").post(
                self.path("chat"), {"message": "hello"}, headers={"origin": SHOP}
            )
        looked.assert_not_called()

    async def test_an_answer_may_be_read_with_its_limits(self) -> None:
        answer = await self.api.post(
            self.path("chat"), {"message": "hello"}, headers={"origin": SHOP}
        )
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.headers["access-control-allow-origin"], SHOP)
        exposed = answer.headers["access-control-expose-headers"]
        for name in ("RateLimit", "RateLimit-Policy", "Retry-After", *RATE_HEADERS):
            self.assertIn(name, exposed)

    async def test_a_stream_may_be_read_by_a_bearer(self) -> None:
        for method in ("GET", "POST"):
            answer = await self.api.call(
                method,
                self.path("stream"),
                raw=b'{"message": "hello"}' if method == "POST" else b"",
                query={"message": "hello"} if method == "GET" else None,
                headers={"origin": SHOP},
            )
            self.assertEqual(answer.headers["access-control-allow-origin"], SHOP)
            self.assertEqual(answer.events()[-1][0], "done")

    @override_settings(MAX_BODY_BYTES=100)
    async def test_errors_may_be_read_too(self) -> None:
        path, body = self.path("chat"), b'{"message": "hello"}'
        cases = {
            401: ApiClient("sal_sk_wrong").call("POST", path, raw=body, headers={"origin": SHOP}),
            400: self.api.call("POST", path, raw=b"{", headers={"origin": SHOP}),
            405: self.api.call("PUT", path, headers={"origin": SHOP}),
            413: self.api.call("POST", path, raw=b"x" * 101, headers={"origin": SHOP}),
        }
        for status, call in cases.items():
            with self.subTest(status):
                answer = await call
                self.assertEqual(answer.status, status)
                self.assertEqual(answer.headers["access-control-allow-origin"], SHOP)
                self.assertIn("Origin", answer.headers["vary"])

    async def test_a_cookie_never_crosses_origins(self) -> None:
        cookie = await sync_to_async(self.visitor_cookie)()
        for method, what in (("POST", "chat"), ("GET", "stream"), ("GET", "history")):
            for more in ({"origin": SHOP}, {"origin": SHOP, "sec-fetch-site": "cross-site"}):
                answer = await ApiClient().call(
                    method,
                    self.path(what),
                    raw=b'{"message": "hello"}',
                    query={"message": "hello"} if what == "stream" else None,
                    headers={"cookie": cookie, **more},
                )
                self.assertEqual((answer.status, answer.json()["code"]), (403, "forbidden"))
        self.assertEqual(await sync_to_async(counts)(), (0, 0, 0))

    def visitor_cookie(self) -> str:
        response = mock.Mock()
        visitor_tokens.set_cookie(response, "acme", "bot")
        name, value = response.set_cookie.call_args.args
        return f"{name}={value}"

    async def test_routes_of_the_account_open_to_no_page(self) -> None:
        for path in ("/accounts/acme/agents", "/accounts/acme/connections", "/healthz"):
            with self.subTest(path):
                preflight = await self.preflight(path)
                answer = await self.api.call("GET", path, headers={"origin": SHOP})
                self.assertEqual((cors_headers(preflight), cors_headers(answer)), ({}, {}))

    async def test_without_an_origin_nothing_is_looked_up(self) -> None:
        with mock.patch.object(origins, "origins_of") as looked:
            await self.api.post(self.path("chat"), {"message": "hello"})
        looked.assert_not_called()

    async def test_when_the_database_is_away_no_origin_is_let_in(self) -> None:
        with (
            mock.patch.object(origins, "origins_of", side_effect=OperationalError("away")),
            self.assertLogs("agents.api.origins", "ERROR"),
        ):
            answer = await self.ask(SHOP)
        self.assertEqual((answer.status, cors_headers(answer)), (200, {}))

    def test_an_inactive_agent_and_a_suspended_account_list_nothing(self) -> None:
        self.list(SHOP, status=InstanceStatus.INACTIVE)
        self.assertEqual(origins.origins_of("acme", "bot"), set())
        self.list(SHOP, status=InstanceStatus.ACTIVE)
        self.assertEqual(origins.origins_of("acme", "bot"), {SHOP})
        Account.objects.filter(pk=self.account.pk).update(status=AccountStatus.SUSPENDED)
        self.assertEqual(origins.origins_of("acme", "bot"), set())

    def test_what_a_web_key_lists_counts_while_it_works(self) -> None:
        with platform_context():
            key = ApiKey.objects.create(
                account=self.account,
                name="web",
                key_id="a" * 12,
                secret_hash="0" * 64,
                kind=KeyKind.PUBLISHABLE,
                scopes=["visitors:write"],
                origins=["https://web.example"],
                instance_ids=[self.instance.pk],
            )
        self.assertEqual(origins.origins_of("acme", "bot"), {SHOP, "https://web.example"})
        for fields in (
            {"revoked_at": timezone.now()},
            {"revoked_at": None, "expires_at": timezone.now() - timedelta(seconds=1)},
        ):
            change_row(key, **fields)
            self.assertEqual(origins.origins_of("acme", "bot"), {SHOP})

    def test_an_instance_lists_origins_only_as_browsers_write_them(self) -> None:
        for text in ("*", "null", "shop.example", "https://shop.example/", "https://Shop.example"):
            with self.subTest(text), self.assertRaises(ValidationError):
                AgentInstance(allowed_origins=[text]).clean_fields(exclude=["account"])


def cors_headers(answer: Answer) -> dict[str, str]:
    return {k: v for k, v in answer.headers.items() if k.startswith("access-control-")}
