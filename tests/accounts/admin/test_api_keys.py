from __future__ import annotations

import html
import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from asgiref.sync import async_to_sync
from django.http import QueryDict
from django.urls import reverse
from django.utils import timezone

from accounts.admin.lists.private import opened as opened_query
from accounts.auth import key_text
from accounts.models import ApiKey, MemberRole
from salient.ttl import clear_caches
from tests.accounts.member_fixtures import make_member
from tests.support.api_client import ApiClient
from tests.support.database.reads import queries_of
from tests.support.database.stored import change_all, change_row, count_of, row_of
from tests.support.factories import make_account, make_instance, make_key, make_user
from tests.support.key_pages import ADD, KEYS, KeyPages, text_in
from tests.support.people import opened


def searched(answer: Any) -> str:
    """Return what the address searches for that an answer leads to."""
    query = QueryDict(urlsplit(answer["Location"]).query)
    return str(opened_query(query, {"q"})["q"])


class MakeTests(KeyPages):
    def test_the_account_is_asked_for_first_and_its_agents_are_offered(self) -> None:
        make_instance(make_account("beta"), "theirs")

        self.assertContains(self.get(ADD), "Whose API key?")
        page = self.get(ADD, account=str(self.account.pk))
        self.assertContains(page, "New API key for Acme")
        self.assertContains(page, "bot")
        self.assertNotContains(page, "theirs")

    def test_everything_that_bounds_a_key_is_asked_for(self) -> None:
        page = self.add(
            mode="test",
            scopes=["agents:read", "usage:read"],
            instance_ids=[str(self.bot.pk)],
            networks="203.0.113.0/24\n2001:db8::/32",
            life="30",
        )
        key = self.only()

        self.assertTrue(text_in(page).startswith("sal_tk_"))
        self.assertEqual(key.scopes, ["agents:read", "usage:read"])
        self.assertEqual(key.instance_ids, [self.bot.pk])
        self.assertEqual(key.networks, ["203.0.113.0/24", "2001:db8::/32"])
        assert key.expires_at is not None
        days = (key.expires_at - timezone.now()) / timedelta(days=1)
        self.assertAlmostEqual(days, 30, delta=1)

    def test_a_publishable_key_is_for_one_agent_and_its_pages(self) -> None:
        form = {
            "kind": "publishable",
            "instance_ids": [str(self.bot.pk)],
            "origins": "https://shop.example",
        }
        page = self.add(**form)
        key = self.only()

        self.assertTrue(text_in(page).startswith("sal_pk_"))
        self.assertContains(page, "agents/bot/visitors")
        self.assertEqual((key.scopes, key.origins), (["visitors:write"], [form["origins"]]))

    def test_its_text_works_is_shown_once_and_kept_nowhere(self) -> None:
        answer = self.add()
        text, key = text_in(answer), self.only()
        change = self.get(self.page("accounts_apikey_change", key))

        self.assertEqual(key.secret_hash, key_text.secret_hash(text))
        self.assertIn("no-store", answer["Cache-Control"])
        self.assertNotIn(text, str(answer.cookies))
        for page in (change, self.get(KEYS), self.get(reverse("admin:index"))):
            self.assertNotIn(text, page.content.decode())
        listed = async_to_sync(ApiClient(text).get)("/accounts/acme/agents")
        self.assertEqual(listed.status, 200)

    def test_it_lasts_a_year_unless_it_shall_not(self) -> None:
        self.add()
        expires = self.only().expires_at
        assert expires is not None
        self.assertAlmostEqual((expires - timezone.now()) / timedelta(days=1), 365, delta=1)
        self.add(name="for ever", life="never")
        self.assertIsNone(row_of(ApiKey, name="for ever").expires_at)

    def test_what_cannot_be_a_key_is_reported_at_the_form_and_makes_none(self) -> None:
        theirs = make_instance(make_account("beta"))
        wrongs: tuple[dict[str, Any], ...] = (
            {"kind": "publishable"},
            {"kind": "publishable", "instance_ids": [str(self.bot.pk)], "origins": "shop"},
            {"origins": "https://shop.example"},
            {"networks": "203.0.113.7/24"},
            {"instance_ids": [str(theirs.pk)]},
            {"scopes": []},
            {"scopes": ["everything"]},
            {"name": ""},
            {"life": "12"},
            {"way": ""},
            {"way": "hand"},
            {"way": "hand", "person": "nobody@example.com"},
        )
        for wrong in wrongs:
            with self.subTest(wrong):
                self.assertContains(self.add(**wrong), "errorlist")
        self.assertFalse(count_of(ApiKey))

    def test_the_shown_line_works_as_it_stands(self) -> None:
        page = self.add(scopes=["agents:read"])
        line = html.unescape(page.content.decode())
        found = re.search(r"curl https?://[^/]+(/accounts/acme/me)", line)
        assert found is not None

        answer = async_to_sync(ApiClient(text_in(page)).get)(found[1])
        self.assertEqual(answer.status, 200)
        opened(self.boss, self.account)
        talks = self.add(name="talks", scopes=["chat"])
        self.assertContains(talks, "/accounts/acme/agents/bot/stream")


