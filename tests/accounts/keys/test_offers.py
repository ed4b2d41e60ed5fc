"""Keys that read texts: offered to a person unseen, or shown to staff under a support access."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from unittest import mock
from urllib.parse import parse_qs, urlsplit

from asgiref.sync import async_to_sync
from django.contrib.auth.models import Group, Permission
from django.core import mail
from django.test import Client, TestCase
from django.urls import reverse
from django.utils import timezone

from accounts.members import support_access
from accounts.models import ApiKey, AuditEntry, MemberRole, Scope, User
from accounts.models.api_key import LASTING
from accounts.tenancy.context import platform_context
from accounts.tenancy.suspensions import resume, suspend
from salient.ttl import clear_caches
from tests.accounts.member_fixtures import PASSWORD, make_member
from tests.support.api_client import ApiClient
from tests.support.database.stored import (
    as_platform,
    change_all,
    change_row,
    count_of,
    row_of,
    rows_of,
)
from tests.support.factories import make_invitation, make_key, make_user
from tests.support.key_pages import ADD, KEYS, KeyPages, text_in
from tests.support.people import end_of, make_root, opened

READING = ["chat", "history:read", "visitors:write"]
FREE = [
    *("history:delete", "agents:read", "agents:write", "config:read", "usage:read", "limits:read"),
    *("limits:write", "keys:read", "members:read", "connections:read", "webhooks:read"),
]


def status_of(text: str, path: str = "/accounts/acme/me") -> int:
    clear_caches()
    return int(async_to_sync(ApiClient(text).get)(path).status)


class ShownTests(KeyPages):
    """What staff see of a key's text, and how long it works."""

    def access(self, **options: Any) -> Any:
        return opened(self.boss, self.account, reason="ticket 4711", **options)

    def end(self, access: Any) -> None:
        as_platform(support_access.end_access, access)

    def shown(self, **form: Any) -> tuple[ApiKey, str]:
        page = self.add(scopes=["chat"], **form)
        return self.only(), text_in(page)

    def test_every_scope_is_classified(self) -> None:
        classified = {*READING, *FREE, *LASTING, "audit:read"}
        self.assertEqual(classified, set(Scope.values))

    def test_one_that_reads_texts_asks_for_a_reason_first_in_test_mode_too(self) -> None:
        for mode in ("live", "test"):
            for scope in READING:
                with self.subTest(scope=scope, mode=mode):
                    page = self.add(scopes=[scope, "agents:read"], mode=mode)
                    self.assertTemplateUsed(page, "admin/support/reason.html")
                    self.assertContains(page, scope)
                    self.assertContains(page, "hand it over")
        self.assertFalse(count_of(ApiKey))

    def test_one_that_reads_none_is_shown_as_it_is(self) -> None:
        for scope in (*FREE, "audit:read"):
            with self.subTest(scope):
                self.assertTrue(text_in(self.add(name=scope, scopes=[scope])))
        with platform_context():
            self.assertFalse(ApiKey.objects.exclude(support_access_id=None).exists())

    def test_what_was_filled_in_comes_back_after_the_reason(self) -> None:
        page = self.add(scopes=["chat", "usage:read"], name="Night shift", networks="10.0.0.0/8")
        back = page.context["form"].initial["next"]
        self.assertEqual(parse_qs(urlsplit(back).query)["scopes"], ["chat", "usage:read"])

        again = self.client.get(back, secure=True)
        self.assertContains(again, 'value="Night shift"')
        self.assertContains(again, "10.0.0.0/8")
        form = again.context["adminform"].form
        self.assertEqual(form.initial["scopes"], ["chat", "usage:read"])

    def test_it_ends_with_the_access_whatever_was_requested(self) -> None:
        access = self.access(minutes=15)
        key, text = self.shown(life="never")

        self.assertEqual((key.expires_at, key.support_access_id), (access.expires_at, access.pk))
        self.assertEqual(status_of(text), 200)
        self.assertIn("ends with your support access", self.add(scopes=["chat"]).content.decode())

    def test_who_ends_the_access_ends_the_key(self) -> None:
        access = self.access()
        _, text = self.shown()
        self.end(access)
        self.assertEqual(status_of(text), 401)

    def test_a_new_access_ends_the_old_ones_keys(self) -> None:
        self.access(minutes=480)
        _, text = self.shown()
        self.access(minutes=15)
        self.assertEqual(status_of(text), 401)

    def test_who_is_no_longer_staff_has_no_key_any_more(self) -> None:
        helper = make_root(email="helper@example.com")
        opened(helper, self.account)
        self.client.force_login(helper)
        _, text = self.shown()
        self.client.force_login(self.boss)
        page = reverse("admin:accounts_user_change", args=[helper.pk])
        form = {"email": helper.email, "is_active": "on", "role": "none"}
        self.client.post(page, form, secure=True)

        self.assertEqual(status_of(text), 401)

    def test_nor_has_who_lost_the_right_with_a_group_or_is_gone(self) -> None:
        wanted = ["add_apikey", "add_supportaccess", "view_apikey", "view_account"]
        group = Group.objects.create(name="helpers")
        group.permissions.set(Permission.objects.filter(codename__in=wanted))
        for what in ("group", "person"):
            with self.subTest(what):
                helper = make_user(is_staff=True)
                helper.groups.add(group)
                opened(User.objects.get(pk=helper.pk), self.account)
                self.client.force_login(helper)
                text = text_in(self.add(name=what, scopes=["chat"]))
                self.assertEqual(status_of(text), 200)
                self.client.force_login(self.boss)
                self.take_away(what, group, helper)
                self.assertEqual(status_of(text), 401)
                group.permissions.set(Permission.objects.filter(codename__in=wanted))

    def take_away(self, what: str, group: Group, helper: User) -> None:
        if what == "group":
            page = reverse("admin:auth_group_change", args=[group.pk])
            self.client.post(page, {"name": "helpers"}, secure=True)
        else:
            page = reverse("admin:accounts_user_delete", args=[helper.pk])
            self.client.post(page, {"post": "yes"}, secure=True)

    def test_nobody_makes_it_live_longer(self) -> None:
        access = self.access(minutes=15)
        key, _ = self.shown()
        form = {"name": "new", "expires_at_0": "2099-01-01", "expires_at_1": "00:00"}
        other = make_root()
        for user in (self.boss, other):
            self.client.force_login(user)
            page = self.page("accounts_apikey_change", key)
            self.client.post(page, form, secure=True)
            now = self.stored(key)
            self.assertEqual((now.name, now.expires_at), ("new", access.expires_at))

    def test_it_has_no_successor(self) -> None:
        self.access()
        key, text = self.shown()
        answer = async_to_sync(ApiClient(text).post)("/accounts/acme/keys/rotate", {})
        self.assertEqual(answer.status, 403)
        for way in ({"way": "show", "overlap_hours": 1}, {"way": "hand"}):
            page = self.client.post(self.page("key-rotate", key), way, secure=True)
            self.assertContains(page, "errorlist")
        self.assertEqual(count_of(ApiKey), 1)

    def test_a_token_that_it_mints_ends_with_it(self) -> None:
        access = self.access()
        page = self.add(scopes=["visitors:write"])
        minted = async_to_sync(ApiClient(text_in(page)).post)(
            "/accounts/acme/agents/bot/visitors", {"sub": "ada"}
        )
        token, history = minted.json()["token"], "/accounts/acme/agents/bot/sessions"
        self.assertEqual(status_of(token, history), 200)
        change_all(ApiKey, expires_at=timezone.now())
        end_of(access, timezone.now())
        self.assertEqual(status_of(token, history), 401)

    def test_what_would_outlast_the_access_is_not_shown_at_all(self) -> None:
        self.access()
        for scope in ("members:write", "connections:write"):
            with self.subTest(scope):
                page = self.add(scopes=["chat", scope])
                self.assertContains(page, f"What a key does with {scope} outlasts")
        confined = self.add(scopes=["chat", "members:write"], instance_ids=[str(self.bot.pk)])
        self.assertTrue(text_in(confined))

    def test_its_making_is_in_the_accounts_log_with_the_reason(self) -> None:
        self.access()
        key, _ = self.shown()
        entry = row_of(AuditEntry, object_type="api_keys", object_id=str(key.pk))

        self.assertEqual((entry.account_id, entry.action), (self.account.pk, "created"))
        self.assertEqual((entry.actor, entry.reason), ("boss@example.com", "ticket 4711"))

    def test_another_persons_access_is_none(self) -> None:
        opened(make_root(), self.account)
        page = self.add(scopes=["chat"])
        self.assertTemplateUsed(page, "admin/support/reason.html")

    def test_a_successor_is_shown_under_an_access_and_ends_with_it(self) -> None:
        key, old = make_key(self.account, scopes=["chat"])
        rotate, form = self.page("key-rotate", key), {"way": "show", "overlap_hours": 2}
        reason_page = self.client.post(rotate, form, secure=True)
        self.assertTemplateUsed(reason_page, "admin/support/reason.html")
        self.assertIsNone(self.stored(key).rotated_at)

        access = self.access()
        new = text_in(self.client.post(rotate, form, secure=True))
        self.assertEqual((status_of(old), status_of(new)), (200, 200))
        self.end(access)
        self.assertEqual((status_of(old), status_of(new)), (200, 401))


