"""Usage by day equals the ledger, whether settling, the migration or the command wrote it."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connection
from django.db.models import F
from django.test import SimpleTestCase, TestCase, TransactionTestCase, override_settings
from django.utils import timezone

from accounts.tenancy.context import platform_context
from agents.models import AgentInstance
from salient import database
from sessions_app.models import Session, UsageDay
from sessions_app.models.insights import LATENCY_BUCKETS
from sessions_app.usage import queries, rollup
from sessions_app.usage.queries import Days, Figures, figures_by, percentile
from tests.support.commands import run, run_json
from tests.support.database.catalog import rows
from tests.support.database.stored import change_all, row_of, rows_of
from tests.support.factories import make_account, make_instance, make_llm_request, make_session
from tests.support.fixtures import LimitedFixtures
from tests.support.servers.mock_openai import MockOpenAI, Reply, error
from tests.support.servers.mock_openai import usage as used

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def settled(session: Session, moment: datetime = NOON, **fields: Any) -> None:
    values = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "cached_tokens": 2,
        "total_cost": Decimal("0.00000001"),
        "latency_ms": 100,
    }
    make_llm_request(session, created_at=moment, settled_at=moment, **values | fields)


def stored_days(instance: AgentInstance) -> list[UsageDay]:
    return rows_of(UsageDay, "day", "model", agent_instance_id=instance.pk)


def counters(session: Session) -> tuple[int, Decimal, int, str]:
    row = row_of(Session, pk=session.pk)
    return row.turn_count, row.total_cost, row.unpriced_turns, row.last_status


class PercentileTests(SimpleTestCase):
    def buckets(self, **counts: int) -> list[int]:
        return [counts.get(f"b{i}", 0) for i in range(LATENCY_BUCKETS)]

    def test_a_percentile_is_inside_the_bucket_of_its_rank(self) -> None:
        buckets = self.buckets(b10=90, b20=10)

        self.assertTrue(32 <= (percentile(buckets, 0.5) or 0) < 46)
        self.assertTrue(1024 <= (percentile(buckets, 0.95) or 0) < 1449)

    def test_nothing_has_no_percentile(self) -> None:
        self.assertIsNone(percentile(self.buckets(), 0.5))
        self.assertIsNone(Figures().percentile(0.95))

    def test_the_last_bucket_says_where_it_begins(self) -> None:
        self.assertEqual(percentile(self.buckets(b33=1), 0.95), round(2**16.5))

    def test_a_percentile_grows_with_its_share(self) -> None:
        buckets = [3] * LATENCY_BUCKETS
        found = [percentile(buckets, share / 100) or 0 for share in range(1, 101)]

        self.assertEqual(found, sorted(found))


class FiguresTests(SimpleTestCase):
    def test_an_unknown_cost_is_no_zero(self) -> None:
        self.assertIsNone(Figures(requests=2, unpriced=2).known_cost)
        self.assertEqual(Figures(requests=2, unpriced=1, cost=Decimal(3)).known_cost, 3)
        # That a refused call cost nothing says nothing about the other call.
        self.assertIsNone(Figures(requests=2, unpriced=1).known_cost)
        self.assertEqual(Figures().known_cost, 0)

    def test_days_and_those_before_them(self) -> None:
        days = Days(date(2026, 3, 1), date(2026, 3, 7))

        self.assertEqual(len(list(days)), 7)
        self.assertEqual(days.before(), Days(date(2026, 2, 22), date(2026, 2, 28)))

    def test_what_costs_most_is_named_and_the_rest_is_summed(self) -> None:
        day = date(2026, 3, 1)
        found = {str(n): {day: Figures(requests=1, cost=Decimal(n))} for n in range(5)}

        self.assertEqual(
            {
                name: queries.total(each).cost
                for name, each in queries.largest(found, 2, "rest").items()
            },
            {"4": 4, "3": 3, "rest": 3},
        )


class RebuildTests(TestCase):
    def setUp(self) -> None:
        self.instance = make_instance(make_account("acme"))
        self.session = make_session(self.instance)

    def test_counts_every_settled_request_once(self) -> None:
        settled(self.session)
        settled(self.session, completion_status="error", total_cost=None, latency_ms=None)
        settled(self.session, completion_status="partial", cached_tokens=None)
        settled(self.session, completion_status="cancelled", completion_tokens=None)
        make_llm_request(self.session, completion_status="running")
        rollup.rebuild(self.instance.account_id)

        [row] = stored_days(self.instance)
        counts = (row.requests, row.failed, row.cancelled, row.unpriced)
        self.assertEqual((row.day, row.model), (NOON.date(), "scripted:echo"))
        self.assertEqual(counts, (4, 2, 1, 1))
        self.assertEqual((row.input_tokens, row.cached_tokens, row.output_tokens), (40, 6, 15))
        self.assertEqual((row.cost, row.latency_ms), (Decimal("0.00000003"), 300))
        self.assertEqual(row.latency_buckets[13], 3)
        self.assertEqual(sum(row.latency_buckets), 3)

    def test_the_day_is_the_one_of_settling_in_utc(self) -> None:
        midnight = NOON.replace(hour=0)
        make_llm_request(self.session, created_at=midnight - HOUR, settled_at=midnight)
        make_llm_request(self.session, created_at=midnight - HOUR, settled_at=None)
        rollup.rebuild(self.instance.account_id)

        days = [row.day for row in stored_days(self.instance)]
        self.assertEqual(days, [(NOON - DAY).date(), NOON.date()])

    def test_counts_the_sessions_anew(self) -> None:
        settled(self.session, NOON, completion_status="error", total_cost=None)
        settled(self.session, NOON + HOUR, total_cost=Decimal("1.5"))
        other = make_session(self.instance, turn_count=7, total_cost=9, last_status="complete")
        rollup.rebuild(self.instance.account_id)

        self.assertEqual(counters(self.session), (2, Decimal("1.5"), 1, "complete"))
        self.assertEqual(counters(other), (0, 0, 0, ""))

    def test_today_is_counted_as_well_and_what_was_found_late(self) -> None:
        now = timezone.now()
        settled(self.session, now)
        make_llm_request(self.session, created_at=now - 9 * DAY, settled_at=now)
        rollup.rebuild(self.instance.account_id)

        [row] = stored_days(self.instance)
        self.assertEqual((row.day, row.requests), (now.date(), 2))

    def test_what_is_no_more_in_the_ledger_goes(self) -> None:
        settled(self.session)
        rollup.rebuild(self.instance.account_id)
        with platform_context():
            self.session.llm_requests.all().delete()
        rollup.rebuild(self.instance.account_id)

        self.assertEqual(stored_days(self.instance), [])
        self.assertEqual(counters(self.session)[0], 0)

    def test_rebuilding_twice_is_as_once(self) -> None:
        for hours in range(30):
            settled(self.session, NOON + hours * HOUR, latency_ms=hours**4)
        rollup.rebuild(self.instance.account_id)
        before = rows("SELECT usage_days::text FROM usage_days ORDER BY 1")

        self.assertFalse(rollup.rebuild(self.instance.account_id))
        self.assertEqual(rows("SELECT usage_days::text FROM usage_days ORDER BY 1"), before)

    def test_the_days_before_stay_and_so_do_other_accounts(self) -> None:
        other = make_session()
        for session in (self.session, other):
            settled(session, NOON - DAY)
            settled(session, NOON)
        rollup.rebuild(self.instance.account_id, since=NOON.date())

        self.assertEqual([row.day for row in stored_days(self.instance)], [NOON.date()])
        self.assertEqual(stored_days(other.agent_instance), [])

    def test_buckets_are_those_of_settling(self) -> None:
        """`app_count_turns` has the same bounds as the formula in Python."""
        settling = Path(settings.BASE_DIR, "sessions_app/sql/app_count_turns.sql").read_text()
        [bounds] = re.findall(r"bounds CONSTANT integer\[\] := ARRAY\[([\d,\s]+)\]", settling)
        self.assertEqual(rollup.BOUNDS, [int(bound) for bound in bounds.split(",")])
        near = sorted({max(0, bound + step) for bound in rollup.BOUNDS for step in (-1, 0, 1)})
        found = rows(
            "SELECT ms, width_bucket(ms, %s), least(33, floor(2 * log(2, greatest(ms, 1))))::int "
            "FROM unnest(%s) AS ms",
            [rollup.BOUNDS, [*near, 2_000_000_000]],
        )

        self.assertEqual([ms for ms, ours, theirs in found if ours != theirs], [])


class CommandTests(TestCase):
    def setUp(self) -> None:
        self.session = make_session(make_instance(make_account("acme"), "shop"))
        settled(self.session)

    def test_says_what_differs_and_changes_nothing(self) -> None:
        with self.assertRaises(SystemExit) as stopped:
            run("rollup")

        self.assertEqual(stopped.exception.code, 1)
        self.assertEqual(stored_days(self.session.agent_instance), [])

    def test_rebuilding_corrects_the_figures(self) -> None:
        mended = run_json("rollup", "--rebuild", "--account", "acme")

        self.assertEqual(
            mended["different"],
            {"acme": {"days": ["2026-03-04 scripted:echo"], "sessions": [str(self.session.pk)]}},
        )
        self.assertIn("equal the ledger", run("rollup"))


class ReadingTests(TestCase):
    def setUp(self) -> None:
        self.instance = make_instance(make_account("acme"))
        self.session = make_session(self.instance)
        for hours, model in enumerate(["echo", "echo", "other"] * 20):
            moment = NOON - hours * HOUR
            settled(self.session, moment, model=model, latency_ms=hours * 50)
        settled(make_session(), NOON)
        rollup.rebuild(self.instance.account_id)

    def figures(self, *columns: str, **more: Any) -> Any:
        days = Days((NOON - 9 * DAY).date(), NOON.date())
        with platform_context():
            return figures_by(*columns, days=days, **more)

    def test_sums_equal_the_ledger(self) -> None:
        [(count, cost, tokens)] = rows(
            "SELECT count(*), sum(total_cost), sum(prompt_tokens + completion_tokens) "
            "FROM llm_requests WHERE account_id = %s",
            [self.instance.account_id],
        )
        for columns in [("day",), ("model",), ("day", "model"), ("agent_instance_id",)]:
            found = queries.total(self.figures(*columns, account_id=self.instance.account_id))
            with self.subTest(columns=columns):
                self.assertEqual((found.requests, found.cost, found.tokens), (count, cost, tokens))

    def test_percentiles_are_near_the_ledgers(self) -> None:
        found = queries.total(self.figures("day", latency=True))
        [(p50, p95)] = rows(
            "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms), "
            "percentile_cont(0.95) WITHIN GROUP (ORDER BY latency_ms) FROM llm_requests"
            " WHERE account_id = %s",
            [self.instance.account_id],
        )

        self.assertAlmostEqual((found.percentile(0.5) or 0) / p50, 1, delta=0.2)
        self.assertAlmostEqual((found.percentile(0.95) or 0) / p95, 1, delta=0.2)

    def test_days_without_usage_are_listed_too(self) -> None:
        days = Days((NOON - 9 * DAY).date(), NOON.date())
        found = queries.by_day(self.figures("day"), days)

        self.assertEqual([day for day, _ in found], list(days))
        self.assertEqual(found[0][1].requests, 0)


def stored_figures() -> tuple[Any, ...]:
    """Return all stored figures as text."""
    return (
        rows("SELECT usage_days::text FROM usage_days ORDER BY 1"),
        rows(
            "SELECT id, turn_count, total_cost, unpriced_turns, last_status FROM sessions "
            "ORDER BY id"
        ),
    )


class SettlingTests(LimitedFixtures, TestCase):
    """Settled turns add up to the ledger's sums, however they end."""

    def setUp(self) -> None:
        super().setUp()
        self.configure(self.config)

    async def test_keeps_what_the_ledger_says(self) -> None:
        async with MockOpenAI() as server:
            server.replies += [
                Reply(usage=used(10, 5, cost=0.0125)),
                Reply(usage=used(1000, 500)),
                Reply(usage=used(7, 3, cost=0.00000001), delay=0.05),
                error(500),
                Reply("one two three four", cut_after=3),
            ]
            session = (await self.chat()).json()["session_id"]
            for _ in range(3):
                await self.chat(session_id=session)
            await self.api.post(self.path("stream"), {"message": "count"})

        await self.assert_equal_to_the_ledger(requests=5)

    async def test_an_abandoned_turn_is_counted_too(self) -> None:
        long_ago = timezone.now() - 3 * HOUR
        session = await sync_to_async(make_session)(self.instance)
        await sync_to_async(make_llm_request)(
            session, completion_status="running", created_at=long_ago, reserved_cost=0
        )
        await sync_to_async(run)("settle_abandoned")

        await self.assert_equal_to_the_ledger(requests=1)

    async def assert_equal_to_the_ledger(self, *, requests: int) -> None:
        before = await sync_to_async(stored_figures)()
        found = await sync_to_async(rollup.rebuild)(self.account.pk)

        self.assertEqual(found, rollup.Differences([], []))
        self.assertEqual(await sync_to_async(stored_figures)(), before)
        [[counted]] = await sync_to_async(rows)("SELECT sum(requests) FROM usage_days")
        self.assertEqual(counted, requests)


