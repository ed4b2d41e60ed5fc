"""`manage.py isolation_check` finds planted leaks and nothing else, and removes its rows.

Here it tries one route and one page of the admin. All of them are tried with the rights of
production, in tests/isolation/test_plain_login.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from unittest import mock

from django.contrib.sessions.models import Session as LoginSession
from django.core.exceptions import ValidationError
from django.core.signals import request_finished, request_started
from django.db import NotSupportedError, close_old_connections, connection
from django.test import TestCase
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.keys.services import create_account
from accounts.limits.quotas import forget_past_rates
from accounts.models import Account, User
from accounts.models.slugs import CHECK_PREFIX
from accounts.tenancy.context import platform_context
from accounts.tenancy.roles import tenant_tables
from salient.api.problems import NotFound
from sessions_app.api.schemas import HistoryOut, MessageOut
from sessions_app.background.event_log import forget_turn_events
from sessions_app.conversations import history
from sessions_app.isolation_check import check
from sessions_app.isolation_check.accounts import FixtureAccount, two_accounts
from sessions_app.isolation_check.check import IsolationCheck, Route, account_routes
from sessions_app.isolation_check.sql_probes import (
    _is_refused,
    fingerprints,
    rows_to_forge,
    sql_leaks,
)
from sessions_app.models import Message
from tests.support.api_client import isolation_check_in_this_thread
from tests.support.commands import reported, run

HISTORY = "accounts/<str:account>/agents/<str:instance>/history"


class OneConnection(TestCase):
    """Keeps pages from closing the connection, which the test's transaction needs."""

    def setUp(self) -> None:
        super().setUp()
        # Of the many routes, only one is tried, which can have the planted leak.
        self.enterContext(mock.patch.object(check, "account_routes", only_history))
        self.enterContext(mock.patch.object(check, "admin_pages", only_index))
        self.enterContext(isolation_check_in_this_thread())
        for signal in (request_started, request_finished):
            if signal.disconnect(close_old_connections):
                self.addCleanup(signal.connect, close_old_connections)


def only_history() -> Iterator[Route]:
    yield Route(HISTORY, ("GET",), is_api=True)


def only_index(_theirs: FixtureAccount) -> Iterator[str]:
    yield reverse("admin:index")


def left() -> tuple[int, int, int]:
    return Account.objects.count(), User.objects.count(), LoginSession.objects.count()


class CheckTests(OneConnection):
    def test_no_probe_leaks_and_no_row_stays(self) -> None:
        before = left()
        report, code = reported("isolation_check")

        self.assertEqual((report["leaks"], report["faults"], report["ok"], code), ([], [], True, 0))
        self.assertEqual(set(report["probes"]), {"SQL", "admin pages", "commands", "routes"})
        self.assertEqual(left(), before)

    def test_every_address_of_an_account_is_tried(self) -> None:
        patterns = {route.pattern: route for route in account_routes()}
        self.assertIn(HISTORY, patterns)
        self.assertIn("accounts/<str:account>/agents/<str:instance>/", patterns)
        self.assertEqual(patterns[HISTORY].parameters, ["account", "instance"])
        self.assertTrue(all(route.methods for route in patterns.values()))
        self.assertTrue(all(route.is_api for p, route in patterns.items() if not p.endswith("/")))

    def test_the_report_is_printed_in_lines(self) -> None:
        self.assertRegex(
            run("isolation_check"),
            r"^Tried: \d+ SQL, .*routes\.\nNothing of the other account was reached\.",
        )

    def test_its_names_are_nobody_elses(self) -> None:
        with self.assertRaises(ValidationError):
            create_account(f"{CHECK_PREFIX}a-1")


