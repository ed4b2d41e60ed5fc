"""Request limits: bodies are bounded in size and time, and answers have their headers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from typing import Any
from unittest import mock

from asgiref.sync import sync_to_async
from django.test import SimpleTestCase, TestCase, override_settings

from accounts.models import ApiKey
from salient.api import limits
from salient.api.limits import Send
from salient.api.problems import BodyTooLarge
from salient.asgi import application
from tests.support.api_client import Answer, ApiClient, Call, connections_stay_open
from tests.support.factories import make_account, make_key
from tests.support.fixtures import AgentFixtures, counts, stored


class Client:
    """An ASGI client: sends a body in parts and reads as slowly as the test wants."""

    def __init__(self, method: str, path: str, **headers: str) -> None:
        self.scope = Call(ApiClient(headers=headers), method, path).scope | {"scheme": "https"}
        self.to_app: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
        self.sent: list[Mapping[str, Any]] = []
        self.read = 0

    def part(self, body: bytes, *, more: bool = True) -> None:
        self.to_app.put_nowait({"type": "http.request", "body": body, "more_body": more})

    async def receive(self) -> Mapping[str, Any]:
        message = await self.to_app.get()
        self.read += len(message.get("body", b""))
        return message

    async def send(self, message: Mapping[str, Any]) -> None:
        self.sent.append(message)

    async def run(self, send: Send | None = None) -> Answer:
        with connections_stay_open():
            async with asyncio.timeout(20):
                await application(self.scope, self.receive, send or self.send)
        return self.answer()

    def answer(self) -> Answer:
        start, *parts = self.sent
        headers = {k.decode().lower(): v.decode() for k, v in start["headers"]}
        return Answer(start["status"], headers, b"".join(part["body"] for part in parts))


API, PAGE = "/accounts/acme/agents/bot/chat", "/admin/login/"


@override_settings(MAX_BODY_BYTES=1000, MAX_PAGE_BODY_BYTES=1000)
class BodyTests(SimpleTestCase):
    async def test_an_announced_length_beyond_the_limit_is_refused_unread(self) -> None:
        for path in (API, PAGE):
            with self.subTest(path):
                client = Client("POST", path, **{"content-length": "1001"})
                client.part(b"x" * 10)
                answer = await client.run()
                self.assertEqual((answer.status, answer.json()["code"]), (413, "body_too_large"))
                self.assertEqual(client.read, 0)

    async def test_a_browser_gets_a_page(self) -> None:
        client = Client("POST", PAGE, **{"content-length": "1001", "accept": "text/html,*/*"})
        client.part(b"x" * 10)
        answer = await client.run()

        self.assertEqual((answer.status, answer.headers["content-type"][:9]), (413, "text/html"))
        self.assertIn("too large to be saved", answer.body.decode())
        self.assertIn("1000\xa0bytes", answer.body.decode())

    async def test_a_chunked_body_is_refused_as_soon_as_it_is_too_long(self) -> None:
        for path in (API, PAGE):
            with self.subTest(path):
                client = Client("POST", path)
                for _ in range(100):
                    client.part(b"x" * 400)
                answer = await client.run()
                self.assertEqual((answer.status, answer.json()["code"]), (413, "body_too_large"))
                self.assertEqual(client.read, 1200)

    async def test_a_length_that_lies_lets_no_more_in(self) -> None:
        for length in ("10", "0", "-5", "x", "9" * 30):
            with self.subTest(length):
                client = Client("POST", API, **{"content-length": length})
                for _ in range(4):
                    client.part(b"x" * 400)
                self.assertEqual((await client.run()).status, 413)
                self.assertLessEqual(client.read, 1200)

    async def test_a_body_of_exactly_the_limit_is_read(self) -> None:
        client = Client("POST", API)
        client.part(b"x" * 600)
        client.part(b"x" * 400, more=False)

        self.assertEqual((await client.run()).json()["code"], "unauthenticated")

    @override_settings(BODY_TIMEOUT_SECONDS=0.05)
    async def test_a_body_that_does_not_come_is_not_waited_for(self) -> None:
        for path in (API, PAGE):
            with self.subTest(path):
                client = Client("POST", path)
                client.part(b"{")
                answer = await client.run()
                self.assertEqual((answer.status, answer.json()["code"]), (408, "body_too_slow"))
                self.assertEqual(answer.headers["connection"], "close")

    @override_settings(BODY_TIMEOUT_SECONDS=0.05)
    async def test_a_body_that_trickles_has_no_more_time(self) -> None:
        client = Client("POST", API)

        async def trickle() -> None:
            while True:
                client.part(b"x")
                await asyncio.sleep(0.01)

        trickling = asyncio.create_task(trickle())
        try:
            answer = await client.run()
        finally:
            trickling.cancel()

        self.assertEqual(answer.status, 408)

    async def test_a_client_that_leaves_while_it_sends_costs_nothing(self) -> None:
        client = Client("POST", API)
        client.part(b"{")
        client.to_app.put_nowait({"type": "http.disconnect"})
        await application(client.scope, client.receive, client.send)

        self.assertEqual(client.sent, [])

    async def test_the_reader_counts_what_it_gives(self) -> None:
        async def endless() -> Mapping[str, Any]:
            return {"type": "http.request", "body": b"x" * 300, "more_body": True}

        reader = limits.BodyReader({}, endless, 1000)
        with self.assertRaises(BodyTooLarge):
            for _ in range(10):
                await reader()


class HeaderTests(TestCase):
    async def answer_to(self, path: str, method: str = "GET", **headers: str) -> Answer:
        client = Client(method, path, **headers)
        client.part(b"", more=False)
        return await client.run()

    async def test_every_answer_of_the_api_says_that_it_is_data(self) -> None:
        for path in ("/healthz", "/accounts/acme/nothing", "/accounts/acme/agents", API):
            with self.subTest(path):
                headers = (await self.answer_to(path)).headers
                self.assertEqual(headers["x-content-type-options"], "nosniff")
                self.assertEqual(headers["referrer-policy"], "no-referrer")
                self.assertIn("default-src 'none'", headers["content-security-policy"])
                self.assertIn("frame-ancestors 'none'", headers["content-security-policy"])

    @override_settings(SECURE_HSTS_SECONDS=600)
    async def test_with_https_every_answer_insists_on_it(self) -> None:
        headers = (await self.answer_to("/healthz")).headers
        self.assertTrue(headers["strict-transport-security"].startswith("max-age=600"))

    async def test_pages_are_closed_to_frames_sniffing_and_devices(self) -> None:
        headers = (await self.answer_to(PAGE)).headers

        self.assertEqual(headers["x-frame-options"], "DENY")
        self.assertEqual(headers["x-content-type-options"], "nosniff")
        self.assertEqual(headers["referrer-policy"], "same-origin")
        self.assertEqual(headers["cross-origin-opener-policy"], "same-origin")
        self.assertIn("camera=()", headers["permissions-policy"])
        policy = headers["content-security-policy"]
        for part in ("default-src 'self'", "object-src 'none'", "frame-ancestors 'none'",
                     "base-uri 'none'", "'nonce-"):  # fmt: skip
            self.assertIn(part, policy)
        self.assertNotIn("unsafe", policy)

    async def test_another_host_name_is_refused_except_where_balancers_ask(self) -> None:
        for host in ("evil.example", "", "localhost.evil.example", "localhost, evil.example"):
            for path in (API, PAGE):
                with self.subTest(f"{path} at {host}"), self.assertLogs(level="WARNING") as logs:
                    answer = await self.answer_to(path, host=host)
                self.assertEqual((answer.status, answer.json()["code"]), (400, "unknown_host"))
                self.assertEqual([record.exc_info for record in logs.records], [None])
        self.assertEqual((await self.answer_to("/healthz", host="10.0.0.1")).status, 200)


class MistypedTests(TestCase):
    """A path that no view serves is a problem that names the nearest route."""

    async def ask(self, path: str, method: str = "GET", **headers: str) -> Answer:
        client = Client(method, path, **headers)
        client.part(b"", more=False)
        return await client.run()

    async def test_it_names_the_nearest_route_for_whoever_asks(self) -> None:
        chat = "/accounts/x/agents/y/chat"
        for path, nearest in (
            (f"{chat}/", chat),
            ("/accounts/x/agent/y/chat", chat),
            ("/accounts/x/agents/y/chats", chat),
            ("/accounts/x/me/", "/accounts/x/me"),
            ("/accounts/x/usages", "/accounts/x/usage"),
            ("/v1/models", "/accounts/{account}/v1/models"),
            ("/v1", "/accounts/{account}/v1/models"),
            (f"/{chat}", chat),
            ("/accounts", "/accounts/{account}"),
            ("/ACCOUNTS/x/me", "/accounts/{account}/me"),
            ("/healthz/", "/healthz"),
            ("/Readyz", "/readyz"),
            ("/v1/chat/completions", "/accounts/{account}/v1/chat/completions"),
            ("/accounts/<b>/agent/y/chat", "/accounts/{account}/agents/y/chat"),
        ):
            for method in ("GET", "POST", "PUT"):
                with self.subTest(f"{method} {path}"):
                    answer = await self.ask(path, method)
                    problem = answer.json()
                    self.assertEqual((answer.status, problem["code"]), (404, "unknown_route"))
                    self.assertEqual(problem["nearest"], nearest)
                    self.assertEqual(answer.headers["content-type"], "application/problem+json")

    async def test_a_program_gets_a_problem_anywhere(self) -> None:
        for headers in ({"accept": "application/json"}, {"content-type": "application/json"}):
            for path, code in (
                ("/agents/y/chat", "unknown_route"),
                ("/nothing", "unknown_route"),
                ("/accounts/acme/invitations/nothing/", "not_found"),
            ):
                with self.subTest(f"{path} with {headers}"):
                    answer = await self.ask(path, **headers)
                    self.assertEqual((answer.status, answer.json()["code"]), (404, code))
                    self.assertEqual(answer.headers["content-type"], "application/problem+json")

    async def test_a_browser_gets_a_page(self) -> None:
        accept = {"accept": "text/html,application/json;q=0.1", "content-type": ""}
        for path in ("/nothing", "/accounts/acme/invitations/nothing/"):
            answer = await self.ask(path, **accept)
            self.assertEqual(answer.status, 404)
            self.assertTrue(answer.headers["content-type"].startswith("text/html"))

    async def test_only_what_is_read_is_led_to_its_slash(self) -> None:
        self.assertEqual((await self.ask("/login")).headers["location"], "/login/")
        with override_settings(DEBUG=True):
            self.assertEqual((await self.ask("/login", "POST")).status, 404)

    async def test_a_page_is_read_by_head_without_its_body(self) -> None:
        shown, head = await self.ask(PAGE), await self.ask(PAGE, "HEAD")
        self.assertEqual((head.status, head.body), (200, b""))
        self.assertEqual(head.headers["content-type"], shown.headers["content-type"])

    async def test_a_websocket_is_closed(self) -> None:
        client = Client("GET", API)
        await application({**client.scope, "type": "websocket"}, client.receive, client.send)
        self.assertEqual(client.sent, [{"type": "websocket.close"}])


@override_settings(SEND_TIMEOUT_SECONDS=0.1)
class SlowReaderTests(AgentFixtures, TestCase):
    """A reader that takes two events and then nothing more."""

    config = "model: scripted:echo?delay_ms=5\n"

    async def test_a_stalled_reader_is_cut_and_its_turn_is_settled(self) -> None:
        call = Call(self.api, "POST", self.path("stream"), raw=b'{"message": "hello"}')
        taken: list[bytes] = []

        async def stalls(message: Mapping[str, Any]) -> None:
            if len(taken) == 3:
                await asyncio.Event().wait()
            taken.append(message.get("body", b""))

        with mock.patch.object(call, "_receive", stalls):
            async with asyncio.timeout(10):
                await call.run()

        [_, partial], [request] = await sync_to_async(stored)()
        self.assertEqual(request.completion_status, "cancelled")
        self.assertTrue(partial.content.startswith("Hello!"))
        self.assertGreater(request.completion_tokens or 0, 0)

    @override_settings(STREAM_KEEP_ALIVE_SECONDS=0.02)
    async def test_nothing_comes_after_the_last_part_however_slowly_it_is_taken(self) -> None:
        call = Call(self.api, "POST", self.path("stream"), raw=b'{"message": "hello"}')
        sent: list[Mapping[str, Any]] = []

        async def takes_its_time(message: Mapping[str, Any]) -> None:
            sent.append(message)
            if b"event: done" in message.get("body", b""):
                await asyncio.sleep(0.06)

        with mock.patch.object(call, "_receive", takes_its_time):
            await call.run()

        self.assertFalse(sent[-1].get("more_body", False))
        self.assertIn(b"event: done", sent[-1]["body"])

    @override_settings(STREAM_KEEP_ALIVE_SECONDS=0.02)
    async def test_a_reader_that_stalls_at_a_heartbeat_is_cut_too(self) -> None:
        self.configure("model: scripted:echo?first_ms=60000\n")
        call = Call(self.api, "POST", self.path("stream"), raw=b'{"message": "hello"}')

        async def stalls(message: Mapping[str, Any]) -> None:
            if b"still here" in message.get("body", b""):
                await asyncio.Event().wait()

        with mock.patch.object(call, "_receive", stalls):
            async with asyncio.timeout(10):
                await call.run()

        _, [request] = await sync_to_async(stored)()
        self.assertEqual(request.completion_status, "cancelled")

    async def test_a_page_that_nobody_reads_ends(self) -> None:
        client = Client("GET", PAGE)
        client.part(b"", more=False)

        async def stalls(message: Mapping[str, Any]) -> None:
            client.sent.append(message)
            if message["type"] == "http.response.body":
                await asyncio.Event().wait()

        self.assertEqual((await client.run(stalls)).status, 200)


class ManyStreamsOfOneAccountTests(AgentFixtures, TestCase):
    """Many streams of one account wait for their model; others are answered meanwhile."""

    config = "model: scripted:echo?first_ms=60000\n"

    async def test_open_streams_hold_no_thread_and_keep_nobody_waiting(self) -> None:
        calls = [
            Call(self.api, "POST", self.path("stream"), raw=b'{"message": "hello"}')
            for _ in range(60)
        ]
        running = [asyncio.create_task(call.run()) for call in calls]
        async with asyncio.timeout(20):
            while (await sync_to_async(counts)())[2] < len(calls):  # noqa: ASYNC110 - rows tell
                await asyncio.sleep(0.01)
        threads = threading.active_count()
        _, other = await sync_to_async(self.another_account)()
        answer = await ApiClient(other).get("/accounts/beta/agents")
        self.assertEqual(answer.status, 200)
        self.assertLess(threads, len(calls))
        self.assertFalse(any(task.done() for task in running))
        for call in calls:
            call.leave()
        await asyncio.gather(*running)

        _, requests = await sync_to_async(stored)()
        self.assertEqual({r.completion_status for r in requests}, {"cancelled"})

    def another_account(self) -> tuple[ApiKey, str]:
        return make_key(make_account("beta"))
