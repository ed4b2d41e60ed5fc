"""The admin's first page: its sums are the ledger's, and every one leads to its rows."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import Permission
from django.test import SimpleTestCase, TestCase
from django.utils import timezone

from salient.formatting import compact, duration, exact_money, money, money_on_axis
from sessions_app.admin.overview.page import change, moved
from sessions_app.admin.overview.svg_charts import (
    HEIGHT,
    TOP,
    Chart,
    Series,
    Table,
    nice,
    sparkline,
)
from sessions_app.usage import rollup
from sessions_app.usage.failures import latest_failures
from sessions_app.usage.queries import Days, figures_by
from tests.support.database.reads import queries_of
from tests.support.database.stored import as_platform
from tests.support.factories import make_budget, make_user
from tests.support.people import make_root
from tests.support.usage import DAY, busy_account, settled


class OverviewCase(TestCase):
    def setUp(self) -> None:
        self.root = make_root(email="boss@example.com")
        self.client.force_login(self.root)

    def page(self, query: str = "") -> Any:
        return self.client.get(f"/admin/{query}", secure=True)

    def tile(self, name: str, query: str = "") -> Any:
        tiles = self.page(query).context["tiles"]
        return next(tile for tile in tiles if tile.name == name)


class FiguresTests(OverviewCase):
    def test_a_new_installation_is_told_where_to_begin(self) -> None:
        self.assertContains(self.page(), "/admin/onboarding/")
        self.assertNotContains(self.page(), "nothing to compare with")

        late = busy_account("acme", turns=0)
        settled(late, timezone.now() - 90 * DAY)
        rollup.rebuild(late.account_id)
        # Nothing happened for long, but something did.
        self.assertNotContains(self.page("?days=7"), "first-steps")

        rollup.rebuild(busy_account("beta").account_id)
        self.assertNotContains(self.page(), "first-steps")

    def test_tiles_sum_the_ledger_of_these_days(self) -> None:
        instance = busy_account("acme")
        settled(instance, completion_status="error", total_cost=None, latency_ms=None)
        settled(instance, timezone.now() - 60 * DAY)
        rollup.rebuild(instance.account_id)

        self.assertEqual(self.tile("Requests").value, "3")
        self.assertEqual(self.tile("Spend").value, "$0.50")
        self.assertEqual(self.tile("Spend").note, "+ 1 unpriced")
        self.assertEqual(self.tile("Error rate").value, "33.3%")
        self.assertEqual(self.tile("Tokens").value, "360")

    def test_a_range_is_compared_with_the_one_before(self) -> None:
        instance = busy_account("acme", turns=3)
        settled(instance, timezone.now() - 8 * DAY)
        rollup.rebuild(instance.account_id)

        self.assertEqual(self.tile("Requests", "?days=7").change, "+200% vs the period before")
        self.assertEqual(self.tile("Requests", "?days=30").change, "nothing to compare with")

    def test_an_unknown_range_is_the_default_one(self) -> None:
        for query in ("?days=8", "?days=-1", "?days=x", "?days="):
            with self.subTest(query=query):
                self.assertEqual(len(self.page(query).context["days"]), 30)

    def test_costs_that_nobody_knows_are_no_zero(self) -> None:
        instance = busy_account("acme", turns=0)
        settled(instance, total_cost=None)
        rollup.rebuild(instance.account_id)

        page = self.page().context
        self.assertEqual(self.tile("Spend").value, "unknown")
        self.assertEqual([top.spend for top in page["top_accounts"]], ["unknown"])
        [spend, *_] = page["charts"]
        self.assertFalse(spend.is_empty)
        self.assertEqual(spend.texts(-1), ["unknown"])
        self.assertIn("unknown", spend.columns()[-1].text)

    def test_a_sum_that_is_partly_unknown_says_of_how_many(self) -> None:
        instance = busy_account("acme", turns=3)
        settled(instance, total_cost=None)
        settled(instance, timezone.now() - 8 * DAY)
        rollup.rebuild(instance.account_id)

        page = self.page("?days=7").context
        tile = next(tile for tile in page["tiles"] if tile.name == "Spend")
        self.assertEqual((tile.value, tile.note), ("$0.75", "+ 1 unpriced"))
        self.assertEqual(tile.change, "not compared: some costs are unknown")
        self.assertEqual([top.spend for top in page["top_accounts"]], ["$0.75 + 1 unpriced"])
        [spend, *_] = page["charts"]
        self.assertEqual(spend.texts(-1), ["$0.75 + 1 unpriced"])

    def test_days_that_are_over_are_summed_once_and_equal_the_ledger(self) -> None:
        rich, poor = busy_account("rich"), busy_account("poor", turns=1)
        for instance, ages in ((rich, (1, 2, 3, 3, 40)), (poor, (2, 5))):
            for age in ages:
                settled(instance, timezone.now() - age * DAY)
            rollup.rebuild(instance.account_id)
        for _ in range(2):
            page = self.page().context
            figures = {tile.name: (tile.value, tile.change) for tile in page["tiles"]}
            self.assertEqual(figures["Requests"][0], "9")
            self.assertEqual(figures["Spend"], ("$2.25", "+800% vs the period before"))
            self.assertEqual(figures["Latency p95"][0], "1.0 s")
            first, second = page["top_accounts"]
            self.assertEqual((first.requests, first.spend), ("6", "$1.50"))
            self.assertEqual((second.requests, second.spend), ("3", "$0.75"))

    def test_ninety_days_are_shown_by_week(self) -> None:
        instance = busy_account("acme")
        for age in (6, 7, 89):
            settled(instance, timezone.now() - age * DAY)
        rollup.rebuild(instance.account_id)

        page = self.page("?days=90").context
        _, requests, latency, _ = page["charts"]

        self.assertEqual(requests.title, "Requests per week")
        self.assertEqual(requests.series[0].values, [1, *[0] * 10, 1, 3])
        self.assertEqual(latency.series[0].values[1:-2], [None] * 10)
        days = page["days"]
        self.assertIn(f"from={days.last - 6 * DAY}&to={days.last}", requests.links[-1])
        self.assertIn(f"from={days.first}&to={days.first + 5 * DAY}", requests.links[0])

    def test_top_accounts_have_their_budgets(self) -> None:
        rich, poor = busy_account("rich", turns=4), busy_account("poor", turns=1)
        make_budget(rich.account, limit=2, spent=Decimal("1.9"))

        first, second = self.page().context["top_accounts"]

        self.assertEqual(
            (first.account.slug, first.bar.percent, first.bar.state), ("rich", 95, "warn")
        )
        self.assertEqual((second.account.slug, second.bar), (poor.account.slug, None))


class LinkTests(OverviewCase):
    def test_every_bar_leads_to_its_rows(self) -> None:
        busy_account("acme")
        text = self.page("?days=7").content.decode()
        today = timezone.now().date()

        for day in (today, today - timedelta(days=6)):
            self.assertIn(f"/admin/sessions_app/llmrequest/?from={day}&amp;to={day}", text)
        for narrowed in ("", "&amp;model=openai%3Agpt-5"):
            self.assertIn(f'llmrequest/?from={today}&amp;to={today}{narrowed}"', text)

    def test_the_rows_behind_a_bar_are_those_it_sums(self) -> None:
        instance = busy_account("acme")
        settled(instance, model="other")
        settled(instance, timezone.now() - 3 * DAY)
        rollup.rebuild(instance.account_id)
        [spend, *_] = self.page("?days=7").context["charts"]
        bars = {bar.text.partition(": ")[2]: bar.href for bar in spend.columns()[-1].parts}

        for label, count in (("openai:gpt-5 $0.50", 2), ("openai:other $0.25", 1)):
            rows = self.client.get(bars[label], secure=True).context["cl"].result_list
            self.assertEqual(len(rows), count)

    def test_failures_are_shown_and_lead_to_their_requests(self) -> None:
        instance = busy_account("acme")
        failed = settled(instance, completion_status="error", error_code="provider_timeout")
        rollup.rebuild(instance.account_id)

        page = self.page()

        self.assertContains(page, f"/admin/sessions_app/llmrequest/{failed.pk}/change/")
        self.assertContains(page, "provider_timeout")

    def test_failures_are_looked_for_only_where_the_roll_up_has_some(self) -> None:
        instance = busy_account("acme")
        for age in (3, 5):
            settled(instance, timezone.now() - age * DAY, completion_status="partial")
        rollup.rebuild(instance.account_id)
        days = Days.until_today(7)

        found = as_platform(figures_by, "day", days=days)
        both = as_platform(latest_failures, found, days)
        none = as_platform(latest_failures, {}, days)

        self.assertEqual(([each.completion_status for each in both], none), (["partial"] * 2, []))


class PageTests(OverviewCase):
    def test_as_many_queries_for_fifty_accounts_as_for_one(self) -> None:
        busy_account(turns=1)
        self.page()
        one = queries_of(self.page)
        for _ in range(49):
            busy_account(turns=1)
        self.assertEqual(one, queries_of(self.page))

    def test_names_are_escaped(self) -> None:
        instance = busy_account("acme", name="<script>alert(1)</script>")
        settled(instance, completion_status="error", error_code="<b>", model="<img src=x>")
        rollup.rebuild(instance.account_id)

        text = self.page().content.decode()

        for word in ("<script>alert", "<img src=x", "<b>"):
            self.assertNotIn(word, text)

    def test_an_empty_platform_says_so(self) -> None:
        page = self.page()

        self.assertContains(page, "Nothing happened in these days.", count=4)
        self.assertContains(page, "No account was used in these days.")

    def test_no_style_and_no_script_stands_in_the_page(self) -> None:
        busy_account("acme")
        text = self.page().content.decode()

        self.assertEqual(re.findall(r'\sstyle="|\son\w+="|<script>|<style>', text), [])

    def test_pages_are_grouped_by_job(self) -> None:
        groups = self.page().context["app_list"]

        self.assertEqual(
            [group["name"] for group in groups], ["Tenants", "Conversations", "System"]
        )
        self.assertEqual(groups[0]["models"][0]["name"], "Accounts")

    def test_an_auditor_sees_it_and_who_has_no_rights_sees_none_of_it(self) -> None:
        busy_account("acme")
        self.client.force_login(make_user("eye@example.com", is_staff=True, is_auditor=True))
        self.assertContains(self.page(), "Top accounts")

        staff = make_user("new@example.com", is_staff=True)
        staff.user_permissions.add(Permission.objects.get(codename="view_account"))
        self.client.force_login(staff)
        page = self.page()

        self.assertNotContains(page, "Top accounts")
        self.assertContains(page, "/admin/accounts/account/")
        self.assertContains(
            page, "Figures are shown to people who may see accounts and LLM requests."
        )


class ChartTests(SimpleTestCase):
    def chart(self, *values: Any, lines: bool = False) -> Chart:
        names = [f"{n + 1} Sep" for n in range(len(values[0]))]
        series = [Series(str(n), each, f"s{n}") for n, each in enumerate(values)]
        return Chart("key", "title", names, series, money, ["#"] * len(names), lines=lines)

    def test_bars_stand_on_one_another_and_stay_inside(self) -> None:
        [[lower, upper]] = self.chart([3.0], [1.0]).stacks

        self.assertAlmostEqual(float(upper.y) + float(upper.height), float(lower.y), places=1)
        self.assertGreaterEqual(float(upper.y), TOP)
        self.assertAlmostEqual(float(lower.height), 3 * float(upper.height), delta=0.2)

    def test_a_missing_value_interrupts_a_line(self) -> None:
        chart = self.chart([1, 2, None, 4], lines=True)

        self.assertEqual([len(points.split()) for _, points in chart.paths()], [2, 2])

    def test_the_table_says_what_the_picture_shows(self) -> None:
        one, other = self.chart([1, None]), self.chart([2, 3], [4, 5])

        table = Table([one, other])

        self.assertEqual(table.heads(), [("title", 1), ("title", 2)])
        self.assertEqual(
            table.rows(),
            [
                ("1 Sep", "#", ["$1.00", "$2.00", "$4.00"]),
                ("2 Sep", "#", ["\N{EN DASH}", "$3.00", "$5.00"]),
            ],
        )

    def test_bars_have_links_of_their_own_while_these_are_few(self) -> None:
        few, many = (self.linked(columns) for columns in (50, 51))

        self.assertEqual([part.href for part in few.columns()[0].parts], ["#&model=0", "#&model=1"])
        self.assertEqual([column.parts for column in many.columns()], [[]] * 51)
        self.assertEqual([style for style, _ in many.shapes()], ["s0", "s1"])

    def linked(self, columns: int) -> Chart:
        chart = self.chart([1] * columns, [2] * columns)
        series = [replace(each, filters=f"&model={each.name}") for each in chart.series]
        return replace(chart, series=series)

    def test_axes_end_on_numbers_that_divide(self) -> None:
        found = [nice(value) for value in (0, 0.9, 1, 1.1, 37, 401, 9999)]

        self.assertEqual(found, [4.0, 1.0, 1.0, 2.0, 40.0, 600.0, 10000.0])

    def test_an_axis_of_dollars_writes_the_same_digits_on_each_line(self) -> None:
        chart = replace(self.chart([0.02]), axis=money_on_axis)

        self.assertEqual(
            [tick.text for tick in chart.ticks()],
            ["$0.000", "$0.005", "$0.010", "$0.015", "$0.020"],
        )
        self.assertEqual(money_on_axis(250.0)(1000), "$1,000.00")

    def test_a_small_line_has_a_point_for_each_value(self) -> None:
        points = [pair.split(",") for pair in sparkline([0, 5, 10]).split()]

        self.assertEqual([float(x) for x, _ in points], [0, 45, 90])
        self.assertTrue(all(0 < float(y) < HEIGHT for _, y in points))


class WordTests(SimpleTestCase):
    def test_amounts_are_read_at_a_glance(self) -> None:
        for amount, wanted in [
            (money(Decimal("1234.5")), "$1,234.50"),
            (money(Decimal("0.000432")), "$0.00043"),
            (money(0), "$0.00"),
            (money(None), "unknown"),
            (exact_money(Decimal("12.50000000")), "$12.50"),
            (exact_money(Decimal(1000)), "$1,000.00"),
            (exact_money(Decimal("0.00012340")), "$0.0001234"),
            (compact(55_123_456), "55.1 M"),
            (compact(9_999), "9,999"),
            (duration(320), "320 ms"),
            (duration(9_900), "9.9 s"),
            (duration(None), "\N{EN DASH}"),
        ]:
            with self.subTest(wanted=wanted):
                self.assertEqual(amount, wanted)

    def test_a_change_needs_something_before(self) -> None:
        self.assertEqual(change(3, 2), "+50% vs the period before")
        self.assertEqual(change(3, 0), "nothing to compare with")
        self.assertEqual(moved(0.03, 0.01), "+2.0 points vs the period before")
        self.assertEqual(moved(0.0101, 0.0105), "as in the period before")
        self.assertEqual(change(999, 1000), "as in the period before")
        self.assertEqual(moved(None, 0.01), "nothing to compare with")
