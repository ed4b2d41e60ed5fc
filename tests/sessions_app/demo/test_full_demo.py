from __future__ import annotations

import sys
import tempfile
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest import mock

from django.db.models import Count, F, Min, Q, Sum
from django.test import TestCase, override_settings
from django.utils import timezone

from accounts.limits.periods import start_of
from accounts.models import (
    Account,
    AccountStatus,
    ApiKey,
    AuditEntry,
    Budget,
    BudgetPeriod,
    Membership,
    RefusalDay,
)
from accounts.tenancy.context import current_context, platform_context
from agents.config import forget
from agents.config.versions.current import current_config
from agents.models import AgentInstance, ConfigPublication
from sessions_app import demo
from sessions_app.demo.plan import ACCOUNTS
from sessions_app.demo.turns import conversations_of
from sessions_app.models import (
    CompletionStatus,
    LLMRequest,
    Message,
    MessageFeedback,
    Session,
    UsageDay,
)
from tests.support.commands import refusal, run_json
from tests.support.factories import make_account

TURNS = 1_200


class TransactionTests(TestCase):
    def test_no_transaction_waits_while_rows_are_made_up(self) -> None:
        contexts: list[object] = []

        def noted(*given: Any) -> Any:
            contexts.append(current_context())
            return conversations_of(*given)

        with (
            tempfile.TemporaryDirectory() as folder,
            override_settings(AGENT_CONFIG_DIR=Path(folder)),
            mock.patch.object(sys.modules[demo.fill.__module__], "conversations_of", noted),
        ):
            made = demo.fill(turns=40, accounts=2)

        self.assertEqual((contexts, made["accounts"]), ([None, None], 2))


