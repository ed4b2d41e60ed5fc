"""An API key's page: its use, its refusals, when and by whom, and the way to end it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from unittest import mock

from asgiref.sync import async_to_sync
from django.test import TestCase
from django.utils import timezone

from accounts.models import Account, ApiKey, Scope, User
from accounts.tenancy.context import platform_context
from agents.models import AgentInstance
from sessions_app.usage import of_key
from sessions_app.usage.of_key import use_of
from tests.support.api_client import ApiClient
from tests.support.database.stored import change_row
from tests.support.factories import make_account, make_instance, make_key, make_refusals
from tests.support.people import make_root
from tests.support.usage import settled


class KeyPageTests(TestCase):
    root: User
    account: Account
    key: ApiKey
    text: str
    bot: AgentInstance
    desk: AgentInstance

    @classmethod
    def setUpTestData(cls) -> None:
        cls.root = make_root(email="root@example.com")
        cls.account = make_account("acme")
        cls.key, cls.text = make_key(cls.account, name="Shop", networks=["10.0.0.0/8"])
        cls.bot, cls.desk = make_instance(cls.account, "bot"), make_instance(cls.account, "desk")
        mine: dict[str, Any] = {"caller": f"key:{cls.key.pk}"}
        settled(cls.bot, total_cost=Decimal(2), **mine)
        settled(cls.bot, total_cost=Decimal(1), completion_status="error", **mine)
        settled(cls.desk, total_cost=Decimal(9), **mine)
        settled(cls.desk, timezone.now() - timedelta(days=40), **mine)
        settled(cls.bot, caller="key:other")
        refused = {"key_id": cls.key.key_id, "agent": "bot"}
        make_refusals(cls.account, code="network_not_allowed", times=4, **refused)
        make_refusals(cls.account, code="forbidden", times=100, key_id="another")

    def page(self) -> Any:
        self.client.force_login(self.root)
        return self.client.get(f"/admin/accounts/apikey/{self.key.pk}/change/", secure=True)

    def test_it_shows_use_refusals_networks_and_the_way_out(self) -> None:
        page = self.page()

        tiles = {tile.name: tile for tile in page.context["tiles"]}
        self.assertEqual((tiles["Requests"].value, tiles["Requests"].change), ("3", "33.3% failed"))
        self.assertEqual(tiles["Spend"].value, "$12.00")
        self.assertEqual((tiles["Refused"].value, tiles["Refused"].href), ("4", "#refusals"))
        self.assertEqual((tiles["Networks"].value, tiles["Networks"].note), ("1", "10.0.0.0/8"))
        self.assertEqual(tiles["Last used"].value, "never")
        self.assertEqual(
            page.context["agents"], [("desk", "1", "0.0%", "$9.00"), ("bot", "2", "50.0%", "$3.00")]
        )
        self.assertContains(page, "network_not_allowed")
        self.assertContains(page, "Add the caller&#x27;s network to the key")
        self.assertNotContains(page, "<code>forbidden")
        self.assertContains(page, f"/admin/accounts/apikey/{self.key.pk}/replace/")
        requests = self.client.get(tiles["Requests"].href, secure=True)
        self.assertEqual(len(requests.context["cl"].result_list), 3)

    def test_the_last_use_is_told_to_the_minute(self) -> None:
        moment = datetime(2026, 11, 29, 22, 59, tzinfo=UTC)
        change_row(self.key, last_used_at=moment)
        tiles = {tile.name: tile for tile in self.page().context["tiles"]}

        self.assertEqual(
            (tiles["Last used"].value, tiles["Last used"].note), ("29 Nov 2026", "22:59 UTC")
        )

    def test_the_accounts_page_says_whose_the_refusals_are_and_what_to_do(self) -> None:
        self.client.force_login(self.root)
        address = f"/admin/accounts/account/{self.account.pk}/change/"
        page = self.client.get(address, secure=True)

        rows = page.context["refusals"]
        self.assertEqual((rows[1].sum.code, rows[1].sum.times), ("network_not_allowed", 4))
        self.assertContains(page, "The key may not be used from the caller")
        overview = self.client.get("/admin/", secure=True)
        self.assertContains(overview, f"{address}?days=30#refusals")

    def test_an_account_with_too_many_requests_shows_what_is_known(self) -> None:
        with mock.patch.object(of_key, "MOST_REQUESTS", 3), platform_context():
            self.assertIsNone(use_of(self.key))
        with mock.patch.object(of_key, "MOST_REQUESTS", 3):
            tiles = {tile.name: tile for tile in self.page().context["tiles"]}
        self.assertEqual(tiles["Spend"].note, "too many of the account to be summed")

    def test_the_first_use_is_kept(self) -> None:
        key, text = make_key(self.account, scopes=[Scope.CHAT])
        for moment in (1, 2):
            async_to_sync(ApiClient(text).get)("/accounts/acme/me")
            with platform_context():
                found = ApiKey.objects.get(pk=key.pk)
                self.assertIsNotNone(found.first_used_at)
                if moment == 1:
                    first = found.first_used_at
                    ApiKey.objects.filter(pk=key.pk).update(
                        last_used_at=timezone.now() - timedelta(hours=1)
                    )
        self.assertEqual(found.first_used_at, first)
