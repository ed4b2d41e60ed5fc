from __future__ import annotations

import json
from itertools import product
from typing import Any
from uuid import uuid4

from asgiref.sync import sync_to_async
from django.test import SimpleTestCase, TestCase

from accounts.members.members import SCOPES_OF, members_of
from accounts.models import MemberRole, Membership, Scope
from tests.accounts.member_fixtures import browser_of, make_member, roles_in
from tests.support.api_client import Answer, ApiClient
from tests.support.database.reads import queries_of
from tests.support.factories import make_account, make_key
from tests.support.fixtures import key_client

OWNER, ADMIN, MEMBER, VIEWER = MemberRole
RANK = {VIEWER: 0, MEMBER: 1, ADMIN: 2, OWNER: 3}
# Whoever may write to the list of members: two roles and a key, which acts as an admin.
ACTORS: dict[str, MemberRole] = {"owner": OWNER, "admin": ADMIN, "key": ADMIN}


class RoleTests(SimpleTestCase):
    def test_each_role_may_what_the_lower_ones_may(self) -> None:
        for higher, lower in ((OWNER, ADMIN), (ADMIN, MEMBER), (MEMBER, VIEWER)):
            self.assertLessEqual(SCOPES_OF[lower], SCOPES_OF[higher])

    def test_what_a_role_may(self) -> None:
        self.assertEqual(
            SCOPES_OF[VIEWER], {"agents:read", "history:read", "usage:read", "limits:read"}
        )
        self.assertEqual(SCOPES_OF[MEMBER] - SCOPES_OF[VIEWER], {"chat"})
        self.assertEqual(SCOPES_OF[OWNER], set(Scope.values))
        self.assertEqual(SCOPES_OF[OWNER] - SCOPES_OF[ADMIN], {"limits:write"})
        for scope in ("members:write", "members:read", "history:delete", "visitors:write"):
            self.assertIn(scope, SCOPES_OF[ADMIN])


class MemberTestCase(TestCase):
    """acme with two owners and one of each other role; beta with its own owner."""

    def setUp(self) -> None:
        self.acme, self.beta = make_account("acme"), make_account("beta")
        self.members = {
            role.value: make_member(self.acme, role, f"{role}@a.example") for role in MemberRole
        }
        make_member(self.acme, OWNER, "second-owner@a.example")
        self.theirs = make_member(self.beta, OWNER, "owner@b.example")

    def caller(self, name: str) -> ApiClient:
        if name == "key":
            return key_client(self.acme)
        return browser_of(self.members[name].user)

    def target(self, role: MemberRole) -> Membership:
        return make_member(self.acme, role)


def put(client: ApiClient, method: str, path: str, body: Any = None) -> Any:
    return client.call(method, path, raw=b"" if body is None else json.dumps(body).encode())


