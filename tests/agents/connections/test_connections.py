"""An account's own model servers: who may write their keys, and that nobody reads them."""

from __future__ import annotations

import json
from functools import partial
from typing import Any
from unittest import mock
from urllib.parse import quote
from uuid import UUID

import msgspec
from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.management import CommandError
from django.test import SimpleTestCase, TestCase, override_settings

from accounts.tenancy import resealing
from accounts.tenancy.context import platform_context, tenant_context
from agents.connections import connections
from agents.models import ProviderConnection
from agents.runtime.providers import clients, known_provider, model_problem
from agents.runtime.providers.base import finish_reason
from agents.runtime.providers.connections import Connection
from agents.runtime.providers.openai.usage import UsageReading
from agents.runtime.providers.refusals import redacted
from agents.runtime.run import RunRequest
from salient.api.problems import Invalid, NotFound
from salient.security.ssrf import safe_session
from salient.ttl import clear_caches
from tests.support.api_client import ApiClient
from tests.support.commands import run_json
from tests.support.database.stored import change_all, row_of
from tests.support.factories import make_account, make_key
from tests.support.fixtures import AgentFixtures, stored
from tests.support.servers.mock_openai import MockOpenAI, Reply, error

KEY = "sk-canary-0123456789abcdef"
URL = "https://models.example.com/v1"


def row(name: str = "own") -> ProviderConnection:
    return row_of(ProviderConnection, name=name)


def opened(account_id: UUID, model: str = "connection/own:m") -> dict[str, Connection]:
    clear_caches()
    with tenant_context(account_id):
        return connections.connections_for(account_id, [model])


class KeyTests(TestCase):
    def setUp(self) -> None:
        self.account = make_account("acme")

    def make(self, **fields: Any) -> ProviderConnection:
        values = {"name": "own", "base_url": URL, "key": KEY} | fields
        return connections.create_connection(self.account.pk, **values)

    def change(self, **fields: Any) -> ProviderConnection:
        return connections.change_connection(self.account.pk, "own", **fields)

    def key(self) -> str | None:
        found = opened(self.account.pk).get("own")
        return found.key if found else None

    def test_the_key_is_sealed_in_the_row_and_open_in_a_run_only(self) -> None:
        self.make()

        stands = row()
        self.assertNotIn("canary", json.dumps(vars(stands), default=str))
        self.assertEqual(stands.secret_hint, "cdef")
        self.assertEqual(self.key(), KEY)

    def test_nothing_that_holds_the_key_shows_it(self) -> None:
        made = self.make()
        found = opened(self.account.pk)
        request = RunRequest(("connection/own:m",), "", (), connections=found)

        for thing in (made, found, found["own"], request):
            with self.subTest(type(thing)):
                self.assertNotIn("canary", f"{thing!r} {thing}")

    def test_another_origin_clears_the_key(self) -> None:
        for place in (
            "https://evil.example.com/v1",
            "https://models.example.com:8443/v1",
            "https://models.example.com.evil.example.com/v1",
        ):
            with self.subTest(place), override_settings(OUTBOUND_PORTS=[8443]):
                self.make()
                changed = self.change(base_url=place)
                self.assertEqual((changed.secret, changed.secret_hint), ("", ""))
                self.assertEqual(self.key(), "")
                connections.delete_connection(self.account.pk, "own")

    @override_settings(OUTBOUND_TRUSTED_HOSTS=["models.example.com:443"])
    def test_another_scheme_clears_the_key(self) -> None:
        self.make()
        self.change(base_url="http://models.example.com:443/v1")

        self.assertEqual(self.key(), "")

    def test_another_path_of_the_same_origin_keeps_the_key(self) -> None:
        self.make()
        for path in ("https://models.example.com/v2", "https://MODELS.example.com:443/v2/"):
            self.assertEqual(self.change(base_url=path).base_url, "https://models.example.com/v2")
            self.assertEqual(self.key(), KEY)

    def test_a_new_key_may_come_with_a_new_address(self) -> None:
        self.make()
        self.change(base_url="https://other.example.com", key="another-long-key-1234")

        self.assertEqual(self.key(), "another-long-key-1234")

    def test_an_empty_key_removes_it(self) -> None:
        self.make()
        changed = self.change(key="")

        self.assertEqual((changed.secret, changed.secret_hint, self.key()), ("", "", ""))

    def test_a_row_whose_address_was_edited_by_hand_opens_nothing(self) -> None:
        self.make()
        change_all(
            ProviderConnection,
            base_url="https://evil.example.com",
            secret_host="https://evil.example.com:443",
        )
        with self.assertLogs("agents.connections.connections", "ERROR"):
            self.assertIsNone(self.key())

    def test_a_secret_that_was_copied_to_another_account_opens_nothing(self) -> None:
        self.make()
        beta = make_account("beta")
        connections.create_connection(beta.pk, name="own", base_url=URL, key="beta's-own-key-12345")
        with platform_context():
            ProviderConnection.objects.filter(account=beta).update(
                secret=ProviderConnection.objects.get(account=self.account).secret
            )
        with self.assertLogs("agents.connections.connections", "ERROR") as logs:
            self.assertEqual(opened(beta.pk), {})
        self.assertNotIn("canary", str(logs.output))

    def test_an_account_sees_its_own_connections_only(self) -> None:
        self.make()
        beta = make_account("beta")

        self.assertEqual(connections.connections_of(beta.pk), [])
        self.assertEqual(opened(beta.pk), {})
        for change in (
            lambda: connections.change_connection(beta.pk, "own", key="x"),
            lambda: connections.delete_connection(beta.pk, "own"),
        ):
            with self.assertRaises(NotFound):
                change()
        self.assertEqual(self.key(), KEY)

    def test_short_keys_have_no_hint(self) -> None:
        self.assertEqual(self.make(key="short-key").secret_hint, "")

    def test_white_space_around_a_key_is_no_part_of_it(self) -> None:
        for key in (f"{KEY}\n", f"{KEY}\r\n", f" \t{KEY} ", f"\n{KEY}"):
            with self.subTest(key):
                self.make(name="own", key=key)
                self.assertEqual(self.key(), KEY)
                with tenant_context(self.account.pk):
                    ProviderConnection.objects.all().delete()
        self.assertEqual(self.make(key=" \n").secret, "")

    def test_a_key_that_would_break_a_header_is_refused(self) -> None:
        for key in ("a\r\nX-Evil: 1", "a b", "\x00", "schlüssel", "a" * 5000, "\x7f"):
            with self.subTest(key), self.assertRaises(Invalid) as caught:
                self.make(key=key)
            self.assertNotIn(key, caught.exception.detail)

    def test_addresses_that_no_tenant_may_use_are_refused_at_once(self) -> None:
        for place in (
            "http://models.example.com",
            "https://127.0.0.1",
            "https://localhost",
            "https://user:pass@models.example.com",
            "https://models.example.com:22",
            "https://models.example.com?x=1",
        ):
            with self.subTest(place), self.assertRaises(Invalid):
                self.make(base_url=place)

    def test_a_name_is_a_slug_that_fits_and_stands_once(self) -> None:
        for name in ("", "Own", "a b", "a" * 40, "a/b", "own\n"):
            with self.subTest(name), self.assertRaises(Invalid):
                self.make(name=name)
        self.make()
        with self.assertRaises(connections.ConnectionExists):
            self.make()

    def test_there_is_a_limit_to_their_number(self) -> None:
        with mock.patch.object(connections, "MOST_CONNECTIONS", 1):
            self.make()
            with self.assertRaises(Invalid):
                self.make(name="second")


