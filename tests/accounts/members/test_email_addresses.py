"""E-mail addresses have one form for look-up, uniqueness and sending."""

# ruff: noqa: RUF001 - letters that look like others are what is tested
from __future__ import annotations

from typing import Any

from asgiref.sync import async_to_sync
from django.contrib.auth import authenticate
from django.core import mail
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.test import SimpleTestCase, TestCase
from django.urls import reverse

from accounts.members.email_addresses import is_same, look_up_form, normal_email, with_address
from accounts.members.members import find_person
from accounts.models import Invitation, MemberRole, User
from accounts.tenancy.context import platform_context
from tests.accounts.member_fixtures import PASSWORD, browser_of, make_member
from tests.support.commands import refusal, run_json
from tests.support.factories import make_account, make_invitation, make_user
from tests.support.isolation.accounts import high_rates
from tests.support.people import make_root

SAME = (
    ("ann@example.com", "ann@example.com"),
    ("  Ann@Example.COM\n", "ann@example.com"),
    ("ANN+tag@EXAMPLE.com", "ann+tag@example.com"),
    ("ann@bücher.example", "ann@xn--bcher-kva.example"),
    ("ann@BÜCHER.example", "ann@xn--bcher-kva.example"),
    ("ann@bu\u0308cher.example", "ann@xn--bcher-kva.example"),
    ("ann@XN--BCHER-KVA.example", "ann@xn--bcher-kva.example"),
    # Another domain than strasse.example: Python's codec and Django's e-mail take it for that one.
    ("ann@straße.example", "ann@xn--strae-oqa.example"),
    ("ann@STRAẞE.example", "ann@xn--strae-oqa.example"),
    ("ann@ｅｘａｍｐｌｅ．ｃｏｍ", "ann@example.com"),
    ("ann@example。com", "ann@example.com"),
    ("ann@example｡com", "ann@example.com"),
    ("ann@\u212aelvin.example", "ann@kelvin.example"),
    ("ann@ﬁsh.example", "ann@fish.example"),
    ("ann@mıke.example", "ann@xn--mke-jua.example"),
    ("ann@βόλος.example", "ann@xn--nxasmm1c.example"),
    ("root@localhost", "root@localhost"),
)
NONE = (
    *("", " ", "@", "ann", "ann@", "@example.com", "ann@@example.com", "ann@ex@mple.com"),
    *("\u212aim@example.com", "mıke@example.com", "İnfo@example.com", "ſam@example.com"),
    *("straße@example.com", "ａnn@example.com", "oﬃce@example.com", "ann\u0301@example.com"),
    *("ann＠example.com", "ann@example.com\0", "an\0n@example.com", "ann@exam\nple.com"),
    *(
        "ann\r\nBcc: x@example.com",
        "ann@example.com\r\nBcc: x@example.org",
        "a\u200bnn@example.com",
    ),
    *(
        "ann@\u200bexample.com",
        "\u202eann@example.com",
        "ann@exa\u00admple.com",
        "ann@exam\ud800.com",
    ),
    *(
        "Ann <ann@example.com>",
        "ann@example.com <x@evil.example>",
        "ann@example.com, x@evil.example",
    ),
    *("ann@example.com;x@evil.example", "x@evil.example,ann@example.com", '"a@b"@example.com'),
    *('"ann"@example.com', "(x)ann@example.com", "ann@example.com(x)", ".ann@example.com"),
    *("ann.@example.com", "an..n@example.com", "an n@example.com", "ann@exam ple.com"),
    *("ann@-example.com", "ann@example-.com", "ann@exa_mple.com", "ann@example..com", "ann@.com"),
    *("ann@[127.0.0.1]", "ann@xn--zzzzzz-.example", "ann@xn--\x7f.example", "ann@example.com/x"),
    *(
        "ann@example.com#x",
        "ann@example.com?x",
        "ann@evil.example%example.com",
        "ann@💩\u200d.example",
    ),
    *("a" * 65 + "@example.com", "ann@" + "a" * 64 + ".com", "ann@" + "a.b" * 100, "ü" * 10_000),
    *("a@" + "ü" * 250 + ".example", "%" * 300 + "@example.com"),
)


