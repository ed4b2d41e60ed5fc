"""Webhooks by the API: made, changed, rotated, tested, deleted, and their log."""

from __future__ import annotations

import json
from typing import Any

from asgiref.sync import sync_to_async
from django.test import TransactionTestCase
from django_tasks_db.models import DBTaskResult

from accounts.models import AuditEntry, Scope, WebhookDelivery
from accounts.tenancy.context import platform_context
from accounts.webhooks.endpoints import MOST_ENDPOINTS
from tests.accounts.webhooks.fixtures import deliver, publish, receiving
from tests.support.database.stored import count_of
from tests.support.factories import make_account
from tests.support.fixtures import key_client

PATH = "/accounts/acme/webhooks"
WANTED = {"url": "https://hooks.example/in?a=1", "events": ["turn.finished", "budget.alert"]}


class WebhookApiTests(TransactionTestCase):
    def setUp(self) -> None:
        self.account = make_account("acme")
        key = {"scopes": [Scope.WEBHOOKS_READ, Scope.WEBHOOKS_WRITE]}
        self.api = key_client(self.account, **key)

    async def make(self, **more: Any) -> Any:
        answer = await self.api.post(PATH, WANTED | more)
        self.assertEqual(answer.status, 201, answer.body)
        return answer.json()

    async def patch(self, path: str, body: Any) -> Any:
        return await self.api.call("PATCH", path, raw=json.dumps(body).encode())

    async def test_a_webhook_is_made_with_a_secret_that_is_shown_once(self) -> None:
        made = await self.make(description="ours")
        secret = made.pop("secret")

        self.assertRegex(secret, r"^whsec_[A-Za-z0-9+/]{43}=$")
        self.assertEqual(
            {name: made[name] for name in ("url", "description", "events", "enabled")},
            {
                "url": WANTED["url"],
                "description": "ours",
                "events": ["budget.alert", "turn.finished"],
                "enabled": True,
            },
        )
        one = (await self.api.get(f"{PATH}/{made['id']}")).json()
        listed = (await self.api.get(PATH)).json()
        self.assertEqual(one, made)
        self.assertEqual(listed, {"data": [made], "has_more": False, "next_cursor": None})
        self.assertTrue(made["created_at"].endswith("Z"))
        stored = await sync_to_async(self.log)()
        self.assertNotIn(secret, str(stored))

    def log(self) -> list[Any]:
        with platform_context():
            return list(AuditEntry.objects.filter(object_type="webhook_endpoints").values())

    async def test_bad_ones_are_refused_by_name(self) -> None:
        for body, field in (
            ({"url": "http://hooks.example/in"}, "url"),
            ({"url": "https://127.0.0.1/in"}, "url"),
            ({"url": "https://169.254.169.254/latest"}, "url"),
            ({"url": "https://a:b@hooks.example/"}, "url"),
            ({"events": []}, "events"),
            ({"events": ["turn.started"]}, "events.0"),
            ({"secret": "whsec_x"}, "secret"),
        ):
            with self.subTest(body=body):
                answer = await self.api.post(PATH, WANTED | body)
                self.assertEqual(answer.status, 400)
                self.assertEqual([each["field"] for each in answer.json()["errors"]], [field])

    async def test_there_are_at_most_so_many(self) -> None:
        for _ in range(MOST_ENDPOINTS):
            await self.make()
        answer = await self.api.post(PATH, WANTED)
        self.assertEqual((answer.status, answer.json()["code"]), (409, "too_many_webhooks"))

    async def test_it_is_changed_disabled_and_deleted(self) -> None:
        made = await self.make()
        one = f"{PATH}/{made['id']}"
        changed = await self.patch(one, {"events": ["key.expiring"], "enabled": False})
        self.assertEqual(
            {name: changed.json()[name] for name in ("events", "enabled", "disabled_reason")},
            {"events": ["key.expiring"], "enabled": False, "disabled_reason": "by_hand"},
        )
        refused = await self.api.post(f"{one}/test", {})
        self.assertEqual((refused.status, refused.json()["code"]), (409, "webhook_disabled"))
        again = await self.patch(one, {"enabled": True})
        self.assertEqual((again.json()["enabled"], again.json()["disabled_reason"]), (True, None))
        self.assertEqual((await self.api.call("DELETE", one)).status, 204)
        self.assertEqual((await self.api.get(one)).status, 404)

    async def test_a_test_event_is_sent_and_logged_and_sent_again(self) -> None:
        with receiving() as receiver:
            made = await self.make(url=receiver.url)
            one = f"{PATH}/{made['id']}"
            sent = await self.api.post(f"{one}/test", {})
            twice = await self.api.post(f"{one}/test", {})
            self.assertEqual((sent.status, sent.json()["state"]), (201, "pending"))
            self.assertEqual(twice.json()["id"], sent.json()["id"])
            await sync_to_async(deliver)()
            log = f"{one}/deliveries"
            [delivery] = (await self.api.get(log)).json()["data"]
            self.assertEqual(
                {name: delivery[name] for name in ("type", "state", "tries", "status", "error")},
                {
                    "type": "webhook.test",
                    "state": "delivered",
                    "tries": 1,
                    "status": 204,
                    "error": None,
                },
            )
            whole = (await self.api.get(f"{log}/{delivery['id']}")).json()
            self.assertEqual(whole["body"], receiver.received[0].verified(made["secret"]))
            resent = await self.api.post(f"{log}/{delivery['id']}/resend", {})
            self.assertEqual((resent.status, resent.json()["state"]), (200, "pending"))
            await sync_to_async(deliver)()

        self.assertEqual({got.message_id for got in receiver.received}, {delivery["webhook_id"]})
        self.assertEqual(len(receiver.received), 2)

    async def test_the_log_has_pages(self) -> None:
        made = await self.make(events=["key.expiring"])
        for number in range(5):
            await sync_to_async(publish)(self.account, f"msg_{number}")
        log, seen, query = f"{PATH}/{made['id']}/deliveries", list[str](), {"limit": "2"}
        while True:
            page = (await self.api.get(log, **query)).json()
            seen += [each["webhook_id"] for each in page["data"]]
            self.assertEqual(page["has_more"], page["next_cursor"] is not None)
            if not page["has_more"]:
                break
            query["cursor"] = page["next_cursor"]

        self.assertEqual(seen, [f"msg_{number}" for number in (4, 3, 2, 1, 0)])
        failed = (await self.api.get(log, state="failed")).json()
        self.assertEqual(failed["data"], [])

    async def test_a_rotation_shows_the_new_secret_and_when_the_old_one_ends(self) -> None:
        made = await self.make()
        rotated = (await self.api.post(f"{PATH}/{made['id']}/rotate", {})).json()
        self.assertNotEqual(rotated["secret"], made["secret"])
        self.assertIsNotNone(rotated["old_secret_expires_at"])
        at_once = await self.api.post(f"{PATH}/{made['id']}/rotate", {"overlap_seconds": 0})
        self.assertIsNone(at_once.json()["old_secret_expires_at"])

    async def test_nothing_is_queued_for_it_but_in_its_own_table(self) -> None:
        await self.make()
        self.assertEqual(await DBTaskResult.objects.acount(), 0)
        self.assertEqual(await sync_to_async(self.deliveries)(), 0)

    def deliveries(self) -> int:
        return count_of(WebhookDelivery)
