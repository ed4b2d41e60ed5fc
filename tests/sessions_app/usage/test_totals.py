"""Sums of past days: stored once, and deleted if such a day changes."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import psycopg
from django.core.management import call_command
from django.db import connection
from django.test import TestCase, override_settings
from django.utils import timezone

from accounts.models import Account
from accounts.tenancy.context import platform_context, tenant_context
from sessions_app.models import Retention, UsageDay, UsageTotal
from sessions_app.operations.lifecycle.retention import _erase_figures
from sessions_app.usage import rollup
from sessions_app.usage import totals as usage_totals
from sessions_app.usage.queries import Days, Figures, figures_by
from sessions_app.usage.totals import Totals, each_day, store
from tests.support.database.reads import reads
from tests.support.database.stored import as_platform, rows_of
from tests.support.factories import make_account, make_instance, make_usage_day
from tests.support.servers.served import database_url
from tests.support.usage import busy_account, settled

LOCK = "SELECT pg_advisory_xact_lock_shared(hashtextextended('usage_totals', 0))"
BUCKETS = [*range(34)]


def ago(days: int) -> date:
    return timezone.now().date() - timedelta(days=days)


def used(instance: Any, age: int, model: str = "openai:gpt-5") -> None:
    values = {"requests": 10, "failed": 1, "unpriced": 1, "cost": Decimal("0.5")}
    values |= {"input_tokens": 100, "latency_ms": 900}
    make_usage_day(instance, day=ago(age), model=model, latency_buckets=BUCKETS, **values)


class TotalsTests(TestCase):
    def setUp(self) -> None:
        self.one, self.other = make_instance(make_account("acme")), make_instance()
        for age in range(6):
            used(self.one, age)
            used(self.one, age, "openai:other")
            used(self.other, age)
        self.days = Days(ago(5), ago(0))

    def stored_days(self) -> set[date]:
        return {row.day for row in rows_of(UsageTotal)}

    def assert_true(self) -> None:
        """Expect the totals to equal the roll-up."""
        with platform_context():
            totals = Totals.of(self.days)
            found = totals.by_day_and_model()
            self.assertEqual(found, figures_by("day", "model", days=self.days, latency=True))
            self.assertEqual(each_day(found), figures_by("day", days=self.days, latency=True))
            by_account = figures_by("account_id", days=self.days)
            self.assertEqual(totals.by_account(self.days), by_account)

    def test_only_days_before_yesterday_are_kept(self) -> None:
        self.assert_true()
        self.assertEqual(self.stored_days(), {ago(age) for age in range(2, 6)})
        self.assert_true()

    def test_a_cluster_finds_the_same_days(self) -> None:
        over = Days(ago(5), ago(2))
        with override_settings(DATABASE_DISTRIBUTED=True), platform_context():
            self.assertEqual([store(over, most=2), store(over, most=3), store(over)], [2, 2, 0])
        self.assertEqual(self.stored_days(), {ago(age) for age in range(2, 6)})

    def test_what_is_kept_is_read_and_not_summed_again(self) -> None:
        over = Days(ago(5), ago(2))
        with platform_context():
            store(over)
            # With any plan, which depends on when the tables were last analysed.
            with connection.cursor() as cursor:
                cursor.execute("ANALYZE usage_days, usage_totals")
                cursor.execute("SET LOCAL enable_nestloop = off")
            with reads() as found:
                totals = Totals.of(over)
                totals.by_day_and_model()
                totals.by_account(over)
        self.assertEqual(found.rows_of["usage_days"], 0)

    def test_a_day_that_changes_after_all_is_summed_again(self) -> None:
        self.assert_true()
        used(self.other, 3, "late:model")
        self.assert_forgotten()
        with platform_context():
            UsageDay.objects.filter(model="late:model").update(requests=99)
        self.assert_forgotten()
        with platform_context():
            UsageDay.objects.filter(model="late:model").delete()
        self.assert_forgotten()

    def assert_forgotten(self) -> None:
        self.assertEqual(self.stored_days(), {ago(2), ago(4), ago(5)})
        self.assert_true()

    def test_today_and_yesterday_make_nothing_forgotten(self) -> None:
        self.assert_true()
        for age in (0, 1):
            used(self.other, age, "another:model")
        self.assertEqual(len(self.stored_days()), 4)
        self.assert_true()

    def test_an_erased_account_counts_no_more(self) -> None:
        self.assert_true()
        with platform_context():
            Account.objects.filter(slug="acme").delete()
        self.assertEqual(self.stored_days(), set())
        self.assert_true()

    def test_a_rebuilt_roll_up_is_read_at_once(self) -> None:
        instance = busy_account("busy", turns=0)
        settled(instance, timezone.now() - timedelta(days=4))
        self.assert_true()
        rollup.rebuild(instance.account_id)
        self.assert_true()
        with platform_context():
            found = Totals.of(self.days).by_account(self.days)
        self.assertEqual(found[instance.account_id].requests, 1)

    @override_settings(DATABASE_DISTRIBUTED=True)
    def test_a_cluster_has_no_trigger_and_forgets_the_days_that_are_changed(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE usage_days DISABLE TRIGGER USER")
        late = busy_account("busy", turns=0)
        settled(late, timezone.now() - timedelta(days=4))
        archive = Path(self.enterContext(TemporaryDirectory()), "acme.zip")
        quiet = {"stdout": StringIO()}
        call_command("export_account", "acme", str(archive), **quiet)
        call_command("set_account_status", "acme", "archive", **quiet)
        rule = Retention(account_id=self.other.account_id, figures_days=3)
        for change in (
            partial(rollup.rebuild, late.account_id),
            partial(_erase_figures, rule),
            partial(call_command, "erase_account", "acme", "--reason", "T1", **quiet),
            partial(call_command, "import_account", str(archive), **quiet),
        ):
            self.assert_true()
            change()
            self.assert_true()

    def test_many_days_are_summed_in_parts_and_read_meanwhile(self) -> None:
        self.assertEqual(as_platform(store, self.days, most=3), 3)
        self.assertEqual(self.stored_days(), {ago(2), ago(3), ago(4)})
        self.assert_true()

    def test_rebuilding_leaves_no_sum_for_a_page_to_make(self) -> None:
        instance = busy_account("busy", turns=0)
        for age in (0, 2, 40, 100):
            settled(instance, timezone.now() - timedelta(days=age))
        with mock.patch.object(usage_totals, "MOST_AT_ONCE", 2):
            call_command("rollup", "--rebuild", "--account", "busy", stdout=StringIO())
        self.assertEqual(self.stored_days(), {ago(age) for age in (*range(2, 6), 40, 100)})
        self.assert_true()

    def test_while_such_a_day_is_changed_nothing_is_stored(self) -> None:
        with psycopg.connect(database_url()) as elsewhere:
            elsewhere.execute(LOCK)
            self.assert_true()
            self.assertEqual(self.stored_days(), set())
            # A server releases what a closed connection held only some time after that.
            elsewhere.commit()
        self.assert_true()
        self.assertEqual(len(self.stored_days()), 4)

    def test_days_without_use_have_no_sums(self) -> None:
        long_ago = Days(ago(40), ago(30))
        with platform_context():
            totals = Totals.of(long_ago)
            self.assertEqual((totals.by_day_and_model(), totals.stored), ({}, frozenset()))
        self.assertEqual(each_day({}), dict[date, Figures]())

    def test_an_account_reads_no_sums_but_its_own(self) -> None:
        self.assert_true()
        with tenant_context(self.one.account_id), connection.cursor() as cursor:
            cursor.execute("SELECT DISTINCT account_id FROM usage_totals")
            self.assertEqual(cursor.fetchall(), [(self.one.account_id,)])
