"""The usage that the API returns: as the ledger has it, with what is left of the budgets."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from asgiref.sync import sync_to_async
from django.test import TestCase
from django.utils import timezone

from sessions_app.usage import rollup
from tests.support.api_client import ApiClient
from tests.support.factories import make_budget, make_instance, make_key
from tests.support.fixtures import key_client
from tests.support.usage import DAY, busy_account, settled

USAGE = "/accounts/acme/usage"


class UsageApiTests(TestCase):
    def setUp(self) -> None:
        self.first = busy_account("acme", turns=2)
        self.account = self.first.account
        self.second = make_instance(self.account, "second")
        settled(self.second, timezone.now() - DAY, model="cheap", total_cost=None)
        settled(self.second, timezone.now() - 40 * DAY)
        rollup.rebuild(self.account.pk)
        busy_account("other", turns=5)
        self.client_ = key_client(self.account)

    async def usage(self, **query: Any) -> Any:
        answer = await self.client_.get(USAGE, **query)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json()

    async def test_days_are_those_of_the_ledger(self) -> None:
        found = await self.usage()
        yesterday, today = found["rows"]

        self.assertEqual([today["requests"], today["cost"]], [2, "0.5"])
        self.assertEqual([yesterday["cost"], yesterday["unknown_cost"]], [None, 1])
        total = found["total"]
        self.assertEqual([total["requests"], total["cost"], total["unknown_cost"]], [3, "0.5", 1])
        self.assertEqual(total["input_tokens"] + total["output_tokens"], 360)
        self.assertTrue(600 <= total["latency_p50_ms"] <= 1100)

    async def test_by_model_and_by_agent(self) -> None:
        models = await self.usage(by="model")
        agents = await self.usage(by="instance")

        self.assertEqual([row["key"] for row in models["rows"]], ["openai:cheap", "openai:gpt-5"])
        found = {row["key"]: row["requests"] for row in agents["rows"]}
        self.assertEqual(found, {self.first.instance_slug: 2, "second": 1})

    async def test_the_days_can_be_chosen(self) -> None:
        before = timezone.now().date() - 40 * DAY
        found = await self.usage(**{"from": before.isoformat(), "to": before.isoformat()})

        self.assertEqual((found["from"], found["to"]), (before.isoformat(), before.isoformat()))
        self.assertEqual([row["key"] for row in found["rows"]], [before.isoformat()])

    async def test_a_key_for_one_agent_reads_the_usage_of_that_one(self) -> None:
        key = await _made(self.account, instance_ids=[self.second.pk])
        self.client_ = ApiClient(key)
        found = await self.usage(by="instance")

        self.assertEqual([row["key"] for row in found["rows"]], ["second"])
        self.assertEqual(found["total"]["requests"], 1)

    async def test_budgets_say_what_is_left(self) -> None:
        await _budget(self.account, limit=10, spent=Decimal("0.5"), reserved=Decimal(1))
        [budget] = (await self.usage())["budgets"]

        self.assertEqual((budget["agent"], budget["remaining"]), (None, "8.5"))

    async def test_what_makes_no_sense_is_refused(self) -> None:
        for query in (
            {"from": "2026-02-01", "to": "2026-01-01"},
            {"from": "2020-01-01", "to": "2026-01-01"},
            {"by": "colour"},
            {"from": "yesterday"},
            {"to": "0001-01-05"},
            {"account": "other"},
        ):
            with self.subTest(query=query):
                answer = await self.client_.get(USAGE, **query)
                self.assertEqual((answer.status, answer.json()["code"]), (400, "invalid_request"))

    async def test_the_scope_is_asked_for(self) -> None:
        client = ApiClient(await _made(self.account, scopes=["chat"]))

        self.assertEqual((await client.get(USAGE)).status, 403)


async def _made(account: Any, **fields: Any) -> str:
    return (await sync_to_async(make_key)(account, **fields))[1]


async def _budget(account: Any, **fields: Any) -> None:
    await sync_to_async(make_budget)(account, **fields)
