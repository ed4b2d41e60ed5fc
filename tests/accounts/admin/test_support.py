from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth.models import AnonymousUser, Permission
from django.core.exceptions import ValidationError
from django.test import RequestFactory, TestCase
from django.urls import reverse
from django.utils import timezone

from accounts.members import support_access
from accounts.models import Account, AuditEntry, SupportAccess, User
from accounts.tenancy.context import platform_context, tenant_context
from tests.support.database.stored import count_of, row_of
from tests.support.factories import make_account, make_user
from tests.support.people import end_of, make_root, opened

OPEN = reverse("admin:support-open")


def may_read(user: Any, account: Account) -> bool:
    with platform_context():
        return support_access.current_access(user, account.pk) is not None


class AccessTests(TestCase):
    def setUp(self) -> None:
        self.account, self.root = make_account("acme"), make_root(email="boss@example.com")

    def test_nobody_reads_without_one_not_even_a_superuser(self) -> None:
        for person in (self.root, make_user(is_staff=True, is_auditor=True), AnonymousUser()):
            self.assertFalse(may_read(person, self.account))

    def test_it_is_for_one_person_and_one_account(self) -> None:
        opened(self.root, self.account)

        self.assertTrue(may_read(self.root, self.account))
        self.assertFalse(may_read(self.root, make_account("beta")))
        self.assertFalse(may_read(make_root(), self.account))

    def test_it_needs_a_reason_and_has_its_time(self) -> None:
        for form in (
            {"reason": " \n "},
            {"reason": "x" * 501},
            {"minutes": 0},
            {"minutes": 8 * 60 + 1},
        ):
            with self.subTest(form), self.assertRaises(ValidationError):
                opened(self.root, self.account, **form)
        before = timezone.now()
        access = opened(self.root, self.account)
        hour = access.expires_at - before
        self.assertTrue(timedelta(minutes=60) <= hour < timedelta(minutes=61))

        end_of(access, timezone.now())
        self.assertFalse(may_read(self.root, self.account))

    def test_a_second_one_ends_the_first(self) -> None:
        opened(self.root, self.account, minutes=480)
        second = opened(self.root, self.account, minutes=15)
        with platform_context():
            self.assertEqual(list(SupportAccess.objects.open()), [second])
            support_access.end_access(second)

        self.assertFalse(may_read(self.root, self.account))

    def test_who_loses_the_right_reads_no_more(self) -> None:
        staff = make_user(is_staff=True)
        right = Permission.objects.get(codename="add_supportaccess")
        staff.user_permissions.add(right)
        opened(staff, self.account)
        self.assertTrue(may_read(User.objects.get(pk=staff.pk), self.account))

        staff.user_permissions.remove(right)
        self.assertFalse(may_read(User.objects.get(pk=staff.pk), self.account))
        User.objects.filter(pk=self.root.pk).update(is_staff=False)
        opened(self.root, self.account)
        self.assertFalse(may_read(User.objects.get(pk=self.root.pk), self.account))

    def test_the_account_sees_who_opened_it_and_why(self) -> None:
        opened(self.root, self.account)
        with tenant_context(self.account.pk):
            entry = AuditEntry.objects.get(object_type="support_accesses")

        self.assertEqual((entry.action, entry.object), ("created", "boss@example.com"))
        self.assertEqual(entry.changes["reason"], [None, "ticket 7"])
        self.assertIn("expires_at", entry.changes)

    def test_a_reading_is_noted_once_for_each_access(self) -> None:
        for _ in range(2):
            access = opened(self.root, self.account)
            with platform_context():
                for number in (1, 1, 2):
                    support_access.note_reading(access, "sessions", f"session-{number}", "a talk")
        with tenant_context(self.account.pk):
            noted = AuditEntry.objects.filter(action="noted").order_by("object_id")
            found = [(e.actor, e.object_id, e.object, e.reason) for e in noted]

        one = ("boss@example.com", "session-1", "a talk", "ticket 7")
        two = ("boss@example.com", "session-2", "a talk", "ticket 7")
        self.assertEqual(found, [one, one, two, two])


