"""The staff's pages for people: who they are, and the accounts that they are members of."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Permission
from django.test import TestCase, override_settings
from django.urls import reverse

from accounts.admin.users import KINDS
from accounts.models import Membership, User
from tests.support.database.reads import queries_of
from tests.support.factories import make_account, make_membership, make_user
from tests.support.people import make_root

LIST = reverse("admin:accounts_user_changelist")


@override_settings(SECURE_SSL_REDIRECT=False)
class UserPagesTests(TestCase):
    def setUp(self) -> None:
        self.root = make_root(email="root@example.com")
        self.client.force_login(self.root)

    def join(self, user: User, *slugs: str) -> list[Membership]:
        return [make_membership(make_account(slug), user, role="owner") for slug in slugs]

    def listed(self, **query: Any) -> list[str]:
        rows = self.client.get(LIST, query, follow=True).context["cl"].result_list
        return [row.email for row in rows]

    def test_each_person_has_a_badge_for_what_they_are(self) -> None:
        make_user("eye@example.com", is_staff=True, is_auditor=True)
        make_user("ann@example.com", is_staff=True)
        make_user("bob@example.com", is_active=False)
        page = self.client.get(LIST).content.decode()
        for state, word in (
            ("warn", "platform owner"),
            ("info", "auditor"),
            ("ok", "staff"),
            ("bad", "inactive"),
        ):
            self.assertEqual(page.count(f'<span class="badge {state}">{word}</span>'), 1, word)

    def test_the_list_leads_to_the_persons_places_in_accounts(self) -> None:
        ann = make_user("ann@example.com")
        places = self.join(ann, "acme", "beta", "coop", "dove", "echo")
        page = self.client.get(LIST)
        for place in places[:3]:
            address = reverse("admin:accounts_membership_change", args=[place.pk])
            self.assertContains(page, f'<a href="{address}">{place.account.slug}</a>')
        self.assertContains(page, "</a> and 2 more")
        own = self.client.get(reverse("admin:accounts_user_change", args=[ann.pk]))
        self.assertContains(own, 'echo</a> <span class="quiet">Owner</span>')

    def test_people_are_found_by_what_they_are_and_where(self) -> None:
        make_user("eye@example.com", is_staff=True, is_auditor=True)
        make_user("ann@example.com", is_staff=True)
        bob = make_user("bob@example.com", is_active=False)
        self.join(bob, "acme", "acme-two")
        for who, found in (
            ("superuser", "root"),
            ("auditor", "eye"),
            ("staff", "ann"),
            ("member", "bob"),
            ("inactive", "bob"),
        ):
            self.assertEqual(self.listed(who=who), [f"{found}@example.com"], who)
        self.assertEqual(len(KINDS), 5)
        self.assertEqual(self.listed(q="acme"), ["bob@example.com"])

    def test_who_may_not_see_memberships_sees_none(self) -> None:
        ann = make_user("ann@example.com", is_staff=True)
        ann.user_permissions.add(Permission.objects.get(codename="view_user"))
        self.join(self.root, "acme")
        self.client.force_login(ann)
        self.assertNotContains(self.client.get(LIST), "acme")
        page = reverse("admin:accounts_user_change", args=[self.root.pk])
        self.assertNotContains(self.client.get(page), "acme")

    def test_the_list_costs_the_same_for_one_and_for_many(self) -> None:
        self.join(make_user(), "acme")
        self.client.get(LIST)
        few = queries_of(self.client.get, LIST)
        for number in range(20):
            self.join(make_user(), f"more-{number}")
        self.assertEqual(few, queries_of(self.client.get, LIST))