@override_settings(DATABASE_API_THREADS=4)
class MeanwhileTests(LimitedFixtures, TransactionTestCase):
    """Without a TestCase's transaction, so that locks work as in production."""

    def setUp(self) -> None:
        super().setUp()
        self.configure("model: scripted:echo\n")
        self.addCleanup(database.shut_down)

    async def test_turns_that_settle_during_a_rebuild_are_counted_once(self) -> None:
        sessions = [(await self.chat()).json()["session_id"] for _ in range(4)]
        done = asyncio.Event()

        async def talk(session: str) -> list[int]:
            return [(await self.chat(session_id=session)).status for _ in range(10)]

        async def rebuild() -> int:
            times = 0
            while not done.is_set():
                await asyncio.to_thread(in_a_thread, self.account.pk)
                times += 1
            return times

        rebuilding = asyncio.create_task(rebuild())
        statuses = await asyncio.gather(*map(talk, sessions))
        done.set()

        self.assertGreater(await rebuilding, 0)
        self.assertEqual({status for each in statuses for status in each}, {200})
        self.assertEqual(
            await sync_to_async(rollup.compare)(self.account.pk), rollup.Differences([], [])
        )
        [[counted]] = await sync_to_async(rows)("SELECT sum(requests) FROM usage_days")
        self.assertEqual(counted, 44)


def in_a_thread(account_id: UUID) -> None:
    """Rebuild over this thread's own connection, as if every session differed."""
    try:
        change_all(Session, turn_count=F("turn_count") + 1)
        rollup.rebuild(account_id)
    finally:
        connection.close()
