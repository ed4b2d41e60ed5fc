"""Promise 13: no answer, header, log line or row has a secret in it.

Each slot that holds a secret is filled with one that can be recognised; then every route is
driven, well and badly, while model servers echo the keys that they were sent.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from asgiref.sync import sync_to_async
from django.apps import apps
from django.db import connection
from django.test import TestCase, override_settings
from psycopg import sql

import agents.config
from accounts.auth import key_text
from agents.connections import connections
from tests.support.api_client import Answer, ApiClient
from tests.support.factories import make_key
from tests.support.fixtures import AgentFixtures
from tests.support.servers.mock_openai import MockOpenAI, Reply, delta, error, stream

CONNECTION_KEY = "sk-canary-connection-0123456789"
PROVIDER_KEY = "sk-canary-provider-0123456789"
SERVER = {
    "SECRET_KEY": "canary-secret-key-" + "0123456789abcdef" * 3,
    "API_KEY_PEPPER": "canary-pepper-" + "0123456789abcdef" * 3,
    "SECRET_ENCRYPTION_KEYS": ["canary-encryption-" + "0123456789abcdef" * 3],
}


class Lines(logging.Handler):
    """Collects the lines of all loggers as they would be written, with tracebacks."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@contextmanager
def listening() -> Iterator[Lines]:
    heard = Lines()
    loggers = [logging.getLogger(name) for name in ("", "django", "psycopg.pool", "asyncio")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(heard)
        logger.setLevel(logging.DEBUG)
    try:
        yield heard
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(heard)
            logger.setLevel(level)


def rows() -> Iterator[tuple[str, str]]:
    """Yield every row of every table as text."""
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(table)))
            yield from ((table, text) for (text,) in cursor.fetchall())


