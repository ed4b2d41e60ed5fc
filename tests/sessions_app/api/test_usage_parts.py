"""Usage by API key, end user and session tag, in two dimensions, narrowed, and as CSV."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any
from unittest import mock

from asgiref.sync import sync_to_async
from django.test import TestCase
from django.utils import timezone

from accounts.audit.csv_export import BYTE_ORDER_MARK
from accounts.models import AuditEntry
from accounts.tenancy.context import tenant_context
from sessions_app.api.usage_schemas import By
from sessions_app.models import LLMRequest, Session
from sessions_app.usage import report, requests, rollup
from sessions_app.usage.queries import Days, figures_by
from sessions_app.usage.report import COLUMNS, SUMMED_COLUMNS
from sessions_app.usage.requests import Which, requests_by
from tests.support.api_client import Answer, ApiClient
from tests.support.database.stored import rows_of
from tests.support.factories import make_account, make_instance, make_key
from tests.support.fixtures import key_client
from tests.support.usage import DAY, settled

USAGE = "/accounts/acme/usage"
FORMULA = "=cmd|' /C calc'!A0"


def noon(days_ago: int = 0) -> datetime:
    """A moment of a day, never near its ends; today it is now."""
    if not days_ago:
        return timezone.now()
    return datetime.combine(timezone.now().date() - days_ago * DAY, time(12), UTC)


class PartsTestCase(TestCase):
    def setUp(self) -> None:
        self.account = make_account("acme")
        self.first = make_instance(self.account, "first")
        self.second = make_instance(self.account, "second")
        self.app, _ = make_key(self.account, name="The app")
        self.job, _ = make_key(self.account, name="The job")
        app, job = f"key:{self.app.pk}", f"key:{self.job.pk}"
        self.turn("ann", {"team": "blue"}, caller=app)
        self.turn("ann", {"team": "blue"}, caller=app, total_cost=None)
        self.turn("bob", {"team": "red"}, caller=app, days_ago=1, model="cheap")
        self.turn(None, {"other": "red"}, caller=job, total_cost=Decimal("0.5"))
        self.turn(FORMULA, None, caller=job, of=self.second, completion_status="error")
        self.turn(None, None, caller="visitor:ab", of=self.second, total_cost=None)
        self.turn("ann", {"team": "blue"}, caller=app, days_ago=40)
        self.turn("ann", None, caller=app, completion_status="running", settled_at=None)
        rollup.rebuild(self.account.pk)
        self.foreign()
        self.api = self.client_with(["usage:read", "history:read", "keys:read"])

    def turn(
        self, end_user: str | None, tags: Any, *, of: Any = None, days_ago: int = 0, **later: Any
    ) -> None:
        """Make a settled turn; `later` are columns with other values than `settled` writes."""
        made = settled(of or self.first, noon(days_ago))
        with tenant_context(made.account_id):
            LLMRequest.objects.filter(pk=made.pk).update(**later)
            Session.objects.filter(pk=made.session_id).update(end_user=end_user, meta=tags)

    def foreign(self) -> None:
        """Another account's turns, of the same names."""
        of = make_instance(make_account("other"), "first")
        for _ in range(3):
            self.turn("ann", {"team": "blue"}, of=of, caller=f"key:{self.app.pk}")
        rollup.rebuild(of.account_id)

    def client_with(self, scopes: list[str], **fields: Any) -> ApiClient:
        return key_client(self.account, scopes=scopes, **fields)

    async def ask(self, **query: Any) -> Answer:
        return await self.api.get(USAGE, **query)

    async def rows(self, **query: Any) -> list[list[Any]]:
        """Return [key, requests, cost, unknown cost] of each row."""
        answer = await self.ask(**query)
        self.assertEqual(answer.status, 200, answer.body)
        figures = ("key", "requests", "cost", "unknown_cost")
        return [[row[name] for name in figures] for row in answer.json()["rows"]]


