"""Limits and budgets by the API: owners set them within what the platform's staff grant."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from uuid import uuid4

from asgiref.sync import sync_to_async
from django.conf import settings
from django.test import Client, TestCase

from accounts.limits import budgets, quotas
from accounts.limits.registry import LIMITS
from accounts.models import AccountLimits, AuditEntry, Budget, KeyMode, MemberRole
from tests.accounts.member_fixtures import browser_of, make_member
from tests.support.api_client import Answer, ApiClient
from tests.support.database.stored import row_of, rows_of
from tests.support.factories import make_account, make_budget, make_instance, make_key
from tests.support.fixtures import key_client
from tests.support.people import make_root

LIMIT_PATH, BUDGETS = "/accounts/acme/limits", "/accounts/acme/budgets"


class LimitCase(TestCase):
    def setUp(self) -> None:
        self.acme = make_account("acme")
        self.bot = make_instance(self.acme, "bot")
        self.ann = make_member(self.acme, MemberRole.OWNER, "o@example.com").user
        self.owner = browser_of(self.ann)
        self.admin = browser_of(make_member(self.acme, MemberRole.ADMIN, "a@example.com").user)

    async def patch(self, path: str, body: Any, client: ApiClient | None = None) -> Answer:
        raw = json.dumps(body).encode()
        return await (client or self.owner).call("PATCH", path, raw=raw)

    async def limit(self, name: str) -> tuple[int | None, int]:
        rows = {row["id"]: row for row in (await self.owner.get(LIMIT_PATH)).json()["data"]}
        return rows[name]["limit"], rows[name]["most"]

    def grant(self, **limits: int | None) -> None:
        quotas.set_limits(self.acme, **limits)

    def logged(self, table: str) -> list[tuple[str, str, Any]]:
        rows = rows_of(AuditEntry, "created_at", object_type=table)
        return [(row.actor_kind, row.actor_id, row.changes) for row in rows]


class OwnLimitTests(LimitCase):
    async def test_every_limit_is_listed_with_what_holds_and_the_most(self) -> None:
        page = (await self.owner.get(LIMIT_PATH)).json()

        self.assertEqual([row["id"] for row in page["data"]], list(LIMITS))
        self.assertEqual((page["has_more"], page["next_cursor"]), (False, None))
        for row in page["data"]:
            default = settings.DEFAULT_LIMITS.get(row["id"])
            self.assertEqual(row["limit"], default)
            self.assertEqual(row["most"], default or LIMITS[row["id"]].highest)

    async def test_an_owner_sets_less_and_goes_back(self) -> None:
        changed = await self.patch(LIMIT_PATH, {"requests_per_minute": 10, "output_tokens": 99})
        self.assertEqual(changed.status, 200)
        self.assertEqual(await self.limit("requests_per_minute"), (10, 600))
        self.assertEqual(await self.limit("output_tokens"), (99, LIMITS["output_tokens"].highest))

        await self.patch(LIMIT_PATH, {"requests_per_minute": None, "output_tokens": None})
        self.assertEqual(await self.limit("requests_per_minute"), (600, 600))
        self.assertEqual((await self.limit("output_tokens"))[0], None)

    async def test_nobody_sets_more_than_the_platform_grants(self) -> None:
        await sync_to_async(self.grant)(requests_per_minute=2000, concurrent_turns=3)
        for name, most in (
            ("requests_per_minute", 2000),
            ("concurrent_turns", 3),
            ("message_bytes", 32 * 1024),
            ("history_messages", 200),
        ):
            refused = await self.patch(LIMIT_PATH, {name: most + 1})
            self.assertEqual(refused.status, 400, name)
            self.assertEqual([e["field"] for e in refused.json()["errors"]], [name])
            self.assertEqual((await self.patch(LIMIT_PATH, {name: most})).status, 200)
        await self.patch(LIMIT_PATH, {"requests_per_minute": 7})
        await self.patch(LIMIT_PATH, {"requests_per_minute": None})
        self.assertEqual(await self.limit("requests_per_minute"), (2000, 2000))

    async def test_what_staff_save_leaves_the_owners_other_limits_as_they_are(self) -> None:
        await sync_to_async(self.grant)(requests_per_minute=2000)
        await self.patch(LIMIT_PATH, {"requests_per_minute": 7})
        await sync_to_async(self.save_in_the_admin)({"concurrent_turns": "4"})

        self.assertEqual(await self.limit("requests_per_minute"), (7, 2000))
        self.assertEqual(await self.limit("concurrent_turns"), (4, 4))

    def save_in_the_admin(self, changed: dict[str, str]) -> None:
        browser = Client()
        browser.force_login(make_root())
        page = f"/admin/accounts/accountlimits/{self.acme.pk}/change/"
        self.assertContains(browser.get(page, secure=True), "requests a minute: 2,000")
        row = row_of(AccountLimits, account=self.acme)
        shown = {name: getattr(row, name) for name in LIMITS}
        form = {name: str(value) for name, value in shown.items() if value is not None}
        self.assertEqual(browser.post(page, form | changed, secure=True).status_code, 302)

    async def test_only_owners_write_and_the_log_names_them(self) -> None:
        refused = await self.patch(LIMIT_PATH, {"message_bytes": 9}, self.admin)
        self.assertEqual(refused.status, 403)
        self.assertEqual((await self.admin.get(LIMIT_PATH)).status, 200)
        await self.patch(LIMIT_PATH, {"message_bytes": 9})

        kind, who, changes = (await sync_to_async(self.logged)("account_limits"))[-1]
        self.assertEqual((kind, who), ("member", str(self.ann.pk)))
        self.assertEqual(changes, {"message_bytes": [None, 9]})

    async def test_a_key_for_tests_or_single_agents_changes_nothing(self) -> None:
        for wanted in ({"mode": KeyMode.TEST}, {"instance_ids": [self.bot.pk]}):
            client = await sync_to_async(key_client)(self.acme, **wanted)
            self.assertEqual((await client.get(LIMIT_PATH)).status, 200)
            self.assertEqual(
                (await self.patch(LIMIT_PATH, {"message_bytes": 9}, client)).status, 403
            )
            body = {"period": "day", "limit": "1"}
            self.assertEqual((await client.post(BUDGETS, body)).status, 403)


class OwnBudgetTests(LimitCase):
    async def make(self, **body: Any) -> Answer:
        return await self.owner.post(BUDGETS, {"period": "day", "limit": "5", **body})

    def set_by_staff(self, limit: str) -> Budget:
        return budgets.set_budget(self.acme, period="month", limit=Decimal(limit))

    async def test_an_owner_makes_changes_and_deletes_a_budget(self) -> None:
        made = await self.make(agent="bot", limit="12.50", alert_percents=[90, 50])
        self.assertEqual(made.status, 201)
        budget = made.json()
        self.assertEqual(
            [
                budget[name]
                for name in ("agent", "period", "limit", "granted", "spent", "remaining")
            ],
            ["bot", "day", "12.5", None, "0", "12.5"],
        )
        self.assertEqual(budget["alert_percents"], [50, 90])
        path = f"{BUDGETS}/{budget['id']}"
        changed = (await self.patch(path, {"limit": 100})).json()
        self.assertEqual((changed["limit"], changed["alert_percents"]), ("100", [50, 90]))
        changed = (await self.patch(path, {"alert_percents": []})).json()
        self.assertEqual((changed["limit"], changed["alert_percents"]), ("100", []))

        self.assertEqual((await self.owner.call("DELETE", path)).status, 204)
        self.assertEqual((await self.owner.get(BUDGETS)).json()["data"], [])
        logged = await sync_to_async(self.logged)("budgets")
        self.assertEqual({(kind, who) for kind, who, _ in logged}, {("member", str(self.ann.pk))})
        self.assertEqual(len(logged), 4)

    async def test_a_second_budget_for_the_same_is_refused(self) -> None:
        await self.make()
        again = await self.make(limit="6")

        self.assertEqual((again.status, again.json()["code"]), (409, "budget_exists"))
        self.assertEqual((await self.make(agent="bot")).status, 201)

    async def test_what_cannot_be_a_budget_is_refused_by_name(self) -> None:
        for body, field in (
            ({"limit": "-1"}, "limit"),
            ({"limit": "NaN"}, "limit"),
            ({"limit": "Infinity"}, "limit"),
            ({"limit": "1000000"}, "limit"),
            ({"limit": "0.000000001"}, "limit"),
            ({"limit": None}, "limit"),
            ({"period": "week"}, "period"),
            ({"agent": "nobody"}, "agent"),
            ({"alert_percents": [0]}, "alert_percents"),
            ({"alert_percents": [1001]}, "alert_percents"),
            ({"spent": "0"}, "spent"),
            ({"granted": "9"}, "granted"),
        ):
            with self.subTest(body=body):
                answer = await self.make(**body)
                self.assertEqual(answer.status, 400, answer.body)
                self.assertEqual([e["field"] for e in answer.json()["errors"]], [field])

    async def test_what_staff_have_set_is_lowered_and_put_back_only(self) -> None:
        budget = await sync_to_async(self.set_by_staff)("50")
        path = f"{BUDGETS}/{budget.pk}"
        lowered = await self.patch(path, {"limit": "20"})
        self.assertEqual((lowered.json()["limit"], lowered.json()["granted"]), ("20", "50"))
        self.assertEqual((await self.patch(path, {"limit": "50"})).status, 200)
        refused = await self.patch(path, {"limit": "50.01"})
        self.assertEqual([e["field"] for e in refused.json()["errors"]], ["limit"])
        kept = await self.owner.call("DELETE", path)
        self.assertEqual((kept.status, kept.json()["code"]), (409, "budget_granted"))

    async def test_staff_who_change_the_alerts_leave_the_owners_limit(self) -> None:
        budget = await sync_to_async(self.set_by_staff)("50")
        await self.patch(f"{BUDGETS}/{budget.pk}", {"limit": "20"})
        await sync_to_async(self.save_in_the_admin)(budget, limit="20.00", alert_percents="70")
        [row] = (await self.owner.get(BUDGETS)).json()["data"]
        self.assertEqual((row["limit"], row["granted"], row["alert_percents"]), ("20", "50", [70]))

        await sync_to_async(self.save_in_the_admin)(budget, limit="80", alert_percents="70")
        [row] = (await self.owner.get(BUDGETS)).json()["data"]
        self.assertEqual((row["limit"], row["granted"]), ("80", "80"))

    def save_in_the_admin(self, budget: Budget, **form: str) -> None:
        browser = Client()
        browser.force_login(make_root())
        page = f"/admin/accounts/budget/{budget.pk}/change/"
        self.assertContains(browser.get(page, secure=True), "at most $50.00")
        self.assertEqual(browser.post(page, form, secure=True).status_code, 302)

    async def test_a_key_of_one_agent_sees_no_other_agents_budget(self) -> None:
        await self.make(agent="bot")
        await self.make()
        second = await sync_to_async(make_instance)(self.acme, "second")
        _, text = await sync_to_async(make_key)(self.acme, instance_ids=[second.pk])
        seen = (await ApiClient(text).get(BUDGETS)).json()["data"]

        self.assertEqual([row["agent"] for row in seen], [None])

    async def test_another_accounts_budget_is_as_one_that_there_is_not(self) -> None:
        beta = await sync_to_async(make_account)("beta")
        theirs = await sync_to_async(make_budget)(beta)
        for method, raw in (("PATCH", b'{"limit": "1"}'), ("DELETE", b"")):
            answers = [
                await self.owner.call(method, f"{BUDGETS}/{pk}", raw=raw)
                for pk in (theirs.pk, uuid4(), "nonsense")
            ]
            self.assertEqual([answer.status for answer in answers], [404] * 3)
            self.assertEqual(len({answer.body for answer in answers}), 1)
