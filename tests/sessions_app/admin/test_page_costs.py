"""What a page costs: queries and bytes are counted, because times depend on the machine."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test import TestCase
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import User
from accounts.tenancy.context import platform_context
from agents.models import AgentInstance
from sessions_app.models import UsageDay
from sessions_app.models.insights import LATENCY_BUCKETS
from sessions_app.usage.queries import Days, today
from sessions_app.usage.totals import store
from tests.support.factories import make_account, make_budget, make_instance, make_user
from tests.support.people import make_auditor, make_root

MOST_QUERIES, MOST_BYTES = 15, 100_000
MODELS = [f"provider-{n}:a-model-with-a-name-{n}" for n in range(8)]
ACCOUNTS, DAYS = 12, 190


def used(agent: AgentInstance, age: int, model: str) -> UsageDay:
    return UsageDay(
        account_id=agent.account_id,
        agent_instance_id=agent.pk,
        day=today() - timedelta(days=age),
        model=model,
        requests=40,
        failed=3,
        cancelled=1,
        unpriced=age % 2,
        input_tokens=123_456,
        output_tokens=7_890,
        cost=Decimal("12.34567890"),
        latency_ms=40_000,
        latency_buckets=[0] * 20 + [40] + [0] * (LATENCY_BUCKETS - 21),
    )


def busy_platform() -> list[AgentInstance]:
    """Make accounts with budgets; the first used every model on each of the days."""
    first, *others = agents = [make_instance(make_account()) for _ in range(ACCOUNTS)]
    rows = [used(first, age, model) for age in range(DAYS) for model in MODELS]
    rows += [used(agent, 1, MODELS[0]) for agent in others]
    with platform_context():
        UsageDay.objects.bulk_create(rows)
        store(Days.until_today(DAYS), most=DAYS)
    for agent in agents:
        make_budget(agent.account, limit=2)
    return agents


class PageCostTests(TestCase):
    root: User

    @classmethod
    def setUpTestData(cls) -> None:
        cls.root = make_root(email="root@example.com")

    def cost_of(self, address: str, user: User) -> tuple[int, int]:
        """Return a page's queries and bytes, when what a process reads once has been read."""
        self.client.force_login(user)
        self.client.get(address, secure=True)
        with CaptureQueriesContext(connection) as queries:
            page = self.client.get(address, secure=True)
        self.assertEqual(page.status_code, 200)
        # A context is left by a statement only inside a test's transaction.
        asked = [each for each in queries if "set_config('role', NULL" not in each["sql"]]
        return len(asked), len(page.content)

    def assert_cheap(self, address: str, user: User | None = None) -> None:
        queries, size = self.cost_of(address, user or self.root)
        self.assertLess(queries, MOST_QUERIES, address)
        self.assertLess(size, MOST_BYTES, address)

    def test_the_overview_of_any_range_is_a_dozen_queries_and_a_small_page(self) -> None:
        busy_platform()
        for days in (7, 30, 90):
            with self.subTest(days=days):
                self.assert_cheap(f"/admin/?days={days}")

    def test_an_accounts_page_is_as_small(self) -> None:
        account = busy_platform()[0].account
        page = reverse("admin:accounts_account_change", args=[account.pk])
        for days in (7, 30, 90):
            with self.subTest(days=days):
                _, size = self.cost_of(f"{page}?days={days}", self.root)
                # Its agents, keys and people are on it too.
                self.assertLess(size, 1.2 * MOST_BYTES)

    def test_a_persons_page_does_not_ask_for_each_right(self) -> None:
        auditor = make_auditor(email="eye@example.com")
        looker = make_user("looker@example.com", is_staff=True)
        looker.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
        page = reverse("admin:accounts_user_change", args=[auditor.pk])
        for user in (self.root, looker):
            with self.subTest(user=user.email):
                self.assert_cheap(page, user)

    def test_a_groups_page_does_not_ask_for_each_right(self) -> None:
        group = Group.objects.create(name="Support")
        group.permissions.set(Permission.objects.all())
        self.assert_cheap(reverse("admin:auth_group_change", args=[group.pk]))