class PlantedLeakTests(OneConnection):
    def run_sql(self, statement: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)

    def test_a_policy_that_was_widened_is_found(self) -> None:
        self.run_sql("DROP POLICY tenant ON messages")
        self.run_sql("CREATE POLICY tenant ON messages TO salient_tenant USING (true)")
        report, code = reported("isolation_check")

        self.assertEqual((report["ok"], code), (False, 1))
        leaks = {leak.partition("messages: ")[2] for leak in report["leaks"]}
        self.assertLessEqual({"rows by account", "all rows", "update", "deletion"}, leaks)

    def test_row_level_security_that_was_switched_off_is_found(self) -> None:
        self.run_sql("ALTER TABLE budgets DISABLE ROW LEVEL SECURITY")
        report, code = reported("isolation_check")

        self.assertEqual(code, 1)
        self.assertTrue(all("budgets" in leak for leak in report["leaks"]))
        self.assertTrue(any("forged row" in leak for leak in report["leaks"]))

    def test_a_view_that_forgets_whose_session_it_is_is_found(self) -> None:
        def careless(caller: Any, instance: Any, page: Any) -> Any:
            with platform_context():
                found = Message.objects.filter(session_id=page.session_id)
                messages = [MessageOut.of(message) for message in found]
            return HistoryOut(session_id=page.session_id, messages=messages, before=None)

        with mock.patch.object(history, "read", careless):
            report, code = reported("isolation_check")

        self.assertEqual(code, 1)
        self.assertTrue(any(leak.startswith("key: GET") for leak in report["leaks"]))

    def test_a_check_that_cannot_see_is_no_success(self) -> None:
        with mock.patch.object(history, "read", side_effect=NotFound("Nothing to see.")):
            report, code = reported("isolation_check")

        self.assertEqual((report["leaks"], report["ok"], code), ([], False, 1))
        self.assertIn("does not see its own rows", report["faults"][0])


class SqlTests(OneConnection):
    def test_forged_rows_are_values_as_a_cluster_takes_them_and_none_is_missing(self) -> None:
        with two_accounts() as (ours, theirs):
            forged = rows_to_forge(theirs)
            before = fingerprints(theirs)
            # A server's jobs go on meanwhile.
            forget_turn_events()
            forget_past_rates(timezone.now())
            self.assertEqual(fingerprints(theirs), before)
            with CaptureQueriesContext(connection) as ran:
                self.assertEqual([*sql_leaks(ours, theirs, forged, Counter())], [])

        inserts = [q["sql"] for q in ran if q["sql"].startswith("INSERT INTO")]
        self.assertEqual([text for text in inserts if " VALUES (" not in text], [])
        self.assertEqual(len(inserts), len(tenant_tables()))

    def test_on_a_cluster_only_a_row_that_may_not_move_is_excused(self) -> None:
        for told, excused in (
            ("modifying the partition value of rows is not allowed", True),
            ("COPY FROM not supported with row-level security", False),
        ):
            attempt = mock.Mock(side_effect=NotSupportedError(told))
            with self.settings(DATABASE_DISTRIBUTED=True):
                if excused:
                    self.assertTrue(_is_refused(attempt))
                else:
                    self.assertRaises(NotSupportedError, _is_refused, attempt)
            self.assertRaises(NotSupportedError, _is_refused, attempt)


class TidyTests(TestCase):
    def test_a_check_that_breaks_off_leaves_nothing(self) -> None:
        before = left()
        with (
            mock.patch.object(IsolationCheck, "run", side_effect=KeyboardInterrupt),
            self.assertRaises(KeyboardInterrupt),
        ):
            check.check()
        self.assertEqual(left(), before)

    def test_what_a_killed_check_left_is_removed_by_a_later_one(self) -> None:
        old, young = (Account(slug=f"{CHECK_PREFIX}{word}", name="") for word in ("old", "young"))
        with platform_context():
            for account in (old, young):
                account.save(force_insert=True)
            hours_ago = timezone.now() - timedelta(hours=2)
            Account.objects.filter(pk=old.pk).update(created_at=hours_ago)
        with two_accounts():
            pass
        slugs = Account.objects.filter(slug__startswith=CHECK_PREFIX).values_list("slug", flat=True)
        self.assertEqual(list(slugs), [young.slug])
