from __future__ import annotations

from django.test import TestCase

from accounts.members.one_time_links import token_hash
from accounts.models import MemberRole
from salient.management.base import Misused, Refused
from tests.accounts.member_fixtures import invitation_rows, make_member, roles_in
from tests.support.commands import run, run_json
from tests.support.factories import make_account, make_user


class AddTests(TestCase):
    def setUp(self) -> None:
        self.acme = make_account("acme")

    def test_a_user_becomes_a_member_and_changes_role(self) -> None:
        make_user("ann@a.example")
        for role, outcome in (("owner", "added"), ("owner", "unchanged")):
            found = run_json("add_member", "acme", "ANN@a.example", role)
            self.assertEqual(found["outcome"], outcome)
        make_member(self.acme, MemberRole.OWNER, "bob@a.example")
        self.assertEqual(
            run_json("add_member", "acme", "ann@a.example", "viewer")["outcome"], "changed"
        )
        roles = {"ann@a.example": "viewer", "bob@a.example": "owner"}
        self.assertEqual(roles_in(self.acme), roles)

    def test_a_person_without_a_login_is_invited_by_a_link(self) -> None:
        found = run_json("add_member", "acme", "new@a.example", "admin")

        [row] = invitation_rows(self.acme)
        token = found["link"].split("/")[-2]
        self.assertEqual((row["token_hash"], row["role"]), (token_hash(token), "admin"))
        self.assertIn(
            "/accounts/acme/invitations/", run("add_member", "acme", "b@a.example", "admin")
        )

    def test_the_last_owner_is_not_demoted(self) -> None:
        make_member(self.acme, MemberRole.OWNER, "ann@a.example")
        with self.assertRaisesMessage(Refused, "last owner"):
            run_json("add_member", "acme", "ann@a.example", "admin")

    def test_a_dry_run_changes_nothing(self) -> None:
        make_user("ann@a.example")
        self.assertEqual(
            run_json("add_member", "acme", "ann@a.example", "owner", "--dry-run")["changed"], False
        )
        found = run_json("add_member", "acme", "new@a.example", "owner", "--dry-run")
        self.assertNotIn("link", found)
        text = run("add_member", "acme", "new@a.example", "owner", "--dry-run")
        self.assertIn("Nothing was changed", text)

        self.assertEqual((roles_in(self.acme), invitation_rows(self.acme)), ({}, []))

    def test_mistakes_are_reported(self) -> None:
        for arguments, error, message in (
            (("acmee", "ann@a.example", "owner"), Refused, "Did you mean “acme”?"),
            (("acme", "ann@a.example", "ownr"), Misused, "Did you mean “owner”?"),
            (("acme", "ann", "owner"), Refused, "no e-mail address"),
        ):
            with self.assertRaisesMessage(error, message):
                run_json("add_member", *arguments)


class RemoveTests(TestCase):
    def setUp(self) -> None:
        self.acme = make_account("acme")
        make_member(self.acme, MemberRole.OWNER, "ann@a.example")
        make_member(self.acme, MemberRole.VIEWER, "bob@a.example")

    def test_a_member_is_removed(self) -> None:
        self.assertTrue(run_json("remove_member", "acme", "Bob@a.example")["removed"])
        self.assertEqual(roles_in(self.acme), {"ann@a.example": "owner"})

    def test_a_dry_run_removes_nobody(self) -> None:
        self.assertFalse(run_json("remove_member", "acme", "bob@a.example", "--dry-run")["removed"])
        self.assertIn(
            "would be removed", run("remove_member", "acme", "bob@a.example", "--dry-run")
        )
        self.assertEqual(len(roles_in(self.acme)), 2)

    def test_what_is_refused(self) -> None:
        for email, message in (
            ("ann@a.example", "last owner"),
            ("bop@a.example", "Did you mean “bob@a.example”?"),
        ):
            with self.assertRaisesMessage(Refused, message):
                run_json("remove_member", "acme", email)
        self.assertEqual(len(roles_in(self.acme)), 2)
