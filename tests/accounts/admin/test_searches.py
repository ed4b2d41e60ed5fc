"""The searches of staff's lists: bounded in length, in time and in what they count."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qs, urlsplit

from django.contrib import admin
from django.contrib.auth.models import Group
from django.db import connection
from django.test import TestCase
from django.urls import reverse
from django.utils.html import escape

from accounts.admin.lists.bounded import MOST_COUNTED
from accounts.admin.lists.private import LONGEST, TOO_LONG
from accounts.members.search import MOST
from accounts.models import Account, MemberRole, User
from tests.support.factories import make_account, make_invitation, make_user
from tests.support.isolation.accounts import make_member
from tests.support.people import make_root

ACCOUNTS = reverse("admin:accounts_account_changelist")
USERS = reverse("admin:accounts_user_changelist")


class SearchTests(TestCase):
    def setUp(self) -> None:
        self.boss = make_root(email="boss@example.com")
        self.client.force_login(self.boss)

    def search(self, model: Any, text: str) -> Any:
        """Send the form above a list, and follow it to the list."""
        form = {"list": f"{model._meta.app_label}_{model._meta.model_name}", "q": text}
        return self.client.post(reverse("admin:list-search"), form, secure=True, follow=True)

    def found(self, model: Any, text: str) -> set[str]:
        return {str(row) for row in self.search(model, text).context["cl"].result_list}

    def test_a_text_that_is_too_long_is_refused_by_every_list(self) -> None:
        make_account("a" * 63)
        tried = 0
        for model, page in admin.site._registry.items():
            names: Any = page
            if "q" not in names.lookup_names(self.client.get(ACCOUNTS, secure=True).wsgi_request):
                continue
            tried += 1
            for text in ("a" * (LONGEST + 1), "a " * 5_000):
                with self.subTest(model=model, length=len(text)):
                    answer = self.search(model, text)
                    self.assertContains(answer, TOO_LONG)
                    self.assertNotContains(answer, escape(names.nothing_yet))
                    self.assertEqual(list(answer.context["cl"].result_list), [])
                    self.assertLess(len(answer.redirect_chain[0][0]), 2_000)
        self.assertGreater(tried, 15)

    def test_one_of_the_longest_length_is_searched_whole(self) -> None:
        answer = self.search(Account, "b" * LONGEST)
        self.assertNotContains(answer, TOO_LONG)
        self.assertContains(answer, "b" * LONGEST)

    def test_no_field_of_a_search_lets_the_browser_cut_it(self) -> None:
        for name in ("sessions_app_session", "sessions_app_llmrequest", "accounts_auditentry"):
            page = self.client.get(reverse(f"admin:{name}_changelist"), secure=True)
            self.assertNotContains(page, "maxlength")

    def test_a_list_counts_and_shows_so_many_and_changes_no_more_at_once(self) -> None:
        for number in range(4):
            make_account(f"acme-{number}")
        with patch("accounts.admin.lists.bounded.MOST_COUNTED", 2):
            page = self.client.get(ACCOUNTS, secure=True)
            self.assertContains(page, "Only the first 2 are listed.")
            chosen = Account.objects.values_list("pk", flat=True)[:1]
            form = {"action": "suspend", "_selected_action": list(chosen)}
            for everything in ("1", "2", "on"):
                every = form | {"select_across": everything}
                answer = self.client.post(ACCOUNTS, every, secure=True)
                self.assertRedirects(answer, ACCOUNTS, fetch_redirect_response=False)
            one = self.client.post(ACCOUNTS, form | {"select_across": "0"}, secure=True)
        self.assertIn("status/suspend", one["Location"])
        self.assertNotContains(self.client.get(ACCOUNTS, secure=True), "Only the first")

    def test_a_search_that_takes_too_long_is_stopped_with_what_to_search_by(self) -> None:
        words = {Account: "A part of a name or of a slug.", Group: ""}
        for model, what in words.items():
            with connection.execute_wrapper(_slow):
                page = self.search(model, "acme")
            self.assertContains(page, "This took too long and was stopped.")
            self.assertEqual(f"Search for: {what}" in page.text, bool(what))
            # Nobody knows whether there are any.
            self.assertNotContains(page, "Nothing matches.")

    def test_people_are_found_by_how_they_begin_and_by_their_account(self) -> None:
        acme = make_account("acme")
        ann = make_member(acme, MemberRole.OWNER, "ann@walkers.example").user
        User.objects.filter(pk=ann.pk).update(first_name="Ann Mary", last_name="Lee")
        make_user("other@example.com", first_name="Lee", last_name="Wong")
        make_invitation(acme, email="new@walkers.example")
        for text, names in (
            ("ann@walk", {"ann@walkers.example"}),
            ("ANN", {"ann@walkers.example"}),
            ("lee", {"ann@walkers.example", "other@example.com"}),
            ("Ann Lee", {"ann@walkers.example"}),
            ("lee ann", {"ann@walkers.example"}),
            ("ann mary", {"ann@walkers.example"}),
            ("acme", {"ann@walkers.example"}),
            (" Acme ", {"ann@walkers.example"}),
            ("walkers", set()),
            ("nn%", set()),
        ):
            with self.subTest(text):
                self.assertEqual(self.found(User, text), names)
        place = admin.site._registry
        by_name = {model.__name__: model for model in place}
        for text in ("ann@walk", "lee", "acme"):
            self.assertEqual(len(self.found(by_name["Membership"], text)), 1, text)
        for text, many in (("New@Walkers.example", 1), ("acme", 1), ("new", 0)):
            self.assertEqual(len(self.found(by_name["Invitation"], text)), many, text)

    def test_a_list_of_more_people_than_are_found_says_so(self) -> None:
        self.assertGreater(MOST, MOST_COUNTED)
        acme = make_account("acme")
        for number in range(4):
            make_member(acme, MemberRole.VIEWER, f"ann-{number}@walkers.example")
        with (
            patch("accounts.admin.lists.bounded.MOST_COUNTED", 2),
            patch("accounts.members.search.MOST", 3),
        ):
            for text in ("acme", "ann"):
                self.assertContains(self.search(User, text), "Only the first 2 are listed.")

    def test_an_account_finds_no_people_for_who_may_not_see_members(self) -> None:
        make_member(make_account("acme"), MemberRole.OWNER, "ann@walkers.example")
        with patch("accounts.admin.users._may_see", return_value=False):
            self.assertEqual(self.found(User, "acme"), set())

    def test_an_export_with_a_clear_search_is_led_to_the_encrypted_one(self) -> None:
        for name in ("sessions_app_session", "accounts_auditentry", "sessions_app_llmrequest"):
            address = reverse(f"admin:{name}_export")
            answer = self.client.get(address, {"q": "ann@walkers.example"}, secure=True)
            where = urlsplit(answer["Location"])
            self.assertEqual((answer.status_code, where.path), (302, address))
            self.assertEqual(set(parse_qs(where.query)), {"private"})
            sent = self.client.get(answer["Location"], secure=True)
            self.assertEqual(sent["Content-Type"], "text/csv; charset=utf-8")

    def test_the_way_back_to_a_form_shows_no_address_of_a_person(self) -> None:
        acme = make_account("acme")
        make_member(acme, MemberRole.OWNER, "owner@walkers.example")
        form = {"account": acme.pk, "email": "new@walkers.example", "role": "viewer"}
        page = self.client.post(reverse("admin:accounts_invitation_add"), form, secure=True)
        back = page.context["form"].initial["next"]
        self.assertNotIn("new", back)
        again = self.client.get(back, secure=True)
        self.assertContains(again, 'value="new@walkers.example"')
        key = {"account": acme.pk, "name": "shop", "kind": "secret", "mode": "live"}
        key |= {"scopes": ["chat"], "life": "365", "way": "show", "person": "owner@walkers.example"}
        page = self.client.post(reverse("admin:accounts_apikey_add"), key, secure=True)
        for address in (page.context["form"].initial["next"], page.context["instead"]):
            self.assertNotIn("owner", address)
            form = self.client.get(address, secure=True).context["adminform"].form
            self.assertEqual(form.initial["person"], "owner@walkers.example")


def _slow(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:  # noqa: FBT001
    if "ILIKE" in sql.upper() or "UPPER(" in sql.upper():
        execute("SET LOCAL statement_timeout = '10ms'", None, False, context)
        sql, params = "SELECT pg_sleep(1)", None
    return execute(sql, params, many, context)