class FullDemoTests(TestCase):
    """The tests read one filled database; tests that write do so in a savepoint."""

    made: dict[str, int]

    @classmethod
    def setUpTestData(cls) -> None:
        folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        (folder / "defaults.yaml").write_text("model: scripted:echo\n")
        cls.enterClassContext(override_settings(AGENT_CONFIG_DIR=folder))
        forget()
        cls.made = demo.fill(turns=TURNS)

    def setUp(self) -> None:
        self.context = platform_context()
        self.context.__enter__()
        self.addCleanup(self.context.__exit__, None, None, None)

    def test_twenty_accounts_have_sixty_agents_and_about_as_many_turns_as_were_asked_for(
        self,
    ) -> None:
        slugs = [plan.slug for plan in ACCOUNTS]

        self.assertEqual(Account.objects.filter(slug__in=slugs).count(), 20)
        self.assertEqual(AgentInstance.objects.filter(account__slug__in=slugs).count(), 60)
        self.assertEqual(LLMRequest.objects.count(), self.made["turns"])
        self.assertTrue(TURNS * 0.7 < self.made["turns"] < TURNS * 1.3, self.made)

    def test_what_the_pages_tell_apart_is_there(self) -> None:
        statuses = LLMRequest.objects.values_list("completion_status", flat=True).distinct()
        states = Account.objects.values_list("status", flat=True).distinct()

        self.assertEqual(
            set(statuses), set(CompletionStatus.values) - {CompletionStatus.RUNNING.value}
        )
        self.assertEqual(set(states), set(AccountStatus.values))
        self.assertTrue(LLMRequest.objects.filter(total_cost=None).exists())
        self.assertTrue(LLMRequest.objects.filter(response_body__has_key="tools").exists())
        self.assertGreater(LLMRequest.objects.values("model").distinct().count(), 6)
        self.assertEqual(
            set(MessageFeedback.objects.values_list("rating", flat=True).distinct()), {1, -1}
        )
        self.assertEqual(
            set(MessageFeedback.objects.values_list("status", flat=True).distinct()),
            {"", "fixed", "no_fault"},
        )
        self.assertTrue(Session.objects.filter(turn_count__gt=2).exists())
        self.assertTrue(Membership.objects.exists() and AuditEntry.objects.exists())

    def test_refusals_are_there_and_an_ended_key_has_nothing_else(self) -> None:
        codes = set(RefusalDay.objects.values_list("code", flat=True))
        ended = ApiKey.objects.exclude(revoked_at=None)

        self.assertEqual(codes, {"rate_limited", "unauthenticated", "budget_exceeded"})
        self.assertFalse(RefusalDay.objects.filter(last_at__gt=timezone.now()).exists())
        self.assertGreater(len(ended), 10)
        self.assertFalse(ended.filter(last_used_at__gt=F("revoked_at")).exists())
        callers = [f"key:{key.pk}" for key in ended]
        self.assertFalse(LLMRequest.objects.filter(caller__in=callers).exists())

    def test_it_spans_ninety_days_and_nothing_lies_in_the_future(self) -> None:
        now = timezone.now()
        first = LLMRequest.objects.aggregate(first=Min("created_at"))["first"]

        self.assertLess(first, now - timedelta(days=80))
        self.assertFalse(LLMRequest.objects.filter(settled_at__gt=now).exists())
        self.assertFalse(Message.objects.filter(created_at__gt=now).exists())

    def test_the_days_usage_is_the_sum_of_the_requests(self) -> None:
        stored = UsageDay.objects.aggregate(
            requests=Sum("requests"), cost=Sum("cost"), unpriced=Sum("unpriced")
        )
        counted = LLMRequest.objects.aggregate(
            requests=Count("id"),
            cost=Sum("total_cost"),
            unpriced=Count("id", filter=Q(total_cost=None)),
        )

        self.assertEqual(stored, counted)
        for day in UsageDay.objects.all()[:50]:
            self.assertEqual(sum(day.latency_buckets), day.requests)

    def test_the_sessions_counters_are_those_of_their_requests(self) -> None:
        for session in Session.objects.all()[:100]:
            mine = LLMRequest.objects.filter(session=session).order_by("created_at")
            known = [each.total_cost for each in mine if each.total_cost is not None]
            self.assertEqual(session.turn_count, len(mine))
            self.assertEqual(session.total_cost, sum(known, Decimal(0)))
            self.assertEqual(session.unpriced_turns, len(mine) - len(known))
            self.assertEqual(session.last_status, list(mine)[-1].completion_status)
            self.assertEqual(session.last_activity_at, list(mine)[-1].settled_at)

    def test_budgets_have_spent_the_billable_cost(self) -> None:
        budgets = list(Budget.objects.filter(agent_instance_id=None))
        self.assertGreater(len(budgets), 10)
        for budget in budgets:
            month = start_of(BudgetPeriod(budget.period), timezone.now())
            mine = LLMRequest.objects.filter(account=budget.account, settled_at__gte=month)
            charged = mine.aggregate(sum=Sum("charged_cost"))["sum"] or 0
            self.assertEqual(budget.spent, charged)

    def test_each_agent_serves_what_was_published_last(self) -> None:
        for instance in AgentInstance.objects.filter(override__isnull=False).select_related(
            "account"
        )[:6]:
            newest = ConfigPublication.objects.filter(agent_instance=instance).newest_first()[0]
            current = current_config(instance.account.slug, instance)
            self.assertEqual(current.version_id, newest.config_version_id)

    def test_a_second_run_adds_nothing_and_an_edit_stays(self) -> None:
        self.context.__exit__(None, None, None)
        Account.objects.filter(slug="cobalt-air").update(name="Edited")
        before = self.counts()

        made = demo.fill(turns=TURNS)

        self.assertEqual((made, self.counts()), ({}, before))
        self.assertEqual(Account.objects.get(slug="cobalt-air").name, "Edited")
        self.context = platform_context()
        self.context.__enter__()

    def counts(self) -> list[int]:
        with platform_context():
            models: list[Any] = [Account, AgentInstance, Session, LLMRequest, Message, AuditEntry]
            return [model.objects.count() for model in models]


@override_settings(DEMO=True)
class FullDemoCommandTests(TestCase):
    def setUp(self) -> None:
        root = Path(self.enterContext(tempfile.TemporaryDirectory()))
        base = root / "agents"
        base.mkdir()
        (base / "defaults.yaml").write_text("model: scripted:echo\n")
        self.enterContext(override_settings(BASE_DIR=root, AGENT_CONFIG_DIR=base))
        forget()

    def test_refuses_a_database_with_accounts_of_its_own(self) -> None:
        make_account("real-customer")

        code, message = refusal("demo", "--full", "--turns", "10")

        self.assertEqual(code, 1)
        self.assertIn("real-customer", message)
        self.assertEqual(Account.objects.filter(slug="cobalt-air").count(), 0)

    def test_with_yes_it_fills_the_database_all_the_same(self) -> None:
        make_account("real-customer")

        report = run_json("demo", "--full", "--turns", "60", "--yes")

        self.assertEqual(report["full"]["accounts"], 20)

    def test_a_dry_run_makes_nothing(self) -> None:
        run_json("demo", "--full", "--dry-run")

        self.assertFalse(Account.objects.filter(slug="cobalt-air").exists())

    def test_is_refused_where_the_demo_is_off(self) -> None:
        with self.settings(DEMO=False):
            self.assertEqual(refusal("demo", "--full")[0], 1)
        self.assertFalse(Account.objects.filter(slug="cobalt-air").exists())
