from __future__ import annotations

from asgiref.sync import async_to_sync
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction
from django.test import Client, RequestFactory, TestCase
from django.urls import reverse
from django.utils import timezone

from accounts.models import Invitation, MemberRole
from accounts.tenancy.context import platform_context, tenant_context
from tests.accounts.member_fixtures import PASSWORD, make_member
from tests.support.factories import make_account, make_user
from tests.support.people import make_auditor, make_root


def page(model: type[models.Model], name: str, *args: object) -> str:
    meta = model._meta
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_{name}", args=args)


class PermissionTests(TestCase):
    def setUp(self) -> None:
        self.auditor = make_auditor()

    def test_an_auditor_may_view_all_and_do_nothing(self) -> None:
        for permission in Permission.objects.select_related("content_type"):
            name = f"{permission.content_type.app_label}.{permission.codename}"
            may = permission.codename.startswith("view_")
            with self.subTest(name):
                self.assertEqual(self.auditor.has_perm(name), may)
                self.assertEqual(async_to_sync(self.auditor.ahas_perm)(name), may)
        self.assertTrue(self.auditor.has_module_perms("sessions_app"))
        self.assertTrue(async_to_sync(self.auditor.ahas_module_perms)("sessions_app"))
        self.assertFalse(self.auditor.has_perms(["accounts.view_user", "accounts.add_user"]))

    def test_one_who_is_inactive_may_not_even_view(self) -> None:
        self.auditor.is_active = False

        self.assertFalse(self.auditor.has_perm("accounts.view_user"))
        self.assertFalse(self.auditor.has_module_perms("accounts"))

    def test_other_peoples_rights_are_as_before(self) -> None:
        staff, root = make_user(is_staff=True), make_root()

        self.assertFalse(staff.has_perm("accounts.view_user"))
        self.assertFalse(staff.has_module_perms("accounts"))
        self.assertTrue(root.has_perm("accounts.delete_user"))
        self.assertTrue(async_to_sync(root.ahas_perm)("accounts.delete_user"))
        self.assertTrue(async_to_sync(root.ahas_module_perms)("accounts"))

    def test_an_auditor_is_no_superuser(self) -> None:
        self.auditor.is_superuser = True
        with self.assertRaisesMessage(ValidationError, "cannot be a superuser"):
            self.auditor.full_clean()
        with self.assertRaises(IntegrityError), transaction.atomic():
            self.auditor.save()


class AdminTests(TestCase):
    """Everything that is registered, now and later."""

    def setUp(self) -> None:
        self.auditor = make_auditor()
        self.browser = Client()
        self.browser.force_login(self.auditor)

    def test_nothing_is_offered_but_to_look(self) -> None:
        request = RequestFactory().get("/")
        request.user = self.auditor
        for model, pages in admin.site._registry.items():
            with self.subTest(model._meta.label):
                self.assertTrue(pages.has_view_permission(request))
                self.assertFalse(pages.has_add_permission(request))
                self.assertFalse(pages.has_change_permission(request))
                self.assertFalse(pages.has_delete_permission(request))
                self.assertEqual(pages.get_actions(request), {})

    def test_every_list_is_shown(self) -> None:
        for model in admin.site._registry:
            with self.subTest(model._meta.label):
                answer = self.browser.get(page(model, "changelist"), secure=True)
                self.assertEqual(answer.status_code, 200)
                self.assertNotContains(answer, 'name="action"')

    def test_what_is_posted_is_refused_and_changes_nothing(self) -> None:
        Group.objects.create(name="a row")
        root = RequestFactory().get("/")
        root.user = make_root()
        for model, pages in admin.site._registry.items():
            with platform_context():
                row = model._default_manager.first()
                before = list(model._default_manager.values().order_by("pk"))
            key = row.pk if row else "00000000-0000-7000-8000-000000000000"
            posts = [
                *(
                    (page(model, "changelist"), self.chosen(name, key))
                    for name in pages.get_actions(root)
                ),
                (page(model, "add"), {"name": "new"}),
                (page(model, "change", key), {"name": "changed", "_save": "1"}),
                (page(model, "delete", key), {"post": "yes"}),
            ]
            for address, data in posts:
                with self.subTest(address, data=data), self.assertLogs("django.request"):
                    answer = self.browser.post(address, data, secure=True)
                    self.assertEqual(answer.status_code, 403)
            with platform_context():
                self.assertEqual(list(model._default_manager.values().order_by("pk")), before)

    def chosen(self, action: str, key: object) -> dict[str, str]:
        return {"action": action, "index": "0", "_selected_action": str(key), "post": "yes"}

    def test_forms_about_themselves_work(self) -> None:
        new = "another-good-one"
        form = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
        self.browser.post(reverse("admin:password_change"), form, secure=True)
        self.auditor.refresh_from_db()
        self.assertTrue(self.auditor.check_password(new))
        self.assertEqual(self.browser.post(reverse("admin:logout"), secure=True).status_code, 200)

    def test_each_row_is_shown_without_its_secret(self) -> None:
        acme = make_account("acme")
        member = make_member(acme, MemberRole.OWNER)
        with tenant_context(acme.pk):
            offered = Invitation.objects.create(
                account=acme,
                email="x@a.example",
                role="viewer",
                token_hash="f" * 64,
                expires_at=timezone.now(),
            )
        for row in (member.user, member, offered):
            answer = self.browser.get(page(type(row), "change", row.pk), secure=True)
            self.assertEqual(answer.status_code, 200)
            for secret in (member.user.password, "f" * 64):
                self.assertNotContains(answer, secret)
            self.assertNotContains(answer, 'name="_save"')

    def test_staff_are_not_held_back(self) -> None:
        root = make_root()
        self.browser.force_login(root)
        self.browser.post(page(Group, "add"), {"name": "made"}, secure=True)

        self.assertTrue(Group.objects.filter(name="made").exists())


class MembersInTheAdminTests(TestCase):
    def test_a_place_in_an_account_opens_no_admin(self) -> None:
        owner = make_member(make_account("acme"), MemberRole.OWNER)
        browser = Client()
        browser.force_login(owner.user)
        for address in (
            reverse("admin:index"),
            *(page(model, "changelist") for model in admin.site._registry),
        ):
            answer = browser.get(address, secure=True)
            self.assertEqual(answer.status_code, 302)
            self.assertTrue(answer.headers["Location"].startswith("/admin/login/"))
