"""Profiles are texts of an account's people: read for a reason, erased without one."""

from __future__ import annotations

from typing import Any

from django.test import TestCase

from accounts.models import AuditEntry
from accounts.tenancy.context import platform_context
from sessions_app.models import Profile
from tests.support.database.stored import count_of, row_of
from tests.support.factories import make_hold, make_profile, make_session
from tests.support.people import make_root, opened

LIST = "/admin/sessions_app/profile/"
CANARY = "Canary Bird"


class ProfilePages(TestCase):
    def setUp(self) -> None:
        self.boss = make_root(email="boss@example.com")
        self.client.force_login(self.boss)
        self.session = make_session()
        self.profile = make_profile(
            self.session, customer_name=CANARY, email="bird@example.com", phone=CANARY
        )
        self.page = f"{LIST}{self.profile.pk}"

    def get(self, path: str, **query: str) -> Any:
        # An address with a search leads to one that does not show it.
        return self.client.get(path, query, secure=True, follow="q" in query)

    def access(self) -> None:
        opened(self.boss, self.session.account)

    def test_without_an_access_no_page_names_the_person(self) -> None:
        for path in (LIST, f"{self.page}/change/", f"{self.page}/history/", f"{self.page}/delete/"):
            with self.subTest(path):
                text = self.get(path).content.decode()
                self.assertNotIn(CANARY, text)
                self.assertNotIn("bird@example.com", text)
        self.assertContains(self.get(LIST), "hidden: needs support access")
        self.assertContains(self.get(LIST), "3 of 10")

    def test_nor_is_a_person_found_or_changed(self) -> None:
        self.assertNotContains(self.get(LIST, q="bird@example.com"), str(self.profile.pk))
        form = {"customer_name": "Forged"}
        answer = self.client.post(f"{self.page}/change/", form, secure=True)
        self.assertTemplateUsed(answer, "admin/support/reason.html")
        self.assertEqual(row_of(Profile).customer_name, CANARY)

    def test_with_one_they_are_shown_and_the_look_is_noted(self) -> None:
        self.access()
        for path in (LIST, f"{self.page}/change/"):
            self.assertContains(self.get(path), CANARY)
        self.assertContains(self.get(LIST, q="bird@example.com"), str(self.profile.pk))
        with platform_context():
            noted = AuditEntry.objects.filter(action="noted", object_type="profiles")
            found = set(noted.values_list("object_id", "reason"))
        self.assertEqual(found, {("list", "ticket 7"), (str(self.profile.pk), "ticket 7")})

    def test_an_access_to_another_account_shows_none(self) -> None:
        opened(self.boss, make_session().account)
        self.assertNotContains(self.get(LIST), CANARY)

    def test_it_is_erased_without_being_read(self) -> None:
        answer = self.client.post(f"{self.page}/delete/", {"post": "yes"}, secure=True)
        self.assertEqual(answer.status_code, 302)
        self.assertFalse(count_of(Profile))

    def test_what_a_hold_covers_is_neither_changed_nor_deleted(self) -> None:
        self.access()
        make_hold(self.session)
        self.assertContains(self.get(f"{self.page}/change/"), "A legal hold covers")
        selected = {"action": "delete_selected", "_selected_action": self.profile.pk, "post": "yes"}
        for path, form in (
            (f"{self.page}/change/", {"customer_name": "Forged"}),
            (f"{self.page}/delete/", {"post": "yes"}),
            (LIST, selected),
        ):
            with self.subTest(path):
                self.client.post(path, form, secure=True)
                self.assertEqual(row_of(Profile).customer_name, CANARY)