class RotationTests(TestCase):
    OLD, NEW = "old-" * 12, "new-" * 12

    def setUp(self) -> None:
        self.account = make_account("acme")
        with self.settings(SECRET_ENCRYPTION_KEYS=[self.OLD]):
            connections.create_connection(self.account.pk, name="own", base_url=URL, key=KEY)
        connections.create_connection(self.account.pk, name="keyless", base_url=URL)

    def rotate(self, *arguments: str) -> Any:
        return run_json("rotate_secrets", *arguments)

    @override_settings(SECRET_ENCRYPTION_KEYS=[NEW, OLD])
    def test_every_secret_is_sealed_under_the_first_key(self) -> None:
        self.assertEqual(self.rotate()["resealed"], 1)
        self.assertEqual((again := self.rotate())["resealed"], 0)
        self.assertEqual(again["current"], 1)

        with self.settings(SECRET_ENCRYPTION_KEYS=[self.NEW]):
            self.assertEqual(opened(self.account.pk)["own"].key, KEY)

    @override_settings(SECRET_ENCRYPTION_KEYS=[NEW, OLD])
    def test_a_dry_run_changes_nothing(self) -> None:
        before = row().secret
        self.assertEqual(self.rotate("--dry-run")["resealed"], 1)

        self.assertEqual(row().secret, before)

    @override_settings(SECRET_ENCRYPTION_KEYS=[NEW])
    def test_what_no_key_opens_is_named_and_left_alone(self) -> None:
        before = row().secret
        with self.assertRaisesRegex(CommandError, f"{self.account.pk}/own"):
            self.rotate()

        self.assertEqual(row().secret, before)

    @override_settings(SECRET_ENCRYPTION_KEYS=[NEW, OLD])
    def test_many_batches_are_one_rotation(self) -> None:
        with (
            mock.patch.object(resealing, "BATCH", 1),
            self.settings(SECRET_ENCRYPTION_KEYS=[self.OLD]),
        ):
            for number in range(3):
                connections.create_connection(
                    self.account.pk, name=f"c{number}", base_url=URL, key=KEY
                )
        with mock.patch.object(resealing, "BATCH", 1):
            self.assertEqual(self.rotate()["resealed"], 4)


