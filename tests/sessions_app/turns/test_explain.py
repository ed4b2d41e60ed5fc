"""The page gives the API's answer: each situation is tried with both."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

from asgiref.sync import async_to_sync
from django.test import TestCase
from django.urls import reverse
from django.utils import timezone

from accounts.limits.budgets import set_budget
from accounts.limits.quotas import set_limits
from accounts.models import AccountLimits, ApiKey, MemberRole, RateState, User
from accounts.tenancy.context import platform_context
from agents.config.loader import forget
from agents.models import ConfigVersion
from salient.ttl import clear_caches
from tests.accounts.member_fixtures import browser_of, make_member
from tests.support.api_client import ApiClient
from tests.support.database.stored import change_all, change_row, row_of
from tests.support.factories import make_account, make_instance, make_key, make_user
from tests.support.fixtures import AgentFixtures
from tests.support.isolation.accounts import rolled_back, rows_of
from tests.support.people import make_root

PAGE = reverse("admin:why-refused")


class WhyCase(AgentFixtures, TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.client.force_login(make_root())
        self.key = row_of(ApiKey, account=self.account)

    def ask(self, caller: str, **more: Any) -> Any:
        query: dict[str, Any] = {"account": self.account.pk, "instance": self.instance.pk}
        page = self.client.get(PAGE, query | {"caller": caller} | more, secure=True)
        self.assertEqual(page.status_code, 200)
        return page

    def verdict(self, caller: str, **more: Any) -> tuple[int, str]:
        page = self.ask(caller, **more)
        self.assertTrue(page.context["checks"], page.context["form"].errors)
        refused = page.context["refused"]
        if refused is None:
            return 200, ""
        return int(refused.problem.status), refused.problem.code

    def answer_of(self, client: ApiClient, size: int = 100) -> tuple[int, str]:
        clear_caches()
        body = {"message": "x" * size}
        answer = async_to_sync(client.post)(self.path("chat"), body)
        return answer.status, answer.json().get("code", "")


class SituationTests(WhyCase):
    def change_key(self, **fields: Any) -> None:
        change_row(self.key, **fields)

    def change_agent(self, **fields: Any) -> None:
        change_row(self.instance, **fields)

    def change_account(self, **fields: Any) -> None:
        change_row(self.account, **fields)

    def use_up_the_rate(self) -> None:
        set_limits(self.account, requests_per_minute=1)
        with platform_context():
            later = timezone.now() + timedelta(minutes=5)
            RateState.objects.create(account=self.account, subject="account", arrival=later)

    def let_turns_run(self) -> None:
        set_limits(self.account, concurrent_turns=1)
        with platform_context():
            AccountLimits.objects.filter(account=self.account).update(running=1)

    def spend_all(self) -> None:
        self.configure("model: openai:gpt-5\n")
        set_budget(self.account, period="month", limit=Decimal("0.00000001"))

    def break_files(self) -> None:
        self.configure("model: [")
        with platform_context():
            ConfigVersion.objects.all().delete()

    def test_the_page_says_what_the_api_says(self) -> None:
        other = make_instance(self.account)
        past = timezone.now() - timedelta(minutes=1)
        situations: dict[str, tuple[Callable[[], object], tuple[int, str]]] = {
            "nothing": (lambda: None, (200, "")),
            "revoked": (lambda: self.change_key(revoked_at=past), (401, "unauthenticated")),
            "expired": (lambda: self.change_key(expires_at=past), (401, "unauthenticated")),
            "network": (
                lambda: self.change_key(networks=["203.0.113.0/24"]),
                (403, "network_not_allowed"),
            ),
            "near": (lambda: self.change_key(networks=["127.0.0.0/8"]), (200, "")),
            "scope": (lambda: self.change_key(scopes=["agents:read"]), (403, "forbidden")),
            "other agent": (lambda: self.change_key(instance_ids=[other.pk]), (404, "not_found")),
            "inactive agent": (lambda: self.change_agent(status="inactive"), (404, "not_found")),
            "suspended": (lambda: self.change_account(status="suspended"), (403, "suspended")),
            "suspended agent": (
                lambda: self.change_agent(suspended_reason="abuse"),
                (403, "suspended"),
            ),
            "suspended key": (
                lambda: self.change_key(suspended_reason="abuse"),
                (401, "unauthenticated"),
            ),
            "files": (self.break_files, (503, "agent_misconfigured")),
            "connection": (
                lambda: self.configure("model: connection/none:gpt\n"),
                (503, "agent_misconfigured"),
            ),
            "size": (lambda: set_limits(self.account, message_bytes=10), (400, "invalid_request")),
            "rate": (self.use_up_the_rate, (429, "rate_limited")),
            "turns": (self.let_turns_run, (429, "too_many_turns")),
            "budget": (self.spend_all, (402, "budget_exceeded")),
        }
        for name, (happens, expected) in situations.items():
            with self.subTest(name):
                self._both_say(happens, expected)

    def _both_say(self, happens: Callable[[], object], expected: tuple[int, str]) -> None:
        self.configure("model: scripted:echo\n")
        with rolled_back():
            happens()
            clear_caches()
            forget()
            verdict = self.verdict(f"key:{self.key.pk}", address="127.0.0.1")
            self.assertEqual(verdict, expected)
            self.assertEqual(self.answer_of(self.api), expected)

    def test_a_key_with_networks_is_not_judged_without_an_address(self) -> None:
        self.change_key(networks=["203.0.113.0/24"])
        page = self.ask(f"key:{self.key.pk}")

        self.assertContains(page, "This key works only from 203.0.113.0/24")
        self.assertEqual(page.context["checks"], [])

    def test_a_member_too(self) -> None:
        for role, expected in (
            (MemberRole.MEMBER, (200, "")),
            (MemberRole.VIEWER, (403, "forbidden")),
        ):
            member = make_member(self.account, role)
            caller = f"member:{member.pk}"
            self.assertEqual(self.verdict(caller), expected)
            self.assertEqual(self.answer_of(browser_of(member.user)), expected)
        browser = browser_of(member.user)
        User.objects.filter(pk=member.user.pk).update(is_active=False)
        self.assertEqual(self.verdict(caller), (401, "unauthenticated"))
        self.assertEqual(self.answer_of(browser), (401, "unauthenticated"))


class PageTests(WhyCase):
    def test_asking_changes_and_counts_nothing(self) -> None:
        before = rows_of(self.account)
        for _ in range(3):
            self.ask(f"key:{self.key.pk}")

        self.assertEqual(rows_of(self.account), before)

    def test_every_check_is_shown_with_advice(self) -> None:
        change_all(ApiKey, scopes=["agents:read"])
        page = self.ask(f"key:{self.key.pk}")

        states = [check.state for check in page.context["checks"]]
        self.assertEqual(states, ["passed"] * 4 + ["refused"] + ["not asked"] * 6)
        self.assertContains(page, "What to do:")
        self.assertContains(page, "scopes cannot be added")

    def test_after_a_refusal_nothing_is_asked_and_nothing_has_passed(self) -> None:
        with platform_context():
            ApiKey.objects.update(revoked_at=timezone.now())
        by_key = self.ask(f"key:{self.key.pk}").context["checks"]
        member = make_member(self.account, MemberRole.MEMBER)
        User.objects.filter(pk=member.user.pk).update(is_active=False)
        by_member = self.ask(f"member:{member.pk}").context["checks"]

        for checks, many in ((by_key, 11), (by_member, 8)):
            states = [check.state for check in checks]
            self.assertEqual(states, ["refused"] + ["not asked"] * (many - 1))
        titles = [check.title for check in by_key]
        with platform_context():
            ApiKey.objects.update(revoked_at=None)
        passed = self.ask(f"key:{self.key.pk}").context["checks"]
        self.assertEqual([check.title for check in passed], titles)

    def test_what_is_left_is_shown_where_all_passes(self) -> None:
        page = self.ask(f"key:{self.key.pk}")

        self.assertContains(page, "The call would be answered")
        self.assertContains(page, "the call may cost")

    def test_an_account_is_chosen_first_and_offers_its_own_alone(self) -> None:
        make_instance(make_account("beta"), "theirs")
        self.assertContains(self.client.get(PAGE, secure=True), "beta")
        page = self.client.get(PAGE, {"account": str(self.account.pk)}, secure=True)

        self.assertContains(page, "bot")
        self.assertNotContains(page, "theirs")

    def test_a_foreign_key_or_a_wrong_address_is_a_form_error(self) -> None:
        theirs, _ = make_key(make_account("beta"))
        for caller, more in (
            (f"key:{theirs.pk}", {}),
            ("key:x", {}),
            (f"key:{self.key.pk}", {"address": "home"}),
            (f"key:{self.key.pk}", {"size": "0"}),
        ):
            page = self.ask(caller, **more)
            self.assertContains(page, "errorlist")
            self.assertFalse(page.context["checks"])

    def test_it_is_for_auditors_and_people_who_may_see_keys(self) -> None:
        self.client.force_login(make_user(is_staff=True))
        self.assertEqual(self.client.get(PAGE, secure=True).status_code, 403)
        self.client.force_login(make_user(is_staff=True, is_auditor=True))
        self.assertEqual(self.client.get(PAGE, secure=True).status_code, 200)
        self.assertEqual(self.client.post(PAGE, secure=True).status_code, 403)
