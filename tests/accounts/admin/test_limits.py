from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.test import TestCase
from django.urls import reverse
from django.utils import timezone

from accounts.limits.registry import LIMITS
from accounts.models import AccountLimits, Budget
from accounts.tenancy.context import platform_context
from tests.support.database.reads import queries_of
from tests.support.factories import make_account, make_budget, make_instance, make_limits, make_user
from tests.support.people import make_root


class LimitPages(TestCase):
    def setUp(self) -> None:
        self.client.force_login(make_root())
        self.account = make_account("acme")

    def page(self, row: Any) -> Any:
        meta = row._meta
        address = reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[row.pk])
        return self.client.get(address, secure=True)

    def test_each_bound_tells_its_unit_and_what_holds_without_it(self) -> None:
        page = self.page(make_limits(self.account, running=3, concurrent_turns=7))

        columns = {field.name for field in AccountLimits._meta.fields}
        self.assertEqual(set(LIMITS), columns - {"account", "running", "granted"})
        self.assertContains(page, "3 of 7")
        for name, default in settings.DEFAULT_LIMITS.items():
            self.assertContains(page, f"{LIMITS[name].unit}; empty: the installation")
            self.assertContains(page, f"{default:,}")

    def test_a_bound_above_which_something_else_holds_is_refused_and_that_is_named(self) -> None:
        row = make_limits(self.account)
        meta = row._meta
        address = reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[row.pk])
        for name, limit in LIMITS.items():
            most = limit.highest
            page = self.client.post(address, {name: most + 1}, secure=True)
            self.assertContains(page, f"less than or equal to {most}")

    def test_a_budget_tells_what_is_left_of_the_period_that_runs(self) -> None:
        now = timezone.now()
        spent: dict[str, Any] = {"limit": 10, "spent": Decimal(4), "reserved": Decimal(1)}
        self.assertContains(
            self.page(make_budget(self.account, **spent)), '<div class="readonly">$5.00</div>'
        )
        past = make_budget(
            make_account(), **spent, period="day", period_start=now - timedelta(days=3)
        )
        self.assertContains(self.page(past), '<div class="readonly">$9.00</div>')

    def test_amounts_are_written_with_the_digits_that_say_something(self) -> None:
        budget = make_budget(
            self.account, limit=Decimal("12.5"), spent=Decimal("0.00012345"), reserved=Decimal(3)
        )
        listed = self.client.get(reverse("admin:accounts_budget_changelist"), secure=True)
        page = self.page(budget)

        self.assertContains(page, 'value="12.50"')
        self.assertContains(listed, "$12.50")
        for shown in (listed, page):
            self.assertContains(shown, "$0.00012")
            self.assertContains(shown, "$3.00")
            self.assertNotContains(shown, "00000")

    def test_a_budget_is_reported_by_its_agents_name(self) -> None:
        agent = make_instance(self.account, "bot")
        one = make_budget(self.account, agent_instance_id=agent.pk)
        whole = make_budget(self.account)
        listed = self.client.get(reverse("admin:accounts_budget_changelist"), secure=True)
        for shown in (listed, self.page(one)):
            self.assertContains(shown, ">bot</")
            self.assertNotContains(shown, f">{agent.pk}<")
        for shown in (listed, self.page(whole)):
            self.assertContains(shown, ">the whole account</")

    def test_the_list_costs_the_same_for_one_and_for_many(self) -> None:
        numbers, listed = set(), reverse("admin:accounts_budget_changelist")
        for _ in range(3):
            make_budget(make_account(), agent_instance_id=None)
            numbers.add(queries_of(self.client.get, listed, secure=True))
        self.assertEqual(len(numbers), 1)

    def add(self, **form: Any) -> Any:
        fields = {"account": self.account.pk, "period": "month", "limit": "20"}
        address = reverse("admin:accounts_budget_add")
        return self.client.post(address, fields | {"alert_percents": "80"} | form, secure=True)

    def test_a_new_budgets_account_is_asked_for_and_its_agent_is_chosen_by_name(self) -> None:
        agent = make_instance(self.account, "bot")
        make_instance(make_account("beta"), "theirs")
        address = reverse("admin:accounts_budget_add")
        self.assertContains(self.client.get(address, secure=True), "Whose budget?")
        page = self.client.get(address, {"account": str(self.account.pk)}, secure=True)
        self.assertContains(page, "New budget for")
        self.assertContains(page, f'<option value="{agent.pk}">bot</option>')
        self.assertContains(page, '<option value="" selected>the whole account</option>')
        self.assertContains(page, 'value="80, 100"')
        self.assertNotContains(page, "theirs")

        self.assertEqual(self.add(agent_instance_id=agent.pk).status_code, 302)
        self.assertEqual(self.add(alert_percents="90%, 50").status_code, 302)
        with platform_context():
            found = Budget.objects.values_list("agent_instance_id", "alert_percents")
            self.assertCountEqual(found, [(agent.pk, [80]), (None, [50, 90])])

    def test_what_cannot_be_a_budget_says_so_in_words(self) -> None:
        theirs = make_instance(make_account("beta"))
        for wrong, words in (
            ({"alert_percents": "eighty"}, "Write whole numbers with commas between them"),
            ({"alert_percents": "0"}, "is a number from 1 to"),
            ({"agent_instance_id": theirs.pk}, "Select a valid choice"),
            ({"limit": ""}, "This field is required"),
        ):
            page = self.add(**wrong)
            self.assertContains(page, words)
            self.assertNotContains(page, "in the array")

    def test_a_limit_is_shown_exactly_to_who_may_not_change_it(self) -> None:
        budget = make_budget(self.account, limit=Decimal("1234.123"))
        self.client.force_login(make_user(is_staff=True, is_auditor=True))

        self.assertContains(self.page(budget), '<div class="readonly">$1,234.123</div>')
