"""People's logins are their own: staff set no password, read no link and turn none elsewhere."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from django.contrib.auth.models import Permission
from django.core import mail
from django.test import Client, TestCase
from django.urls import reverse

from accounts.models import AuditEntry, MemberRole, User
from accounts.tenancy.context import platform_context
from tests.accounts.member_fixtures import PASSWORD, make_member
from tests.support.factories import make_account, make_user
from tests.support.people import make_root

NEW = "a-quite-good-one"
ADD = reverse("admin:accounts_user_add")


def page(name: str, user: User) -> str:
    return reverse(f"admin:{name}", args=[user.pk])


class PeoplePages(TestCase):
    def setUp(self) -> None:
        self.boss = make_root(email="boss@example.com")
        self.client.force_login(self.boss)
        self.member = make_member(make_account("acme"), MemberRole.OWNER, "owner@example.com").user

    def post(self, path: str, **form: Any) -> Any:
        with self.captureOnCommitCallbacks(execute=True):
            return self.client.post(path, form, secure=True)

    def change(self, user: User, **form: Any) -> Any:
        values = {"email": user.email, "is_active": "on"} | form
        return self.post(page("accounts_user_change", user), **values)

    def again(self, user: User) -> User:
        return User.objects.get(pk=user.pk)

    def link(self) -> str:
        [address] = re.findall(r"https?://\S+/password/\S+", str(mail.outbox[-1].body))
        return str(urlsplit(address).path)


class PasswordTests(PeoplePages):
    def test_nobody_sets_another_persons_password(self) -> None:
        for user in (self.member, make_root(), make_user(is_staff=True)):
            before = user.password
            path = page("auth_user_password_change", user)
            for answer in (self.client.get(path, secure=True), self.post(path, password1=NEW)):
                self.assertEqual(answer.status_code, 403)
            self.change(user, password=NEW, password1=NEW, password2=NEW)
            self.assertEqual(self.again(user).password, before)

    def test_ones_own_is_changed_where_the_old_one_is_asked_for(self) -> None:
        path = page("auth_user_password_change", self.boss)
        answer = self.client.get(path, secure=True)
        self.assertRedirects(
            answer, reverse("admin:password_change"), fetch_redirect_response=False
        )

    def test_a_link_goes_to_the_person_and_is_shown_to_nobody(self) -> None:
        shown = self.client.get(page("accounts_user_change", self.member), secure=True)
        self.assertContains(shown, "Send a link to set a new password")
        answer = self.post(page("password-link", self.member))

        [sent] = mail.outbox
        self.assertEqual(sent.to, ["owner@example.com"])
        token = self.link().rstrip("/").rpartition("/")[2]
        after = self.client.get(answer.url, secure=True)
        self.assertContains(after, "A link to set a new password goes to owner@example.com")
        self.assertNotContains(after, token)

    def test_the_link_sets_a_password_once_and_ends_what_was_logged_in(self) -> None:
        browser, thief = Client(), Client()
        thief.login(username=self.member.email, password=PASSWORD)
        self.post(page("password-link", self.member))
        link = self.link()
        form = browser.get(link, secure=True, follow=True)
        self.assertContains(form, "For owner@example.com")
        for password, status in (("short", 200), (NEW, 302)):
            sent = {"new_password1": password, "new_password2": password}
            answer = browser.post(form.request["PATH_INFO"], sent, secure=True)
            self.assertEqual(answer.status_code, status)

        self.assertTrue(self.again(self.member).check_password(NEW))
        gone = browser.get(link, secure=True, follow=True)
        self.assertContains(gone, "This link no longer works")
        self.assertContains(thief.get("/login/", secure=True), 'name="password"')
        with platform_context():
            entry = AuditEntry.objects.filter(object_type="users").latest("created_at")
        self.assertEqual((entry.actor_kind, entry.actor), ("member", "owner@example.com"))
        self.assertEqual(entry.changes, {"password": ["(secret)", "(secret)"]})

    def test_who_is_inactive_gets_none(self) -> None:
        User.objects.filter(pk=self.member.pk).update(is_active=False)
        self.post(page("password-link", self.member))
        self.assertEqual(mail.outbox, [])

    def test_it_is_posted_by_who_may_change_people(self) -> None:
        path = page("password-link", self.member)
        self.assertEqual(self.client.get(path, secure=True).status_code, 405)
        self.client.force_login(make_user(is_staff=True))
        self.assertEqual(self.post(path).status_code, 403)

    def test_a_new_person_gets_a_link_and_no_password(self) -> None:
        self.post(ADD, email="new@example.com", first_name="Nora")
        made = User.objects.get(email="new@example.com")

        self.assertFalse(made.has_usable_password())
        self.assertEqual((made.first_name, mail.outbox[0].to), ("Nora", ["new@example.com"]))
        browser = Client()
        form = browser.get(self.link(), secure=True, follow=True)
        sent = {"new_password1": NEW, "new_password2": NEW}
        browser.post(form.request["PATH_INFO"], sent, secure=True)
        self.assertTrue(self.again(made).check_password(NEW))


class AddTests(PeoplePages):
    def test_a_person_is_added_by_address_and_has_no_password_yet(self) -> None:
        form = {"email": "new@example.com", "password1": PASSWORD, "password2": PASSWORD}
        answer = self.post(ADD, **form)

        user = User.objects.get(email="new@example.com")
        self.assertEqual(answer.status_code, 302)
        self.assertFalse(user.has_usable_password())
        self.assertFalse(user.is_staff)

    def test_an_address_that_is_taken_is_reported_at_the_form(self) -> None:
        answer = self.post(ADD, email="BOSS@example.com")

        self.assertContains(answer, "There is a user with this e-mail address.")


class AddressTests(PeoplePages):
    def test_a_members_address_stays_and_the_form_says_why(self) -> None:
        shown = self.client.get(page("accounts_user_change", self.member), secure=True)
        self.assertContains(shown, "this person is a member of an account")
        self.change(self.member, email="boss2@example.com", first_name="Ann")
        now = self.again(self.member)
        self.assertEqual((now.email, now.first_name), ("owner@example.com", "Ann"))

    def test_that_of_one_who_is_no_member_is_corrected(self) -> None:
        typo = make_user("anm@example.com")
        self.change(typo, email="ann@example.com")
        self.assertEqual(self.again(typo).email, "ann@example.com")

    def test_who_is_no_superuser_takes_over_no_colleague(self) -> None:
        staff, colleague = make_user(is_staff=True), make_user("colleague@example.com")
        User.objects.filter(pk=colleague.pk).update(is_staff=True)
        rights = Permission.objects.filter(codename__in=["view_user", "change_user"])
        staff.user_permissions.set(rights)
        self.client.force_login(staff)
        self.change(colleague, email="staff@example.com")
        self.assertEqual(self.again(colleague).email, "colleague@example.com")

    def test_what_else_people_are_is_still_set(self) -> None:
        self.change(self.member, role="support")
        self.assertTrue(self.again(self.member).is_staff)
        self.post(page("accounts_user_change", self.member), email="x@example.com")
        self.assertFalse(self.again(self.member).is_active)

    def test_a_member_is_not_deleted_before_the_membership_has_ended(self) -> None:
        delete = page("accounts_user_delete", self.member)
        self.assertEqual(self.post(delete, post="yes").status_code, 403)
        nobody = make_user()
        self.post(page("accounts_user_delete", nobody), post="yes")
        self.assertFalse(User.objects.filter(pk=nobody.pk).exists())
