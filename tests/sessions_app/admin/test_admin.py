"""The admin as a whole: every registered model of every app."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from uuid import uuid4

from django.apps import apps
from django.contrib import admin
from django.contrib.admin.templatetags.admin_urls import add_preserved_filters
from django.db import connection
from django.db.models import Model
from django.test import TestCase
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.html import escape

from accounts.admin.base import PlatformModelAdmin
from accounts.models import (
    AccountLimits,
    ApiKey,
    AuditEntry,
    Budget,
    SupportAccess,
    User,
)
from accounts.tenancy.context import platform_context
from agents.models import (
    ConfigVersion,
)
from sessions_app.models import (
    LLMRequest,
    Message,
    Session,
)
from tests.sessions_app.admin_fixtures import address, make_one_of_each
from tests.support.database.reads import queries_of
from tests.support.database.stored import change_all, row_of
from tests.support.factories import (
    make_account,
    make_llm_request,
    make_message,
    make_session,
    make_user,
)
from tests.support.isolation.route_table import ADMIN_KINDS, BROWSERS, PAGES, rows
from tests.support.people import make_root, opened

OURS = {"accounts", "agents", "sessions_app"}


def offering(page: str) -> set[type[Model]]:
    """Return the models whose kind has that page for a superuser."""
    table = rows(PAGES, BROWSERS)
    return {
        apps.get_model(name.replace("/", "."))
        for name, kind in ADMIN_KINDS.items()
        if kind and table[f"admin/[{kind}]/{page}", "*"]["root"] == HTTPStatus.OK
    }


ADDED = offering("add/")
# A person is deleted who is no member.
DELETED = offering("<path:object_id>/delete/") | {User}


class EmptyTests(TestCase):
    def test_an_empty_list_says_what_comes_there(self) -> None:
        self.client.force_login(make_root(email="boss@example.com"))
        empty = 0
        for model, page in admin.site._registry.items():
            with platform_context():
                if model._default_manager.exists() or model is AuditEntry:
                    continue
            with self.subTest(model=model):
                answer = self.client.get(address(model, "changelist"), secure=True)
                words: Any = page
                if model is not Message:
                    self.assertContains(answer, escape(words.nothing_yet))
                self.assertNotEqual(words.nothing_yet, PlatformModelAdmin.nothing_yet, "set it")
                empty += 1
        self.assertGreater(empty, 15)


class EveryPageTests(TestCase):
    def setUp(self) -> None:
        self.client.force_login(make_root(email="boss@example.com"))
        self.rows = make_one_of_each()

    def get(self, path: str, **query: str) -> Any:
        return self.client.get(path, query, secure=True)

    def test_every_model_of_ours_has_a_page_or_says_why_not(self) -> None:
        ours = {m for m in apps.get_models() if m._meta.app_label in OURS}
        kinds = {apps.get_model(n.replace("/", ".")): kind for n, kind in ADMIN_KINDS.items()}
        paged = {model for model, kind in kinds.items() if kind}

        self.assertEqual(ours - set(kinds), set(), "name them in ADMIN_KINDS (route_table.py)")
        self.assertEqual(paged ^ set(admin.site._registry), set(), "correct ADMIN_KINDS")
        self.assertEqual(set(admin.site._registry), set(self.rows))

    def test_the_menu_and_the_lists_have_the_addresses_of_the_routes(self) -> None:
        page = self.get(reverse("admin:index"))

        shown = {
            each["model"]: each for group in page.context["app_list"] for each in group["models"]
        }
        self.assertEqual(set(shown), set(self.rows))
        for model, key in self.rows.items():
            with self.subTest(model=model):
                self.assertEqual(shown[model]["admin_url"], address(model, "changelist"))
                adds = address(model, "add") if model in ADDED else None
                self.assertEqual(shown[model]["add_url"], adds)
                listed = self.get(address(model, "changelist")).context["cl"]
                one = address(model, "change", key)
                self.assertEqual(listed.url_for_result(model(pk=key)), one)
                # As Django writes it: what the list was narrowed to is kept.
                page = self.get(f"{address(model, 'changelist')}?o=-1&_popup=1")
                kept = listed.model_admin.get_preserved_filters(page.wsgi_request)
                self.assertIn("o%3D-1", kept)
                link = add_preserved_filters({"opts": listed.opts, "preserved_filters": kept}, one)
                self.assertEqual(page.context["cl"].url_for_result(model(pk=key)), link)

    def test_who_may_not_see_rows_is_not_told_whether_there_is_one(self) -> None:
        self.client.force_login(make_user("new@example.com", is_staff=True))
        for model, key in self.rows.items():
            for page in ("change", "history", "delete"):
                for one in (key, uuid4()):
                    with self.subTest(model=model, page=page):
                        self.assertEqual(self.get(address(model, page, one)).status_code, 403)

    def test_who_may_not_change_rows_is_not_told_whether_there_is_one(self) -> None:
        self.client.force_login(make_user("new@example.com", is_staff=True))
        pages = [(ApiKey, "rotate"), (ApiKey, "replace"), (ApiKey, "revoke")]
        for model, page in [*pages, (User, "password-link")]:
            for one in (self.rows[model], uuid4()):
                name = f"admin:key-{page}" if model is ApiKey else f"admin:{page}"
                with self.subTest(page=page, one=one):
                    self.assertEqual(self.get(reverse(name, args=[one])).status_code, 403)

    def test_a_row_is_read_once_for_its_page(self) -> None:
        for model in (AuditEntry, SupportAccess):
            with self.subTest(model=model), CaptureQueriesContext(connection) as queries:
                self.get(address(model, "change", self.rows[model]))

            read = [
                each["sql"] for each in queries if f'FROM "{model._meta.db_table}"' in each["sql"]
            ]
            self.assertEqual(len(read), 1, read)

    def test_lists_searches_and_forms_answer(self) -> None:
        for model, key in self.rows.items():
            pages = {address(model, "changelist"): 200, address(model, "change", key): 200}
            pages[address(model, "add")] = 200 if model in ADDED else 403
            pages[address(model, "delete", key)] = 200 if model in DELETED else 403
            pages[address(model, "history", key)] = 200
            for path, status in pages.items():
                with self.subTest(path=path):
                    self.assertEqual(self.get(path).status_code, status)
            if not admin.site._registry[model].search_fields:
                continue
            with self.subTest(search=model):
                # Where it may be a text of people, it is sealed first.
                query = {"q": "no-such-thing"}
                listed = self.client.get(
                    address(model, "changelist"), query, secure=True, follow=True
                )
                self.assertEqual(listed.status_code, 200)

    def test_a_list_takes_as_many_queries_for_three_rows_as_for_one(self) -> None:
        self.queries_of_lists()  # Content types are read once in a process.
        before = self.queries_of_lists()
        make_one_of_each()
        make_one_of_each()

        self.assertEqual(self.queries_of_lists(), before)

    def queries_of_lists(self) -> dict[type[Model], int]:
        numbers = {}
        for model in self.rows:
            numbers[model] = queries_of(self.get, address(model, "changelist"))
        return numbers

    def test_no_page_has_an_inline_script_or_style(self) -> None:
        for model, key in self.rows.items():
            with self.subTest(model=model):
                page = self.get(address(model, "change", key)).content.decode()
                self.assertNotRegex(page, r"<script>|<style|\sstyle=\"|\sonclick=")

    def test_what_happened_can_not_be_changed_by_a_crafted_form(self) -> None:
        for model in (ConfigVersion, LLMRequest, Message, Session):
            with self.subTest(model=model):
                path = address(model, "change", self.rows[model])
                answer = self.client.post(path, {"content": "forged"}, secure=True)
                self.assertEqual(answer.status_code, 403)


class ConversationPagesTests(TestCase):
    def setUp(self) -> None:
        boss = make_root(email="boss@example.com")
        self.client.force_login(boss)
        self.session = make_session()
        opened(boss, self.session.account, reason="a ticket")

    def page(self) -> Any:
        return self.client.get(address(Session, "change", self.session.pk), secure=True)

    def test_a_session_shows_its_messages_as_text(self) -> None:
        make_message(self.session, content="<b>Hello</b>\nthere")

        self.assertIn("&lt;b&gt;Hello&lt;/b&gt;\nthere", self.page().content.decode())

    def test_its_queries_do_not_grow_with_the_conversation(self) -> None:
        def say() -> None:
            make_message(self.session, llm_request=make_llm_request(self.session), role="assistant")

        say()
        self.page()  # Content types are read once in a process.
        one = queries_of(self.page)
        for _ in range(3):
            say()
        with self.assertNumQueries(one):
            self.page()

    def test_a_long_conversation_shows_its_end(self) -> None:
        for number in range(53):
            make_message(self.session, content=f"number {number}.")
        page = self.page().content.decode()

        self.assertNotIn("number 2.", page)
        self.assertLess(page.index("number 3."), page.index("number 52."))

    def test_a_session_is_found_by_its_id(self) -> None:
        make_session()
        listed = self.client.get(
            address(Session, "changelist"), {"q": str(self.session.pk)}, secure=True
        )

        self.assertEqual([row.pk for row in listed.context["cl"].result_list], [self.session.pk])

    def test_the_visitors_key_is_on_no_page(self) -> None:
        session = make_session(session_key="secret-session-key")
        pages = [address(Session, "changelist"), address(Session, "change", session.pk)]

        for path in pages:
            answer = self.client.get(path, secure=True)
            self.assertNotIn("secret-session-key", answer.content.decode())

    def test_an_unknown_cost_is_not_shown_as_nothing(self) -> None:
        make_llm_request(self.session, total_cost=None)
        make_llm_request(self.session, total_cost="0.00012000")
        listed = self.client.get(address(LLMRequest, "changelist"), secure=True).content.decode()

        self.assertIn(">unknown<", listed)
        self.assertIn(">$0.00012<", listed)


class DoorTests(TestCase):
    def test_a_list_needs_the_platform_context_and_the_site_opens_it(self) -> None:
        make_session()
        self.client.force_login(make_root(email="boss@example.com"))
        with CaptureQueriesContext(connection) as queries:
            self.client.get(address(Session, "changelist"), secure=True)

        # Inside a test's transaction, a statement of its own leaves a context.
        entered = "set_config('app.account_id', ''"
        contexts = [q["sql"] for q in queries if entered in q["sql"]]
        self.assertEqual(len(contexts), 1)

    def test_people_without_the_right_see_nothing(self) -> None:
        session = make_session()
        for user in (make_user(), make_user(is_staff=True)):
            self.client.force_login(user)
            answer = self.client.get(address(Session, "change", session.pk), secure=True)
            self.assertIn(answer.status_code, {302, 403})


class LimitPageTests(TestCase):
    """What turns count is never written by a form that was open meanwhile."""

    def setUp(self) -> None:
        self.client.force_login(make_root(email="boss@example.com"))
        self.account = make_account()

    def post(self, path: str, **values: Any) -> None:
        answer = self.client.post(path, values, secure=True)
        self.assertEqual(answer.status_code, 302, getattr(answer, "context_data", None))

    def test_a_budget_is_made_and_changed_and_keeps_what_was_spent(self) -> None:
        wanted = {"period": "day", "limit": "5", "alert_percents": "80,100"}
        self.post(address(Budget, "add"), account=self.account.pk, **wanted)
        change_all(Budget, spent=2, reserved=1)
        key = row_of(Budget).pk
        self.post(address(Budget, "change", key), limit="7", alert_percents="50")

        budget = row_of(Budget)
        self.assertEqual((budget.pk, budget.limit, budget.alert_percents), (key, 7, [50]))
        self.assertEqual((budget.spent, budget.reserved), (2, 1))

    def test_limits_are_changed_and_running_turns_are_not(self) -> None:
        self.post(address(AccountLimits, "add"), account=self.account.pk, concurrent_turns="9")
        change_all(AccountLimits, running=4)
        self.post(address(AccountLimits, "change", self.account.pk), message_bytes="10")

        row = row_of(AccountLimits)
        self.assertEqual((row.running, row.message_bytes, row.concurrent_turns), (4, 10, None))

    def test_a_bound_below_one_is_reported_at_its_field(self) -> None:
        path = address(AccountLimits, "add")
        answer = self.client.post(
            path, {"account": self.account.pk, "concurrent_turns": "0"}, secure=True
        )
        self.assertContains(answer, "greater than or equal to 1")
