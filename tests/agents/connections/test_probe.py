"""The test of a model connection: what was reached, or what is wrong and how to correct it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from unittest import mock
from uuid import uuid4

from aiohttp import web
from asgiref.sync import sync_to_async
from django.test import SimpleTestCase, TestCase, override_settings
from django.urls import reverse

from accounts.tenancy.context import platform_context
from agents.connections import probe
from agents.connections.connections import create_connection, move, set_key
from agents.connections.probe import ProbeResult, probe_connection
from agents.models import ProviderConnection
from salient.security.ssrf import Limits, safe_fetch
from tests.support.factories import make_account, make_connection, make_user
from tests.support.people import make_root

KEY = "sk-canary-0123456789abcdef"
MODELS = {"object": "list", "data": [{"id": "canary-model"}, {"id": "other"}]}


class Server:
    """A model server on a loopback port that the operator has listed."""

    def __init__(self) -> None:
        self.answer: Any = MODELS
        self.fields: dict[str, Any] = {}
        self.delay = 0.0
        self.requests: list[tuple[str, str | None]] = []

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append((request.path, request.headers.get("Authorization")))
        await asyncio.sleep(self.delay)
        if isinstance(self.answer, str):
            return web.Response(text=self.answer, **self.fields)
        return web.json_response(self.answer, **self.fields)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        runner = web.ServerRunner(web.Server(self), shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        place = f"127.0.0.1:{runner.addresses[0][1]}"
        try:
            with override_settings(OUTBOUND_TRUSTED_HOSTS=[place]):
                yield f"http://{place}/v1"
        finally:
            await runner.cleanup()


def connection(base_url: str, key: str = KEY) -> ProviderConnection:
    made = ProviderConnection(pk=uuid4(), account_id=uuid4(), name="own")
    move(made, base_url)
    set_key(made, key)
    return made


class TrialTests(SimpleTestCase):
    async def tried(
        self, answer: Any = MODELS, key: str = KEY, delay: float = 0.0, **fields: Any
    ) -> ProbeResult:
        server = Server()
        server.answer, server.delay, server.fields = answer, delay, fields
        async with server.running() as url:
            result = await sync_to_async(probe_connection)(connection(url, key))
        self.assertEqual([path for path, _ in server.requests], ["/v1/models"])
        return result

    async def test_a_server_that_works_is_reported_with_its_time_and_models(self) -> None:
        result = await self.tried()

        self.assertTrue(result.is_good)
        self.assertRegex(
            str(result),
            r"^127\.0\.0\.1:\d+ was reached in \d+ ms, "
            "accepted the key and lists 2 models",
        )

    async def test_the_stored_key_is_sent_and_none_where_there_is_none(self) -> None:
        server = Server()
        async with server.running() as url:
            await sync_to_async(probe_connection)(connection(url))
            result = await sync_to_async(probe_connection)(connection(url, ""))
        self.assertEqual([sent for _, sent in server.requests], [f"Bearer {KEY}", None])
        self.assertIn("needs no key", result.text)

    async def test_what_the_server_says_is_mapped_and_never_repeated(self) -> None:
        echo = {"error": {"message": f"canary: no such key {KEY}"}}
        for status, answer, key, message in (
            (401, echo, KEY, "did not accept the key"),
            (403, echo, KEY, "did not accept the key"),
            (401, echo, "", "needs a key, but none is stored"),
            (404, echo, KEY, "has no list of models at this address"),
            (429, echo, KEY, "accepts no more calls"),
            (503, echo, KEY, "has an internal error"),
            (400, echo, KEY, "did not accept the request"),
            (307, echo, KEY, "did not answer as OpenAI's API does"),
            (200, echo, KEY, "did not answer as OpenAI's API does"),
            (200, {"data": "canary"}, KEY, "did not answer as OpenAI's API does"),
            (200, "<html>canary", KEY, "did not answer as OpenAI's API does"),
        ):
            with self.subTest(message, status=status):
                headers = {"Location": "https://canary.example/"}
                with self.assertLogs("agents.runtime", "WARNING") as logs:
                    result = await self.tried(answer, key, status=status, headers=headers)
                self.assertFalse(result.is_good)
                self.assertRegex(result.text, rf"was reached in \d+ ms and {message}")
                self.assertNotIn("canary", str(result))
                self.assertNotIn(KEY, str(logs.output))

    async def test_a_server_that_does_not_answer_is_not_waited_for(self) -> None:
        with mock.patch.object(probe, "LIMITS", Limits(seconds=0.05)):
            result = await self.tried(delay=5)

        self.assertIn("did not answer within", result.text)

    async def test_an_answer_without_an_end_is_not_read(self) -> None:
        with mock.patch.object(probe, "LIMITS", Limits(max_bytes=10)):
            result = await self.tried()

        self.assertIn("sent more than a list of models", result.text)

    async def test_a_port_on_which_nobody_listens(self) -> None:
        async with Server().running() as url:
            row = connection(url)
        with override_settings(OUTBOUND_TRUSTED_HOSTS=[url.removeprefix("http://")[:-3]]):
            result = await sync_to_async(probe_connection)(row)

        self.assertIn("was not reached", result.text)

    async def test_an_address_that_leads_inside_is_refused_before_anything_is_sent(self) -> None:
        async def inside(_host: str, _port: int) -> list[str]:
            return ["127.0.0.1"]

        fetch = partial(safe_fetch, lookup=inside)
        with mock.patch.object(probe, "safe_fetch", fetch):
            result = await sync_to_async(probe_connection)(
                connection("https://models.example.com/v1")
            )

        self.assertIn("leads to an address that is not public", result.text)

    def test_an_address_or_a_key_that_is_no_longer_good_is_reported(self) -> None:
        row = connection("https://models.example.com/v1")
        row.base_url = "https://127.0.0.1/v1"
        self.assertIn("The address is refused", probe_connection(row).text)
        row.secret, row.secret_host = "", ""
        self.assertIn("The address is refused", probe_connection(row).text)
        row = connection("https://models.example.com/v1")
        row.pk = uuid4()
        self.assertIn("The stored key cannot be opened", probe_connection(row).text)


@override_settings(SECURE_SSL_REDIRECT=False)
class PageTests(TestCase):
    def setUp(self) -> None:
        self.root = make_root()
        self.account = make_account("acme")

    async def test_the_button_says_what_was_reached_on_the_connections_page(self) -> None:
        await self.async_client.aforce_login(self.root)
        async with Server().running() as url:
            row = await sync_to_async(create_connection)(
                self.account.pk, name="own", base_url=url, key=KEY
            )
            page = reverse("admin:agents_providerconnection_change", args=[row.pk])
            before = await self.async_client.get(page)
            self.assertContains(before, "Test this connection")
            answer = await self.async_client.post(
                reverse("admin:connection-test", args=[row.pk]), follow=True
            )
        self.assertContains(answer, "accepted the key and lists 2 models")
        self.assertNotContains(answer, "canary")

    def test_who_may_not_change_it_has_no_button_and_no_test(self) -> None:
        row = make_connection(self.account, base_url="https://127.0.0.1/v1")
        page = reverse("admin:agents_providerconnection_change", args=[row.pk])
        test = reverse("admin:connection-test", args=[row.pk])
        self.client.force_login(make_user(is_staff=True, is_auditor=True))
        self.assertNotContains(self.client.get(page), "Test this connection")
        self.assertEqual(self.client.post(test).status_code, 403)

    def test_it_changes_nothing_and_no_link_starts_it(self) -> None:
        self.client.force_login(self.root)
        row = make_connection(self.account, base_url="https://127.0.0.1/v1")
        test = reverse("admin:connection-test", args=[row.pk])
        self.assertEqual(self.client.get(test).status_code, 405)
        with platform_context():
            before = ProviderConnection.objects.values().get()
        self.assertContains(self.client.post(test, follow=True), "The address is refused")
        with platform_context():
            self.assertEqual(ProviderConnection.objects.values().get(), before)
        gone = reverse("admin:connection-test", args=[uuid4()])
        self.assertEqual(self.client.post(gone).status_code, 404)