class NameTests(SimpleTestCase):
    def test_a_connection_is_written_so_that_no_provider_can_be_meant(self) -> None:
        self.assertTrue(known_provider("connection/own"))
        self.assertIsNone(model_problem("connection/own:gpt-5"))
        for name in ("connection/", "connection/Own", "connection/a/b", "connection/" + "a" * 40):
            with self.subTest(name):
                self.assertFalse(known_provider(name))
                self.assertIn("connection/NAME", model_problem(f"{name}:m") or "")

    def test_a_key_that_a_server_echoes_at_any_place_is_not_logged(self) -> None:
        for before in (0, 1990, 1995, 2000):
            with self.subTest(before):
                shown = redacted(" " * before + KEY, KEY)
                self.assertEqual(shown, "[key]" if before < 1996 else shown)
                self.assertNotIn("canary", shown)

    def test_a_key_is_known_in_the_spellings_of_json_and_urls(self) -> None:
        key = 'can/ary"+key\\=='
        for echoed in (key, json.dumps(key), json.dumps(key).replace("/", "\\/"), quote(key, "")):
            with self.subTest(echoed):
                self.assertIn("[key]", redacted(f"wrong: {echoed}", key))
                self.assertNotIn("ary", redacted(f"wrong: {echoed}", key))

    def test_what_a_server_counts_cannot_break_the_books(self) -> None:
        usage = UsageReading()
        usage.add(
            msgspec.Raw(
                b'{"prompt_tokens": 100000000000000000, "completion_tokens": -4, "cost": 1e30,'
                b' "prompt_tokens_details": {"cached_tokens": 999999999999}}'
            )
        )
        self.assertIsNone(usage.result("1e30"))
        self.assertEqual(finish_reason("\x00" * 9), "other")


class ApiTests(AgentFixtures, TestCase):
    PATH = "/accounts/acme/connections"

    async def make(self, **fields: Any) -> Any:
        body = {"name": "own", "base_url": URL, "key": KEY} | fields
        return await self.api.post(self.PATH, body)

    async def test_a_connection_is_made_listed_changed_and_deleted(self) -> None:
        made = await self.make()
        self.assertEqual(made.status, 201)
        self.assertEqual(
            {k: v for k, v in made.json().items() if k != "id" and not k.endswith("_at")},
            {"name": "own", "base_url": URL, "has_key": True, "key_hint": "cdef"},
        )
        moved = {"base_url": "https://other.example.com"}
        changed = await self.api.call("PATCH", f"{self.PATH}/own", raw=json.dumps(moved).encode())
        self.assertEqual((changed.status, changed.json()["has_key"]), (200, False))
        listed = await self.api.get(self.PATH)
        self.assertEqual([c["base_url"] for c in listed.json()["connections"]], [moved["base_url"]])
        gone = await self.api.call("DELETE", f"{self.PATH}/own")
        self.assertEqual((gone.status, gone.body), (204, b""))
        self.assertEqual((await self.api.get(self.PATH)).json()["data"], [])
        again = await self.api.call("DELETE", f"{self.PATH}/own")
        self.assertEqual(again.status, 404)

    async def test_no_answer_holds_the_key(self) -> None:
        answers = [
            await self.make(),
            await self.make(),
            await self.make(name="Bad Name"),
            await self.make(name="b", base_url="https://x/"),
            await self.make(name="b", key=KEY + "\r\nX: y"),
            await self.make(name="b", key=[KEY]),
            await self.make(name="b", other=KEY),
            await self.api.get(self.PATH),
            await self.api.call("PATCH", f"{self.PATH}/own", raw=f'{{"key": "{KEY}"}}'.encode()),
        ]
        self.assertEqual([a.status for a in answers], [201, 409, 400, 400, 400, 400, 400, 200, 200])
        for answer in answers:
            self.assertNotIn(b"canary", answer.body)
            self.assertNotIn("canary", str(answer.headers))

    async def test_reading_and_writing_need_their_scopes(self) -> None:
        _, reader = await sync_to_async(make_key)(self.account, scopes=["connections:read"])
        _, writer = await sync_to_async(make_key)(self.account, scopes=["connections:write"])
        _, other = await sync_to_async(make_key)(self.account, scopes=["chat"])
        for key, expected in ((reader, [200, 403]), (writer, [403, 201]), (other, [403, 403])):
            api = ApiClient(key)
            listed = await api.get(self.PATH)
            made = await api.post(self.PATH, {"name": "own", "base_url": URL})
            self.assertEqual([listed.status, made.status], expected)

    async def test_another_method_is_refused_with_those_that_there_are(self) -> None:
        answer = await self.api.call("PUT", self.PATH)

        allowed = "GET, POST, HEAD, OPTIONS"
        self.assertEqual((answer.status, answer.headers["allow"]), (405, allowed))
        self.assertEqual(answer.headers["cache-control"], "no-store, private")

    async def test_another_accounts_connections_are_not_there(self) -> None:
        beta = await sync_to_async(make_account)("beta")
        await sync_to_async(connections.create_connection)(
            beta.pk, name="own", base_url=URL, key=KEY
        )
        self.assertEqual((await self.api.get(self.PATH)).json()["data"], [])
        for answer in (
            await self.api.call("DELETE", f"{self.PATH}/own"),
            await self.api.call("DELETE", f"{self.PATH}/nothing"),
            await self.api.call("DELETE", "/accounts/beta/connections/own"),
            await self.api.call("DELETE", "/accounts/nobody/connections/own"),
        ):
            self.assertEqual(answer.status, 404)
        self.assertEqual((await sync_to_async(row)()).account_id, beta.pk)


