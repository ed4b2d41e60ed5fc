from __future__ import annotations

from typing import Any
from unittest import mock

from django.core import mail
from django.test import TestCase
from django.urls import reverse

from accounts.models import AuditEntry, Invitation, MemberRole, Membership, User
from tests.accounts.member_fixtures import invitation_rows, make_member, roles_in
from tests.support.database.stored import row_of
from tests.support.factories import make_account, make_invitation, make_user
from tests.support.people import make_root, opened

INVITE = reverse("admin:accounts_invitation_add")


class MemberPages(TestCase):
    def setUp(self) -> None:
        self.boss = make_root(email="boss@example.com")
        self.client.force_login(self.boss)
        self.account = make_account("acme", name="Acme")
        self.owner = make_member(self.account, MemberRole.OWNER, "owner@example.com")

    def post(self, name: str, row: Any = None, **form: Any) -> Any:
        page = reverse(f"admin:{name}", args=[row.pk] if row else [])
        with self.captureOnCommitCallbacks(execute=True):
            return self.client.post(page, form, secure=True)


class RoleTests(MemberPages):
    def test_staff_give_any_role(self) -> None:
        member = make_member(self.account, MemberRole.VIEWER, "a@example.com")
        self.post("accounts_membership_change", member, role="owner")
        self.assertEqual(roles_in(self.account)["a@example.com"], "owner")
        entry = row_of(AuditEntry, object_type="memberships", action="changed")
        self.assertEqual(
            (entry.actor, entry.changes["role"]), ("boss@example.com", ["viewer", "owner"])
        )

    def test_the_last_owner_stays(self) -> None:
        answer = self.post("accounts_membership_change", self.owner, role="viewer")
        self.assertContains(answer, "last owner")
        answer = self.post("accounts_membership_delete", self.owner, post="yes")
        page = self.client.get(answer.headers["Location"], secure=True)
        self.assertContains(page, "last owner")
        self.assertEqual(roles_in(self.account), {"owner@example.com": "owner"})

    def test_another_owner_may_go(self) -> None:
        second = make_member(self.account, MemberRole.OWNER, "second@example.com")
        self.post("accounts_membership_change", self.owner, role="member")
        self.assertEqual(roles_in(self.account)["owner@example.com"], "member")
        self.post("accounts_membership_delete", self.owner, post="yes")
        self.assertEqual(roles_in(self.account), {"second@example.com": "owner"})
        self.assertContains(self.post("accounts_membership_change", second, role="x"), "errorlist")

    def test_who_goes_takes_their_offers_along_but_only_those_of_this_account(self) -> None:
        beta = make_account("beta")
        make_member(self.account, MemberRole.OWNER)
        make_member(beta, MemberRole.OWNER, "owner@example.com")
        for account in (self.account, beta):
            make_invitation(account, invited_by="owner@example.com")
        self.post("accounts_membership_delete", self.owner, post="yes")

        self.assertIsNotNone(invitation_rows(self.account)[0]["revoked_at"])
        self.assertIsNone(invitation_rows(beta)[0]["revoked_at"])

    def test_nobody_is_added_without_consent_least_of_all_staff_by_themselves(self) -> None:
        for form in ({}, {"user": self.boss.pk, "account": self.account.pk, "role": "owner"}):
            answer = self.post("accounts_membership_add", **form)
            self.assertEqual(answer.status_code, 403)
        self.assertEqual(roles_in(self.account), {"owner@example.com": "owner"})

    def test_one_of_the_staff_gets_a_role_for_a_reason_alone(self) -> None:
        colleague = make_user("colleague@example.com", is_staff=True)
        for user in (self.boss, colleague):
            place = make_member(self.account, MemberRole.VIEWER, user.email)
            reason_page = self.post("accounts_membership_change", place, role="owner")
            self.assertTemplateUsed(reason_page, "admin/support/reason.html")
            self.assertEqual(roles_in(self.account)[user.email], "viewer")

        opened(self.boss, self.account, reason="ticket 4711")
        self.post("accounts_membership_change", place, role="owner")
        self.assertEqual(roles_in(self.account)["colleague@example.com"], "owner")
        entry = row_of(AuditEntry, object_type="memberships", action="changed")
        self.assertEqual((entry.actor, entry.reason), ("boss@example.com", "ticket 4711"))


class InviteCase(MemberPages):
    def invite(self, email: str = "new@Example.com", **form: Any) -> Any:
        fields = {"account": self.account.pk, "role": "owner", "email": email}
        return self.post("accounts_invitation_add", **(fields | form))