class GrantMatrixTests(MemberTestCase):
    """Every actor x every action x every role, against one rule: nothing above one's own."""

    async def test_giving_a_role(self) -> None:
        for actor, has, wanted in product(ACTORS, MemberRole, MemberRole):
            with self.subTest(actor=actor, has=has, wanted=wanted):
                target = await sync_to_async(self.target)(has)
                client = await sync_to_async(self.caller)(actor)
                path = f"/accounts/acme/members/{target.pk}"
                answer = await put(client, "PATCH", path, {"role": wanted})

                allowed = max(RANK[has], RANK[wanted]) <= RANK[ACTORS[actor]]
                self.assertEqual(answer.status, 200 if allowed else 403)
                now = (await sync_to_async(roles_in)(self.acme))[target.user.email]
                self.assertEqual(now, wanted if allowed else has)

    async def test_removing(self) -> None:
        for actor, has in product(ACTORS, MemberRole):
            with self.subTest(actor=actor, has=has):
                target = await sync_to_async(self.target)(has)
                client = await sync_to_async(self.caller)(actor)
                answer = await client.call("DELETE", f"/accounts/acme/members/{target.pk}")

                allowed = RANK[has] <= RANK[ACTORS[actor]]
                self.assertEqual(answer.status, 204 if allowed else 403)
                left = target.user.email in await sync_to_async(roles_in)(self.acme)
                self.assertEqual(left, not allowed)

    async def test_inviting_and_withdrawing(self) -> None:
        for number, (actor, role) in enumerate(product(ACTORS, MemberRole)):
            with self.subTest(actor=actor, role=role):
                client = await sync_to_async(self.caller)(actor)
                body = {"email": f"new{number}@a.example", "role": role}
                answer = await client.post("/accounts/acme/members", body)
                allowed = RANK[role] <= RANK[ACTORS[actor]]
                self.assertEqual(answer.status, 201 if allowed else 403)

                owner = await sync_to_async(self.caller)("owner")
                body["email"] = f"other{number}@a.example"
                made = (await owner.post("/accounts/acme/members", body)).json()
                path = f"/accounts/acme/invitations/{made['id']}"
                answer = await client.call("DELETE", path)
                self.assertEqual(answer.status, 204 if allowed else 403)

    async def test_an_invitation_above_ones_own_role_is_not_lowered_either(self) -> None:
        owner, admin = [await sync_to_async(self.caller)(name) for name in ("owner", "admin")]
        body = {"email": "new@a.example", "role": OWNER}
        await owner.post("/accounts/acme/members", body)
        answer = await admin.post("/accounts/acme/members", body | {"role": VIEWER})

        self.assertEqual(answer.status, 403)

    async def test_the_lower_roles_and_weaker_keys_may_not_even_try(self) -> None:
        _, weak = await sync_to_async(make_key)(self.acme, scopes=["chat", "members:read"])
        clients = [await sync_to_async(self.caller)(role) for role in ("member", "viewer")]
        path = f"/accounts/acme/members/{self.members['viewer'].pk}"
        for client in [*clients, ApiClient(weak)]:
            for method, where, body in (
                ("POST", "/accounts/acme/members", {"email": "x@a.example", "role": "viewer"}),
                ("PATCH", path, {"role": "admin"}),
                ("DELETE", path, None),
            ):
                self.assertEqual((await put(client, method, where, body)).status, 403)

    async def test_one_may_step_down_but_not_up(self) -> None:
        admin = await sync_to_async(self.caller)("admin")
        mine = f"/accounts/acme/members/{self.members['admin'].pk}"

        self.assertEqual((await put(admin, "PATCH", mine, {"role": "owner"})).status, 403)
        self.assertEqual((await put(admin, "PATCH", mine, {"role": "viewer"})).status, 200)
        # The cached caller has the old role for some seconds; changing members reads it again.
        answer = await put(admin, "PATCH", mine, {"role": "admin"})
        self.assertEqual((answer.status, answer.json()["code"]), (403, "forbidden"))


class LastOwnerTests(MemberTestCase):
    async def test_the_last_owner_stays(self) -> None:
        owner = await sync_to_async(browser_of)(self.theirs.user)
        path = f"/accounts/beta/members/{self.theirs.pk}"
        for answer in (
            await owner.call("DELETE", path),
            await put(owner, "PATCH", path, {"role": "admin"}),
        ):
            self.assertEqual((answer.status, answer.json()["code"]), (409, "last_owner"))
        self.assertEqual((await put(owner, "PATCH", path, {"role": "owner"})).status, 200)
        self.assertEqual(await sync_to_async(roles_in)(self.beta), {"owner@b.example": "owner"})


