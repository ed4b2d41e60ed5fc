"""The admin in hostile hands: garbage in every form and address, and markup in every name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any
from uuid import UUID, uuid4

from django.contrib import admin
from django.db.models import Model
from django.test import Client, TestCase
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from accounts.models import Account
from tests.sessions_app.admin.worlds import address, make_one_of_each
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
    def setUp(self) -> None:
        self.rows = make_one_of_each()
        self.client = Client(raise_request_exception=False)
        self.client.force_login(make_root(email="root@example.com"))

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

    def test_garbage_in_a_form_breaks_no_page(self) -> None:
        tried = 0
        for at in self.addresses():
            page = self.client.get(at, secure=True)
            self.assertLess(page.status_code, 500, at)
            text = "" if page.streaming else page.content.decode(errors="replace")
            names = Fields(text).names - {"csrfmiddlewaretoken", "action"}
            for garbage in GARBAGE:
                tried += 1
                with self.subTest(at=at, garbage=garbage[:20]):
                    answer = self.client.post(at, dict.fromkeys(names, garbage), secure=True)
                    self.assertLess(answer.status_code, 500)
                    self.assertNotIn(
                        MARKUP, answer.content.decode() if not answer.streaming else ""
                    )
        self.assertGreater(tried, 500)
