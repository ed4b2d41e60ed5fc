"""A form that is sent twice, by a double click or a reload, is acted on once."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from datetime import timedelta
from typing import Any
from unittest import mock

from django.conf import settings
from django.contrib.messages import get_messages
from django.core import mail
from django.db import connection
from django.test import Client, SimpleTestCase, TransactionTestCase
from django.urls import reverse
from django.utils import timezone

from accounts.admin.api_keys import SHOWN_ALREADY
from accounts.admin.changes.repeats import SENT_TWICE, STILL_DOING
from accounts.members.sent_forms import KEPT, forget_sent_forms
from accounts.models import ApiKey, Invitation, MemberRole, SentForm, SupportAccess, User
from accounts.tenancy.context import platform_context
from agents.models import ProviderConnection
from tests.accounts.member_fixtures import make_member
from tests.support.database.catalog import rows
from tests.support.factories import make_account, make_key, make_user
from tests.support.key_pages import ADD, KeyPages, text_in
from tests.support.people import make_root, opened

TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="(\w+)"')
NEW_KEY = {"name": "shop", "scopes": ["agents:read"], "way": "show"}
# Whether a connection of this database waits for an advisory lock.
WAITING = """
    SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def token_of(page: Any) -> str:
    found = TOKEN.search(page.content.decode())
    assert found is not None
    return found[1]


class RepeatCase(KeyPages):
    def setUp(self) -> None:
        super().setUp()
        self.client = Client(enforce_csrf_checks=True)
        self.client.force_login(self.boss)

    def send(self, address: str, form: dict[str, Any]) -> Any:
        with self.captureOnCommitCallbacks(execute=True):
            headers = {"Origin": "https://testserver"}
            return self.client.post(address, form, secure=True, headers=headers)

    def filled_in(self, address: str, /, **fields: Any) -> dict[str, Any]:
        """Return what a page's form sends."""
        page = self.get(address, account=str(self.account.pk))
        return {"csrfmiddlewaretoken": token_of(page), "account": str(self.account.pk)} | fields

    def said(self, answer: Any) -> list[str]:
        return [str(each) for each in get_messages(answer.wsgi_request)]

    def count(self, model: Any) -> int:
        with platform_context():
            return int(model.objects.count())


class KeyTests(RepeatCase):
    def assert_leads_to(self, answer: Any, key: ApiKey) -> None:
        page = self.page("accounts_apikey_change", key)
        self.assertEqual((answer.status_code, answer.headers.get("Location")), (302, page))

    def test_a_double_click_makes_one_key_and_leads_to_it(self) -> None:
        form = self.filled_in(ADD, **NEW_KEY)
        text_in(self.send(ADD, form))
        again = self.send(ADD, form)

        self.assert_leads_to(again, self.only())
        self.assertEqual(self.said(again), [SHOWN_ALREADY])

    def test_what_is_sent_from_another_page_or_is_another_form_is_done(self) -> None:
        form = self.filled_in(ADD, **NEW_KEY)
        text_in(self.send(ADD, form))
        text_in(self.send(ADD, form | {"name": "office"}))
        text_in(self.send(ADD, self.filled_in(ADD, **NEW_KEY)))
        self.assertEqual(self.count(ApiKey), 3)
        self.client.force_login(make_root(email="other@example.com"))
        text_in(self.send(ADD, self.filled_in(ADD, **NEW_KEY)))
        self.assertEqual(self.count(ApiKey), 4)

    def test_a_script_that_sends_the_cookies_token_may_do_the_same_again(self) -> None:
        key, _ = make_key(self.account)
        self.get(ADD)
        token = {"csrfmiddlewaretoken": self.client.cookies[settings.CSRF_COOKIE_NAME].value}
        stop, go_on = (self.page(f"accounts_apikey_{each}", key) for each in ("suspend", "resume"))
        for _ in range(2):
            self.send(stop, token | {"reason": "ticket 8"})
            self.assertEqual(self.stored(key).suspended_reason, "ticket 8")
            self.send(go_on, token)
            self.assertEqual(self.stored(key).suspended_reason, "")
        self.assertEqual(self.count(SentForm), 0)

    def test_a_form_with_errors_did_nothing_and_may_be_sent_again(self) -> None:
        form = self.filled_in(ADD, **NEW_KEY | {"way": "hand", "person": "new@example.com"})
        for _ in range(2):
            self.assertContains(self.send(ADD, form), "errorlist")
        make_member(self.account, MemberRole.OWNER, "new@example.com")
        self.assert_leads_to(self.send(ADD, form), self.only())

    def test_one_rotation_and_one_replacement(self) -> None:
        for name in ("key-rotate", "key-replace"):
            with self.subTest(name):
                key, _ = make_key(self.account, scopes=["agents:read"])
                before, address = self.count(ApiKey), self.page(name, key)
                form = self.filled_in(address, way="show", overlap_hours="24")
                text_in(self.send(address, form))
                again = self.send(address, form)

                with platform_context():
                    successor = ApiKey.objects.get(rotated_from=key.key_id)
                self.assert_leads_to(again, successor)
                self.assertEqual(self.count(ApiKey), before + 1)