class ListTests(MemberTestCase):
    async def test_people_and_pending_invitations(self) -> None:
        owner = await sync_to_async(self.caller)("owner")
        await owner.post("/accounts/acme/members", {"email": "new@a.example", "role": "viewer"})
        body = (await owner.get("/accounts/acme/members")).json()

        self.assertEqual(
            {member["email"]: member["role"] for member in body["members"]},
            await sync_to_async(roles_in)(self.acme),
        )
        self.assertEqual(
            set(body["members"][0]), {"id", "email", "name", "role", "created_at", "since"}
        )
        [invitation] = body["invitations"]
        self.assertEqual(
            set(invitation), {"id", "email", "role", "invited_by", "created_at", "expires_at"}
        )
        self.assertEqual(invitation["invited_by"], "owner@a.example")

    async def test_only_ones_own_account_is_listed(self) -> None:
        owner = await sync_to_async(self.caller)("owner")

        self.assertNotIn("b.example", (await owner.get("/accounts/acme/members")).body.decode())
        self.assertEqual((await owner.get("/accounts/beta/members")).status, 401)

    def test_the_list_costs_the_same_for_one_and_for_many(self) -> None:
        with self.assertNumQueries(queries_of(members_of, self.beta.pk)):
            self.assertEqual(len(members_of(self.acme.pk)), 5)


class AddressTests(MemberTestCase):
    async def test_what_is_not_there_and_what_is_another_accounts_is_the_same_404(self) -> None:
        owner = await sync_to_async(self.caller)("owner")
        body = {"email": "new@b.example", "role": "viewer"}
        theirs = await sync_to_async(browser_of)(self.theirs.user)
        invited = (await theirs.post("/accounts/beta/members", body)).json()
        answers: list[Answer] = []
        for what, foreign in (("members", self.theirs.pk), ("invitations", invited["id"])):
            answers += [
                await owner.call("DELETE", f"/accounts/acme/{what}/{key}")
                for key in (foreign, uuid4(), "x", "%00", "1" * 300)
            ]
        answers += [
            await put(owner, "PATCH", f"/accounts/acme/members/{key}", {"role": "viewer"})
            for key in (self.theirs.pk, uuid4(), "x")
        ]

        self.assertEqual({answer.status for answer in answers}, {404})
        for kind in ("member", "invitation"):
            alike = [a for a in answers if a.json()["what"] == kind]
            self.assertGreaterEqual(len(alike), 5)
            self.assertEqual(len({(a.body, str(a.headers)) for a in alike}), 1)

    async def test_invalid_requests(self) -> None:
        owner = await sync_to_async(self.caller)("owner")
        good = {"email": "x@a.example", "role": "viewer"}
        for body, field in (
            (good | {"account": "beta"}, "account"),
            (good | {"email": "nobody"}, "email"),
            (good | {"email": "a@b.example\nBcc: c@d.example"}, "email"),
            (good | {"email": "a" * 250 + "@b.example"}, "email"),
            (good | {"role": "root"}, "role"),
            ({"email": "x@a.example"}, "role"),
        ):
            answer = await owner.post("/accounts/acme/members", body)
            self.assertEqual(answer.status, 400)
            self.assertEqual([e["field"] for e in answer.json()["errors"]], [field])
        path = f"/accounts/acme/members/{self.members['viewer'].pk}"
        bodies: list[Any] = [{"role": "member", "user": "x"}, {"role": None}, [], {}]
        for wrong in bodies:
            self.assertEqual((await put(owner, "PATCH", path, wrong)).status, 400)

    async def test_other_methods_are_named(self) -> None:
        owner = await sync_to_async(self.caller)("owner")
        answer = await owner.call("PUT", "/accounts/acme/members")

        allowed = "GET, POST, HEAD, OPTIONS"
        self.assertEqual((answer.status, answer.headers["allow"]), (405, allowed))
        self.assertEqual(answer.headers["cache-control"], "no-store, private")


class RemovedPersonTests(MemberTestCase):
    async def test_who_is_removed_stays_a_user(self) -> None:
        owner = await sync_to_async(self.caller)("owner")
        await owner.call("DELETE", f"/accounts/acme/members/{self.members['viewer'].pk}")

        user = self.members["viewer"].user
        await user.arefresh_from_db()
        self.assertTrue(user.is_active)
