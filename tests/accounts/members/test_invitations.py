from __future__ import annotations

import logging
import re
from datetime import timedelta
from io import StringIO
from logging import StreamHandler
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit
from uuid import UUID

from asgiref.sync import async_to_sync
from django.core import mail
from django.test import Client, SimpleTestCase, TestCase, override_settings
from django.utils import timezone

from accounts.members import invitations, one_time_links
from accounts.models import Account, AccountStatus, Invitation, MemberRole, User
from accounts.tenancy.context import platform_context
from salient.security.logs import WithoutTokens
from tests.accounts.member_fixtures import (
    PASSWORD,
    browser_of,
    invitation_rows,
    make_member,
    roles_in,
)
from tests.support.api_client import Answer
from tests.support.database.stored import change_all
from tests.support.factories import make_account, make_user
from tests.support.fixtures import key_client

NEW = "new@people.example"
LINK = re.compile(r"https?://\S+")
GOOD = {"new_password1": "a-quite-good-one", "new_password2": "a-quite-good-one"}


class InvitationTestCase(TestCase):
    def setUp(self) -> None:
        self.acme = make_account("acme", name="Acme Ltd")
        self.owner = make_member(self.acme, MemberRole.OWNER, "owner@a.example")
        self.page = Client(enforce_csrf_checks=True)

    def invite(self, email: str = NEW, role: str = "member", **headers: str) -> Answer:
        client = browser_of(self.owner.user, **headers)
        answer: Answer = async_to_sync(client.post)(
            "/accounts/acme/members", {"email": email, "role": role}
        )
        return answer

    def link(self, email: str = NEW, role: str = "member") -> str:
        self.assertEqual(self.invite(email, role).status, 201)
        return self.sent_link()

    def sent_link(self) -> str:
        [address] = LINK.findall(str(mail.outbox[-1].body))
        return str(urlsplit(address).path)

    def get(self, path: str) -> Any:
        return self.page.get(path, secure=True)

    def open(self, link: str) -> Any:
        """Follow the link to the page where one joins."""
        answer = self.get(link)
        self.assertRedirects(answer, "/accounts/acme/invitation/", fetch_redirect_response=False)
        return self.get(answer.url)

    def post(
        self, data: dict[str, str] | None = None, path: str = "/accounts/acme/invitation/"
    ) -> Any:
        token = self.page.cookies["csrftoken"].value if "csrftoken" in self.page.cookies else ""
        return self.page.post(
            path,
            {"csrfmiddlewaretoken": token, **(data or {})},
            secure=True,
            headers={"origin": "https://testserver"},
        )


class EmailTests(InvitationTestCase):
    def test_the_email_says_who_invites_to_what_and_how_to_accept(self) -> None:
        self.invite(role="admin")

        [message] = mail.outbox
        self.assertEqual(message.to, [NEW])
        self.assertEqual(message.subject, "Join Acme Ltd on Salient")
        text = str(message.body)
        self.assertIn("owner@a.example invites you to join Acme Ltd on Salient as admin.", text)
        self.assertIn("within 7 days", text)
        self.assertRegex(text, r"\n\nhttp://localhost/accounts/acme/invitations/[\w-]{43}/\n\n")

    def test_the_public_address_is_the_settings_when_there_is_one(self) -> None:
        with override_settings(PUBLIC_URL="https://chat.example"):
            self.invite()

        self.assertIn("\nhttps://chat.example/accounts/acme/inv", str(mail.outbox[0].body))

    def test_a_strange_host_writes_no_link(self) -> None:
        answer = self.invite(host="evil.example")

        self.assertEqual((answer.status, mail.outbox), (400, []))
        self.assertEqual(invitation_rows(self.acme), [])

    def test_an_accounts_name_cannot_write_headers(self) -> None:
        Account.objects.update(name="Acme\r\nBcc: all@a.example")
        self.invite()

        self.assertEqual(mail.outbox[0].subject, "Join Acme Bcc: all@a.example on Salient")
        self.assertEqual(mail.outbox[0].recipients(), [NEW])

    def test_a_key_invites_in_nobodys_name(self) -> None:
        client = key_client(self.acme)
        body = {"email": NEW, "role": "viewer"}
        answer = async_to_sync(client.post)("/accounts/acme/members", body)

        self.assertIsNone(answer.json()["invited_by"])
        self.assertIn("you are invited to join Acme Ltd", str(mail.outbox[0].body))

    def test_a_mail_server_that_is_down_is_reported_and_retried(self) -> None:
        with (
            patch(
                "accounts.members.invitations.send_mail", side_effect=ConnectionRefusedError(NEW)
            ),
            self.assertLogs("accounts.api.member_views", "ERROR") as logs,
        ):
            answer = self.invite()

        self.assertEqual((answer.status, answer.json()["code"]), (503, "unavailable"))
        self.assertNotIn(NEW, str(logs.output) + answer.body.decode())
        self.open(self.link())