class TurnTests(AgentFixtures, TestCase):
    """A turn whose model is on the account's own server."""

    config = "model: connection/own:test-model\nretries: 0\n"

    async def connect(self, server: MockOpenAI, **fields: Any) -> None:
        values = {"name": "own", "base_url": server.base_url, "key": KEY} | fields
        await sync_to_async(connections.create_connection)(self.account.pk, **values)

    def trusting(self, server: MockOpenAI) -> override_settings:
        return override_settings(
            OUTBOUND_TRUSTED_HOSTS=[server.base_url.removeprefix("http://").removesuffix("/v1")]
        )

    async def chat(self) -> Any:
        return await self.api.post(self.path("chat"), {"message": "hello"})

    async def test_the_accounts_own_server_answers_with_its_own_key(self) -> None:
        async with MockOpenAI() as server:
            with self.trusting(server):
                await self.connect(server)
                server.replies.append(Reply("From your own server."))
                answer = await self.chat()

        body = answer.json()
        self.assertEqual(body["response"], "From your own server.")
        self.assertEqual(body["model"], "connection/own:test-model")
        self.assertEqual(body["cost"]["source"], "unknown")
        self.assertEqual(server.requests[0].headers["Authorization"], f"Bearer {KEY}")
        self.assertNotIn("canary", answer.body.decode())
        _, [request] = await sync_to_async(stored)()
        self.assertEqual((request.provider, request.model), ("connection/own", "test-model"))
        self.assertNotIn("canary", json.dumps(vars(request), default=str))

    async def test_the_documented_model_answers_at_openai(self) -> None:
        self.configure("model: connection/own:gpt-5-mini\nmax_tokens: 50\nretries: 0\n")
        async with MockOpenAI() as server:
            with self.trusting(server):
                await self.connect(server)
                server.replies.append(
                    error(
                        400, "Unsupported parameter: 'max_tokens' is not supported with this model."
                    )
                )
                answer = await self.chat()

        self.assertEqual((answer.status, answer.json()["status"]), (200, "complete"))
        self.assertEqual(server.requests[1].body["max_completion_tokens"], 50)

    async def test_a_connection_that_is_not_there_is_a_fault_of_the_agents_owner(self) -> None:
        with self.assertLogs("agents.config.versions.current", "ERROR"):
            answer = await self.chat()

        self.assertEqual((answer.status, answer.json()["code"]), (503, "agent_misconfigured"))
        [message], [request] = await sync_to_async(stored)()
        self.assertEqual(message.content, "hello")
        self.assertEqual(
            (request.completion_status, request.error_code), ("error", "agent_misconfigured")
        )
        self.assertEqual((request.provider, request.charged_cost), ("connection/own", 0))

    async def test_the_same_key_is_answered_once_the_connection_is_there(self) -> None:
        headers = {"Idempotency-Key": "k1"}
        with self.assertLogs("agents.config.versions.current", "ERROR"):
            failed = await self.api.post(self.path("chat"), {"message": "hello"}, headers=headers)
        async with MockOpenAI() as server:
            with self.trusting(server):
                await self.connect(server)
                server.replies.append(Reply("Now."))
                answer = await self.api.post(
                    self.path("chat"), {"message": "hello"}, headers=headers
                )

        self.assertEqual((failed.status, answer.status), (503, 200))

    async def test_calls_that_fail_so_are_limited_like_others(self) -> None:
        with (
            override_settings(DEFAULT_LIMITS=settings.DEFAULT_LIMITS | {"requests_per_minute": 1}),
            self.assertLogs("agents.config.versions.current", "ERROR"),
        ):
            answers = [(await self.chat()).status for _ in range(3)]

        self.assertEqual(answers, [503, 429, 429])

    async def test_another_accounts_connection_of_that_name_is_not_used(self) -> None:
        async with MockOpenAI() as server:
            with self.trusting(server):
                beta = await sync_to_async(make_account)("beta")
                await sync_to_async(connections.create_connection)(
                    beta.pk, name="own", base_url=server.base_url, key=KEY
                )
                with self.assertLogs("agents.config.versions.current", "ERROR"):
                    answer = await self.chat()

        self.assertEqual((answer.status, server.requests), (503, []))

    async def test_a_missing_fallback_does_not_stop_the_model_that_works(self) -> None:
        self.configure("model: scripted:echo\nfallback_models: [connection/own:m]\n")

        self.assertEqual((await self.chat()).status, 200)

    async def test_a_deleted_connection_is_forgotten_at_once_in_this_process(self) -> None:
        async with MockOpenAI() as server:
            with self.trusting(server):
                await self.connect(server)
                self.assertEqual((await self.chat()).status, 200)
                await sync_to_async(connections.delete_connection)(self.account.pk, "own")
                with self.assertLogs("agents.config.versions.current", "ERROR"):
                    answer = await self.chat()

        self.assertEqual(answer.status, 503)

    async def test_a_server_that_turns_out_to_be_inside_is_never_reached(self) -> None:
        async def leads_inside(host: str, port: int) -> list[str]:
            return ["127.0.0.1"]

        async with MockOpenAI() as server:
            port = int(server.base_url.rpartition(":")[2].removesuffix("/v1"))
            with (
                override_settings(OUTBOUND_PORTS=[port]),
                mock.patch.object(clients, "safe_session", partial(safe_session, leads_inside)),
            ):
                await self.connect(server, base_url=f"https://models.example.com:{port}/v1")
                answer = await self.chat()

        self.assertEqual((answer.status, answer.json()["code"]), (502, "provider_unavailable"))
        self.assertEqual(server.requests, [])

    async def test_an_address_that_is_no_longer_allowed_is_refused_at_the_call(self) -> None:
        async with MockOpenAI() as server:
            with self.trusting(server):
                await self.connect(server)
            with self.assertLogs("agents", "ERROR"):
                answer = await self.chat()

        self.assertEqual((answer.status, server.requests), (503, []))

    async def test_a_redirect_is_not_followed_and_carries_no_key_away(self) -> None:
        async with MockOpenAI() as server, MockOpenAI(provider="other") as elsewhere:
            with self.trusting(server):
                await self.connect(server)
                server.replies.append(
                    Reply(status=307, body=b"", headers={"Location": elsewhere.base_url})
                )
                answer = await self.chat()

        self.assertEqual((answer.status, elsewhere.requests), (502, []))

    async def test_what_a_server_echoes_reaches_neither_caller_log_nor_row(self) -> None:
        async with MockOpenAI() as server:
            with self.trusting(server):
                await self.connect(server)
                server.replies.append(error(401, f"wrong key {KEY} Bearer {KEY}"))
                with self.assertLogs("", "DEBUG") as logs:
                    answer = await self.chat()

        self.assertEqual(answer.json()["code"], "provider_auth")
        self.assertNotIn("canary", answer.body.decode())
        self.assertNotIn("canary", str(logs.output))
        _, [request] = await sync_to_async(stored)()
        self.assertNotIn("canary", json.dumps(vars(request), default=str))

    async def test_a_server_that_lies_about_itself_is_settled_all_the_same(self) -> None:
        wild = {"prompt_tokens": 10**17, "completion_tokens": -1, "cost": 10**20}
        async with MockOpenAI() as server:
            with self.trusting(server):
                await self.connect(server)
                server.replies.append(Reply("Hi.", usage=wild))
                answer = await self.chat()

        self.assertEqual(answer.status, 200)
        _, [request] = await sync_to_async(stored)()
        self.assertEqual((request.completion_status, request.tokens_estimated), ("complete", True))
        self.assertIsNone(request.total_cost)