class ChangeTests(KeyPages):
    def test_name_networks_and_end_are_changed_and_nothing_else(self) -> None:
        key, _ = make_key(self.account, scopes=["chat"])
        form = {
            "name": "new",
            "networks": "203.0.113.0/24",
            "expires_at_0": "2030-01-01",
            "expires_at_1": "00:00",
            "scopes": ["members:write"],
            "mode": "test",
            "instance_ids": [str(self.bot.pk)],
            "account": make_account("beta").pk,
        }
        self.client.post(self.page("accounts_apikey_change", key), form, secure=True)
        now = self.stored(key)

        self.assertEqual((now.name, now.networks), ("new", ["203.0.113.0/24"]))
        assert now.expires_at is not None
        self.assertEqual(now.expires_at.year, 2030)
        self.assertEqual((now.scopes, now.mode, now.instance_ids), (["chat"], "live", []))
        self.assertEqual(now.account_id, self.account.pk)

    def test_a_successor_is_shown_once_and_the_old_key_works_on(self) -> None:
        key, old = make_key(self.account, scopes=["agents:read"])
        form = {"overlap_hours": 2, "way": "show"}
        page = self.client.post(self.page("key-rotate", key), form, secure=True)
        new = text_in(page)

        self.assertIn("no-store", page["Cache-Control"])
        for text in (old, new):
            answer = async_to_sync(ApiClient(text).get)("/accounts/acme/me")
            self.assertEqual(answer.status, 200)
        ends = self.stored(key).expires_at
        assert ends is not None
        self.assertAlmostEqual((ends - timezone.now()) / timedelta(hours=1), 2, delta=0.1)
        again = self.client.post(self.page("key-rotate", key), form, secure=True)
        self.assertContains(again, "rotated before")

    def test_what_cannot_be_rotated_says_why(self) -> None:
        key, _ = make_key(self.account, scopes=["agents:read"])
        rotate, form = self.page("key-rotate", key), {"way": "show"}
        for hours in ("-1", "100000", ""):
            page = self.client.post(rotate, form | {"overlap_hours": hours}, secure=True)
            self.assertContains(page, "errorlist")
        change_all(ApiKey, revoked_at=timezone.now())
        page = self.client.post(rotate, form | {"overlap_hours": "1"}, secure=True)
        self.assertContains(page, "This key has ended")

    def test_revoking_asks_once_more(self) -> None:
        key, text = make_key(self.account, name="shop")
        revoke = self.page("key-revoke", key)
        self.assertContains(self.get(self.page("accounts_apikey_change", key)), "Revoke key")

        self.assertContains(self.get(revoke), "ends for good")
        self.assertIsNone(self.stored(key).revoked_at)
        self.client.post(revoke, secure=True)
        answer = async_to_sync(ApiClient(text).get)("/accounts/acme/me")
        self.assertEqual(answer.status, 401)

    def test_revoking_in_the_list_ends_the_key_and_counts_it_once(self) -> None:
        key, _ = make_key(self.account)
        form = {"action": "revoke", "_selected_action": [str(key.pk)], "confirmed": "yes"}
        self.client.post(KEYS, form, secure=True)
        first = self.stored(key).revoked_at
        self.client.post(KEYS, form, secure=True)

        self.assertIsNotNone(first)
        self.assertEqual(self.stored(key).revoked_at, first)

    def leaked(self, **form: Any) -> tuple[ApiKey, Any]:
        key, self.text = make_key(self.account, name="shop", scopes=["agents:read"])
        return key, self.replace(key, **form)

    def replace(self, key: ApiKey, **form: Any) -> Any:
        return self.client.post(self.page("key-replace", key), {"way": "show"} | form, secure=True)

    def status_of(self, text: str) -> int:
        # Nothing is committed here, so the server would go on believing what it read.
        clear_caches()
        return async_to_sync(ApiClient(text).get)("/accounts/acme/me").status

    def test_a_leaked_key_is_replaced_and_ends_in_one_step(self) -> None:
        key, page = self.leaked()
        new = text_in(page)

        self.assertContains(page, ": every server refuses it within 5 seconds")
        self.assertIn("no-store", page["Cache-Control"])
        self.assertEqual((self.status_of(self.text), self.status_of(new)), (401, 200))
        self.client.post(self.page("key-revoke", key), secure=True)
        form = {"action": "revoke", "_selected_action": [str(key.pk)], "confirmed": "yes"}
        self.client.post(KEYS, form, secure=True)
        self.assertEqual(self.status_of(new), 200)

    def test_a_key_that_was_revoked_before_is_replaced(self) -> None:
        key, text = make_key(self.account, scopes=["agents:read"])
        self.client.post(self.page("key-revoke", key), secure=True)
        self.assertContains(self.get(self.page("accounts_apikey_change", key)), "Leaked: replace")
        page = self.replace(key)

        self.assertEqual((self.status_of(text), self.status_of(text_in(page))), (401, 200))
        self.assertContains(page, "it had ended before")

    def test_what_the_finder_of_a_leaked_key_made_ends_with_it(self) -> None:
        key, text = make_key(self.account, scopes=["agents:read"])
        made = async_to_sync(ApiClient(text).post)("/accounts/acme/keys/rotate", {})
        page = self.replace(key)

        self.assertEqual(made.status, 201)
        self.assertEqual(self.status_of(made.json()["key"]), 401)
        self.assertEqual(self.status_of(text_in(page)), 200)

    def test_a_leaked_key_is_handed_over_anew(self) -> None:
        key, _ = make_key(self.account, scopes=["agents:read"], expires_at=None)
        owner = make_member(self.account, MemberRole.OWNER, "owner@example.com")
        self.replace(key, way="hand", person=owner.user.email)

        self.assertIsNotNone(self.stored(key).revoked_at)
        offered = row_of(ApiKey, rotated_from=key.key_id)
        self.assertEqual((offered.taker, offered.revoked_at), (owner.user.email, None))

    def test_revoking_a_key_keeps_the_successor_that_staff_made(self) -> None:
        key, text = make_key(self.account, scopes=["agents:read"])
        form = {"way": "show", "overlap_hours": 2}
        new = text_in(self.client.post(self.page("key-rotate", key), form, secure=True))
        page = self.get(self.page("key-revoke", key))
        self.assertContains(page, "was made by boss@example.com (staff)")
        self.assertNotContains(page, "checked")
        self.client.post(self.page("key-revoke", key), secure=True)

        self.assertEqual((self.status_of(text), self.status_of(new)), (401, 200))

    def test_revoking_a_key_ends_the_successor_that_it_made_itself(self) -> None:
        key, text = make_key(self.account, scopes=["agents:read"])
        made = async_to_sync(ApiClient(text).post)("/accounts/acme/keys/rotate", {}).json()["key"]
        self.assertContains(self.get(self.page("key-revoke", key)), "checked")
        self.client.post(self.page("key-revoke", key), {"with_successors": "on"}, secure=True)

        self.assertEqual((self.status_of(text), self.status_of(made)), (401, 401))

    def test_revoking_many_asks_once_more(self) -> None:
        chosen = [make_key(self.account, name=f"key {number}")[0] for number in range(2)]
        form = {"action": "revoke", "_selected_action": [str(key.pk) for key in chosen]}
        page = self.client.post(KEYS, form, secure=True)

        self.assertContains(page, "key 0")
        self.assertEqual([self.stored(key).revoked_at for key in chosen], [None, None])
        self.client.post(KEYS, form | {"confirmed": "yes"}, secure=True)
        self.assertNotIn(None, [self.stored(key).revoked_at for key in chosen])

    def test_who_may_only_look_rotates_and_revokes_nothing(self) -> None:
        key, _ = make_key(self.account)
        self.client.force_login(make_user(is_staff=True))
        for name in ("key-rotate", "key-replace", "key-revoke"):
            for method in (self.client.get, self.client.post):
                self.assertEqual(method(self.page(name, key), secure=True).status_code, 403)