class RenewalTests(InvitationTestCase):
    def test_inviting_again_renews(self) -> None:
        first = self.link(role="viewer")
        second = self.link(email=NEW.upper(), role="admin")

        self.assertEqual(self.get(first).status_code, 404)
        self.assertContains(self.open(second), "<strong>admin</strong>", html=True)
        self.assertEqual([row["role"] for row in invitation_rows(self.acme)], ["admin"])

    def test_one_that_expired_is_renewed_too(self) -> None:
        self.link()
        self.expire()

        self.open(self.link())

    def expire(self) -> None:
        change_all(Invitation, expires_at=timezone.now())

    def test_who_is_a_member_already_is_not_invited(self) -> None:
        answer = self.invite("OWNER@a.example")

        self.assertEqual((answer.status, answer.json()["code"]), (409, "already_member"))
        self.assertEqual((mail.outbox, invitation_rows(self.acme)), ([], []))

    def test_open_invitations_are_bounded(self) -> None:
        with patch("accounts.members.invitations.MOST_PENDING", 2):
            self.assertEqual([self.invite(f"{n}@a.example").status for n in range(3)][-1], 409)
            self.assertEqual(self.invite("1@a.example").status, 201)


class AcceptTests(InvitationTestCase):
    def test_a_new_person_chooses_a_password_and_is_in(self) -> None:
        page = self.open(self.link(role="viewer"))
        self.assertContains(page, "owner@a.example invites new@people.example")
        done = self.post(GOOD)

        self.assertContains(done, "You are viewer of Acme Ltd")
        self.assertEqual(roles_in(self.acme)[NEW], "viewer")
        user = User.objects.get(email=NEW)
        self.assertTrue(user.check_password(GOOD["new_password1"]))
        self.assertEqual((user.is_staff, user.is_superuser, user.is_auditor), (False,) * 3)
        self.assertEqual(self.page.session["_auth_user_id"], str(user.pk))

    def test_a_weak_password_is_refused(self) -> None:
        self.open(self.link())
        for weak in ("short", "password", "12345678901", "new@people"):
            page = self.post({"new_password1": weak, "new_password2": weak})
            self.assertContains(page, "errorlist")
        self.assertContains(self.post(GOOD | {"new_password2": "another"}), "errorlist")
        self.assertFalse(User.objects.filter(email=NEW).exists())

    def test_a_post_without_the_csrf_token_is_refused(self) -> None:
        self.open(self.link())
        del self.page.cookies["csrftoken"]
        with self.assertLogs("django.security.csrf", "WARNING"):
            self.assertEqual(self.post(GOOD).status_code, 403)
        self.assertFalse(User.objects.filter(email=NEW).exists())

    def test_a_known_person_must_be_logged_in_as_that_address(self) -> None:
        known, other = make_user(NEW, password=PASSWORD), make_user(password=PASSWORD)
        self.get("/login/")
        self.open(self.link())
        with self.assertLogs("django.request", "WARNING"):
            self.assertContains(self.post(GOOD), "Log in", status_code=403)
        self.assertTrue(User.objects.get(pk=known.pk).check_password(PASSWORD))
        self.page.force_login(other)
        self.assertContains(self.open(self.sent_link()), "You are logged in as")
        with self.assertLogs("django.request", "WARNING"):
            self.assertEqual(self.post().status_code, 403)
        self.assertNotIn(NEW, roles_in(self.acme))

    def test_logging_in_leads_back_to_the_invitation(self) -> None:
        make_user(NEW, password=PASSWORD)
        page = self.open(self.link())
        [way] = re.findall(r'href="(/login/[^"]*)"', page.content.decode())
        self.get(way)
        form = {"username": NEW, "password": PASSWORD, "next": "/accounts/acme/invitation/"}
        answer = self.post(form, "/login/")
        self.assertRedirects(answer, "/accounts/acme/invitation/", fetch_redirect_response=False)
        self.assertNotContains(self.get(answer.url), "password")

        self.assertContains(self.post(), "You are member of Acme Ltd")
        self.assertEqual(roles_in(self.acme)[NEW], "member")

    def test_who_became_a_member_in_the_meantime_keeps_their_role(self) -> None:
        link = self.link(role="admin")
        membership = make_member(self.acme, MemberRole.VIEWER, NEW)
        self.page.force_login(membership.user)
        self.open(link)
        self.post()

        self.assertEqual(roles_in(self.acme)[NEW], "viewer")

    def test_two_who_accept_at_once_make_one_user(self) -> None:
        self.link()
        [row] = invitation_rows(self.acme)
        offered = invitations.find("acme", row["token_hash"])
        invitations.accept(offered, User(email=NEW, password="!"))
        with self.assertRaises(one_time_links.LinkClosed):
            invitations.accept(offered, User(email="other@people.example", password="!"))
        self.assertFalse(User.objects.filter(email="other@people.example").exists())