class UsagePartsTests(PartsTestCase):
    async def test_by_api_key_with_its_name_and_no_secret(self) -> None:
        answer = await self.ask(by="key")
        rows = {row["key"]: row for row in answer.json()["rows"]}

        self.assertEqual({*rows}, {str(self.app.pk), str(self.job.pk), None})
        self.assertEqual(rows[str(self.app.pk)]["name"], str(self.app))
        self.assertIn("The app", str(self.app))
        self.assertEqual([rows[str(self.app.pk)][n] for n in ("requests", "cost")], [3, "0.5"])
        self.assertEqual([rows[None][n] for n in ("cost", "unknown_cost", "name")], [None, 1, None])
        self.assertNotIn(self.app.secret_hash, answer.body.decode())

    async def test_by_end_user_those_without_one_stand_apart(self) -> None:
        self.assertEqual(
            await self.rows(by="end_user"),
            [
                [FORMULA, 1, "0.25", 0],
                ["ann", 2, "0.25", 1],
                ["bob", 1, "0.25", 0],
                [None, 2, "0.5", 1],
            ],
        )

    async def test_by_a_tag_of_the_sessions(self) -> None:
        self.assertEqual(
            await self.rows(by="tag", tag="team"),
            [["blue", 2, "0.25", 1], ["red", 1, "0.25", 0], [None, 3, "0.75", 1]],
        )

    async def test_metadata_that_is_no_object_is_no_tag(self) -> None:
        await sync_to_async(self.turn)("eve", ["team"], caller="")
        self.assertEqual((await self.rows(by="tag", tag="team"))[-1], [None, 4, "1", 1])

    async def test_filters_narrow_and_go_together(self) -> None:
        today = timezone.now().date().isoformat()
        for query, requests_, unknown in (
            ({"agent": "second"}, 2, 1),
            ({"model": "openai:cheap"}, 1, 0),
            ({"model": "openai:cheap", "by": "key"}, 1, 0),
            ({"model": "cheap"}, 0, 0),
            ({"key": str(self.job.pk)}, 2, 0),
            ({"key": str(self.job.pk), "agent": "second"}, 1, 0),
            ({"end_user": "ann"}, 2, 1),
            ({"end_user": "ann", "by": "instance"}, 2, 1),
            ({"end_user": "nobody"}, 0, 0),
            ({"by": "key", "from": today, "to": today}, 5, 2),
        ):
            with self.subTest(query=query):
                total = (await self.ask(**query)).json()["total"]
                self.assertEqual([total["requests"], total["unknown_cost"]], [requests_, unknown])

    async def test_two_dimensions(self) -> None:
        answer = (await self.ask(by="model", then_by="instance")).json()
        found = [[row["key"], row["then_key"], row["requests"]] for row in answer["rows"]]
        self.assertEqual(
            found,
            [
                ["openai:cheap", "first", 1],
                ["openai:gpt-5", "first", 3],
                ["openai:gpt-5", "second", 2],
            ],
        )
        answer = (await self.ask(by="instance", then_by="key")).json()
        found = [[row["key"], row["name"], row["requests"]] for row in answer["rows"]]
        self.assertIn(["second", str(self.job), 1], found)
        self.assertEqual(answer["then_by"], "key")

    async def test_every_way_sums_to_the_same_total(self) -> None:
        expected = (await self.ask()).json()["total"]
        self.assertEqual((expected["requests"], expected["failed"]), (6, 1))
        for query in (
            *({"by": by} for by in ("model", "instance", "key", "end_user")),
            {"by": "tag", "tag": "team"},
            {"by": "key", "then_by": "end_user"},
            {"by": "day", "then_by": "tag", "tag": "team"},
        ):
            with self.subTest(query=query):
                self.assertEqual((await self.ask(**query)).json()["total"], expected)

    def test_the_requests_sum_to_what_the_daily_sums_have(self) -> None:
        days = Days.until_today(60)
        with tenant_context(self.account.pk):
            which = Which(self.account.pk, days)
            for by in ((By.DAY, By.MODEL), (By.INSTANCE, By.DAY), (By.MODEL, By.INSTANCE)):
                names = [SUMMED_COLUMNS[each] for each in by]
                kept = figures_by(*names, days=days, account_id=self.account.pk, latency=True)
                self.assertEqual(requests_by([COLUMNS[each] for each in by], which), kept)
                self.assertTrue(kept)

    async def test_a_turn_counts_on_the_day_it_was_settled(self) -> None:
        """It began on the day before, as those do that run at midnight."""
        await sync_to_async(self.turn)(
            "late", None, days_ago=5, settled_at=noon(4), caller=f"key:{self.job.pk}"
        )
        day = noon(4).date().isoformat()
        found = await self.rows(by="day", end_user="late", **{"from": day, "to": day})
        self.assertEqual(found, [[day, 1, "0.25", 0]])
        day = noon(5).date().isoformat()
        self.assertEqual(await self.rows(end_user="late", **{"from": day, "to": day}), [])


class UsageRightsTests(PartsTestCase):
    async def use(self, *scopes: str, **fields: Any) -> None:
        self.api = await sync_to_async(self.client_with)([*scopes], **fields)

    async def test_whose_conversations_they_are_needs_the_scope_that_reads_them(self) -> None:
        await self.use("usage:read")
        for query in (
            {"by": "end_user"},
            {"by": "day", "then_by": "end_user"},
            {"by": "tag", "tag": "team"},
            {"end_user": "ann"},
            {"end_user": "ann", "format": "csv"},
        ):
            with self.subTest(query=query):
                answer = await self.ask(**query)
                self.assertEqual((answer.status, answer.json()["code"]), (403, "forbidden"))
                self.assertNotIn("ann", answer.body.decode())

    async def test_names_of_keys_need_the_scope_that_reads_keys(self) -> None:
        await self.use("usage:read")
        answer = (await self.ask(by="key")).json()

        self.assertEqual(len(answer["rows"]), 3)
        self.assertEqual({row["name"] for row in answer["rows"]}, {None})

    async def test_a_key_for_one_agent_gets_the_usage_of_that_one(self) -> None:
        await self.use("usage:read", "history:read", instance_ids=[self.second.pk])
        self.assertEqual(
            await self.rows(by="end_user"), [[FORMULA, 1, "0.25", 0], [None, 1, None, 1]]
        )
        self.assertEqual(await self.rows(end_user="ann"), [])
        self.assertEqual(len(await self.rows(by="key", agent="second")), 2)
        hidden, none = await self.ask(agent="first"), await self.ask(agent="no-such")
        self.assertEqual((hidden.status, hidden.json()["what"]), (404, "agent"))
        self.assertEqual({**hidden.json(), "request_id": ""}, {**none.json(), "request_id": ""})


