"""The admin's page for connections: keys go in, none comes out."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.models import LogEntry
from django.test import TestCase, override_settings
from django.urls import reverse

from accounts.tenancy.context import platform_context, tenant_context
from agents.connections import connections
from agents.models import ProviderConnection
from salient.ttl import clear_caches
from tests.support.factories import make_account, make_user

KEY = "sk-canary-0123456789abcdef"
URL = "https://models.example.com/v1"


@override_settings(SECURE_SSL_REDIRECT=False)
class ConnectionAdminTests(TestCase):
    def setUp(self) -> None:
        self.account = make_account("acme")
        self.client.force_login(make_user(is_staff=True, is_superuser=True))

    def add(self, **fields: Any) -> Any:
        data = {"account": self.account.pk, "name": "own", "base_url": URL, "key": KEY} | fields
        return self.client.post(reverse("admin:agents_providerconnection_add"), data)

    def change(self, **fields: Any) -> Any:
        [row] = self.rows()
        address = reverse("admin:agents_providerconnection_change", args=[row.pk])
        return self.client.post(address, {"base_url": URL, "key": ""} | fields)

    def rows(self) -> list[ProviderConnection]:
        with platform_context():
            return list(ProviderConnection.objects.all())

    def key(self) -> str:
        clear_caches()
        with tenant_context(self.account.pk):
            return connections.connections_for(self.account.pk, ["connection/own:m"])["own"].key

    def test_a_key_that_is_typed_in_works_and_is_shown_on_no_page(self) -> None:
        self.assertEqual(self.add().status_code, 302)
        self.assertEqual(self.key(), KEY)

        [row] = self.rows()
        pages = [
            reverse("admin:agents_providerconnection_changelist"),
            reverse("admin:agents_providerconnection_change", args=[row.pk]),
            reverse("admin:agents_providerconnection_history", args=[row.pk]),
        ]
        for page in pages:
            text = self.client.get(page).content.decode()
            self.assertNotIn("canary", text)
            self.assertNotIn(row.secret, text)
        self.assertNotIn("canary", str(list(LogEntry.objects.values())))

    def test_a_change_without_a_key_keeps_it_on_the_same_host_only(self) -> None:
        self.add()
        self.change(base_url="https://models.example.com/v2")
        self.assertEqual(self.key(), KEY)
        self.change(base_url="https://evil.example.com/v2")
        self.assertEqual(self.key(), "")

    def test_what_the_api_refuses_is_refused_here_and_not_echoed(self) -> None:
        for fields in (
            {"base_url": "http://models.example.com"},
            {"base_url": "https://127.0.0.1/"},
            {"key": "sk-canary with spaces"},
            {"name": "Not A Slug"},
        ):
            with self.subTest(fields):
                answer = self.add(**fields)
                self.assertEqual(answer.status_code, 200)
                self.assertNotIn("canary", answer.content.decode())
        self.assertEqual(self.rows(), [])
