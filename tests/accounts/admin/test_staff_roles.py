"""The four ready-made roles of staff, and the pages of who has no right."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group, Permission
from django.test import TestCase, override_settings
from django.urls import reverse

from accounts.members import staff_roles
from accounts.members.staff_roles import StaffRole, role_of
from accounts.models import User
from tests.support.factories import make_account, make_user
from tests.support.people import make_root


@override_settings(SECURE_SSL_REDIRECT=False)
class StaffPages(TestCase):
    def setUp(self) -> None:
        self.owner = make_root(email="owner@example.com")
        self.person = make_user("ann@example.com")
        self.client.force_login(self.owner)

    def give(self, role: str, person: User | None = None, **more: Any) -> Any:
        person = person or self.person
        form = {"email": person.email, "is_active": "on", "role": role} | more
        return self.client.post(reverse("admin:accounts_user_change", args=[person.pk]), form)

    def now(self) -> User:
        return User.objects.get(pk=self.person.pk)

    def as_person(self, address: str) -> Any:
        self.client.force_login(self.now())
        return self.client.get(address)


class RoleTests(StaffPages):
    def test_permissions_have_the_words_of_todays_pages(self) -> None:
        rights = Permission.objects.filter(content_type__app_label="agents")
        before = dict(rights.values_list("codename", "name"))
        self.assertEqual(before["add_agentinstance"], "Can add agent")
        rights.filter(codename="add_agentinstance").update(name="Can add agent instance")
        staff_roles.refresh()
        self.assertEqual(dict(rights.values_list("codename", "name")), before)

    def test_each_role_is_given_and_taken_by_one_choice(self) -> None:
        for role in ("owner", "operator", "support", "auditor", "none"):
            with self.subTest(role):
                self.assertEqual(self.give(role).status_code, 302)
                self.assertEqual(role_of(self.now()), role)

    def test_the_form_offers_roles_and_no_permissions(self) -> None:
        page = self.client.get(reverse("admin:accounts_user_change", args=[self.person.pk]))

        self.assertContains(page, 'type="radio" name="role"', count=len(StaffRole))
        self.assertNotContains(page, "user_permissions")
        self.assertContains(page, "Operator: sees and changes accounts")

    def test_an_operator_changes_agents_and_reads_no_texts(self) -> None:
        self.give("operator")
        person = self.now()

        for right in ("agents.change_agentinstance", "accounts.add_apikey", "accounts.view_user"):
            self.assertTrue(person.has_perm(right), right)
        for right in ("accounts.add_supportaccess", "accounts.change_user", "auth.change_group"):
            self.assertFalse(person.has_perm(right), right)

    def test_support_sees_all_reads_texts_and_writes_test_chats(self) -> None:
        self.give("support")
        person = self.now()

        for right in (
            "accounts.view_apikey",
            "sessions_app.view_session",
            "accounts.add_supportaccess",
            "sessions_app.add_savedchat",
        ):
            self.assertTrue(person.has_perm(right), right)
        for right in ("accounts.change_apikey", "agents.change_agentinstance"):
            self.assertFalse(person.has_perm(right), right)

    def test_own_rights_are_groups_and_stay_until_a_role_is_given(self) -> None:
        readers = Group.objects.create(name="readers")
        right = Permission.objects.get(codename="view_budget")
        self.person.user_permissions.add(right)
        self.give("own", groups=[readers.pk])
        self.assertEqual(role_of(self.now()), StaffRole.OWN)
        self.assertTrue(self.now().has_perm("accounts.view_budget"))
        address = reverse("admin:accounts_user_change", args=[self.person.pk])
        self.assertContains(self.client.get(address), right.name)

        self.give("auditor")

        self.assertEqual(list(self.now().groups.all()), [])
        self.assertEqual(list(self.now().user_permissions.all()), [])

    def test_the_last_owner_stays_one(self) -> None:
        for form in ({"role": "support"}, {"role": "owner", "is_active": ""}):
            answer = self.give(person=self.owner, **form)
            self.assertContains(answer, "This is the last platform owner")
        self.assertTrue(User.objects.get(pk=self.owner.pk).is_superuser)

    def test_who_is_no_owner_sees_the_role_and_gives_none(self) -> None:
        self.give("own")
        rights = Permission.objects.filter(codename__in=["view_user", "change_user"])
        self.person.user_permissions.set(rights)
        other = make_user("bob@example.com")
        self.client.force_login(self.now())
        answer = self.give("owner", other, first_name="Bob")

        self.assertEqual(answer.status_code, 302)
        other.refresh_from_db()
        self.assertEqual((other.first_name, role_of(other)), ("Bob", StaffRole.NONE))

    def test_a_role_gets_the_permissions_of_new_pages(self) -> None:
        group = staff_roles.group_of(StaffRole.SUPPORT)
        whole = set(group.permissions.all())
        group.permissions.clear()
        staff_roles.refresh()

        self.assertEqual(set(group.permissions.all()), whole)

    def test_ready_made_groups_are_not_among_those_to_change(self) -> None:
        self.give("operator")

        self.assertNotContains(self.client.get(reverse("admin:auth_group_changelist")), "operator")


class WithoutRightsTests(StaffPages):
    def test_the_overview_says_who_gives_rights(self) -> None:
        self.give("own")
        page = self.as_person(reverse("admin:index"))

        self.assertContains(page, "You have no rights here yet")
        self.assertContains(page, "ann@example.com")

    def test_a_page_without_the_right_says_so_in_the_frame_and_leads_on(self) -> None:
        self.give("own")
        account = make_account("acme")
        for address in (
            reverse("admin:accounts_account_changelist"),
            reverse("admin:accounts_account_change", args=[account.pk]),
        ):
            page = self.as_person(address)
            self.assertContains(page, "It needs a right that you do not have", status_code=403)
            self.assertContains(page, "Own rights", status_code=403)
            self.assertContains(page, "To the overview", status_code=403)

    def test_a_missing_page_leads_on_inside_and_outside_of_the_admin(self) -> None:
        page = self.client.get("/admin/nothing/")
        self.assertContains(page, "To the overview", status_code=404)
        self.assertContains(page, "There is no such page", status_code=404)
        self.assertContains(self.client.get("/nothing"), "To the start", status_code=404)
