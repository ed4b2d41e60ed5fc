"""Nobody gets a right in a roundabout way that they were not given."""

from __future__ import annotations

from asgiref.sync import sync_to_async
from django.test import TestCase

from accounts.keys.services import revoke_api_key, rotate_api_key
from accounts.models import ApiKey, Invitation, MemberRole
from accounts.tenancy.context import platform_context
from tests.accounts.member_fixtures import browser_of, make_member, roles_in
from tests.support.api_client import ApiClient
from tests.support.factories import make_account, make_instance, make_key, make_user


class KeyTests(TestCase):
    def setUp(self) -> None:
        self.acme = make_account("acme")
        self.bot = make_instance(self.acme, "bot")

    async def invite(self, role: str, **wanted: object) -> int:
        _, secret = await sync_to_async(make_key)(self.acme, **wanted)
        body = {"email": f"{role}@friends.example", "role": role}
        return (await ApiClient(secret).post("/accounts/acme/members", body)).status

    async def test_a_key_gives_no_role_whose_rights_it_lacks(self) -> None:
        weak = ["members:write", "members:read"]
        viewing = [*weak, "agents:read", "history:read", "usage:read", "limits:read"]
        for scopes, role, status in (
            (weak, "viewer", 403),
            (viewing, "viewer", 201),
            (viewing, "member", 403),
            (viewing, "admin", 403),
        ):
            with self.subTest(scopes=len(scopes), role=role):
                self.assertEqual(await self.invite(role, scopes=scopes), status)

    async def test_a_confined_key_does_not_change_the_account(self) -> None:
        for wanted in ({"mode": "test"}, {"instance_ids": [self.bot.pk]}):
            self.assertEqual(await self.invite("viewer", **wanted), 403)

    def test_revoking_a_leaked_key_ends_what_it_was_rotated_to(self) -> None:
        leaked, _ = make_key(self.acme)
        second = rotate_api_key(self.acme.pk, leaked.pk).key
        third = rotate_api_key(self.acme.pk, second.pk).key
        other, _ = make_key(self.acme)

        ended = revoke_api_key(leaked)

        self.assertEqual(ended, [leaked.key_id, second.key_id, third.key_id])
        with platform_context():
            alive = ApiKey.objects.active().values_list("key_id", flat=True)
            self.assertEqual(list(alive), [other.key_id])


class PeopleTests(TestCase):
    def setUp(self) -> None:
        self.acme = make_account("acme")
        self.owner = make_member(self.acme, MemberRole.OWNER)
        self.admin = make_member(self.acme, MemberRole.ADMIN)

    async def test_an_offer_ends_with_the_rights_of_who_made_it(self) -> None:
        body = {"email": "friend@friends.example", "role": "admin"}
        invited = await (await sync_to_async(browser_of)(self.admin.user)).post(
            "/accounts/acme/members", body
        )
        self.assertEqual(invited.status, 201)
        owner = await sync_to_async(browser_of)(self.owner.user)
        gone = await owner.call("DELETE", f"/accounts/acme/members/{self.admin.pk}")

        self.assertEqual(gone.status, 204)
        self.assertEqual(await sync_to_async(self.open_offers)(), 0)

    def open_offers(self) -> int:
        self.assertEqual(list(roles_in(self.acme).values()), ["owner"])
        with platform_context():
            return Invitation.objects.pending().count()

    def test_staff_who_may_change_people_give_themselves_nothing(self) -> None:
        from django.contrib.auth.models import Permission  # noqa: PLC0415

        staff, root = make_user(is_staff=True), make_user(is_superuser=True, is_staff=True)
        wanted = ["view_user", "change_user", "delete_user"]
        staff.user_permissions.set(Permission.objects.filter(codename__in=wanted))
        self.client.force_login(staff)
        page = f"/admin/accounts/user/{staff.pk}/change/"
        form = {"email": staff.email, "is_superuser": "on", "is_active": "on"}
        sent = self.client.post(page, form, secure=True)
        self.assertIn(sent.status_code, {200, 302})

        staff.refresh_from_db()
        self.assertFalse(staff.is_superuser)
        for what in ("password", "delete"):
            answer = self.client.get(f"/admin/accounts/user/{root.pk}/{what}/", secure=True)
            self.assertEqual(answer.status_code, 403, what)