class HandoverCase(KeyPages):
    def setUp(self) -> None:
        super().setUp()
        self.owner = make_member(self.account, MemberRole.OWNER, "owner@example.com")
        self.browser = Client()

    def offer(self, person: str = "owner@example.com", **form: Any) -> Any:
        with self.captureOnCommitCallbacks(execute=True):
            return self.add(way="hand", person=person, scopes=["chat"], **form)

    def link(self) -> str:
        [address] = re.findall(r"https?://\S+/keys/\S+", str(mail.outbox[-1].body))
        return str(urlsplit(address).path)

    def log_in(self, user: User) -> None:
        self.browser.force_login(user)

    def open(self, link: str) -> Any:
        return self.browser.get(link, secure=True, follow=True)

    def take(self, **form: Any) -> Any:
        return self.browser.post("/accounts/acme/key/", form, secure=True)


class OfferTests(HandoverCase):
    def test_the_person_gets_a_link_and_staff_see_neither_link_nor_key(self) -> None:
        page = self.offer()
        [sent] = mail.outbox
        key = self.only()

        self.assertEqual((sent.to, key.taker), (["owner@example.com"], "owner@example.com"))
        self.assertEqual((key.secret_hash, key.is_waiting), ("", True))
        token = self.link().rstrip("/").rpartition("/")[2]
        for shown_page in (self.client.get(page.url, secure=True), self.get(KEYS)):
            self.assertContains(shown_page, "to be taken by owner@example.com")
            self.assertNotContains(shown_page, token)
            self.assertNotRegex(shown_page.content.decode(), r"sal_\wk_\w{20}")

    def test_no_access_is_needed_and_every_right_can_be_handed_over(self) -> None:
        self.offer()
        page = self.add(way="hand", person="owner@example.com", scopes=list(Scope.values))
        self.assertEqual(page.status_code, 302)

    def test_it_is_for_owners_and_admins_and_who_is_invited_as_one(self) -> None:
        make_member(self.account, MemberRole.ADMIN, "admin@example.com")
        make_member(self.account, MemberRole.MEMBER, "member@example.com")
        make_invitation(self.account, email="next@example.com", role="owner")
        make_invitation(self.account, email="viewer@example.com", role="viewer")
        gone = make_member(self.account, MemberRole.ADMIN, "gone@example.com")
        User.objects.filter(pk=gone.user_id).update(is_active=False)

        form = self.get(ADD, account=str(self.account.pk)).context["adminform"].form
        offered = {value for value, _ in form.fields["person"].choices if value}
        self.assertEqual(offered, {"owner@example.com", "admin@example.com", "next@example.com"})
        self.assertContains(self.offer("member@example.com"), "errorlist")

    def test_nobody_hands_a_key_over_to_themselves(self) -> None:
        make_member(self.account, MemberRole.OWNER, self.boss.email)
        self.assertContains(self.offer(self.boss.email), "You cannot hand a key to yourself")

    def test_a_mail_that_was_not_sent_is_reported(self) -> None:
        with (
            mock.patch("accounts.keys.offers.send_mail", side_effect=OSError("no")),
            self.assertLogs("accounts.pages.mail"),
        ):
            self.assertEqual(self.offer().status_code, 302)
        self.assertTrue(self.only().is_waiting)

    def test_a_key_that_waits_opens_nothing(self) -> None:
        self.offer()
        key = self.only()
        wrong = f"sal_sk_{key.key_id}_" + "0" * 38
        self.assertEqual(status_of(wrong), 401)
        self.assertEqual(key.refusal(), "The API key has not been taken yet.")