class FormTests(SimpleTestCase):
    def test_an_address_has_one_form_and_its_own_domain(self) -> None:
        for typed, form in SAME:
            with self.subTest(typed):
                self.assertEqual(normal_email(typed), form)
                self.assertEqual(normal_email(form), form)
                self.assertTrue(is_same(typed, form))

    def test_what_is_no_address_is_refused_with_a_reason(self) -> None:
        for typed in NONE:
            with self.subTest(ascii(typed[:60])):
                with self.assertRaisesRegex(ValueError, "e-mail address"):
                    normal_email(typed)
                self.assertIsNone(look_up_form(typed))
                self.assertFalse(is_same(typed, typed))

    def test_a_mail_goes_to_the_domain_that_was_typed(self) -> None:
        for typed, form in SAME:
            message = mail.EmailMessage("Hello", "Hello", None, [normal_email(typed)])
            self.assertEqual(message.message()["To"], form)
            self.assertTrue(form.isascii())


class PeopleTests(TestCase):
    def test_a_person_is_found_however_the_address_is_typed_and_by_no_look_alike(self) -> None:
        for typed, form in SAME:
            with self.subTest(typed):
                user = User.objects.create_user(typed, PASSWORD)
                user.refresh_from_db()
                self.assertEqual(user.email, form)
                for again in (typed, form, form.upper()):
                    self.assertEqual(User.objects.get_by_natural_key(again), user)
                user.delete()
        kim = User.objects.create_user("kim@example.com", PASSWORD)
        self.assertEqual(User.objects.get_by_natural_key("KIM@example.com"), kim)
        nobody: tuple[str | None, ...] = (*NONE, None)
        for text in nobody:
            with self.assertRaises(User.DoesNotExist):
                User.objects.get_by_natural_key(text)
            with self.assertRaises(User.DoesNotExist):
                async_to_sync(User.objects.aget_by_natural_key)(text)

    def test_whatever_is_stored_is_in_its_form(self) -> None:
        for make in (
            lambda: User.objects.create(email="Ann@BÜCHER.example"),
            lambda: User(email="Ann@BÜCHER.example").save(),
            lambda: User.objects.bulk_create([User(email="Ann@BÜCHER.example")]),
        ):
            make()
            self.assertEqual(User.objects.get().email, "ann@xn--bcher-kva.example")
            User.objects.all().delete()

    def test_one_address_is_one_person(self) -> None:
        make_user("ann@xn--bcher-kva.example")
        for typed in ("Ann@BÜCHER.example", "ann@bu\u0308cher.example"):
            with self.assertRaisesMessage(ValidationError, "already exists"):
                User(email=typed, password="x").full_clean()

    def test_a_row_from_before_whose_address_only_looks_alike_is_nobody_else(self) -> None:
        old = make_user()
        self.write(old, "\u212aim@example.com")
        for typed in ("kim@example.com", "\u212aim@example.com"):
            self.assertFalse(with_address(User.objects.all(), "email", typed).exists())
        old.refresh_from_db()
        old.first_name = "Kim"
        old.save()
        old.refresh_from_db()
        self.assertEqual((old.email, old.first_name), ("\u212aim@example.com", "Kim"))

    def test_a_row_that_an_older_server_wrote_is_found(self) -> None:
        old = make_user()
        self.write(old, "Ann@example.com")
        self.assertEqual(User.objects.get_by_natural_key("ann@Example.com"), old)

    def write(self, user: User, email: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE users SET email = %s WHERE id = %s", [email, user.pk])

    def test_nobody_logs_in_by_an_odd_address_and_nothing_breaks(self) -> None:
        make_user("kim@example.com", password=PASSWORD)
        for typed in ("\u212aim@example.com", "kim@example.com\0", "kim@exam\ud800ple.com"):
            self.assertIsNone(authenticate(username=typed, password=PASSWORD))
        for typed in ("mıke@example.com", "İnfo@example.com", "kim@example.com\0", "ü@[::1]"):
            for login in (reverse("login"), reverse("admin:login")):
                form = {"username": typed, "password": "wrong"}
                self.assertEqual(self.client.post(login, form, secure=True).status_code, 200)


class InvitationTests(TestCase):
    def setUp(self) -> None:
        self.enterContext(high_rates())
        self.account = make_account("acme")
        self.owner = make_member(self.account, MemberRole.OWNER, "owner@example.com").user

    def invite(self, email: str) -> Any:
        client, path = browser_of(self.owner), "/accounts/acme/members"
        return async_to_sync(client.post)(path, {"email": email, "role": "viewer"})

    def test_an_invitation_goes_to_the_typed_domain_and_is_one(self) -> None:
        for typed, form in SAME:
            mail.outbox.clear()
            answer = self.invite(typed)
            self.assertEqual((answer.status, answer.json()["email"]), (201, form), answer.body)
            self.assertEqual([sent.to for sent in mail.outbox], [[form]])
        with platform_context():
            found = Invitation.objects.values_list("email", flat=True)
            self.assertEqual(sorted(found), sorted({form for _, form in SAME}))

    def test_what_is_no_address_is_named_and_nothing_is_sent(self) -> None:
        mail.outbox.clear()
        for typed in NONE:
            if "\ud800" in typed:
                continue
            answer = self.invite(typed)
            self.assertEqual(answer.status, 400, (typed[:60], answer.body))
            self.assertEqual([each["field"] for each in answer.json()["errors"]], ["email"])
        self.assertEqual(mail.outbox, [])

    def test_a_member_is_known_however_the_address_is_typed(self) -> None:
        make_member(self.account, MemberRole.VIEWER, "ann@xn--bcher-kva.example")
        answer = self.invite("ANN@bücher.example")
        self.assertEqual((answer.status, answer.json()["code"]), (409, "already_member"))

    def test_who_is_invited_is_found_by_the_invitation(self) -> None:
        ann = make_user("ann@xn--bcher-kva.example")
        offered = make_invitation(self.account, email="Ann@BÜCHER.example")
        self.assertEqual(find_person(offered.email), ann)


class CommandTests(TestCase):
    def setUp(self) -> None:
        self.account = make_account("acme")

    def test_commands_know_a_person_by_the_one_form(self) -> None:
        make_user("ann@xn--bcher-kva.example")
        report = run_json("add_member", "acme", "Ann@BÜCHER.example", "owner")
        self.assertEqual(
            (report["outcome"], report["email"]), ("added", "ann@xn--bcher-kva.example")
        )
        make_user("ben@example.com")
        run_json("add_member", "acme", "Ben@example.com", "owner")
        report = run_json("remove_member", "acme", "ANN@bücher.example", "--dry-run")
        self.assertEqual(report["email"], "ann@xn--bcher-kva.example")

    def test_commands_refuse_what_is_no_address(self) -> None:
        for typed in NONE:
            if typed.startswith("-"):
                continue
            with self.subTest(ascii(typed[:60])):
                self.assertIn(refusal("add_member", "acme", typed, "viewer")[0], {1, 2})
                self.assertIn(refusal("remove_member", "acme", typed)[0], {1, 2})

    def test_createsuperuser_stores_the_one_form_and_refuses_the_rest(self) -> None:
        call_command("createsuperuser", "--noinput", email="Ann@BÜCHER.example", verbosity=0)
        self.assertEqual(User.objects.get().email, "ann@xn--bcher-kva.example")
        for typed in ("\u212aim@example.com", "Ann <ann@example.com>", "ann@xn--bcher-kva.example"):
            with self.assertRaises(CommandError):
                call_command("createsuperuser", "--noinput", email=typed, verbosity=0)


class AdminTests(TestCase):
    def setUp(self) -> None:
        self.account = make_account("acme")
        self.client.force_login(make_root())

    def test_the_forms_of_people_and_invitations_read_the_one_form(self) -> None:
        add = reverse("admin:accounts_user_add")
        mail.outbox.clear()
        with self.captureOnCommitCallbacks(execute=True):
            self.client.post(add, {"email": "Ann@BÜCHER.example"}, secure=True)
        self.assertEqual([sent.to for sent in mail.outbox], [["ann@xn--bcher-kva.example"]])
        invite = reverse("admin:accounts_invitation_add")
        form = {"account": self.account.pk, "role": "viewer"}
        with self.captureOnCommitCallbacks(execute=True):
            self.client.post(invite, form | {"email": "Ben@straße.example"}, secure=True)
        self.assertEqual(mail.outbox[-1].to, ["ben@xn--strae-oqa.example"])

    def test_the_forms_say_what_is_wrong(self) -> None:
        mail.outbox.clear()
        people = User.objects.count()
        for typed in (each.encode(errors="replace").decode() for each in NONE):
            for name, form in (
                ("user", {}),
                ("invitation", {"account": self.account.pk, "role": "viewer"}),
            ):
                address = reverse(f"admin:accounts_{name}_add")
                page = self.client.post(address, form | {"email": typed}, secure=True)
                self.assertEqual(page.status_code, 200, (name, typed[:60]))
                self.assertIn("email", page.context["adminform"].form.errors)
        self.assertEqual((mail.outbox, User.objects.count()), ([], people))
