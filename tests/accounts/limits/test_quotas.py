"""Budgets, running turns and caps: reserved all or nothing, released by what a turn cost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from unittest import mock

from django.core import mail
from django.core.exceptions import ValidationError
from django.test import SimpleTestCase, TestCase, override_settings

from accounts.auth.caller import Caller
from accounts.limits import alerts, budgets, quotas
from accounts.limits.periods import next_start, start_of
from accounts.limits.quotas import BudgetExceeded, Caps, Settlement, TooManyTurns
from accounts.limits.status import limit_status
from accounts.models import AccountLimits, Budget, BudgetPeriod, MemberRole, RateState
from accounts.tenancy.context import tenant_context
from salient.formatting import utc
from tests.support.database.stored import count_of, refresh, row_of, rows_of
from tests.support.factories import (
    make_account,
    make_instance,
    make_llm_request,
    make_membership,
    make_session,
    make_user,
)

ONE = Decimal(1)


class LimitsCase(TestCase):
    def setUp(self) -> None:
        self.now = datetime.now(UTC)
        self.account = make_account("acme")
        self.bot = make_instance(self.account, "bot")
        self.other = make_instance(self.account, "other")
        self.caller = Caller(self.account.pk, "acme", frozenset({"chat"}), "key:tests")

    def budget(self, limit: str, period: str = "day", **more: Any) -> Budget:
        return budgets.set_budget(self.account, period=period, limit=Decimal(limit), **more)

    def reserve(self, cost: str, *, at: datetime | None = None, bot: Any = None) -> None:
        with tenant_context(self.account.pk):
            quotas.reserve(self.caller, (bot or self.bot).pk, Decimal(cost), at=at)

    def release(
        self, reserved: str, cost: str | None, *, at: datetime | None = None, bot: Any = None
    ) -> Settlement:
        with tenant_context(self.account.pk):
            return quotas.release(
                self.account.pk,
                (bot or self.bot).pk,
                reserved=Decimal(reserved),
                cost=None if cost is None else Decimal(cost),
                at=at,
            )

    def refused(self, cost: str, **more: Any) -> dict[str, Any]:
        with self.assertRaises(BudgetExceeded) as error:
            self.reserve(cost, **more)
        return error.exception.members

    def amounts(self, budget: Budget) -> tuple[Decimal, Decimal]:
        refresh(budget)
        return budget.spent, budget.reserved

    def running(self) -> int:
        return row_of(AccountLimits, account_id=self.account.pk).running

    def rates(self) -> list[Any]:
        return [(row.subject, row.arrival) for row in rows_of(RateState, "subject")]


class BudgetTests(LimitsCase):
    def test_a_turn_reserves_its_most_and_settles_what_it_cost(self) -> None:
        day = self.budget("1")
        self.reserve("0.4")
        self.assertEqual(self.amounts(day), (0, Decimal("0.4")))
        self.release("0.4", "0.1")
        self.assertEqual(self.amounts(day), (Decimal("0.1"), 0))

    def test_the_last_cent_is_spent_and_not_one_more(self) -> None:
        self.budget("1")
        self.reserve("0.99")
        self.reserve("0.01")
        problem = self.refused("0.00000001")

        self.assertEqual((problem["budget"], problem["period"]), ("account", "day"))
        self.assertEqual(Decimal(problem["remaining"]), 0)
        self.assertEqual(Decimal(problem["reserved"]), 1)
        self.assertEqual(Decimal(problem["spent"]), 0)
        self.assertEqual(problem["resets_at"], utc(next_start(BudgetPeriod.DAY, self.now)))

    def test_the_budget_with_the_least_left_decides_and_is_named(self) -> None:
        all_of_them = [
            self.budget("5"),
            self.budget("3", "month"),
            self.budget("4", instance_id=self.bot.pk),
            self.budget("1", "month", instance_id=self.bot.pk),
        ]
        problem = self.refused("2")
        self.assertEqual((problem["budget"], problem["period"]), ("instance", "month"))
        self.assertEqual({self.amounts(each) for each in all_of_them}, {(0, 0)})

        self.reserve("2", bot=self.other)
        self.assertEqual([self.amounts(each)[1] for each in all_of_them], [2, 2, 0, 0])

    def test_a_refused_turn_takes_no_rate_and_no_place(self) -> None:
        self.budget("1")
        self.reserve("1")
        before = self.rates(), self.running()
        self.refused("1")

        self.assertEqual((self.rates(), self.running()), before)

    def test_visitors_do_not_see_the_accounts_amounts(self) -> None:
        self.budget("1")
        self.caller = Caller(
            self.account.pk, "acme", frozenset(), "visitor:1", session_key="1" * 64
        )
        problem = self.refused("2")
        self.assertEqual(set(problem), {"budget", "period", "resets_at"})

    def test_a_free_call_needs_no_budget(self) -> None:
        day = self.budget("0")
        self.reserve("0")
        self.release("0", "0")
        self.assertEqual(self.amounts(day), (0, 0))
        self.refused("0.01")

    def test_a_turn_that_costs_more_than_it_reserved_is_counted_whole(self) -> None:
        day = self.budget("1")
        self.reserve("0.5")
        self.release("0.5", "1.7")

        self.assertEqual(self.amounts(day), (Decimal("1.7"), 0))
        self.assertEqual(Decimal(self.refused("0.01")["remaining"]), 0)
        self.reserve("0")

    def test_an_unknown_cost_is_the_reservation(self) -> None:
        day = self.budget("1")
        self.reserve("0.5")
        self.release("0.5", None)
        self.assertEqual(self.amounts(day), (Decimal("0.5"), 0))

    def test_eight_places_are_kept_exactly(self) -> None:
        day = self.budget("1")
        for _ in range(3):
            self.reserve("0.33333333")
            self.release("0.33333333", "0.33333333")
        self.assertEqual(self.amounts(day), (Decimal("0.99999999"), 0))
        self.refused("0.00000002")
        self.reserve("0.00000001")


class PeriodTests(LimitsCase):
    def test_a_new_day_has_new_money(self) -> None:
        day, month = self.budget("1"), self.budget("10", "month")
        self.reserve("1", at=self.now)
        self.release("1", "1", at=self.now)
        self.refused("1", at=self.now)
        tomorrow = start_of(BudgetPeriod.DAY, self.now) + timedelta(days=1)
        self.refused("1", at=tomorrow - timedelta(microseconds=1))
        self.reserve("1", at=tomorrow)

        self.assertEqual(self.amounts(day), (0, 1))
        self.assertEqual(day.period_start, tomorrow)
        if tomorrow.day != 1:
            self.assertEqual(self.amounts(month), (1, 1))

    def test_a_month_is_over_with_its_last_moment(self) -> None:
        month = self.budget("1", "month")
        self.reserve("1", at=self.now)
        self.release("1", "1", at=self.now)
        end = next_start(BudgetPeriod.MONTH, self.now)
        self.refused("1", at=end - timedelta(microseconds=1))
        self.reserve("1", at=end)

        self.assertEqual((self.amounts(month), month.period_start), ((0, 1), end))

    def test_a_turn_over_midnight_counts_in_the_day_in_which_it_is_settled(self) -> None:
        day = self.budget("1")
        self.reserve("0.6", at=self.now)
        tomorrow = next_start(BudgetPeriod.DAY, self.now)
        # It still runs: its reservation counts in the new day.
        self.refused("0.5", at=tomorrow)
        self.reserve("0.4", at=tomorrow)
        self.release("0.6", "0.2", at=tomorrow)
        self.assertEqual(self.amounts(day), (Decimal("0.2"), Decimal("0.4")))
        self.release("0.4", "0.4", at=tomorrow)
        self.assertEqual(self.amounts(day), (Decimal("0.6"), 0))

    def test_a_day_that_only_a_settlement_sees_begins_with_it(self) -> None:
        day = self.budget("1")
        self.reserve("0.6", at=self.now)
        self.release("0.6", "0.6", at=self.now)
        self.reserve("0.4", at=self.now)
        tomorrow = next_start(BudgetPeriod.DAY, self.now)
        self.release("0.4", "0.3", at=tomorrow)

        self.assertEqual(self.amounts(day), (Decimal("0.3"), 0))
        self.assertEqual(day.period_start, tomorrow)

    def test_a_clock_that_goes_back_reopens_no_period(self) -> None:
        day = self.budget("1")
        tomorrow = next_start(BudgetPeriod.DAY, self.now)
        self.reserve("0.5", at=tomorrow)
        self.release("0.5", "0.5", at=self.now)

        self.assertEqual(self.amounts(day), (Decimal("0.5"), 0))
        self.assertEqual(day.period_start, tomorrow)


class PeriodStartTests(SimpleTestCase):
    def test_days_and_months_are_those_of_utc(self) -> None:
        late = datetime.fromisoformat("2026-12-31T23:30:00-02:00")

        self.assertEqual(start_of(BudgetPeriod.DAY, late), datetime(2027, 1, 1, tzinfo=UTC))
        self.assertEqual(next_start(BudgetPeriod.DAY, late), datetime(2027, 1, 2, tzinfo=UTC))
        self.assertEqual(next_start(BudgetPeriod.MONTH, late), datetime(2027, 2, 1, tzinfo=UTC))


class SetBudgetTests(LimitsCase):
    def test_a_new_budget_knows_what_was_spent_and_what_is_running(self) -> None:
        session = make_session(self.bot)
        make_llm_request(session, charged_cost=ONE, settled_at=self.now)
        make_llm_request(session, charged_cost=ONE, settled_at=self.now - timedelta(days=40))
        make_llm_request(
            make_session(self.bot), completion_status="running", reserved_cost=Decimal("0.5")
        )
        day, other = self.budget("2"), self.budget("2", instance_id=self.other.pk)

        self.assertEqual(self.amounts(day), (ONE, Decimal("0.5")))
        self.assertEqual(self.amounts(other), (0, 0))
        self.release("0.5", "0.5")
        self.assertEqual(self.amounts(day), (Decimal("1.5"), 0))

    def test_a_change_keeps_what_was_spent(self) -> None:
        first = self.budget("1")
        self.reserve("0.5")
        again = self.budget("3")

        self.assertEqual((first.pk, again.limit), (again.pk, 3))
        self.assertEqual(self.amounts(again), (0, Decimal("0.5")))

    def test_invalid_values_are_refused(self) -> None:
        stranger = make_instance(make_account("beta"))
        right: dict[str, Any] = {"period": "day", "limit": ONE}
        cases: dict[str, dict[str, Any]] = {
            "period": {"period": "year"},
            "negative": {"limit": Decimal(-1)},
            "another account's agent": {"instance_id": stranger.pk},
            "percent": {"alert_percents": [0]},
        }
        for name, wrong in cases.items():
            with self.subTest(name), self.assertRaises(ValidationError):
                budgets.set_budget(self.account, **right | wrong)
        self.assertEqual(count_of(Budget), 0)

    def test_a_removed_budget_limits_nothing(self) -> None:
        self.budget("0")
        self.refused("1")

        self.assertTrue(budgets.remove_budget(self.account, period="day"))
        self.assertFalse(budgets.remove_budget(self.account, period="day"))
        self.reserve("1")


class PlaceTests(LimitsCase):
    def test_no_more_turns_run_than_there_are_places(self) -> None:
        quotas.set_limits(self.account, concurrent_turns=2)
        self.reserve("0")
        self.reserve("0")
        before = self.rates()
        with self.assertRaises(TooManyTurns) as refused:
            self.reserve("0")
        self.assertEqual((refused.exception.members["limit"], self.running()), (2, 2))
        self.assertEqual(self.rates(), before)

        self.release("0", "0")
        self.reserve("0")
        self.assertEqual(self.running(), 2)

    def test_places_never_become_fewer_than_none(self) -> None:
        self.reserve("0")
        for _ in range(3):
            self.release("0", "0")
        self.assertEqual(self.running(), 0)

    def test_the_accounts_row_is_made_when_it_is_needed(self) -> None:
        self.assertFalse(count_of(AccountLimits))
        self.reserve("0")
        self.assertEqual(self.running(), 1)


class CapTests(SimpleTestCase):
    def test_the_lowest_bound_on_the_answer_applies_and_there_is_always_one(self) -> None:
        for configured, own, expected in (
            (None, None, 4096),
            (None, 50, 50),
            (80, None, 80),
            (80, 50, 50),
            (20, 50, 20),
        ):
            with self.subTest(configured=configured, own=own):
                caps = Caps(message_bytes=1, history_messages=1, output_tokens=own)
                self.assertEqual(caps.output(configured), expected)

    @override_settings(DEFAULT_OUTPUT_TOKENS=7)
    def test_the_installations_bound_applies_without_another_one(self) -> None:
        self.assertEqual(Caps(1, 1, None).output(None), 7)


class SetLimitsTests(LimitsCase):
    def test_none_is_the_installations_default_again(self) -> None:
        quotas.set_limits(self.account, message_bytes=10, concurrent_turns=3)
        row = quotas.set_limits(self.account, message_bytes=None)

        self.assertEqual((row.message_bytes, row.concurrent_turns), (None, 3))
        with tenant_context(self.account.pk):
            self.assertEqual(quotas.caps_of(self.account.pk).message_bytes, 32 * 1024)

    def test_a_limit_below_one_is_refused(self) -> None:
        for limit in (0, -1):
            with self.subTest(limit), self.assertRaises(ValidationError):
                quotas.set_limits(self.account, concurrent_turns=limit)


class AlertTests(LimitsCase):
    def setUp(self) -> None:
        super().setUp()
        for email, role in (("own@example.com", "owner"), ("adm@example.com", "admin")):
            make_membership(self.account, make_user(email), role=MemberRole(role))
        make_membership(self.account, make_user("member@example.com"))

    def spend(self, cost: str, at: datetime | None = None) -> list[int]:
        at = at or self.now
        self.reserve(cost, at=at)
        released = self.release(cost, cost, at=at)
        alerts.send(released.alerts)
        return [alert.percent for alert in released.alerts]

    def test_each_percentage_is_reported_once_a_period(self) -> None:
        self.budget("1", alert_percents=[50, 80, 100])
        reported = [self.spend("0.1") for _ in range(10)]
        expected = [
            [50] if n == 5 else [80] if n == 8 else [100] if n == 10 else [] for n in range(1, 11)
        ]
        self.assertEqual(reported, expected)
        self.assertEqual(len(mail.outbox), 3)

        tomorrow = next_start(BudgetPeriod.DAY, self.now)
        self.assertEqual(self.spend("0.5", tomorrow), [50])

    def test_owners_and_admins_are_written_to(self) -> None:
        self.budget("1")
        with self.assertLogs("accounts.limits.alerts", "WARNING") as logs:
            self.spend("0.9")
        [sent] = mail.outbox
        self.assertEqual(sent.to, ["adm@example.com", "own@example.com"])
        self.assertIn("80 % of this day's budget", sent.body)
        self.assertIn("$0.90 of $1.00", sent.body)
        self.assertIn("acme", logs.output[0])

    def test_passing_two_at_once_is_one_message(self) -> None:
        self.budget("1")
        self.assertEqual(self.spend("1"), [100])
        self.assertEqual(len(mail.outbox), 1)

    def test_a_mail_server_that_is_down_fails_no_turn(self) -> None:
        self.budget("1")
        with (
            mock.patch("accounts.limits.alerts.send_mail", side_effect=ConnectionRefusedError),
            self.assertLogs("accounts.limits.alerts", "ERROR"),
        ):
            self.assertEqual(self.spend("1"), [100])

    def test_a_new_limit_is_no_news(self) -> None:
        self.budget("10")
        self.spend("9")
        self.budget("9")
        self.assertEqual(self.spend("0"), [])
        self.budget("100")
        self.assertEqual(self.spend("72"), [80])


class StandingTests(LimitsCase):
    def test_the_status_shows_what_is_left_and_reserves_nothing(self) -> None:
        quotas.set_limits(self.account, requests_per_minute_per_key=5, concurrent_turns=3)
        self.budget("1")
        self.budget("2", "month", instance_id=self.bot.pk)
        self.reserve("0.25")
        status = [limit_status(self.caller).as_dict() for _ in range(3)][-1]

        self.assertEqual([rate["policy"] for rate in status["rates"]], ["account", "key"])
        self.assertEqual((status["rates"][1]["limit"], status["rates"][1]["remaining"]), (5, 4))
        self.assertEqual(status["turns"], {"running": 1, "limit": 3})
        self.assertEqual(
            [(b["agent"], b["period"], Decimal(b["remaining"])) for b in status["budgets"]],
            [("bot", "month", Decimal("1.75")), (None, "day", Decimal("0.75"))],
        )

    def test_a_period_that_is_over_says_so_before_any_turn_does(self) -> None:
        self.budget("1")
        self.reserve("1", at=self.now)
        self.release("1", "1", at=self.now)
        tomorrow = next_start(BudgetPeriod.DAY, self.now)
        [budget] = limit_status(self.caller, at=tomorrow).budgets

        self.assertEqual((budget.spent, budget.remaining), (0, 1))
        self.assertEqual(budget.resets_at, tomorrow + timedelta(days=1))

    def test_budgets_of_agents_that_the_caller_may_not_use_stay_unseen(self) -> None:
        self.budget("1", instance_id=self.other.pk)
        held = Caller(
            self.account.pk, "acme", frozenset(), "key:1", instance_ids=frozenset({self.bot.pk})
        )
        self.assertEqual(limit_status(held).budgets, ())
