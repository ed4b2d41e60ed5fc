"""The admin in hostile hands: garbage in every form and address, and markup in every name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from django.db import DatabaseError, connection, models, transaction
from django.db.models import Model
from django.test import Client, TestCase
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from accounts.members.support_access import open_access
from accounts.models import Account, User
from accounts.tenancy.context import platform_context
from tests.sessions_app.admin_fixtures import address, make_one_of_each
from tests.support.isolation.accounts import rolled_back
from tests.support.people import make_root

MARKUP = "\"'><script>alert(1)</script>"
GARBAGE = (MARKUP, "\x00", "9" * 400)
LEFT_OUT = {"logout", "password_change", "jsi18n", "autocomplete"}
ROUTE_VALUES: dict[str, Any] = {"number": 1, "change": "suspend", "status": "archived"}


class Fields(HTMLParser):
    """The names of the fields of all forms on a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        name = dict(attrs).get("name")
        if tag in {"input", "select", "textarea", "button"} and name:
            self.names.add(name)


def patterns(resolver: URLResolver, before: str = "") -> Iterator[tuple[str, URLPattern]]:
    for each in resolver.url_patterns:
        if isinstance(each, URLResolver):
            yield from patterns(each, before + str(each.pattern))
        else:
            yield before + str(each.pattern), each


def routes() -> Iterator[tuple[str, str, set[str]]]:
    """Yield each named route of the admin: its path, its name, its parameters."""
    for path, pattern in patterns(get_resolver()):
        if path.startswith("admin/") and pattern.name and pattern.name not in LEFT_OUT:
            yield path, pattern.name, set(pattern.pattern.converters)


class HostileTests(TestCase):
    rows: dict[type[Model], Any]
    root: User

    @classmethod
    def setUpTestData(cls) -> None:
        cls.rows = make_one_of_each()
        cls.root = make_root(email="root@example.com")

    def setUp(self) -> None:
        self.client = Client(raise_request_exception=False)
        self.client.force_login(self.root)

    def addresses(self) -> Iterator[str]:
        """Yield the address of every page, of the rows that there are."""
        of_path = {
            f"admin/{model._meta.app_label}/{model._meta.model_name}/": key
            for model, key in self.rows.items()
        }
        for path, name, parameters in routes():
            key = next((key for at, key in of_path.items() if path.startswith(at)), None)
            values = {**ROUTE_VALUES, "object_id": key, "account_id": self.rows[Account]}
            values |= {"old": uuid4(), "new": uuid4(), "app_label": "agents", "id": key}
            if "object_id" in parameters and key is None:
                values["object_id"] = uuid4()
            known = {each: values[each] for each in parameters if each in values}
            if known.keys() == parameters and name != "app_list":
                yield reverse(f"admin:{name}", kwargs=known)

    def test_garbage_in_a_form_or_an_address_breaks_no_page(self) -> None:
        tried = opened = 0
        for at in self.addresses():
            page = self.client.get(at, secure=True)
            self.assertLess(page.status_code, 500, at)
            opened += page.status_code == 200
            text = "" if page.streaming else page.content.decode(errors="replace")
            fields = Fields(text).names
            names = fields - {"csrfmiddlewaretoken", "action"}
            asked = fields | {"account", "next", "days", "page", "before", "at", "q"}
            for garbage in GARBAGE:
                tried += 1
                # Also a row that is deleted is there for the next page.
                with self.subTest(at=at, garbage=garbage[:20]), rolled_back():
                    self.check(self.client.post(at, dict.fromkeys(names, garbage), secure=True))
                with self.subTest(at=at, asked=garbage[:20]):
                    self.check(self.client.get(at, dict.fromkeys(asked, garbage), secure=True))
        self.assertGreater(tried, 500)
        self.assertGreaterEqual(opened, 115)

    def check(self, answer: Any) -> None:
        self.assertLess(answer.status_code, 500)
        self.assertNotIn(MARKUP, "" if answer.streaming else answer.content.decode())

    def test_garbage_in_the_place_of_an_id_breaks_no_page(self) -> None:
        for model in self.rows:
            for page in ("change", "history", "delete"):
                for garbage in (*GARBAGE, "_00", "_ZZ", str(uuid4())):
                    at = f"{address(model, 'changelist')}{quote(garbage)}/{page}/"
                    with self.subTest(at[:80]):
                        self.assertLess(self.client.get(at, secure=True).status_code, 500)
                        self.assertLess(self.client.post(at, secure=True).status_code, 500)

    def test_garbage_among_the_chosen_rows_of_an_action_breaks_no_list(self) -> None:
        tried = 0
        for model in self.rows:
            listed = address(model, "changelist")
            page = self.client.get(listed, secure=True)
            cl = page.context["cl"]
            for name in cl.model_admin.get_actions(page.wsgi_request):
                for chosen in (*GARBAGE, str(uuid4())):
                    tried += 1
                    form = {"action": name, "_selected_action": [chosen], "index": "0"}
                    with self.subTest(listed, action=name, chosen=chosen[:20]):
                        answer = self.client.post(listed, form, secure=True)
                        self.assertLess(answer.status_code, 500)
        self.assertGreater(tried, 30)

    def test_no_form_is_taken_from_another_site(self) -> None:
        strict = Client(enforce_csrf_checks=True, raise_request_exception=False)
        strict.force_login(make_root(email="other@example.com"))
        for at in self.addresses():
            with self.subTest(at):
                self.assertIn(strict.post(at, {"q": "x"}, secure=True).status_code, {403, 405})

    def test_markup_in_every_name_is_shown_as_text(self) -> None:
        with platform_context():
            for account in Account.objects.all():
                open_access(self.root, account, reason=MARKUP)
        marked = sum(mark_up(model, key) for model, key in self.rows.items())
        self.assertGreater(marked, 30)
        found = 0
        for at in self.addresses():
            answer = self.client.get(at, secure=True)
            self.assertLess(answer.status_code, 500, at)
            if not answer.streaming:
                page = answer.content.decode()
                found += "&lt;script&gt;alert(1)" in page
                self.assertNotIn("<script>alert(1)", page, at)
        self.assertGreater(found, 40)
        answer = self.client.post(
            reverse("admin:find"), {"text": "script", "as": "json"}, secure=True
        )
        self.assertEqual(answer["Content-Type"], "application/json")
        self.assertTrue(answer.json()["found"])


def mark_up(model: type[Model], key: Any) -> int:
    """Put markup into each text of a row that takes it; return into how many."""
    marked = 0
    for field in model._meta.concrete_fields:
        is_text = isinstance(field, models.CharField | models.TextField) and not field.choices
        if not is_text or field.primary_key or (field.max_length or 255) < len(MARKUP):
            continue
        with suppress(DatabaseError), connection.cursor() as cursor, transaction.atomic():
            cursor.execute("SET LOCAL session_replication_role = replica")
            table, column = model._meta.db_table, field.column
            cursor.execute(
                f'UPDATE "{table}" SET "{column}" = %s WHERE id = %s',  # noqa: S608
                [MARKUP, str(key)],
            )
            marked += cursor.rowcount
    return marked