class ListTests(KeyPages):
    def test_it_tells_whose_it_is_what_it_may_and_how_long(self) -> None:
        make_key(self.account, name="shop", scopes=["chat"], instance_ids=[self.bot.pk])
        make_key(self.account, name="tries", mode="test")
        shop = {"kind": "publishable", "origins": ["https://shop.example"]}
        make_key(self.account, name="page", instance_ids=[self.bot.pk], **shop)
        page = self.get(KEYS)

        expected = (
            "shop",
            "acme",
            "chat",
            "1 chosen",
            "active",
            ">test</span>",
            "from https://shop.",
        )
        for shown in expected:
            self.assertContains(page, shown)

    def test_states(self) -> None:
        now = timezone.now()
        for name, fields in {
            "ends soon": {"expires_at": now + timedelta(days=3)},
            "expired": {"expires_at": now - timedelta(days=1)},
            "revoked": {"revoked_at": now},
            "rotated": {"rotated_at": now, "expires_at": now + timedelta(hours=1)},
        }.items():
            key, _ = make_key(self.account, name=f"a key that is {name}")
            change_row(key, **fields)
            with self.subTest(name):
                self.assertContains(self.get(KEYS), f">{name}</span>")
        active = self.get(KEYS, state="active").content.decode()
        ended = self.get(KEYS, state="ended").content.decode()
        self.assertIn("that is rotated", active)
        self.assertNotIn("that is revoked", active)
        self.assertIn("that is revoked", ended)
        self.assertIn("that is expired", ended)
        self.assertContains(self.get(KEYS, state="unused"), "that is rotated")

    def test_a_key_is_found_by_name_id_and_account(self) -> None:
        key, _ = make_key(self.account, name="shop")
        make_key(make_account("beta"), name="other")
        for words in ("shop", key.key_id, "acme"):
            page = self.client.get(KEYS, {"q": words}, secure=True, follow=True)
            self.assertContains(page, key.key_id)
            self.assertNotContains(page, "other")

    def test_a_key_is_found_by_its_text_whose_secret_goes_nowhere(self) -> None:
        key, text = make_key(self.account, name="shop")
        make_key(make_account("beta"), name="other")
        for words in (text, key.shown_id, f"Authorization: Bearer {text}", f" {text[7:]}\n"):
            form = {"list": "accounts_apikey", "q": words, "mode__exact": "live", "csrf": ""}
            sent = self.client.post("/admin/list-search/", form, secure=True)
            self.assertEqual(sent.status_code, 302)
            self.assertIn("mode__exact=live", sent["Location"])
            self.assertNotIn(text[-38:], searched(sent))
            self.assertIn(key.key_id, searched(sent))
        for words in (f"{key.prefix}_{key.key_id}", f"{key.prefix}_{key.key_id[:6]}"):
            page = self.client.get(KEYS, {"q": words}, secure=True, follow=True)
            self.assertContains(page, key.key_id)
            self.assertNotContains(page, "other")

    def test_a_key_in_an_address_is_taken_out_of_it(self) -> None:
        key, text = make_key(self.account, name="shop")
        sent = self.client.get(KEYS, {"q": text, "mode__exact": "live"}, secure=True)

        self.assertTrue(sent["Location"].startswith(f"{KEYS}?mode__exact=live&private="))
        self.assertEqual(searched(sent), f"sal_sk_{key.key_id}")

    def test_the_list_costs_the_same_for_one_and_for_fifty(self) -> None:
        costs = []
        for _ in range(2):
            make_key(self.account)
            self.get(KEYS)
            costs.append(queries_of(self.get, KEYS))
            for _ in range(30):
                make_key(self.account)
        self.assertEqual(costs[0], costs[1])
