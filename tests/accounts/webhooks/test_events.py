"""What happens is in the outbox when it has happened, and only for those who ask for it."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

from asgiref.sync import sync_to_async
from django.db import DatabaseError, connection
from django.test import TestCase, TransactionTestCase
from django.utils import timezone

from accounts.limits.budgets import set_budget
from accounts.models import ApiKey, WebhookDelivery
from accounts.tenancy.context import tenant_context
from accounts.webhooks import endpoints
from accounts.webhooks.expiring import warn_of_keys
from sessions_app.models import CompletionStatus, LLMRequest
from sessions_app.turns.abandoned import settle_abandoned
from tests.accounts.webhooks.fixtures import make_endpoint, rows
from tests.support.database.stored import change_all, change_row, row_of
from tests.support.factories import (
    make_account,
    make_instance,
    make_key,
    make_llm_request,
    make_session,
)
from tests.support.fixtures import AgentFixtures, key_client

TEXTS = ("Hello there", "You said")


class EventTests(AgentFixtures, TransactionTestCase):
    async def of(self, event: str) -> list[WebhookDelivery]:
        return [row for row in await sync_to_async(rows)(self.account) if row.event == event]

    async def listen(self, *events: str, **more: Any) -> None:
        await sync_to_async(make_endpoint)(self.account, events=events, **more)

    async def test_a_finished_turn_tells_ids_and_figures_and_no_text(self) -> None:
        await self.listen("turn.finished")
        said = await self.say("Hello there")

        [row] = await self.of("turn.finished")
        request = await sync_to_async(self.request)()
        self.assertEqual(row.message_id, f"msg_{request.pk.hex}")
        self.assertEqual(
            row.data,
            {
                "turn_id": str(request.pk),
                "session_id": said["session_id"],
                "message_id": said["message_id"],
                "agent": "bot",
                "agent_id": str(self.instance.pk),
                "config_version_id": str(request.config_version_id),
                "end_user": None,
                "is_test": False,
                "status": "complete",
                "error_code": None,
                "provider": "scripted",
                "model": "echo",
                "model_calls": 1,
                "input_tokens": request.prompt_tokens,
                "cached_tokens": request.cached_tokens,
                "output_tokens": request.completion_tokens,
                "total_tokens": request.total_tokens,
                "tokens_estimated": request.tokens_estimated,
                "cost": f"{request.total_cost:f}",
                "cost_source": request.cost_source,
                "latency_ms": request.latency_ms,
                "time_to_first_token_ms": request.time_to_first_token_ms,
            },
        )
        for text in TEXTS:
            self.assertNotIn(text, str(row.data))

    def request(self) -> LLMRequest:
        return row_of(LLMRequest)

    async def test_two_endpoints_get_one_event_under_one_id(self) -> None:
        await self.listen("turn.finished")
        await self.listen("turn.finished", url="https://other.example/in")
        await self.say("Hello there")

        found = await self.of("turn.finished")
        self.assertEqual(len(found), 2)
        self.assertEqual(len({row.message_id for row in found}), 1)

    async def test_who_does_not_ask_for_it_is_sent_nothing(self) -> None:
        other = await sync_to_async(make_account)("beta")
        await sync_to_async(make_endpoint)(other)
        await self.listen("key.expiring")
        off = await sync_to_async(make_endpoint)(self.account, "https://off.example/in")
        await sync_to_async(endpoints.change_endpoint)(
            self.account.pk, off.endpoint.pk, is_enabled=False
        )
        await self.say("Hello there")

        self.assertEqual(await sync_to_async(rows)(self.account), [])
        self.assertEqual(await sync_to_async(rows)(other), [])

    async def test_feedback_is_told_when_it_is_given_and_when_it_changes(self) -> None:
        await self.listen("feedback.created")
        said = await self.say("Hello there")
        path = self.path(f"messages/{said['message_id']}/feedback")
        for body in ({"rating": "good"}, {"rating": "good"}, {"rating": "bad", "comment": "No"}):
            await self.api.post(path, body)
        await self.api.post(path, {"rating": None})

        found = await self.of("feedback.created")
        told = [(row.data["rating"], row.data["has_comment"]) for row in found]
        self.assertEqual(told, [("good", False), ("bad", True)])
        request = await sync_to_async(self.request)()
        self.assertEqual(
            {name: found[0].data[name] for name in ("message_id", "session_id", "turn_id")},
            {
                "message_id": said["message_id"],
                "session_id": said["session_id"],
                "turn_id": str(request.pk),
            },
        )
        self.assertNotIn("No", found[1].data.values())

    async def test_a_deleted_session_is_told_once(self) -> None:
        await self.listen("session.closed")
        said = await self.say("Hello there")
        api = await sync_to_async(key_client)(
            self.account, scopes=["history:read", "history:delete"]
        )
        for _ in range(2):
            await api.call("DELETE", self.path(f"sessions/{said['session_id']}"))

        [row] = await self.of("session.closed")
        self.assertEqual(
            {name: row.data[name] for name in ("session_id", "reason", "turns", "end_user")},
            {"session_id": said["session_id"], "reason": "deleted", "turns": 1, "end_user": None},
        )

    async def test_a_deleted_person_is_in_no_delivery_any_more(self) -> None:
        await self.listen("turn.finished", "session.closed", "feedback.created")
        ids = []
        for person in ("ada", "bob"):
            made = await self.api.post(self.path("sessions"), {"end_user": person})
            ids.append(made.json()["id"])
            said = await self.say("Hello", session_id=ids[-1])
            feedback = self.path(f"messages/{said['message_id']}/feedback")
            await self.api.post(feedback, {"rating": "good"})
            raw = b'{"status": "closed"}'
            await self.api.call("PATCH", self.path(f"sessions/{ids[-1]}"), raw=raw)
        before = await sync_to_async(rows)(self.account)
        self.assertEqual(sum(row.data.get("end_user") == "ada" for row in before), 2)
        await self.api.call("DELETE", self.path(f"sessions/{ids[0]}"))

        after = await sync_to_async(rows)(self.account)
        people = [row.data["end_user"] for row in after if "end_user" in row.data]
        self.assertEqual(sorted(filter(None, people)), ["bob", "bob"])
        known = {row.pk: row.data for row in before}
        for row in after:
            if row.pk in known:
                self.assertEqual(row.data | {"end_user": 0}, known[row.pk] | {"end_user": 0})


class AlertTests(TestCase):
    def setUp(self) -> None:
        self.account = make_account("acme")
        make_endpoint(self.account)

    def release(self, cost: str, and_then: str = "SELECT 1") -> None:
        with tenant_context(self.account.pk), connection.cursor() as cursor:
            cursor.execute(
                "SELECT app_release_limits(%s, %s, 0, 0, %s, NULL)",
                [self.account.pk, self.account.pk, Decimal(cost)],
            )
            cursor.execute(and_then)

    def test_a_budget_tells_each_percentage_once(self) -> None:
        set_budget(self.account, period="month", limit=Decimal(10))
        for cost in ("8.5", "0.1", "2"):
            self.release(cost)

        found = rows(self.account)
        self.assertEqual({row.event for row in found}, {"budget.alert"})
        first = found[0].data
        self.assertEqual(
            set(first), {"percent", "agent_id", "period", "period_start", "limit", "spent"}
        )
        self.assertEqual(
            (first["percent"], first["agent_id"], first["period"]), (80, None, "month")
        )
        self.assertEqual((Decimal(first["limit"]), Decimal(first["spent"])), (10, Decimal("8.5")))
        self.assertEqual([row.data["percent"] for row in found], [80, 100])

    def test_an_abandoned_turn_is_told_as_an_error(self) -> None:
        session = make_session(make_instance(self.account))
        request = make_llm_request(session, completion_status=CompletionStatus.RUNNING)
        change_all(LLMRequest, created_at=timezone.now() - timedelta(days=1))
        settle_abandoned()

        [row] = rows(self.account)
        self.assertEqual(
            (row.event, row.data["turn_id"], row.data["status"], row.data["error_code"]),
            ("turn.finished", str(request.pk), "error", "abandoned"),
        )

    def test_a_key_that_ends_within_a_week_is_told_once(self) -> None:
        def key(name: str, days: int, **more: Any) -> ApiKey:
            made, _ = make_key(self.account, name=name)
            now = timezone.now()
            times = {"created_at": now - timedelta(days=300)}
            times["expires_at"] = now + timedelta(days=days)
            change_row(made, **times | more)
            return made

        ending = key("ends", 6)
        key("later", 8)
        key("revoked", 6, revoked_at=timezone.now())
        key("rotated", 6, rotated_at=timezone.now())
        key("short", 6, created_at=timezone.now())
        self.assertEqual(warn_of_keys(), 1)
        warn_of_keys()

        [row] = rows(self.account)
        self.assertEqual((row.event, row.data["key_id"]), ("key.expiring", str(ending.pk)))
        self.assertEqual(set(row.data), KEY_FIELDS)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", row.data["expires_at"])

    def test_what_did_not_happen_is_not_told(self) -> None:
        set_budget(self.account, period="month", limit=Decimal(10))
        with self.assertRaises(DatabaseError):
            self.release("9", "SELECT 1 / 0")

        self.assertEqual(rows(self.account), [])


KEY_FIELDS = {"key_id", "public_id", "kind", "mode", "expires_at", "last_used_at"}