class ReasonTests(InviteCase):
    """Where an owner could invite, staff invite for a reason, and the owners are told."""

    def test_without_an_access_nobody_is_invited(self) -> None:
        make_invitation(self.account, email="new@example.com", role="viewer")
        for email in ("new@example.com", "other@example.com", self.boss.email):
            page = self.invite(email)
            self.assertTemplateUsed(page, "admin/support/reason.html")
            self.assertContains(page, "has an owner, who can invite people")
        self.assertEqual([row["role"] for row in invitation_rows(self.account)], ["viewer"])
        self.assertEqual(mail.outbox, [])

    def test_what_was_filled_in_comes_back_after_the_reason(self) -> None:
        back = self.invite(role="admin").context["form"].initial["next"]
        form = self.client.get(back, secure=True).context["adminform"].form
        initial = (form.initial["email"], form.initial["role"], form.initial["account"])
        self.assertEqual(initial, ("new@Example.com", "admin", str(self.account.pk)))

    def test_the_owners_get_an_e_mail_with_who_was_invited_by_whom_and_why(self) -> None:
        make_member(self.account, MemberRole.OWNER, "second@example.com")
        make_member(self.account, MemberRole.ADMIN, "admin@example.com")
        opened(self.boss, self.account, reason="ticket 4711")
        self.invite(role="admin")

        to_owners, invited = mail.outbox
        self.assertEqual(to_owners.to, ["owner@example.com", "second@example.com"])
        for words in ("boss@example.com", "new@example.com", "as admin", "ticket 4711"):
            self.assertIn(words, to_owners.body)
        self.assertNotIn("/invitations/", to_owners.body)
        self.assertEqual(invited.to, ["new@example.com"])
        entry = row_of(AuditEntry, object_type="invitations")
        self.assertEqual((entry.actor, entry.reason), ("boss@example.com", "ticket 4711"))

    def test_without_an_e_mail_to_the_owners_no_invitation_goes_out(self) -> None:
        opened(self.boss, self.account)
        with (
            mock.patch(
                "accounts.members.invitations.send_mail", side_effect=[OSError("no"), 1]
            ) as sent,
            self.assertLogs("accounts.pages.mail"),
        ):
            self.invite()
        self.assertEqual(sent.call_count, 1)

    def test_a_new_account_gets_its_first_owner_without_more_ado(self) -> None:
        beta = make_account("beta")
        answer = self.invite(account=beta.pk)
        self.assertEqual(answer.status_code, 302)
        self.assertEqual([message.to for message in mail.outbox], [["new@example.com"]])

    def test_to_deactivate_the_owner_is_no_way_around(self) -> None:
        User.objects.filter(pk=self.owner.user_id).update(is_active=False)
        self.assertTemplateUsed(self.invite(), "admin/support/reason.html")
        delete = reverse("admin:accounts_user_delete", args=[self.owner.user_id])
        answer = self.client.post(delete, {"post": "yes"}, secure=True)
        self.assertEqual(answer.status_code, 403)
        many = {"action": "delete_selected", "_selected_action": [str(self.owner.user_id)]}
        users = reverse("admin:accounts_user_changelist")
        self.client.post(users, many | {"post": "yes"}, secure=True)
        self.assertEqual(roles_in(self.account), {"owner@example.com": "owner"})


class InviteTests(InviteCase):
    def setUp(self) -> None:
        super().setUp()
        opened(self.boss, self.account)

    def test_staff_invite_by_e_mail_and_see_no_link(self) -> None:
        answer = self.invite()
        [row] = invitation_rows(self.account)

        self.assertEqual(answer.status_code, 302)
        self.assertEqual((row["email"], row["role"]), ("new@example.com", "owner"))
        self.assertEqual(row["invited_by"], "boss@example.com")
        _, sent = mail.outbox
        self.assertEqual(sent.to, ["new@example.com"])
        self.assertIn("/accounts/acme/invitations/", sent.body)
        token = sent.body.split("/accounts/acme/invitations/")[1].split("/")[0]
        page = self.client.get(answer.headers["Location"], secure=True)
        self.assertContains(page, "new@example.com")
        self.assertNotContains(page, token)

    def test_once_more_renews_the_offer(self) -> None:
        self.invite()
        self.invite(role="viewer")

        [row] = invitation_rows(self.account)
        self.assertEqual((row["role"], len(mail.outbox)), ("viewer", 4))

    def test_an_address_that_other_accounts_know_is_no_hindrance(self) -> None:
        beta = make_account("beta")
        make_member(beta, MemberRole.OWNER, "new@example.com")
        make_invitation(beta, email="new@example.com")
        self.invite()

        self.assertEqual(len(invitation_rows(self.account)), 1)
        self.assertIsNone(invitation_rows(beta)[0]["accepted_at"])

    def test_what_is_wrong_is_reported_at_the_form(self) -> None:
        for email in ("owner@example.com", "nobody", ""):
            with self.subTest(email):
                self.assertContains(self.invite(email), "errorlist")
        self.assertEqual(invitation_rows(self.account), [])

    def test_a_mail_that_was_not_sent_is_reported(self) -> None:
        with (
            mock.patch("accounts.members.invitations.send_mail", side_effect=OSError("no")),
            self.assertLogs("accounts.pages.mail"),
        ):
            self.assertEqual(self.invite().status_code, 302)
        self.assertEqual(len(invitation_rows(self.account)), 1)

    def test_an_open_offer_is_withdrawn(self) -> None:
        offered = make_invitation(self.account)
        page = reverse("admin:accounts_invitation_change", args=[offered.pk])
        self.assertContains(self.client.get(page, secure=True), "Withdraw")
        self.post("invitation-withdraw", offered)
        self.assertIsNotNone(row_of(Invitation).revoked_at)
        page_now = self.client.get(page, secure=True)
        self.assertNotContains(page_now, "Withdraw this")
        self.assertContains(page_now, "withdrawn")

    def test_who_may_only_look_invites_and_changes_nobody(self) -> None:
        offered = make_invitation(self.account)
        self.client.force_login(make_user(is_staff=True, is_auditor=True))
        for name, row in (
            ("accounts_invitation_add", None),
            ("invitation-withdraw", offered),
            ("accounts_membership_change", self.owner),
            ("accounts_membership_delete", self.owner),
        ):
            self.assertEqual(self.post(name, row, role="viewer", post="yes").status_code, 403)
        self.assertEqual(row_of(Membership).role, "owner")
