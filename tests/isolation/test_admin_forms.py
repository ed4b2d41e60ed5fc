"""Every form of the admin is saved: as it stands, and with something changed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Model
from django.test import Client

from accounts.models import MemberRole, SupportAccess, User
from accounts.tenancy.context import platform_context
from agents.models import ProviderConnection
from tests.support.isolation.accounts import make_member, rolled_back
from tests.support.isolation.cases import PagesTestCase, pages
from tests.support.isolation.html_forms import Form, form_with, forms_in
from tests.support.people import opened

# What the change forms hold, as text, for the models that have one.
CHANGED = {
    "accounts.account": ("name", "Another name"),
    "accounts.accountlimits": ("concurrent_turns", "7"),
    "accounts.apikey": ("name", "another name"),
    "accounts.budget": ("limit", "12.5"),
    "accounts.membership": ("role", "admin"),
    "accounts.user": ("first_name", "Grace"),
    "agents.agentinstance": ("display_name", "Another name"),
    "agents.providerconnection": ("base_url", "https://models.example.com/v2"),
    "auth.group": ("name", "another name"),
    "sessions_app.profile": ("customer_name", "Grace"),
    "sessions_app.savedchat": ("name", "another name"),
}
# These follow from others: what staff set is what owners stay within, each turn of a test chat has
# its expectations, and a connection knows for which host its key is.
DERIVED = {"updated_at", "granted", "expected", "secret_host"}
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
# The button of a form that changes a row.
SAVE = "_save"


def fields_of(row: Model) -> dict[str, Any]:
    stored = type(row)._base_manager.filter(pk=row.pk).values().get()
    return {name: value for name, value in stored.items() if name not in DERIVED}


def errors_in(page: str) -> list[str]:
    found = re.findall(r'<ul class="errorlist[^>]*>(.*?)</ul>', page, re.DOTALL)
    return [re.sub(r"<[^>]+>|\s+", " ", each).strip() for each in found]


def ids_shown(page: str, forms: list[Form]) -> list[str]:
    """Return the parts of a page for people's eyes that show a row's id in place of its name."""
    parts = [r"<title>.*?</title>", r"<h[12][^>]*>.*?</h[12]>", r'<ol class="breadcrumbs">.*?</ol>']
    parts += [r"<option[^>]*>.*?</option>", r'<ul id="deleted-objects">.*?</ul>']
    found = [each for part in parts for each in re.findall(part, page, re.DOTALL)]
    texts = [" ".join(re.sub(r"<[^>]+>", " ", each).split()) for each in found]
    for form in forms:
        typed = [each for each in form.controls.values() if each.kind in {"text", "textarea"}]
        texts += [f"{each.name}={value}" for each in typed for value in each.values]
    return [text for text in texts if UUID.search(text)]


class AdminFormTests(PagesTestCase):
    # Each page of the admin that is HTML, with its forms, by its address: each test finds the same
    # rows.
    shown: ClassVar[dict[str, tuple[str, list[Form]]]]

    @classmethod
    def setUpTestData(cls) -> None:
        super().setUpTestData()
        opened(User.objects.get(email="root@example.com"), cls.beta.account)
        make_member(cls.beta.account, MemberRole.OWNER, "other-owner@example.com")
        with platform_context():
            ProviderConnection.objects.update(base_url="https://models.example.com/v1")
        cls.shown = {}

    def setUp(self) -> None:
        super().setUp()
        self.browser = Client(headers=dict(self.principals["root"].client.headers))

    def pages_shown(self) -> dict[str, tuple[str, list[Form]]]:
        """Return the pages of the admin, which are opened for the first test that reads them."""
        if not type(self).shown:
            type(self).shown = {at: (page, forms_in(page)) for at, page in self.open_pages()}
        return type(self).shown

    def open_pages(self) -> Iterator[tuple[str, str]]:
        for route in pages():
            if route.pattern.startswith("admin/") and "logout" not in route.pattern:
                at = route.path(self.values(route))
                page = self.browser.get(at, secure=True)
                content_type = page.get("Content-Type", "")
                if page.status_code == 200 and content_type.startswith("text/html"):
                    yield at, page.content.decode()

    def models(self) -> Iterator[tuple[str, type[Model]]]:
        for model in admin.site._registry:
            if model is not SupportAccess:
                yield model._meta.label_lower, model

    def change_form(self, model: type[Model]) -> tuple[str, Form | None]:
        meta = model._meta
        at = f"/admin/{meta.app_label}/{meta.model_name}/{self.one_of[model]}/change/"
        page = self.browser.get(at, secure=True)
        self.assertEqual(page.status_code, 200, at)
        return at, form_with(page.content.decode(), SAVE)

    def send(self, at: str, values: dict[str, Any]) -> Any:
        return self.browser.post(at, values | {SAVE: "Save"}, secure=True)

    def test_each_change_form_is_saved_unchanged_and_changed(self) -> None:
        saved = set()
        for label, model in self.models():
            at, form = self.change_form(model)
            if form is None:
                continue
            saved.add(label)
            with self.subTest(label), rolled_back():
                self.save(label, model, at, form)
        self.assertEqual(saved, set(CHANGED))

    def save(self, label: str, model: type[Model], at: str, form: Form) -> None:
        row = model._base_manager.model(pk=self.one_of[model])
        with platform_context():
            before = fields_of(row)
        answer = self.send(at, form.values())
        self.assertEqual(answer.status_code, 302, errors_in(answer.content.decode()))
        with platform_context():
            self.assertEqual(fields_of(row), before)
        name, value = CHANGED[label]
        self.assertIn(name, form.controls)
        answer = self.send(at, form.values() | {name: value})
        self.assertEqual(answer.status_code, 302, errors_in(answer.content.decode()))
        with platform_context():
            after = fields_of(row)
        self.assertNotEqual(after.pop(name), before.pop(name))
        self.assertEqual(after, before)

    def test_a_form_that_refuses_says_why(self) -> None:
        """Whatever a page's form sends as it stands is done, or an error is shown."""
        sent, silent = 0, []
        for at, (_, forms) in self.pages_shown().items():
            for form in forms:
                if form.method != "post" or "/logout/" in form.action:
                    continue
                sent += 1
                with rolled_back():
                    answer = self.browser.post(form.action or at, form.values(), secure=True)
                # What is streamed is not read, and holds its file open.
                for close in getattr(answer, "_resource_closers", ()):
                    close()
                text = getattr(answer, "content", b"").decode()
                if "errornote" in text and not errors_in(text):
                    silent.append(at)
        self.assertGreater(sent, 40)
        self.assertEqual(silent, [])

    def test_no_title_and_no_confirmation_names_a_row_by_its_id(self) -> None:
        """Nor does a field or a choice: people know names."""
        shown = self.pages_shown()
        wrong = [f"{at}: {each}" for at, page in shown.items() for each in ids_shown(*page)]
        self.assertGreater(len(shown), 80)
        self.assertEqual(wrong, [], "\n".join(wrong))
