"""The slowest and the dearest requests, and those of a key or an error, within some days."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import Permission
from django.test import TestCase
from django.utils import timezone

from accounts.models import ApiKey, User
from agents.models import AgentInstance
from sessions_app.models import LLMRequest
from sessions_app.usage.queries import today
from tests.support.factories import make_account, make_instance, make_key, make_user
from tests.support.people import make_root
from tests.support.usage import settled

DAY = timedelta(days=1)


class OrderTests(TestCase):
    root: User
    bot: AgentInstance
    key: ApiKey
    slow: LLMRequest
    dear: LLMRequest
    keyed: LLMRequest
    failed: LLMRequest
    old: LLMRequest
    older: LLMRequest
    acme: dict[str, str]

    @classmethod
    def setUpTestData(cls) -> None:
        cls.root = make_root(email="root@example.com")
        acme = make_account("acme")
        cls.key, _ = make_key(acme, name="Shop")
        cls.bot, other = make_instance(acme, "bot"), make_instance(make_account("beta"), "b")
        now = timezone.now()
        cls.slow = settled(cls.bot, latency_ms=9_000, total_cost=None)
        cls.dear = settled(other, latency_ms=300, total_cost=Decimal(7))
        cls.keyed = settled(cls.bot, caller=f"key:{cls.key.pk}", latency_ms=None)
        cls.failed = settled(cls.bot, completion_status="error", error_code="provider_timeout")
        cls.old = settled(cls.bot, now - 8 * DAY, latency_ms=60_000, total_cost=Decimal(50))
        cls.older = settled(cls.bot, now - 40 * DAY, latency_ms=70_000, total_cost=Decimal(70))
        cls.acme = {"account__id__exact": str(acme.pk)}

    def setUp(self) -> None:
        self.client.force_login(self.root)

    def get(self, **query: Any) -> Any:
        return self.client.get("/admin/sessions_app/llmrequest/", query, secure=True)

    def listed(self, **query: Any) -> list[Any]:
        return [row.pk for row in self.get(**query).context["cl"].result_list]

    def test_keys_are_named_to_who_may_see_them_alone(self) -> None:
        staff = make_user("few@example.com", is_staff=True)
        self.client.force_login(staff)
        names = ["view_llmrequest", "view_apikey"]
        for given in (names, names[:1]):
            staff.user_permissions.set(Permission.objects.filter(codename__in=given))
            page = self.get(key=str(self.key.pk), **self.acme)
            self.assertEqual("Shop" in page.content.decode(), given == names)
            found = [row.pk for row in page.context["cl"].result_list]
            self.assertEqual(found, [self.keyed.pk])

    def test_the_greatest_come_first_and_what_is_unknown_is_left_out(self) -> None:
        slowest, dearest = self.listed(order="slowest"), self.listed(order="dearest")

        self.assertEqual(slowest, [self.slow.pk, self.failed.pk, self.dear.pk])
        self.assertEqual(dearest, [self.dear.pk, self.failed.pk, self.keyed.pk])
        of_acme = self.listed(order="slowest", **self.acme)
        self.assertEqual(of_acme, [self.old.pk, self.slow.pk, self.failed.pk])

    def test_each_filter_looks_through_the_last_days_and_says_which(self) -> None:
        for query, found in (
            ({"error": "provider_timeout"}, [self.failed]),
            ({"latency_from": "2"}, [self.slow]),
            ({"cost_from": "1"}, [self.dear]),
            ({"cost_from": "1", **self.acme}, [self.old]),
            ({"key": str(self.key.pk), **self.acme}, [self.keyed]),
            ({"latency_from": "2", "order": "dearest", **self.acme}, [self.old]),
        ):
            with self.subTest(query):
                page = self.get(**query)
                self.assertEqual(
                    [row.pk for row in page.context["cl"].result_list], [row.pk for row in found]
                )
                days = 30 if query.keys() & self.acme.keys() else 6
                self.assertContains(page, f'value="{today() - days * DAY}"')

    def test_a_failed_row_says_why(self) -> None:
        page = self.get(error="provider_timeout")

        self.assertContains(page, "provider_<wbr>timeout")

    def test_keys_and_agents_are_chosen_by_name_once_the_account_is(self) -> None:
        self.assertContains(self.get(), "choose an account first")
        page = self.get(**self.acme)
        self.assertContains(page, str(self.key))
        self.assertContains(page, f'<option value="{self.bot.pk}">bot</option>', html=True)

    def test_more_days_are_refused_with_what_to_do(self) -> None:
        page = self.get(order="slowest", **{"from": "2026-01-01"})
        self.assertContains(page, "Choose at most 7 days, or an account and 31 days.")
        self.assertEqual(page.context["cl"].result_list, [])
        page = self.get(order="slowest", **self.acme, **{"from": "2026-01-01"})
        self.assertContains(page, "Choose at most 31 days.")
        # The days of the time's own order are not bounded, and an id finds its row.
        self.assertEqual(len(self.listed(**{"from": "2026-01-01"})), 6)
        self.assertEqual(self.listed(q=str(self.older.pk), order="slowest"), [self.older.pk])

    def test_a_page_of_the_greatest_has_no_further_pages(self) -> None:
        for _ in range(50):
            settled(self.bot)
        page = self.get(order="slowest")

        self.assertEqual(len(page.context["cl"].result_list), 50)
        self.assertContains(page, "The first 50; narrow the filters for others")
        self.assertNotContains(page, 'rel="next"')
        for name in ("Newest", "Slowest", "Most expensive"):
            self.assertContains(page, f">{name}</a>")
