"""The admin works inside the platform context, from the login page to the last log entry."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, cast
from unittest import mock

from django.contrib import admin
from django.contrib.admin import AdminSite
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.test import RequestFactory, TestCase, override_settings

from accounts.admin.site import GROUPS, SalientAdminSite, in_platform_context
from accounts.members.staff_roles import StaffRole, set_flags, set_groups
from accounts.tenancy.context import current_context, platform_context
from salient import database
from tests.support.database.catalog import rows
from tests.support.factories import make_user
from tests.support.people import make_root

PASSWORD = "correct-horse-battery"


def entries(pages: Iterable[dict[str, Any]], group: str) -> list[tuple[Any, ...]]:
    """Return what the menu shows of each page of a group."""
    names = ("name", "object_name", "admin_url", "add_url")
    menu_of = cast(SalientAdminSite, admin.site).menu_of
    return [
        tuple(page[name] for name in names) for page in pages if menu_of(page["model"])[0] == group
    ]


def role() -> str:
    return str(rows("SELECT current_user")[0][0])


@override_settings(HTTPS=False, SECURE_SSL_REDIRECT=False)
class AdminTests(TestCase):
    def setUp(self) -> None:
        self.root = make_root(email="root@example.com", password=PASSWORD)

    def log_in(self, password: str = PASSWORD) -> Any:
        form = {"username": "root@example.com", "password": password, "next": "/admin/"}
        return self.client.post("/admin/login/", form)

    def test_the_login_is_the_e_mail_address_in_any_case(self) -> None:
        form = {"username": "Root@Example.com", "password": PASSWORD, "next": "/admin/"}
        answer = self.client.post("/admin/login/", form)

        self.assertRedirects(answer, "/admin/", fetch_redirect_response=False)

    def test_the_form_asks_for_the_e_mail_address(self) -> None:
        self.assertContains(self.client.get("/admin/login/"), "E-mail address")

    def test_a_password_is_hashed_before_any_context_is_opened(self) -> None:
        contexts: list[Any] = []
        original = database.give_back

        def give_back() -> None:
            contexts.append(current_context())
            original()

        form = {f"new_password{n}": "another-horse-battery" for n in (1, 2)}
        with mock.patch("accounts.auth.hashing.give_back", give_back):
            self.assertEqual(self.log_in("wrong").status_code, 200)
            self.assertEqual(self.log_in().status_code, 302)
            form["old_password"] = PASSWORD
            self.assertEqual(self.client.post("/admin/password_change/", form).status_code, 302)
        # A wrong one, a good one, then the old one and the new one.
        self.assertEqual(contexts, [None] * 4)

    def test_what_staff_do_is_logged_and_their_rights_are_read(self) -> None:
        self.log_in()
        permission = Permission.objects.get(codename="view_account")
        answer = self.client.post(
            "/admin/auth/group/add/", {"name": "readers", "permissions": [permission.pk]}
        )
        self.assertEqual(answer.status_code, 302)
        group = Group.objects.get()
        self.assertEqual(list(group.permissions.all()), [permission])
        self.assertEqual(LogEntry.objects.get().object_id, str(group.pk))

    def test_the_pages_about_oneself_work(self) -> None:
        self.log_in()
        form = {f"new_password{n}": "another-horse-battery" for n in (1, 2)}
        answer = self.client.post("/admin/password_change/", form | {"old_password": PASSWORD})
        self.assertRedirects(answer, "/admin/password_change/done/")
        self.assertEqual(self.client.get("/admin/jsi18n/").status_code, 200)
        self.assertEqual(self.client.post("/admin/logout/").status_code, 200)
        self.assertEqual(self.client.get("/admin/").status_code, 302)
        self.root.refresh_from_db()
        self.assertTrue(self.root.check_password("another-horse-battery"))

    def test_a_view_its_permission_check_and_its_template_are_all_in_the_platform_context(
        self,
    ) -> None:
        site, seen = SalientAdminSite(), list[str]()

        def allowed(_request: HttpRequest) -> bool:
            seen.append(role())
            return True

        class Page(TemplateResponse):
            @property
            def rendered_content(self) -> str:
                seen.append(role())
                return "text"

        def view(request: HttpRequest) -> TemplateResponse:
            seen.append(role())
            return Page(request, "page.html")

        request = RequestFactory().get("/admin/")
        request.user = self.root
        with mock.patch.object(site, "has_permission", allowed):
            site.admin_view(view)(request)
        self.assertEqual(seen, ["salient_platform"] * 3)
        self.assertNotEqual(role(), "salient_platform")

    def test_the_way_to_a_page_begins_with_its_group(self) -> None:
        self.log_in()
        person = f"accounts/user/{self.root.pk}"
        for page, way in (
            ("accounts/user/", "System|Users"),
            ("accounts/user/add/", "System|Users|Add user"),
            (f"{person}/change/", "System|Users|root@example.com"),
            (f"{person}/history/", "System|Users|root@example.com|History"),
            (f"{person}/delete/", "System|Users|root@example.com|Delete"),
            ("accounts/auditentry/", "System|Audit log"),
            ("auth/group/", "System|Groups"),
            ("accounts/account/add/", "Tenants|Accounts|Add account"),
            ("agents/agentinstance/", "Tenants|Agents"),
            ("sessions_app/llmrequest/", "Conversations|LLM requests"),
        ):
            with self.subTest(page):
                text = self.client.get(f"/admin/{page}").content.decode()
                crumbs = re.search(r'<ol class="breadcrumbs">.*?</ol>', text, re.DOTALL)
                assert crumbs is not None
                words = re.sub(r"<[^>]*>", "|", crumbs[0])
                found = [word.strip() for word in words.split("|") if word.strip()]
                self.assertEqual(found, ["Home", *way.split("|")])

    def test_each_role_has_the_menu_that_its_rights_give(self) -> None:
        request, site = RequestFactory().get("/admin/"), cast(SalientAdminSite, admin.site)
        own = Permission.objects.filter(codename__in=["add_apikey", "delete_membership"])
        adds: dict[StaffRole, int] = {}
        for role in StaffRole:
            request.user = person = make_user(f"{role.value}@staff.example")
            set_flags(person, role)
            with self.subTest(role), platform_context():
                person.save()
                set_groups(person, role)
                if role is StaffRole.OWN:
                    person.user_permissions.set(own)
                shown = site.get_app_list(request)
                # What Django itself would show, in the menu's order.
                apps = AdminSite.get_app_list(site, request)
            given = sorted(
                (page for app in apps for page in app["models"]),
                key=lambda page: site.menu_of(page["model"])[1],
            )
            expected = {name: entries(given, name) for name in GROUPS}
            self.assertEqual(
                {group["name"]: entries(group["models"], group["name"]) for group in shown},
                {name: pages for name, pages in expected.items() if pages},
            )
            adds[role] = sum(page["add_url"] is not None for page in given)
        self.assertEqual(adds[StaffRole.NONE] + adds[StaffRole.AUDITOR], 0)
        self.assertEqual(adds[StaffRole.OWN], 1)
        self.assertGreater(adds[StaffRole.OWNER], adds[StaffRole.OPERATOR])
        self.assertGreater(adds[StaffRole.OPERATOR], adds[StaffRole.SUPPORT])

    def test_an_apps_page_is_named_by_the_groups_that_it_shows(self) -> None:
        self.log_in()
        for app, title in (
            ("accounts", "Tenants, System"),
            ("sessions_app", "Tenants, Conversations"),
        ):
            page = self.client.get(f"/admin/{app}/")
            self.assertEqual(page.context["title"], title)

    def test_what_a_failing_view_wrote_is_undone(self) -> None:
        def view(_request: HttpRequest) -> HttpResponse:
            Group.objects.create(name="half done")
            raise ZeroDivisionError

        with self.assertRaises(ZeroDivisionError):
            in_platform_context(view)(RequestFactory().get("/"))
        self.assertFalse(Group.objects.exists())