@override_settings(**SERVER)
class CanaryTests(AgentFixtures, TestCase):
    def setUp(self) -> None:
        super().setUp()
        _, self.other_key = make_key(self.account, name="other")
        self.secrets = {
            "API key": self.secret,
            "another API key": self.other_key,
            "the secret part of the API key": self.secret.split("_")[-1],
            "connection key": CONNECTION_KEY,
            "provider key": PROVIDER_KEY,
            **{name: value for name, value in SERVER.items() if isinstance(value, str)},
            "encryption key": SERVER["SECRET_ENCRYPTION_KEYS"][0],
        }
        self.answers: list[Answer] = []

    async def call(self, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        raw = b"" if body is None else json.dumps(body).encode()
        answer = await self.api.call(method, path, raw=raw, **options)
        self.answers.append(answer)
        return answer

    def leaks(self, place: str, text: str) -> list[tuple[str, str]]:
        found = [name for name, secret in self.secrets.items() if secret in text]
        found += [name for name, secret in self.secrets.items() if quote(secret, "") in text]
        return [(place, name) for name in found]

    async def test_no_secret_leaves_its_slot(self) -> None:
        with listening() as heard:
            await self.be_a_visitor()
            await self.keep_connections()
            await self.look_around()
            await self.send_secrets_where_they_do_not_belong()
            for model in ("mock:m", "connection/own:m"):
                self.configure(f"model: {model}\nretries: 0\n")
                agents.config.forget()
                await self.meet_servers_that_echo()

        self.assertGreater(len(self.answers), 50)
        self.assertGreater(len(heard.lines), 20)
        leaks: list[tuple[str, str]] = []
        for answer in self.answers:
            leaks += self.leaks(
                f"answer: {answer.body[:300]!r}", answer.body.decode(errors="replace")
            )
            leaks += self.leaks("header", str(answer.headers))
        for line in heard.lines:
            leaks += self.leaks(f"log: {line}", line)
        for table, text in await sync_to_async(lambda: list(rows()))():
            leaks += self.leaks(table, text)
        self.assertEqual(leaks, [])

    async def be_a_visitor(self) -> None:
        """Only the answer that creates the token may contain it."""
        started = await self.api.post(self.path("visitors"), {})
        token = self.secrets["visitor token"] = started.json()["token"]
        for path in ("chat", "stream", "history", "sessions"):
            for method in ("GET", "POST"):
                answer = await ApiClient(token).call(
                    method, self.path(path), raw=b'{"message": "hello"}'
                )
                self.answers.append(answer)

    async def keep_connections(self) -> None:
        path = "/accounts/acme/connections"
        body = {"name": "kept", "base_url": "https://models.example.com", "key": CONNECTION_KEY}
        for wrong in ({}, {"name": "Not A Slug"}, {"base_url": "http://x"}, {"extra": 1}):
            await self.call("POST", path, body | wrong)
        await self.call("POST", path, body)
        for change in ({"key": CONNECTION_KEY}, {"key": f"{CONNECTION_KEY}\n"}, {"key": [1]},
                       {"base_url": f"https://{CONNECTION_KEY}@x.example"}):  # fmt: skip
            await self.call("PATCH", f"{path}/kept", change)
        await self.call("GET", path)
        await self.call("DELETE", f"{path}/{CONNECTION_KEY}")

    async def look_around(self) -> None:
        for path in ("agents", "agents/bot", "agents/bot/metadata", "agents/bot/history",
                     "agents/bot/sessions", "me", "members", "connections", "nothing"):  # fmt: skip
            for method in ("GET", "POST", "PUT", "DELETE"):
                await self.call(method, f"/accounts/acme/{path}", {})

    async def send_secrets_where_they_do_not_belong(self) -> None:
        for headers in (
            {"authorization": f"Basic {self.secret}"},
            {"authorization": f"Bearer {self.secret}x"},
            {"authorization": f"Bearer  {self.other_key[:-1]}"},
            {"x-api-key": self.secret},
            {"cookie": f"sessionid={self.secret}; salient.acme.bot={self.secret}"},
            {"origin": f"https://{self.secret}"},
            {"host": self.secret},
        ):
            answer = await ApiClient().call(
                "POST", self.path("chat"), raw=b'{"message": "hello"}', headers=headers
            )
            self.answers.append(answer)
        await self.call("GET", self.path("stream"), query={"message": "x", "key": self.secret})
        await self.call("POST", self.path("chat"), {"message": "hello", "extra": self.secret})
        await self.call("POST", self.path("chat"), {"message": "x", "session_id": self.secret})

    async def meet_servers_that_echo(self) -> None:
        for reply in self.echoes():
            async with MockOpenAI(key=PROVIDER_KEY) as server:
                host = server.base_url.removeprefix("http://").removesuffix("/v1")
                with self.settings(OUTBOUND_TRUSTED_HOSTS=[host]):
                    await sync_to_async(self.connect)(server.base_url)
                    for what in ("chat", "stream"):
                        server.replies.append(reply)
                        await self.call("POST", self.path(what), {"message": "hello"})
                    self.assertEqual(len(server.requests), 2)

    def connect(self, base_url: str) -> None:
        made = {each.name for each in connections.connections_of(self.account.pk)}
        if "own" in made:
            connections.delete_connection(self.account.pk, "own")
        connections.create_connection(
            self.account.pk, name="own", base_url=base_url, key=CONNECTION_KEY
        )

    def echoes(self) -> list[Reply]:
        both = f"{CONNECTION_KEY} {PROVIDER_KEY} Bearer {CONNECTION_KEY} Bearer {PROVIDER_KEY}"
        cut_off = " " * 1990 + both
        return [
            *(error(status, both) for status in (400, 401, 403, 404, 408, 413, 422, 429, 500, 503)),
            error(401, cut_off),
            Reply(status=302, body=b"", headers={"Location": f"https://x.example/?{both}"}),
            Reply(body=f"<html>{both}</html>".encode(), headers={"Content-Type": "text/html"}),
            Reply(body=f"not json {both}".encode()),
            stream({"error": {"message": both, "code": 401}}),
            stream(f"event: error\ndata: {both}\n\n".encode()),
            stream(f"data: {both}\n\n".encode()),
            stream(delta("Half an answer"), {"error": {"message": both}}),
            stream(delta("Whole", finish_reason=both), b"data: [DONE]\n\n"),
        ]

    def test_the_contents_of_rows_give_no_access(self) -> None:
        """A stolen table has hashes with a pepper, and encrypted keys."""
        connections.create_connection(
            self.account.pk, name="own", base_url="https://x.example.com", key=CONNECTION_KEY
        )
        text = " ".join(text for _, text in rows())
        self.assertIn(key_text.secret_hash(self.secret), text)
        self.assertEqual(self.leaks("rows", text), [])

    def test_every_column_that_may_hold_a_secret_is_known_here(self) -> None:
        words = ("secret", "key", "token", "password", "hash", "credential")
        columns = {
            f"{model._meta.db_table}.{field.column}"
            for model in apps.get_models()
            if model._meta.app_label in {"accounts", "agents", "sessions_app"}
            for field in model._meta.concrete_fields
            if any(word in (field.column or "") for word in words)
        }
        harmless = {
            "api_keys.key_id",  # the public part
            "refusal_days.key_id",
            "llm_requests.idempotency_key",  # the caller's own word for a request
            "llm_requests.idempotency_hash",
            "provider_connections.secret_host",
            "provider_connections.secret_hint",  # four characters of a long key
            "account_limits.requests_per_minute_per_key",
            "account_limits.new_secrets_per_minute",
            "account_limits.output_tokens",
            "webhook_endpoints.previous_secret_expires_at",
        }
        counts = {each for each in columns if "tokens" in each or "_token_ms" in each}
        kept_safe = {
            "users.password",  # Argon2
            "api_keys.secret_hash",  # HMAC under the pepper
            "api_keys.offer_hash",
            "provider_connections.secret",  # sealed
            "webhook_endpoints.secret",  # sealed
            "webhook_endpoints.previous_secret",  # sealed
            "invitations.token_hash",
            "erasures.person_hash",  # HMAC under SECRET_KEY
            "sessions.session_key",  # a hash
        }

        self.assertEqual(columns - harmless - counts - kept_safe, set())
