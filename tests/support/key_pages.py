"""The admin's pages of keys, opened by a superuser."""

from __future__ import annotations

import re
from typing import Any

from django.test import TestCase
from django.urls import reverse

from accounts.models import ApiKey
from tests.support.database.stored import row_of
from tests.support.factories import make_account, make_instance
from tests.support.people import make_root

ADD, KEYS = reverse("admin:accounts_apikey_add"), reverse("admin:accounts_apikey_changelist")


def text_in(page: Any) -> str:
    found = re.search(r'value="(sal_\wk_\w+)"', page.content.decode())
    assert found is not None, page.content.decode()
    return found[1]


class KeyPages(TestCase):
    def setUp(self) -> None:
        self.boss = make_root(email="boss@example.com")
        self.client.force_login(self.boss)
        self.account = make_account("acme", name="Acme")
        self.bot = make_instance(self.account, "bot")

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(path, query, secure=True)

    def add(self, **form: Any) -> Any:
        fields = {"account": self.account.pk, "name": "shop", "scopes": ["agents:read"]}
        fields["way"] = "show"
        return self.client.post(ADD, fields | form, secure=True)

    def only(self) -> ApiKey:
        return row_of(ApiKey)

    def stored(self, key: ApiKey) -> ApiKey:
        return row_of(ApiKey, pk=key.pk)

    def page(self, name: str, key: ApiKey) -> str:
        return reverse(f"admin:{name}", args=[key.pk])
