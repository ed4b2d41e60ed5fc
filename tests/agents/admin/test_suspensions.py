"""Suspending agents, connections and keys: with a reason for staff, and none for who calls."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from asgiref.sync import async_to_sync
from django.db.models import Model
from django.forms.models import BaseModelForm
from django.test import TestCase
from django.urls import reverse

from accounts.models import Account, AuditEntry
from accounts.tenancy.context import platform_context
from agents.config import loader
from salient.ttl import clear_caches
from tests.support.database.stored import change_row, row_of
from tests.support.factories import make_connection, make_instance, make_key
from tests.support.fixtures import AgentFixtures
from tests.support.people import make_auditor, make_root

REASON = "Ticket 4711: it sends spam"


def meanwhile(row: Model) -> Any:
    """Return what cleans a form, and suspends the row in the database."""
    clean: Any = BaseModelForm._post_clean  # type: ignore[attr-defined]

    def clean_and_suspend(form: Any) -> None:
        clean(form)
        stopped = {"suspended_reason": REASON}
        if isinstance(row, Account):
            stopped["status"] = "suspended"
        type(row)._default_manager.filter(pk=row.pk).update(**stopped)

    return clean_and_suspend


class SuspensionTests(AgentFixtures, TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.key, text = make_key(self.account, name="shop")
        self.api = type(self.api)(text)
        self.client.force_login(make_root(email="root@example.com"))

    def place(self, row: Model, what: str) -> str:
        return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_{what}", args=[row.pk])

    def post(self, row: Model, what: str, **values: str) -> Any:
        with self.captureOnCommitCallbacks(execute=True):
            return self.client.post(self.place(row, what), values, secure=True)

    def page(self, row: Model) -> Any:
        return self.client.get(self.place(row, "change"), secure=True)

    def answered(self) -> Any:
        return async_to_sync(self.api.post)(self.path("chat"), {"message": "hello"})

    def test_a_form_that_was_open_meanwhile_resumes_nothing(self) -> None:
        connection = make_connection(self.account, name="own")
        cases: tuple[tuple[Any, dict[str, str]], ...] = (
            (self.account, {"slug": self.account.slug, "name": "Renamed"}),
            (self.instance, {"display_name": "Renamed"}),
            (self.key, {"name": "Renamed"}),
            (connection, {"base_url": "https://renamed.example/v1"}),
        )
        for row, typed in cases:
            with self.subTest(row._meta.db_table):
                page = self.page(row).context["adminform"].form
                values = {name: page[name].value() or "" for name in page.fields}

                # The row is read, and suspended by somebody else before it is written.
                with patch.object(BaseModelForm, "_post_clean", meanwhile(row)):
                    answer = self.post(row, "change", **values | typed)
                self.assertEqual(answer.status_code, 302)
                now = row_of(type(row), pk=row.pk)
                self.assertEqual(now.suspended_reason, REASON)
                self.assertIn("enamed", str(vars(now)))
                if isinstance(row, Account):
                    self.assertEqual(now.status, "suspended")

    def test_agents_keys_and_connections_are_suspended_and_resumed(self) -> None:
        connection = make_connection(self.account, name="own")
        cases: tuple[tuple[Any, int, str], ...] = (
            (self.instance, 403, "suspended"),
            (self.key, 401, "unauthenticated"),
            (connection, 503, "agent_misconfigured"),
        )
        for row, status, code in cases:
            with self.subTest(row._meta.db_table):
                if row is connection:
                    loader.forget()
                    self.configure("model: connection/own:gpt\n")
                self.suspend(row)
                answer = self.answered()
                self.assertEqual((answer.status, answer.json()["code"]), (status, code))
                self.assertNotIn(b"4711", answer.body)
                self.resume(row)

    def suspend(self, row: Any) -> None:
        self.assertContains(self.post(row, "suspend", reason="  "), "This field is required.")
        self.assertNotContains(self.page(row), "<strong>Suspended</strong>")
        self.assertRedirects(
            self.post(row, "suspend", reason=REASON),
            self.place(row, "change"),
            fetch_redirect_response=False,
        )
        listed = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_changelist")
        self.assertContains(self.client.get(listed, secure=True), REASON)
        page = self.page(row)
        # What is suspended is not called active beside it.
        self.assertNotContains(page, '<span class="badge ok">Active</span>', html=True)
        self.assertContains(page, "<strong>Suspended</strong> by root@example.com")
        self.assertContains(page, REASON)
        with platform_context():
            entry = AuditEntry.objects.filter(object_id=str(row.pk)).newest_first()[0]
        self.assertEqual(entry.changes, {"suspended_reason": ["", REASON]})
        self.assertEqual((entry.account_id, entry.actor), (self.account.pk, "root@example.com"))

    def resume(self, row: Any) -> None:
        self.post(row, "resume")
        self.assertNotContains(self.page(row), "<strong>Suspended</strong>")
        if row._meta.model_name != "providerconnection":
            self.assertEqual(self.answered().status, 200)

    def test_an_agent_says_why_it_cannot_answer_on_each_of_its_pages(self) -> None:
        connection = make_connection(self.account, name="own")
        other = make_instance(self.account, "other")
        override = {"model": "connection/own:m", "system_prompt": "Be brief."}
        change_row(other, override=override)
        self.post(connection, "suspend", reason=REASON)
        page = self.page(other)
        self.assertContains(page, f"“own” is suspended: {REASON}")
        self.assertContains(page, "agent_misconfigured")
        self.post(self.instance, "suspend", reason=REASON)
        history = reverse("admin:instance-history", args=[self.instance.pk])
        page = self.client.get(history, secure=True)
        self.assertContains(page, f"It is suspended: {REASON}")
        self.assertContains(page, f"{REASON}. Every call of it gets 403 suspended.")
        why = reverse("admin:why-refused")
        rows = {"account": self.account, "instance": self.instance, "key": self.key}
        call = {name: str(row.pk) for name, row in rows.items()}
        self.assertContains(self.client.get(why, call, secure=True), REASON)

    def test_a_suspended_agent_is_not_resumed_by_its_account(self) -> None:
        self.post(self.instance, "suspend", reason=REASON)
        clear_caches()
        path = f"/accounts/acme/agents/{self.instance.instance_slug}"
        answer = async_to_sync(self.api.call)("PATCH", path, raw=b'{"status": "active"}')
        self.assertEqual(answer.status, 200)
        self.assertEqual(self.answered().json()["code"], "suspended")

    def test_a_suspended_connection_is_neither_changed_nor_deleted_by_its_account(self) -> None:
        connection = make_connection(self.account, name="own")
        self.post(connection, "suspend", reason=REASON)
        for method, raw in (("PATCH", b'{"key": "sk-another-0123456789"}'), ("DELETE", b"")):
            answer = async_to_sync(self.api.call)(method, "/accounts/acme/connections/own", raw=raw)
            self.assertEqual((answer.status, answer.json()["what"]), (403, "connection"))

    def test_auditors_see_the_reason_and_stop_nothing(self) -> None:
        self.post(self.key, "suspend", reason=REASON)
        self.client.force_login(make_auditor(email="eye@example.com"))
        page = self.page(self.key)
        self.assertContains(page, REASON)
        self.assertNotContains(page, "Resume</button>")
        self.assertEqual(self.post(self.key, "resume").status_code, 403)
