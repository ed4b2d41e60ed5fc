"""Accounts in the admin: figures that match the ledger, and changes after a confirmation."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db import connection
from django.test import TestCase
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import Account, AuditEntry
from accounts.tenancy.context import platform_context
from sessions_app.usage import rollup
from tests.support.factories import (
    make_account,
    make_budget,
    make_instance,
    make_invitation,
    make_key,
    make_membership,
    make_user,
)
from tests.support.isolation.html_forms import forms_in
from tests.support.usage import busy_account, settled

LIST = reverse("admin:accounts_account_changelist")


def page_of(account: Account) -> str:
    return reverse("admin:accounts_account_change", args=[account.pk])


def ask(change: str, *accounts: Account) -> str:
    ids = "&".join(f"id={account.pk}" for account in accounts)
    return f"{reverse('admin:account-status', args=[change])}?{ids}"


REASON = "Invoice 17 is unpaid since August"


class AccountCase(TestCase):
    def setUp(self) -> None:
        self.log_in("boss@example.com", is_superuser=True)

    def log_in(self, email: str, **rights: Any) -> None:
        self.client.force_login(make_user(email, is_staff=True, **rights))

    def get(self, path: str) -> Any:
        return self.client.get(path, secure=True)

    def post(self, path: str, form: Any = None) -> Any:
        return self.client.post(path, form or {}, secure=True)

    def queries(self, path: str) -> int:
        self.get(path)
        with CaptureQueriesContext(connection) as found:
            self.assertEqual(self.get(path).status_code, 200)
        return len(found)

    def status(self, account: Account) -> str:
        account.refresh_from_db()
        return account.status


class ListTests(AccountCase):
    def row(self, slug: str) -> Any:
        found = self.get(LIST).context["cl"].result_list
        return next(account for account in found if account.slug == slug)

    def test_shows_the_month_as_the_ledger_has_it(self) -> None:
        instance = busy_account("acme", turns=3)
        settled(instance, total_cost=None)
        rollup.rebuild(instance.account_id)
        busy_account("other", turns=1)

        row = self.row("acme")

        self.assertEqual(
            (row.figures["requests"], row.figures["spend"]), ("4", "$0.75 + 1 unpriced")
        )
        self.assertIn("4 requests in 30 days", row.figures["words"])
        self.assertEqual(row.figures["instances"], 1)

    def test_a_month_of_unknown_cost_is_unknown_and_no_zero(self) -> None:
        instance = busy_account("acme", turns=0)
        settled(instance, total_cost=None)
        settled(instance, total_cost=0, completion_status="error")
        rollup.rebuild(instance.account_id)

        self.assertEqual(self.row("acme").figures["spend"], "unknown")

    def test_shows_how_full_the_budget_is(self) -> None:
        instance = busy_account("acme")
        make_budget(instance.account, limit=10, spent=Decimal(4))
        make_budget(instance.account, limit=10, spent=Decimal(9), agent_instance_id=instance.pk)

        self.assertEqual(self.row("acme").bar.percent, 40)
        self.assertContains(self.get(LIST), "$4.00 of $10.00 this month")

    def test_as_many_queries_for_fifty_accounts_as_for_one(self) -> None:
        busy_account(turns=1)
        one = self.queries(LIST)
        for _ in range(49):
            make_budget(busy_account(turns=1).account)

        self.assertEqual(self.queries(LIST), one)

    def test_is_searched_by_name_and_slug(self) -> None:
        make_account("acme", name="Rocket Works")
        make_account("beta")
        for word in ("rocket", "acm"):
            found = (
                self.client.get(LIST, {"q": word}, secure=True, follow=True)
                .context["cl"]
                .result_list
            )
            self.assertEqual([account.slug for account in found], ["acme"])

    def test_names_are_escaped(self) -> None:
        make_account("acme", name="<script>alert(1)</script>")
        for path in (LIST, page_of(Account.objects.get(slug="acme"))):
            self.assertNotContains(self.get(path), "<script>alert")


class PageTests(AccountCase):
    def test_shows_what_the_account_has(self) -> None:
        instance = busy_account("acme")
        account = instance.account
        _, text = make_key(account, name="shop key")
        member = make_membership(account)
        make_budget(account, limit=10, spent=Decimal(1))
        make_budget(account, limit=3, spent=Decimal(2), period="day")
        invitation = make_invitation(account)
        settled(instance, completion_status="error", error_code="provider_timeout")
        rollup.rebuild(account.pk)

        page = self.get(page_of(account))

        for word in (instance.instance_slug, "shop key", member.user.email, "provider_timeout"):
            self.assertContains(page, word)
        self.assertContains(page, "$1.00 of $10.00 this month")
        self.assertContains(page, "$2.00 of $3.00 today")
        self.assertContains(page, f"{invitation.email}</a>")
        self.assertContains(page, f"/admin/accounts/accountlimits/{account.pk}/change/")
        self.assertNotContains(page, text)
        self.assertEqual(page.context["tiles"][0].value, "3")
        [(agent, used, *_)] = page.context["agents"]
        self.assertEqual((agent, used["requests"]), (instance, "3"))

    def test_shows_nothing_of_others(self) -> None:
        busy_account("other")
        account = make_account("acme")
        page = self.get(page_of(account))

        self.assertEqual(page.context["tiles"][0].value, "0")
        self.assertContains(page, "Nothing failed in these days.")

    def test_as_many_queries_for_many_rows_as_for_one(self) -> None:
        instance = busy_account("acme", turns=1)
        account = instance.account
        make_key(account)
        make_membership(account)
        make_budget(account)
        one = self.queries(page_of(account))
        for _ in range(15):
            more = make_instance(account)
            settled(more, completion_status="error")
            make_key(account)
            make_membership(account)
            make_budget(account, agent_instance_id=more.pk)
        rollup.rebuild(account.pk)

        # The one more looks for the failures.
        self.assertLessEqual(self.queries(page_of(account)), one + 1)

    def test_the_latest_changes_are_there(self) -> None:
        account = make_account("acme")
        self.post(page_of(account), {"name": "Renamed", "subscription_tier": ""})

        entry = self.get(page_of(account)).context["audited"][0]

        self.assertEqual((entry["entry"].actor, entry["columns"]), ("boss@example.com", "name"))

    def test_the_form_changes_neither_slug_nor_status(self) -> None:
        account = make_account("acme")
        form = {"slug": "other", "status": "suspended", "name": "A", "subscription_tier": ""}
        self.post(page_of(account), form)

        account.refresh_from_db()
        self.assertEqual((account.slug, account.status, account.name), ("acme", "active", "A"))

    def test_an_account_is_added_and_its_slug_stays(self) -> None:
        form = {"name": "Acme", "status": "active", "subscription_tier": ""}
        self.post(reverse("admin:accounts_account_add"), {"slug": "acme", **form})
        account = Account.objects.get(slug="acme")
        self.post(page_of(account), {**form, "slug": "other", "name": "Acme & Sons"})

        account.refresh_from_db()
        self.assertEqual((account.slug, account.name), ("acme", "Acme & Sons"))

    def test_a_bad_slug_is_reported_at_the_form(self) -> None:
        form = {"slug": "../x", "name": "X", "status": "active"}
        answer = self.post(reverse("admin:accounts_account_add"), form)
        self.assertContains(answer, "lower-case letters")


class StatusTests(AccountCase):
    def setUp(self) -> None:
        super().setUp()
        self.account, self.other = make_account("acme"), make_account("beta")

    def test_asking_changes_nothing_and_says_what_it_means(self) -> None:
        for change in ("suspend", "archive"):
            self.assertContains(self.get(ask(change, self.account)), "within 5 seconds")

        self.assertEqual(self.status(self.account), "active")

    def test_suspends_reactivates_and_archives(self) -> None:
        for change, status in [
            ("suspend", "suspended"),
            ("reactivate", "active"),
            ("archive", "deleted"),
        ]:
            self.post(ask(change), {"id": str(self.account.pk), "reason": REASON})
            self.assertEqual(self.status(self.account), status)
            reason = Account.objects.get(pk=self.account.pk).suspended_reason
            self.assertEqual(reason, REASON if change == "suspend" else "")
        self.assertEqual(self.status(self.other), "active")

    def test_the_reason_is_asked_for_shown_with_the_state_and_one_click_resumes(self) -> None:
        page = self.post(ask("suspend"), {"id": str(self.account.pk), "reason": " "})
        self.assertContains(page, "This field is required.")
        self.assertEqual(self.status(self.account), "active")

        self.post(ask("suspend"), {"id": str(self.account.pk), "reason": REASON})
        self.assertContains(self.get(LIST), REASON)
        page = self.get(reverse("admin:accounts_account_change", args=[self.account.pk]))
        self.assertContains(page, f": {REASON}</p>")
        self.assertContains(page, "by boss@example.com")
        [resume] = [form for form in forms_in(page.content.decode()) if "status" in form.action]
        self.client.post(resume.action, resume.values(), secure=True)
        self.assertEqual(self.status(self.account), "active")

    def test_several_are_chosen_in_the_list_and_asked_for_once(self) -> None:
        chosen = [str(self.account.pk), str(self.other.pk)]
        answer = self.post(LIST, {"action": "suspend", "_selected_action": chosen})

        self.assertEqual(answer.status_code, 302)
        self.assertEqual(self.status(self.account), "active")
        self.assertContains(self.get(answer.url), "beta")
        self.post(answer.url, {"id": chosen, "reason": REASON})
        self.assertEqual({self.status(self.account), self.status(self.other)}, {"suspended"})

    def test_the_audit_log_says_who_did_it(self) -> None:
        self.post(ask("suspend"), {"id": str(self.account.pk), "reason": REASON})

        with platform_context():
            entry = AuditEntry.objects.filter(account_id=self.account.pk).newest_first()[0]
        self.assertEqual((entry.actor_kind, entry.actor), ("staff", "boss@example.com"))
        self.assertEqual(entry.changes["status"], ["active", "suspended"])
        self.assertEqual(entry.changes["suspended_reason"], ["", REASON])

    def test_what_is_so_already_is_reported(self) -> None:
        self.post(ask("reactivate"), {"id": str(self.account.pk)})

        self.assertContains(self.get(LIST), "nothing to change")

    def test_a_forged_address_is_not_found(self) -> None:
        self.assertEqual(self.get(ask("explode", self.account)).status_code, 404)
        self.assertEqual(self.get(f"{ask('suspend')}id=1").status_code, 404)

    def test_an_auditor_sees_and_can_not_act(self) -> None:
        self.log_in("eye@example.com", is_auditor=True)
        for path in (LIST, page_of(self.account)):
            self.assertEqual(self.get(path).status_code, 200)
        self.assertNotContains(self.get(page_of(self.account)), "Suspend")

        answers = [
            self.post(ask("suspend"), {"id": str(self.account.pk)}),
            self.post(LIST, {"action": "suspend", "_selected_action": [str(self.account.pk)]}),
            self.get(ask("suspend", self.account)),
        ]

        self.assertEqual([answer.status_code for answer in answers], [403] * 3)
        self.assertEqual(self.status(self.account), "active")

    def test_staff_without_the_right_can_not_act(self) -> None:
        self.log_in("new@example.com")
        answer = self.post(ask("suspend"), {"id": str(self.account.pk)})

        self.assertEqual((answer.status_code, self.status(self.account)), (403, "active"))
