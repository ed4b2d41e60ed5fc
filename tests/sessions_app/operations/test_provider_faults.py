"""Each fault of a provider that the design lists: mapped, kept, settled, and tried again or not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from asgiref.sync import sync_to_async
from django.test import TestCase

from accounts.limits.budgets import set_budget
from accounts.models import AccountLimits, Budget
from sessions_app.models import Role
from tests.support.database.stored import row_of
from tests.support.fixtures import AgentFixtures, stored
from tests.support.servers.mock_openai import (
    KEY,
    MockOpenAI,
    Reply,
    delta,
    error,
    sse,
    stream,
    usage,
)

SAID = "what the provider says"
# One event in single bytes: within a character, and within its line ends.
SPLIT = sse(delta("zwölf")) + sse(delta("", "stop")) + b"data: [DONE]\n\n"
LATE = stream(delta("one", "stop"), {"choices": [], "usage": usage(5, 2)}, b"data: [DONE]\n\n")
FAILED = stream(delta("one"), {"error": {"message": SAID, "type": "server_error"}})


@dataclass(frozen=True)
class Fault:
    """What the provider sends, the error's code ("": none), the text that is kept, the calls."""

    name: str
    reply: Reply
    code: str
    text: str = ""
    calls: int = 1


FAULTS = (
    Fault("no first token", Reply(delay=5), "provider_timeout"),
    Fault(
        "stall",
        Reply(body=[sse(delta("one")), sse(delta(" two"))], chunk_delay=0.7),
        "provider_timeout",
        "one",
    ),
    Fault(
        "reset before the first token", Reply("one", cut_after=0), "provider_unavailable", calls=2
    ),
    Fault("reset within the answer", Reply("one two", cut_after=2), "provider_unavailable", "one"),
    Fault("429", error(429, SAID, Retry_After="1"), "provider_rate_limited", calls=2),
    Fault(
        "500 with HTML",
        Reply(status=500, body=f"<html><b>{SAID}</b></html>".encode()),
        "provider_unavailable",
        calls=2,
    ),
    Fault("401 that echoes the key", error(401, f"{SAID}: {KEY}"), "provider_auth"),
    Fault("malformed", stream(delta("one"), b"data: {oops\n\n"), "provider_protocol", "one"),
    Fault("in pieces", Reply(body=[SPLIT[at : at + 1] for at in range(len(SPLIT))]), "", "zwölf"),
    Fault("endless", Reply(body=[b"data: " + b"x" * 3_000_000]), "provider_protocol"),
    Fault("an error inside 200", FAILED, "provider_unavailable", "one"),
    Fault("empty stream", stream(), "provider_protocol"),
    Fault("no usage", Reply("one two", usage=None), "", "one two"),
    Fault("usage after the end", LATE, "", "one"),
)


class ProviderFaultTests(AgentFixtures, TestCase):
    def setUp(self) -> None:
        super().setUp()
        times = "timeouts:\n  first_token: 1\n  stall: 0.5\n"
        self.configure(f"model: mock:test-model\nretries: 1\n{times}", "Be brief.")
        set_budget(self.account, period="month", limit=Decimal(100))

    def held(self) -> tuple[int, Decimal]:
        return row_of(AccountLimits).running, row_of(Budget).reserved

    async def test_each_is_mapped_and_what_came_is_kept_and_settled(self) -> None:
        for fault in FAULTS:
            with self.subTest(fault.name):
                async with MockOpenAI() as server:
                    server.replies += [fault.reply] * 3
                    answer = await self.api.post(self.path("stream"), {"message": fault.name})
                ends = {name: data for name, data in answer.events() if name != "message"}
                await self.check(fault, {name: json.loads(data) for name, data in ends.items()})
                self.assertEqual(len(server.requests), fault.calls)
                for secret in (KEY, SAID):
                    self.assertNotIn(secret, answer.body.decode())

    async def check(self, fault: Fault, said: dict[str, Any]) -> None:
        self.assertEqual(said.get("error", {}).get("code", ""), fault.code)
        status = "complete" if not fault.code else "partial" if fault.text else "error"
        self.assertEqual(said["done"]["status"], status)

        messages, [request] = await sync_to_async(stored)(said["done"]["session_id"])
        texts = {message.role: message.content for message in messages}
        kept = {Role.ASSISTANT: fault.text} if fault.text else {}
        self.assertEqual(texts, {Role.HUMAN: fault.name} | kept)
        self.assertEqual((request.completion_status, request.error_code), (status, fault.code))
        self.assertIsNotNone(request.settled_at)
        if fault.text:
            # Counted by the provider, or by an estimate that says so: never zero by omission.
            self.assertGreater(request.completion_tokens or 0, 0)
            self.assertEqual(request.tokens_estimated, fault.name != "usage after the end")
        self.assertEqual(await sync_to_async(self.held)(), (0, 0))