class UsageBoundsTests(PartsTestCase):
    async def test_what_makes_no_sense_is_refused(self) -> None:
        for query, field in (
            ({"by": "tag"}, "tag"),
            ({"tag": "team"}, "tag"),
            ({"by": "tag", "tag": ""}, "tag"),
            ({"by": "tag", "tag": "x" * 65}, "tag"),
            ({"by": "day", "then_by": "day"}, "then_by"),
            ({"key": "1"}, "key"),
            ({"agent": ""}, "agent"),
            ({"end_user": " ann"}, "end_user"),
            ({"format": "xml"}, "format"),
            ({"by": "key", "from": "2026-01-01", "to": "2026-05-01"}, "from"),
        ):
            with self.subTest(query=query):
                answer = await self.ask(**query)
                self.assertEqual(answer.status, 400, answer.body)
                self.assertEqual([e["field"] for e in answer.json()["errors"]], [field])

    async def test_more_requests_than_may_be_read_are_refused(self) -> None:
        with mock.patch.object(requests, "MOST_REQUESTS", 5):
            self.assertEqual((await self.ask(by="day")).status, 200)
            refused = await self.ask(by="key")
            narrowed = await self.ask(by="key", agent="second")
        self.assertEqual((refused.status, refused.json()["errors"][0]["field"]), (400, "from"))
        self.assertEqual(narrowed.status, 200)

    async def test_more_rows_than_are_sent_are_refused(self) -> None:
        with mock.patch.object(report, "MOST_ROWS", 2):
            self.assertEqual((await self.ask(by="day")).status, 200)
            self.assertEqual((await self.ask(by="key")).status, 400)
            self.assertEqual((await self.ask(by="key", format="csv")).status, 400)


class UsageCsvTests(PartsTestCase):
    def table(self, answer: Answer) -> list[list[str]]:
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(answer.headers["content-type"], "text/csv; charset=utf-8")
        self.assertTrue(answer.body.startswith(BYTE_ORDER_MARK))
        return [*csv.reader(io.StringIO(answer.body.removeprefix(BYTE_ORDER_MARK).decode()))]

    async def test_by_parameter_and_by_header(self) -> None:
        by_parameter = await self.ask(by="model", format="csv")
        [head, cheap, _] = self.table(by_parameter)
        self.assertEqual(head[:4], ["model", "requests", "failed", "cancelled"])
        self.assertEqual(cheap[:2], ["openai:cheap", "1"])
        self.assertIn("attachment", by_parameter.headers["content-disposition"])
        for accept, is_csv in (
            ("text/csv", True),
            ("text/csv, application/json;q=0.5", True),
            ("*/*", False),
            ("application/json, text/csv", False),
            ("text/html", False),
        ):
            with self.subTest(accept=accept):
                self.api.headers["accept"] = accept
                answer = await self.ask(by="model")
                self.assertEqual(answer.body == by_parameter.body, is_csv)
                self.assertEqual((await self.ask(format="json")).json()["by"], "day")

    async def test_what_is_unknown_is_empty_and_no_cell_is_a_formula(self) -> None:
        head, *lines = self.table(await self.ask(by="end_user", then_by="key", format="csv"))
        self.assertEqual(head[:4], ["end_user", "key", "key_name", "requests"])
        rows = [dict(zip(head, line, strict=True)) for line in lines]
        self.assertEqual(rows[0]["end_user"], f"'{FORMULA}")
        self.assertEqual(rows[0]["key_name"], str(self.job))
        unknown = rows[-1]
        self.assertEqual([unknown[n] for n in ("end_user", "key", "cost")], ["", "", ""])
        self.assertEqual(unknown["unknown_cost"], "1")

    async def test_an_export_is_noted_in_the_audit_log_and_json_is_not(self) -> None:
        await self.ask(by="key", agent="first")
        self.assertEqual(await sync_to_async(self.noted)(), [])
        await self.ask(by="key", agent="first", format="csv")
        [entry] = await sync_to_async(self.noted)()

        self.assertEqual((entry.actor_kind, entry.object), ("key", "CSV export"))
        self.assertEqual(entry.account_id, self.account.pk)
        self.assertEqual(entry.changes, {"by": [None, "key"], "agent": [None, "first"]})

    def noted(self) -> list[AuditEntry]:
        return rows_of(AuditEntry, action="noted", object_type="usage_days")
