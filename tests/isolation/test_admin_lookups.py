"""The admin's lists look rows up by the columns that they offer, and by no others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from django.contrib import admin
from django.contrib.admin import ModelAdmin
from django.contrib.auth.models import Permission
from django.db import connection
from django.db.models import JSONField, Model
from django.http import HttpRequest
from django.test import RequestFactory, TestCase
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.admin.base import LIST_PARAMETERS, PlatformModelAdmin
from accounts.models import AuditEntry, MemberRole, User
from accounts.tenancy.context import platform_context
from sessions_app.models import Profile, SavedChat
from tests.accounts.member_fixtures import make_member
from tests.support.factories import (
    make_account,
    make_instance,
    make_profile,
    make_session,
    make_user,
)
from tests.support.people import make_auditor, make_root, opened

OPERATORS = (
    *("", "exact", "iexact", "startswith", "icontains", "gt", "lte", "range", "in", "regex"),
    *("isnull", "search", "year", "date__gt", "length__gt"),
)
DEPTH = 3
# The columns that a list is ordered by, besides those that it shows under their own names.
ORDERED_BY = {
    ("Account", "title"): "slug",
    ("Account", "state"): "status",
    ("AccountLimits", "most_a_minute"): "requests_per_minute",
    ("AccountLimits", "most_at_once"): "concurrent_turns",
    ("AgentInstance", "state"): "status",
    ("Budget", "most"): "limit",
    ("Budget", "was_spent"): "spent",
    ("Budget", "is_reserved"): "reserved",
    ("ConfigVersion", "digest_start"): "digest",
    ("LLMRequest", "model_name"): "model",
    ("ProviderConnection", "state"): "suspended_reason",
    ("SavedChat", "agent"): "agent_instance",
    ("User", "name"): "first_name",
}


def paths(model: type[Model], depth: int = DEPTH) -> Iterator[str]:
    """Yield the path of every reachable column: of the table, and over relations both ways."""
    for field in model._meta.get_fields(include_hidden=True):
        # Generic keys have no column of their own.
        name = getattr(field, "attname", field.name)
        yield from {field.name, name}
        if isinstance(field, JSONField):
            yield from (f"{field.name}__0", f"{field.name}__a__b")
        if field.related_model and depth > 1:
            for rest in paths(field.related_model, depth - 1):
                yield f"{field.name}__{rest}"


def lookups(model: type[Model], depth: int = DEPTH) -> Iterator[str]:
    for path in paths(model, depth):
        yield from (f"{path}__{operator}" if operator else path for operator in OPERATORS)


def list_of(model: type[Model]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


class AdminTestCase(TestCase):
    def look(self, address: str, query: dict[str, Any] | None = None) -> Any:
        # An address with a search leads to one that does not show it.
        return self.client.get(address, query, secure=True, follow="q" in (query or {}))


class LookupTests(AdminTestCase):
    def setUp(self) -> None:
        self.root = make_root()
        self.client.force_login(self.root)

    def request(self) -> HttpRequest:
        request = RequestFactory().get("/")
        request.user = self.root
        return request

    def pages(self) -> list[tuple[type[Model], ModelAdmin[Any]]]:
        return list(admin.site._registry.items())

    def test_every_page_of_the_site_has_the_allow_list(self) -> None:
        others = [page for _, page in self.pages() if not isinstance(page, PlatformModelAdmin)]
        self.assertEqual(others, [])

    def test_no_list_looks_up_a_column_that_it_does_not_name(self) -> None:
        request, tried = self.request(), 0
        for model, page in self.pages():
            assert isinstance(page, PlatformModelAdmin)
            named = page.lookup_names(request)
            # Named lookups compare whole values: of columns with choices, or ids.
            odd = {name for name in named if "__" in name and not name.endswith("__exact")}
            self.assertEqual(odd, set(), model)
            for lookup in {*lookups(model)} - named:
                tried += 1
                self.assertFalse(page.lookup_allowed(lookup, "a", request), (model, lookup))
                self.assertNotIn(lookup, LIST_PARAMETERS, model)
        self.assertGreater(tried, 10_000)

    def test_every_list_refuses_its_own_columns_with_a_page_that_names_them(self) -> None:
        for model, page in self.pages():
            assert isinstance(page, PlatformModelAdmin)
            table = f'FROM "{model._meta.db_table}"'
            for path in (field.attname for field in model._meta.concrete_fields):
                lookup = f"{path}__startswith"
                with CaptureQueriesContext(connection) as made:
                    answer = self.look(list_of(model), {lookup: "a"})
                self.assertEqual(answer.status_code, HTTPStatus.BAD_REQUEST, (model, lookup))
                self.assertContains(answer, lookup, status_code=HTTPStatus.BAD_REQUEST)
                # The request itself reads the user who is logged in.
                read = [each["sql"] for each in made if table in each["sql"] and model != User]
                self.assertEqual(read, [], (model, lookup))

    def test_every_export_refuses_its_own_columns(self) -> None:
        for model, page in self.pages():
            if not getattr(page, "export_columns", {}):
                continue
            for lookup in (
                "id__startswith",
                "account__slug__startswith",
                "session__profile__email",
            ):
                answer = self.look(f"{list_of(model)}export/", {lookup: "a"})
                self.assertEqual(answer.status_code, HTTPStatus.BAD_REQUEST, (model, lookup))

    def test_what_is_searched_stands_in_no_address_of_any_list(self) -> None:
        who, tried = "ada@example.com", 0
        for model, _page in self.pages():
            shown = self.look(list_of(model)).content.decode()
            if 'name="q"' not in shown:
                continue
            tried += 1
            with self.subTest(model=model):
                name = f"{model._meta.app_label}_{model._meta.model_name}"
                self.assertIn(f'method="post" action="{reverse("admin:list-search")}"', shown)
                self.assertIn(f'name="list" value="{name}"', shown)
                wanted = {"list": name, "q": who}
                sent = self.client.post(reverse("admin:list-search"), wanted, secure=True)
                typed = self.client.get(list_of(model), {"q": who}, secure=True)
                for answer in (sent, typed):
                    self.assertEqual(answer.status_code, HTTPStatus.FOUND)
                    self.assertNotIn("ada", unquote(answer["Location"]))
                    page = self.look(answer["Location"])
                    self.assertEqual(page.status_code, HTTPStatus.OK)
                    # It stands in the search box, and in no link.
                    self.assertContains(page, f'value="{who}"', count=1)
                    self.assertContains(page, who, count=1)
                page = self.look(list_of(model), {"private": "gAAAAnothing"})
                self.assertContains(page, "cannot be read: search again")
                self.assertEqual(list(page.context["cl"].result_list), [])
        self.assertGreater(tried, 15)

    def test_the_filters_that_a_list_offers_work(self) -> None:
        make_account("acme")
        for model, _page in self.pages():
            answer = self.look(list_of(model))
            self.assertEqual(answer.status_code, HTTPStatus.OK, model)
            for spec in getattr(answer.context["cl"], "filter_specs", ()):
                for choice in spec.choices(answer.context["cl"]):
                    found = self.look(list_of(model) + choice["query_string"])
                    self.assertEqual(found.status_code, HTTPStatus.OK, choice["query_string"])

    def test_the_pages_links_lead_to_lists_that_know_them(self) -> None:
        instance = make_instance(make_account("acme"))
        session = make_session(instance)
        opened(self.root, instance.account)
        found = set()
        for row in (instance.account, instance, session):
            meta = row._meta
            name = f"admin:{meta.app_label}_{meta.model_name}_change"
            page = self.look(reverse(name, args=[row.pk]))
            self.assertEqual(page.status_code, HTTPStatus.OK, name)
            found |= set(re.findall(r'href="(/admin/[^"?]*\?[^"#]+)', page.content.decode()))
        found |= set(re.findall(r'href="(/admin/[^"?]*\?[^"#]+)', self.index()))
        self.assertGreater(len(found), 5)
        for link in found:
            answer = self.look(unescape(link))
            self.assertNotEqual(answer.status_code, HTTPStatus.BAD_REQUEST, link)

    def index(self) -> str:
        return str(self.look(reverse("admin:index")).content.decode())

    def test_rows_are_referred_to_by_their_ids_alone(self) -> None:
        for model, page in self.pages():
            for name in {*paths(model, 2)} - {model._meta.pk.name}:
                self.assertFalse(page.to_field_allowed(self.request(), name), (model, name))
            column = "slug" if model is not User else "email"
            answer = self.look(list_of(model), {"_to_field": column, "_popup": "1"})
            self.assertEqual(answer.status_code, HTTPStatus.BAD_REQUEST, model)

    def test_a_list_is_ordered_by_what_it_shows(self) -> None:
        found = {}
        for model, page in self.pages():
            for name in page.list_display:
                order = getattr(getattr(page, str(name), None), "admin_order_field", None)
                if order is not None:
                    found[model.__name__, str(name)] = order
        self.assertEqual(found, ORDERED_BY)

    def test_nothing_is_looked_up_while_one_types(self) -> None:
        named = {"app_label": "sessions_app", "model_name": "profile", "field_name": "account"}
        answer = self.look(reverse("admin:autocomplete"), named | {"term": "a"})
        self.assertEqual(answer.status_code, HTTPStatus.NOT_FOUND)


class WithoutAnAccessTests(AdminTestCase):
    """The fault as it was reported: names, phones and addresses were guessed letter by letter."""

    def setUp(self) -> None:
        self.account = make_account("acme")
        self.profile = make_profile(
            make_session(make_instance(self.account)),
            customer_name="Ada",
            phone="+44 20",
            email="ada@example.com",
        )

    def test_no_query_of_a_list_lets_staff_or_auditors_guess_a_person(self) -> None:
        for person in (make_root(), make_auditor()):
            self.client.force_login(person)
            for model, lookup in (
                (Profile, {"customer_name__startswith": "A"}),
                (Profile, {"phone__regex": "^[+]44"}),
                (Profile, {"email": "ada@example.com"}),
                (Profile, {"account__profiles__email__gt": "a"}),
                (SavedChat, {"messages__0__startswith": "a"}),
                (SavedChat, {"session__messages__content__contains": "a"}),
            ):
                with self.subTest(model=model, lookup=lookup):
                    answer = self.look(list_of(model), lookup)
                    self.assertEqual(answer.status_code, HTTPStatus.BAD_REQUEST)
                    self.assertNotContains(answer, str(self.profile.pk), status_code=400)

    def test_a_search_for_a_person_needs_an_access_and_is_noted(
        self,
    ) -> None:
        person = make_root()
        self.client.force_login(person)
        page = list_of(Profile)
        self.assertNotContains(self.look(page, {"q": "ada@example.com"}), str(self.profile.pk))
        opened(person, self.account)
        self.assertNotContains(self.look(page, {"q": "bob@example.com"}), str(self.profile.pk))
        self.assertEqual(self.noted(), ["list of profiles"])
        self.assertContains(self.look(page, {"q": "ada@example.com"}), str(self.profile.pk))

    def noted(self) -> list[str]:
        with platform_context():
            rows = AuditEntry.objects.filter(account=self.account, action="noted")
            return list(rows.values_list("object", flat=True))

    def test_whose_member_somebody_is_is_found_by_who_may_see_it(self) -> None:
        member = make_member(self.account, MemberRole.VIEWER).user
        staff = make_user(is_staff=True)
        staff.user_permissions.add(Permission.objects.get(codename="view_user"))
        self.client.force_login(staff)
        page = list_of(User)
        self.assertNotContains(self.look(page, {"q": "acme"}), str(member.pk))
        staff.user_permissions.add(Permission.objects.get(codename="view_membership"))
        self.assertContains(self.look(page, {"q": "acme"}), str(member.pk))