class TakingTests(HandoverCase):
    def test_it_is_made_when_it_is_taken_and_shown_this_once(self) -> None:
        self.offer()
        before = self.only()
        link = self.link()
        self.log_in(self.owner.user)
        page = self.open(link)
        self.assertContains(page, "Take the key")
        self.assertNotRegex(page.content.decode(), r"sal_\wk_")

        taken = self.take()
        text = text_in(taken)
        self.assertIn("no-store", taken["Cache-Control"])
        self.assertContains(taken, "data-copy")
        self.assertContains(taken, "/accounts/acme/agents/bot/stream")
        self.assertEqual(status_of(text), 200)
        self.assertNotEqual(self.only().key_id, before.key_id)
        self.assertEqual((self.take().status_code, self.open(link).status_code), (404, 404))
        shown = self.get(self.page("accounts_apikey_change", self.only()))
        self.assertContains(shown, "taken by owner@example.com")

    def test_the_log_names_who_took_it_and_no_secret(self) -> None:
        self.offer()
        link = self.link()
        self.log_in(self.owner.user)
        self.open(link)
        hashed = self.only().offer_hash
        self.take()
        made, taken = rows_of(AuditEntry, "created_at", object_type="api_keys")
        self.assertEqual((made.actor_kind, made.actor), ("staff", "boss@example.com"))
        self.assertEqual((taken.actor_kind, taken.actor), ("member", "owner@example.com"))
        self.assertEqual(made.changes["taker"], [None, "owner@example.com"])
        self.assertNotIn(hashed, f"{made.changes} {taken.changes}")

    def test_nobody_else_takes_it(self) -> None:
        admin = make_member(self.account, MemberRole.ADMIN, "admin@example.com")
        self.offer()
        link = self.link()
        self.assertContains(self.open(link), "Log in")
        self.assertEqual(self.take().status_code, 403)
        for user in (admin.user, self.boss):
            self.log_in(user)
            self.assertContains(self.open(link), "You are logged in as")
            self.assertEqual(self.take().status_code, 403)
        self.assertTrue(self.only().is_waiting)

    def test_who_lost_the_role_takes_it_no_more(self) -> None:
        make_member(self.account, MemberRole.OWNER, "second@example.com")
        self.offer()
        self.log_in(self.owner.user)
        self.open(self.link())
        change_row(self.owner, role="member")
        self.assertEqual(self.take().status_code, 403)
        self.assertTrue(self.only().is_waiting)

    def test_who_is_invited_joins_first(self) -> None:
        make_invitation(self.account, email="next@example.com", role="admin")
        self.offer("next@example.com")
        guest = make_user("next@example.com", password=PASSWORD)
        self.log_in(guest)
        self.assertContains(self.open(self.link()), "accept the invitation")
        make_member(self.account, MemberRole.ADMIN, "next@example.com")
        self.assertContains(self.open(self.link()), "Take the key")
        self.assertEqual(status_of(text_in(self.take())), 200)

    def test_what_is_withdrawn_expired_or_of_a_suspended_account_is_gone(self) -> None:
        self.log_in(self.owner.user)
        self.offer()
        link = self.link()
        self.open(link)
        change_all(ApiKey, offer_expires_at=timezone.now())
        self.assertEqual((self.open(link).status_code, self.take().status_code), (404, 404))
        with platform_context():
            later = timezone.now() + timedelta(days=1)
            ApiKey.objects.update(offer_expires_at=later)
            type(self.account).objects.update(status="suspended")
        self.assertEqual(self.open(link).status_code, 404)
        type(self.account).objects.update(status="active")
        self.assertEqual(self.open(link).status_code, 200)
        self.client.post(self.page("key-revoke", self.only()), secure=True)
        self.assertEqual((self.open(link).status_code, self.take().status_code), (404, 404))

    def test_a_wrong_link_is_no_key(self) -> None:
        self.offer()
        for link in ("/accounts/acme/keys/x/", "/accounts/nobody/keys/x/", "/accounts/acme/key/"):
            self.assertEqual(self.open(link).status_code, 404)

    def test_a_successor_ends_the_old_key_only_when_it_is_taken(self) -> None:
        key, old = make_key(self.account, scopes=["chat"])
        form = {"way": "hand", "person": "owner@example.com"}
        with self.captureOnCommitCallbacks(execute=True):
            self.client.post(self.page("key-rotate", key), form, secure=True)
        self.assertIsNone(self.stored(key).rotated_at)
        self.log_in(self.owner.user)
        self.assertContains(self.open(self.link()), "The old key works on for")
        self.assertContains(self.take(overlap_hours="-1"), "errorlist")

        new = text_in(self.take(overlap_hours="2"))
        ends = self.stored(key).expires_at
        assert ends is not None
        self.assertAlmostEqual((ends - timezone.now()) / timedelta(hours=1), 2, delta=0.1)
        self.assertEqual((status_of(old), status_of(new)), (200, 200))

    def test_the_successor_of_a_suspended_key_is_not_taken_until_it_is_resumed(self) -> None:
        key, _ = make_key(self.account, scopes=["chat"])
        form = {"way": "hand", "person": "owner@example.com"}
        with self.captureOnCommitCallbacks(execute=True):
            self.client.post(self.page("key-rotate", key), form, secure=True)
        self.log_in(self.owner.user)
        self.open(self.link())
        as_platform(suspend, key, "Ticket 4711")
        self.assertEqual(self.take(overlap_hours="2").status_code, 404)
        self.assertFalse(count_of(ApiKey, rotated_from=key.key_id, offer_hash=""))
        as_platform(resume, key)
        self.open(self.link())
        self.assertEqual(status_of(text_in(self.take(overlap_hours="2"))), 200)
        self.assertIsNotNone(self.stored(key).rotated_at)

    def test_of_two_successors_one_is_taken(self) -> None:
        key, _ = make_key(self.account, scopes=["chat"])
        form, links = {"way": "hand", "person": "owner@example.com"}, []
        for _ in range(2):
            with self.captureOnCommitCallbacks(execute=True):
                self.client.post(self.page("key-rotate", key), form, secure=True)
            links.append(self.link())
        self.log_in(self.owner.user)
        for link, status in zip(links, (200, 404), strict=True):
            self.open(link)
            self.assertEqual(self.take(overlap_hours="1").status_code, status)

    def test_revoking_a_key_takes_back_the_successor_that_waits(self) -> None:
        key, _ = make_key(self.account, scopes=["chat"])
        form = {"way": "hand", "person": "owner@example.com"}
        with self.captureOnCommitCallbacks(execute=True):
            self.client.post(self.page("key-rotate", key), form, secure=True)
        self.client.post(self.page("key-revoke", key), {"with_successors": "on"}, secure=True)
        self.log_in(self.owner.user)
        self.assertEqual(self.open(self.link()).status_code, 404)


class PlainTests(TestCase):
    def test_the_links_token_is_kept_out_of_the_logs(self) -> None:
        from salient.security.logs import _TOKEN  # noqa: PLC0415

        for path in ("/accounts/acme/keys/secret/", "/password/MQ/secret/"):
            self.assertNotIn("secret", _TOKEN.sub(r"\1…", path))