class OtherFormTests(RepeatCase):
    def test_whatever_a_form_makes_or_sends_there_is_one_of_it(self) -> None:
        make_member(self.account, MemberRole.OWNER, "owner@example.com")
        opened(self.boss, self.account)
        someone = make_user("someone@example.com")
        support = {"next": "/admin/", "reason": "ticket 8", "minutes": "60"}
        connection_ = {"name": "own", "base_url": "https://models.example/v1", "key": "sk-1"}
        link = reverse("admin:password-link", args=[someone.pk])
        person = reverse("admin:accounts_user_change", args=[someone.pk])
        add = "admin:{}_add".format
        # The page with the form, where it is sent, what it holds; the rows and e-mails of one.
        ways: list[tuple[str, str, dict[str, Any], Any, int]] = [
            (
                reverse(add("accounts_invitation")),
                "",
                {"email": "new@example.com", "role": "member"},
                Invitation,
                2,
            ),
            (reverse(add("accounts_user")), "", {"email": "ann@example.com"}, User, 1),
            (person, link, {}, None, 1),
            (reverse(add("agents_providerconnection")), "", connection_, ProviderConnection, 0),
            (ADD, reverse("admin:support-open"), support, SupportAccess, 0),
        ]
        for page, sent_to, fields, model, mails in ways:
            with self.subTest(sent_to or page):
                before = self.count(model) if model else 0
                mail.outbox.clear()
                form, target = self.filled_in(page, **fields), sent_to or page
                first = self.send(target, form)
                again = self.send(target, form)

                self.assertEqual((first.status_code, again.status_code), (302, 302), first.content)
                self.assertEqual(again.headers["Location"], first.headers["Location"])
                self.assertIn(SENT_TWICE, self.said(again))
                self.assertEqual(len(mail.outbox), mails)
                if model:
                    self.assertEqual(self.count(model), before + 1)

    def test_searches_are_noted_nowhere(self) -> None:
        address = reverse("admin:list-search")
        form = self.filled_in(ADD, list="accounts_account", q="acme")
        for _ in range(2):
            self.assertEqual(self.send(address, form).status_code, 302)
        self.assertEqual(self.count(SentForm), 0)

    def test_after_a_day_a_form_is_forgotten_and_acted_on_again(self) -> None:
        form = self.filled_in(ADD, **NEW_KEY)
        text_in(self.send(ADD, form))
        with platform_context():
            self.assertEqual(forget_sent_forms(timezone.now()), 0)
            SentForm.objects.update(created_at=timezone.now() - KEPT - timedelta(seconds=1))
        text_in(self.send(ADD, form))
        self.assertEqual((self.count(ApiKey), self.count(SentForm)), (2, 1))
        with platform_context():
            self.assertEqual(forget_sent_forms(timezone.now() + KEPT), 1)


class AtOnceTests(TransactionTestCase):
    """Both are there before the first is answered."""

    def setUp(self) -> None:
        self.client.force_login(make_root(email="boss@example.com"))
        self.account = make_account("acme")
        account = {"account": str(self.account.pk)}
        page = self.client.get(ADD, account, secure=True)
        self.form = NEW_KEY | account | {"csrfmiddlewaretoken": token_of(page)}
        self.second: list[Any] = []

    def click_twice(self, *, until: Any) -> Any:
        """Send the form, and once more while the first one is at work."""
        give_secret = ApiKey.give_secret

        def send() -> None:
            self.second.append(self.client.post(ADD, self.form, secure=True))
            connection.close()

        thread = threading.Thread(target=send)

        def slow(key: ApiKey) -> str:
            thread.start()
            until(thread)
            return give_secret(key)

        with mock.patch.object(ApiKey, "give_secret", slow):
            first = self.client.post(ADD, self.form, secure=True)
        thread.join(30)
        return first

    def made(self) -> int:
        with platform_context():
            return ApiKey.objects.count()

    def test_the_second_waits_for_the_first(self) -> None:
        def it_waits(thread: threading.Thread) -> None:
            while rows(WAITING) == [(0,)] and thread.is_alive():
                pass

        text_in(self.click_twice(until=it_waits))
        self.assertEqual((self.made(), self.second[0].status_code), (1, 302))

    def test_one_that_waits_too_long_is_told_to_reload_the_page(self) -> None:
        text_in(self.click_twice(until=lambda thread: thread.join(30)))
        self.assertContains(self.second[0], STILL_DOING, status_code=409)
        self.assertEqual(self.made(), 1)
        again = self.client.post(ADD, self.form, secure=True)
        self.assertEqual((self.made(), again.status_code), (1, 302))


if shutil.which("node") or os.environ.get("CI"):

    class ScriptTests(SimpleTestCase):
        """It runs where Node is installed, and in CI always."""

        def test_a_second_click_sends_nothing_for_a_while(self) -> None:
            base = settings.BASE_DIR
            script = {"ONCE_SCRIPT": str(base / "static/once.js")}
            command = ["node", str(base / "tests/clients/once.mjs")]
            done = subprocess.run(
                command, env=os.environ | script, capture_output=True, check=False, text=True
            )
            self.assertEqual(done.returncode, 0, done.stderr)