class ClosedTests(InvitationTestCase):
    """Whatever is wrong with a token, the answer is one and the same."""

    def closed(self, link: str) -> bytes:
        with self.assertLogs("django.request", "WARNING"):
            answer = self.get(link)
        self.assertEqual(answer.status_code, 404)
        self.assertEqual(answer.headers["Referrer-Policy"], "no-referrer")
        return bytes(answer.content)

    def test_wrong_expired_used_withdrawn_foreign_and_suspended_get_one_answer(self) -> None:
        make_account("beta")
        wrong = self.closed(f"/accounts/acme/invitations/{'A' * 43}/")
        link = self.link()
        self.assertEqual(self.closed(link.replace("acme", "beta")), wrong)
        self.assertEqual(self.closed(link.replace("acme", "nowhere")), wrong)
        self.assertEqual(self.closed(link.replace("acme", "a%00")), wrong)
        for change in (
            {"expires_at": timezone.now() - timedelta(seconds=1)},
            {"revoked_at": timezone.now()},
            {"accepted_at": timezone.now()},
        ):
            link = self.link(f"{next(iter(change))}@a.example")
            with platform_context():
                Invitation.objects.filter(accepted_at=None, revoked_at=None).update(**change)
            self.assertEqual(self.closed(link), wrong)
        link = self.link("last@a.example")
        Account.objects.filter(slug="acme").update(status=AccountStatus.SUSPENDED)
        self.assertEqual(self.closed(link), wrong)

    def test_a_used_link_is_closed_also_in_the_browser_that_used_it(self) -> None:
        link = self.link()
        self.open(link)
        self.post(GOOD)
        with self.assertLogs("django.request", "WARNING"):
            again = self.get("/accounts/acme/invitation/")

        self.assertEqual(again.status_code, 404)
        self.assertEqual(self.closed(link), again.content)

    def test_what_is_withdrawn_while_the_page_is_open_is_not_accepted(self) -> None:
        self.open(self.link())
        change_all(Invitation, revoked_at=timezone.now())
        with self.assertLogs("django.request", "WARNING"):
            self.assertEqual(self.post(GOOD).status_code, 404)
        self.assertFalse(User.objects.filter(email=NEW).exists())


class SecrecyTests(InvitationTestCase):
    def test_the_token_stands_in_the_email_alone(self) -> None:
        made = self.invite()
        link = self.sent_link()
        token = link.split("/")[-2]
        [row] = invitation_rows(self.acme)
        self.assertEqual(row["token_hash"], one_time_links.token_hash(token))
        self.assertNotIn(token, str(row))
        client = browser_of(self.owner.user)
        listed = async_to_sync(client.get)("/accounts/acme/members")
        opened, page = self.get(link), self.open(link)
        done = self.post(GOOD)
        logged = b"".join(
            str(headers).encode() + body
            for headers, body in (
                (made.headers, made.body),
                (listed.headers, listed.body),
                *((answer.headers, answer.content) for answer in (opened, page, done)),
            )
        ).decode()
        self.assertNotIn(token, logged)
        self.assertNotIn(row["token_hash"], logged)
        self.assertNotIn(token, repr(invitations.Invited(Invitation(), token)))

    def test_no_page_tells_another_where_one_came_from(self) -> None:
        opened = self.get(self.link())

        self.assertEqual(opened.headers["Referrer-Policy"], "no-referrer")
        self.assertIn("no-store", opened.headers["Cache-Control"])

    def test_the_logs_do_not_hold_a_token(self) -> None:
        link = self.link()
        Account.objects.update(status=AccountStatus.SUSPENDED)
        # The test runner adds handlers of its own kinds.
        [handler] = [h for h in logging.getLogger("django").handlers if type(h) is StreamHandler]
        stream = handler.setStream(StringIO())
        try:
            self.get(link)
            written = handler.stream.getvalue()
        finally:
            handler.setStream(stream)

        self.assertIn("Not Found: /accounts/acme/invitations/…/", written)
        self.assertNotIn(link.split("/")[-2], written)


class LogFilterTests(SimpleTestCase):
    def filtered(self, text: str, *args: object) -> str:
        record = logging.LogRecord("x", logging.INFO, "x.py", 1, text, args, None)
        return WithoutTokens().filter(record).getMessage()

    def test_only_tokens_are_taken_out(self) -> None:
        token = "t" * 43
        self.assertEqual(
            self.filtered("Forbidden: %s", f"/accounts/a/invitations/{token}/"),
            "Forbidden: /accounts/a/invitations/…/",
        )
        for text in ("50 % done", f"/accounts/a/invitations/{UUID(int=1)}", ""):
            self.assertEqual(self.filtered(text), text)