class PageTests(TestCase):
    def setUp(self) -> None:
        self.account, self.root = make_account("acme"), make_root(email="boss@example.com")
        self.client.force_login(self.root)

    def ask(self, **form: Any) -> Any:
        fields = {
            "account": self.account.pk,
            "reason": "ticket 7",
            "minutes": 60,
            "next": "/admin/",
        }
        return self.client.post(OPEN, fields | form, secure=True)

    def required(self, user: User, path: str = "/admin/x/?y=1", **what: Any) -> Any:
        request = RequestFactory().get(path, secure=True)
        request.user = user
        with platform_context():
            page = support_access.require_texts(request, self.account.pk, **what)
            return page and page.render()  # type: ignore[attr-defined]

    def test_in_place_of_the_texts_stands_a_form_that_leads_back(self) -> None:
        page = self.required(self.root)

        self.assertEqual(page.status_code, 200)
        self.assertContains(page, "Show the texts")
        self.assertContains(page, 'value="/admin/x/?y=1"')

    def test_with_an_access_the_reading_is_noted(self) -> None:
        opened(self.root, self.account)

        self.assertIsNone(self.required(self.root, object_type="sessions", object_id="1"))
        self.assertEqual(count_of(AuditEntry, action="noted"), 1)

    def test_who_may_not_gets_a_message(self) -> None:
        page = self.required(make_user(is_staff=True))

        self.assertContains(page, "You may not open a support access")
        self.assertNotContains(page, "Show the texts")

    def test_two_clicks_open_it(self) -> None:
        answer = self.ask()

        self.assertRedirects(answer, "/admin/", fetch_redirect_response=False)
        self.assertTrue(may_read(self.root, self.account))

    def test_it_leads_to_no_other_site(self) -> None:
        for wanted in ("https://evil.example/", "//evil.example", "javascript:alert(1)", ""):
            with self.subTest(wanted):
                answer = self.ask(next=wanted)
                account = reverse("admin:accounts_account_change", args=[self.account.pk])
                self.assertRedirects(answer, account, fetch_redirect_response=False)

    def test_what_is_missing_is_reported_at_the_form(self) -> None:
        for wrong in ({"reason": "  "}, {"minutes": 100000}, {"reason": "x" * 501}):
            with self.subTest(wrong):
                self.assertContains(self.ask(**wrong), "errorlist")
        answer = self.ask(account="00000000-0000-7000-8000-000000000000")
        self.assertEqual(answer.status_code, 302)
        self.assertFalse(may_read(self.root, self.account))

    def test_the_log_names_who_opened_it(self) -> None:
        self.ask()
        entry = row_of(AuditEntry, object_type="support_accesses")

        self.assertEqual((entry.actor_kind, entry.actor), ("staff", "boss@example.com"))

    def test_an_auditor_opens_and_ends_their_own_and_no_other(self) -> None:
        others = opened(self.root, self.account)
        auditor = make_user(is_staff=True, is_auditor=True)
        self.client.force_login(auditor)
        self.assertEqual(self.ask().status_code, 302)
        with platform_context():
            own = SupportAccess.objects.open().get(user=auditor)
        for access, status in ((others, 403), (own, 302)):
            end = reverse("admin:support-end", args=[access.pk])
            self.assertEqual(self.client.post(end, secure=True).status_code, status)
        with platform_context():
            self.assertEqual(list(SupportAccess.objects.open()), [others])

    def test_staff_without_the_right_open_none(self) -> None:
        self.client.force_login(make_user(is_staff=True))
        self.assertEqual(self.ask().status_code, 403)

    def test_an_access_is_shown_and_ended_on_its_page(self) -> None:
        access = opened(self.root, self.account)
        page = reverse("admin:accounts_supportaccess_change", args=[access.pk])

        self.assertContains(self.client.get(page, secure=True), "End this access now")
        self.client.post(reverse("admin:support-end", args=[access.pk]), secure=True)
        self.assertNotContains(self.client.get(page, secure=True), "End this access now")
        self.assertFalse(may_read(self.root, self.account))

    def test_addresses_of_forms_are_no_pages(self) -> None:
        access = opened(self.root, self.account)
        for address in (OPEN, reverse("admin:support-end", args=[access.pk])):
            self.assertEqual(self.client.get(address, secure=True).status_code, 405)
