"""What a month cost: the sums are the ledger's, by any parts, on the page and as CSV."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection
from django.test import TestCase
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import ApiKey, AuditEntry, User
from accounts.tenancy.context import platform_context, tenant_context
from agents.models import AgentInstance
from sessions_app.models import LLMRequest
from sessions_app.usage import rollup
from sessions_app.usage.months import Part, Usage, latest_months, month_of, name_of
from sessions_app.usage.queries import Days, start_of
from tests.support.database.stored import row_of
from tests.support.factories import make_account, make_instance, make_key, make_user
from tests.support.people import make_root
from tests.support.usage import settled


def last_month() -> Days:
    return month_of(timezone.now().date().replace(day=1) - timedelta(days=1))


class UsageCase(TestCase):
    root: User
    key: ApiKey
    bot: AgentInstance
    other: AgentInstance

    @classmethod
    def setUpTestData(cls) -> None:
        cls.root = make_root(email="root@example.com")
        acme, beta = make_account("acme"), make_account("beta")
        cls.key, _ = make_key(acme, name="Shop")
        cls.bot, cls.other = make_instance(acme, "bot"), make_instance(beta, "bot")
        month, ended = last_month(), start_of(timezone.now().date().replace(day=1))
        middle = datetime(month.first.year, month.first.month, 15, 12, tzinfo=UTC)
        settled(cls.bot, middle, caller=f"key:{cls.key.pk}", total_cost=Decimal("1.25"))
        settled(cls.bot, middle, caller="visitor:x", model="mini", total_cost=None)
        settled(cls.bot, ended - timedelta(milliseconds=1), completion_status="error")
        settled(cls.bot, ended)
        settled(cls.other, middle, total_cost=Decimal(2))
        for each in (acme, beta):
            rollup.rebuild(each.pk)


class SumTests(UsageCase):
    def ledger(self, **which: Any) -> tuple[int, Decimal]:
        """Sum the requests themselves."""
        first, last = start_of(last_month().first), start_of(last_month().last + timedelta(days=1))
        rows = LLMRequest.objects.filter(settled_at__gte=first, settled_at__lt=last, **which)
        costs = [row.total_cost or Decimal(0) for row in rows]
        return len(costs), sum(costs, Decimal(0))

    def test_every_division_of_a_month_sums_to_the_ledger(self) -> None:
        acme = self.bot.account
        divisions: tuple[tuple[Part, ...], ...] = (
            *((), (Part.ACCOUNT,), (Part.AGENT,), (Part.MODEL,), (Part.ACCOUNT, Part.AGENT)),
            (Part.ACCOUNT, Part.AGENT, Part.MODEL),
        )
        with platform_context():
            for parts in divisions:
                for account in (None, acme):
                    with self.subTest(parts=parts, account=account):
                        usage = Usage.of(last_month(), parts, account)
                        which = {"account": account} if account else {}
                        found = (usage.total.requests, usage.total.cost)
                        self.assertEqual(found, self.ledger(**which))
        with tenant_context(acme.pk):
            by_key = Usage.of(last_month(), [*Part], acme)
            self.assertEqual((by_key.total.requests, by_key.total.cost), self.ledger(account=acme))

    def test_rows_have_names(self) -> None:
        with platform_context():
            usage = Usage.of(last_month(), [Part.AGENT, Part.MODEL])
            by_key = Usage.of(last_month(), [Part.KEY], self.bot.account)

        self.assertEqual(usage.parts, (Part.ACCOUNT, Part.AGENT, Part.MODEL))
        self.assertEqual(
            [row.names for row in usage.rows],
            [
                ("acme", "bot", "openai:gpt-5"),
                ("acme", "bot", "openai:mini"),
                ("beta", "bot", "openai:gpt-5"),
            ],
        )
        self.assertEqual(
            [(row.names, row.figures.requests) for row in by_key.dearest(9)],
            [((str(self.key),), 1), (("no key: visitors, members, staff",), 2)],
        )

    def test_months_are_whole_and_named(self) -> None:
        self.assertEqual(month_of(date(2028, 2, 29)), Days(date(2028, 2, 1), date(2028, 2, 29)))
        self.assertEqual(name_of(month_of(date(2026, 11, 5))), "2026-11")
        days = Days(date(2026, 11, 1), date(2026, 11, 15))
        self.assertEqual(name_of(days), "2026-11-01_2026-11-15")
        self.assertEqual((len(latest_months()), latest_months()[1]), (13, last_month()))


class PageTests(UsageCase):
    def setUp(self) -> None:
        self.client.force_login(self.root)

    def page(self, query: str = "") -> Any:
        return self.client.get(f"/admin/usage/{query}", secure=True)

    def test_it_begins_with_this_month_and_leads_to_the_one_before(self) -> None:
        page = self.page()
        self.assertEqual(page.context["total_cells"][0], ("Requests", "1"))
        name, address = page.context["steps"][0]
        with CaptureQueriesContext(connection) as queries:
            before = self.page(address)

        self.assertEqual(name, f"{last_month().first:%B %Y}")
        self.assertLess(len(queries), 15)
        self.assertEqual(
            [cell for _, cell in before.context["total_cells"]],
            ["4", "1", "0", "400", "80", "$3.50 + 1 unpriced"],
        )
        # On a phone each cell is a line, which begins with its column's name.
        self.assertContains(before, '<td data-label="Model">openai:mini</td>', html=True)
        self.assertContains(before, f"month={name_of(last_month())}&amp;by=account&amp;by=agent")

    def test_the_csv_is_named_by_account_and_month_and_noted(self) -> None:
        acme = self.bot.account
        query = f"?month={name_of(last_month())}&account__id__exact={acme.pk}&by=model&format=csv"
        answer = self.page(query)

        name = f"usage-acme-{name_of(last_month())}.csv"
        self.assertEqual(answer["Content-Disposition"], f'attachment; filename="{name}"')
        rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
        told = [(row["model"], row["requests"], row["cost_usd"]) for row in rows]
        self.assertEqual(told, [("openai:gpt-5", "2", "1.50000000"), ("openai:mini", "1", "")])
        noted = row_of(AuditEntry, object_type="usage_days")
        self.assertEqual(noted.account_id, acme.pk)
        everything = self.page(f"?month={name_of(last_month())}&format=csv")
        self.assertIn(f"usage-all-{name_of(last_month())}.csv", everything["Content-Disposition"])

    def test_what_is_wrong_is_said_at_its_field(self) -> None:
        for query, field in (
            ("?by=key", "account__id__exact"),
            ("?month=2020-13", "month"),
            ("?from=2026-02-01&to=2026-01-01", "from"),
            ("?account__id__exact=nobody", "account__id__exact"),
            ("?from=0001-01-01&to=2026-01-31", "from"),
            ("?from=9999-12-01", "from"),
            ("?to=9999-12-31&format=csv", "to"),
        ):
            with self.subTest(query=query):
                page = self.page(query)
                self.assertEqual(list(page.context["form"].errors), [field])
                self.assertNotIn("usage", page.context)

    def test_who_may_not_see_requests_sees_no_sums(self) -> None:
        self.client.force_login(make_user("new@example.com", is_staff=True))

        self.assertEqual(self.page().status_code, 403)
