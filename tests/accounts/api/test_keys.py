"""Keys by the API: nobody gives a key more than they have, and nothing outlives who made it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from unittest import mock
from uuid import uuid4

from asgiref.sync import sync_to_async
from django.test import TestCase
from django.utils import timezone

from accounts.keys import managed
from accounts.keys.services import rotate_api_key
from accounts.models import ApiKey, AuditEntry, KeyKind, KeyMode, MemberRole, Membership, Scope
from accounts.models.api_key import DEFAULT_SCOPES
from salient.ttl import clear_caches
from tests.accounts.member_fixtures import browser_of, make_member
from tests.support.api_client import Answer, ApiClient
from tests.support.database.stored import as_platform, change_row, row_of, rows_of
from tests.support.factories import make_account, make_instance, make_key
from tests.support.fixtures import key_client
from tests.support.people import make_root, opened

KEYS = "/accounts/acme/keys"
ALL = list(Scope.values)


class KeyApiCase(TestCase):
    def setUp(self) -> None:
        self.acme = make_account("acme")
        self.bot = make_instance(self.acme, "bot")
        self.maker, text = make_key(self.acme, name="automation")
        self.api = ApiClient(text)
        self.owner = browser_of(make_member(self.acme, MemberRole.OWNER, "o@example.com").user)
        self.admin = browser_of(make_member(self.acme, MemberRole.ADMIN, "a@example.com").user)

    def client_with(self, **wanted: Any) -> ApiClient:
        return key_client(self.acme, **wanted)

    def row(self, pk: str) -> ApiKey:
        return row_of(ApiKey, pk=pk)

    async def stored(self, pk: str) -> ApiKey:
        return await sync_to_async(self.row)(pk)

    async def works(self, text: str) -> int:
        clear_caches()
        return (await ApiClient(text).get("/accounts/acme/me")).status

    async def refused(self, client: ApiClient, **body: Any) -> tuple[int, str]:
        answer = await client.post(KEYS, {"name": "new", **body})
        return answer.status, answer.json()["code"]


class MakingTests(KeyApiCase):
    async def test_a_key_is_made_and_its_secret_shown_once(self) -> None:
        made = await self.owner.post(KEYS, {"name": "shop", "scopes": ["chat"], "agents": ["bot"]})

        self.assertEqual(made.status, 201)
        key = made.json()
        self.assertTrue(key["key"].startswith("sal_sk_"))
        self.assertEqual(key["key_hint"], key["key"][:20] + "…")
        self.assertEqual(
            (key["name"], key["scopes"], key["agents"], key["networks"], key["state"]),
            ("shop", ["chat"], ["bot"], None, "active"),
        )
        self.assertEqual(await self.works(key["key"]), 200)
        for path in (KEYS, f"{KEYS}/{key['id']}"):
            shown = await self.owner.get(path)
            self.assertEqual(shown.status, 200)
            self.assertNotIn(key["key"].split("_")[-1], shown.body.decode())
            self.assertNotIn("secret_hash", shown.body.decode())

    async def test_what_is_left_out_is_as_with_create_key(self) -> None:
        made = (await self.owner.post(KEYS, {"name": "plain"})).json()
        row = await self.stored(made["id"])

        self.assertEqual(row.scopes, list(DEFAULT_SCOPES))
        self.assertEqual((row.kind, row.mode, row.issued_by), ("secret", "live", ""))
        assert row.expires_at is not None
        self.assertAlmostEqual(
            row.expires_at, timezone.now() + timedelta(days=365), delta=timedelta(minutes=5)
        )

    async def test_publishable_and_test_keys(self) -> None:
        site = {"kind": "publishable", "agents": ["bot"], "origins": ["https://shop.example"]}
        published = await self.owner.post(KEYS, {"name": "page", **site})
        test = await self.owner.post(KEYS, {"name": "ci", "mode": "test", "expires_at": None})

        self.assertEqual(published.json()["key"][:7], "sal_pk_")
        self.assertEqual(published.json()["scopes"], ["visitors:write"])
        self.assertEqual(test.json()["key"][:7], "sal_tk_")
        self.assertEqual((test.json()["mode"], test.json()["expires_at"]), ("test", None))

    async def test_what_cannot_be_a_key_is_refused_by_name(self) -> None:
        past = (timezone.now() - timedelta(seconds=1)).isoformat()
        for body, field in (
            ({"name": ""}, "name"),
            ({"name": "x\ny"}, "name"),
            ({"scopes": []}, "scopes"),
            ({"scopes": ["root"]}, "scopes.0"),
            ({"agents": ["nobody"]}, "agents"),
            ({"agents": []}, "agents"),
            ({"networks": []}, "networks"),
            ({"networks": ["10.0.0.0/99"]}, "networks.0"),
            ({"origins": ["shop.example"]}, "origins.0"),
            ({"origins": ["https://shop.example"]}, "body"),
            ({"kind": "publishable"}, "body"),
            ({"expires_at": past}, "expires_at"),
            ({"expires_at": "2099-01-01T00:00:00"}, "expires_at"),
            ({"secret": "x"}, "secret"),
            ({"issued_by": "x"}, "issued_by"),
        ):
            with self.subTest(body=body):
                answer = await self.owner.post(KEYS, {"name": "new", **body})
                self.assertEqual(answer.status, 400, answer.body)
                self.assertEqual([e["field"] for e in answer.json()["errors"]], [field])

    async def test_nobody_gives_a_scope_that_they_lack(self) -> None:
        self.assertEqual(
            await self.refused(self.admin, scopes=["limits:write"]), (403, "exceeds_caller")
        )
        weak = await sync_to_async(self.client_with)(scopes=["keys:write", "chat"])
        self.assertEqual(await self.refused(weak), (403, "exceeds_caller"))
        made = await weak.post(KEYS, {"name": "new", "scopes": ["chat"]})
        self.assertEqual(made.status, 201)

    async def test_a_member_who_lost_the_role_a_moment_ago_makes_none(self) -> None:
        self.assertEqual((await self.admin.get(KEYS)).status, 200)
        member = await sync_to_async(row_of)(Membership, role=MemberRole.ADMIN)
        await sync_to_async(change_row)(member, role=MemberRole.VIEWER)

        self.assertEqual(await self.refused(self.admin, scopes=["chat"]), (403, "forbidden"))

    async def test_a_key_gives_no_more_time_and_no_other_networks_than_its_own(self) -> None:
        end = timezone.now() + timedelta(hours=1)
        bound = await sync_to_async(self.client_with)(
            expires_at=end, networks=["127.0.0.0/8", "10.0.0.0/8"]
        )
        own = (await bound.post(KEYS, {"name": "like me"})).json()
        less = await bound.post(KEYS, {"name": "less", "networks": ["127.0.0.1"]})

        self.assertEqual(own["networks"], ["127.0.0.0/8", "10.0.0.0/8"])
        self.assertEqual(own["expires_at"], end.isoformat().replace("+00:00", "Z"))
        self.assertEqual((less.status, less.json()["networks"]), (201, ["127.0.0.1/32"]))
        for wanted in (
            {"expires_at": None},
            {"expires_at": (end + timedelta(seconds=1)).isoformat()},
            {"networks": ["127.0.0.1", "11.0.0.0/8"]},
            {"networks": ["0.0.0.0/0"]},
            {"networks": ["::1"]},
        ):
            with self.subTest(wanted=wanted):
                self.assertEqual(await self.refused(bound, **wanted), (403, "exceeds_caller"))

    async def test_keys_that_are_not_for_the_whole_live_account_make_none(self) -> None:
        for wanted in ({"mode": KeyMode.TEST}, {"instance_ids": [self.bot.pk]}):
            confined = await sync_to_async(self.client_with)(**wanted)
            self.assertEqual(await self.refused(confined), (403, "forbidden"))
            for what in ("rotate", "revoke"):
                answer = await confined.post(f"{KEYS}/{self.maker.pk}/{what}", {})
                self.assertEqual(answer.status, 403)

    async def test_the_number_of_keys_has_a_bound(self) -> None:
        with mock.patch.object(managed, "MOST_KEYS", 1):
            self.assertEqual(await self.refused(self.owner), (409, "too_many_keys"))

    async def test_the_audit_log_names_who_made_it(self) -> None:
        mine = (await self.api.post(KEYS, {"name": "by key"})).json()
        theirs = (await self.owner.post(KEYS, {"name": "by owner"})).json()

        actors = await sync_to_async(self.actors)(mine["id"], theirs["id"])
        owner = await sync_to_async(row_of)(Membership, role=MemberRole.OWNER)
        self.assertEqual(actors, [("key", str(self.maker.pk)), ("member", str(owner.user_id))])
        changes = [row.changes for row in await sync_to_async(rows_of)(AuditEntry)]
        self.assertNotIn(mine["key"], str(changes))

    def actors(self, *ids: str) -> list[tuple[str, str]]:
        rows = rows_of(AuditEntry, "created_at", object_id__in=ids, action="created")
        return [(row.actor_kind, row.actor_id) for row in rows]


class EndingTests(KeyApiCase):
    async def test_revoking_a_key_ends_what_it_made_and_what_became_of_that(self) -> None:
        made = (
            await self.api.post(KEYS, {"name": "made", "scopes": ["keys:write", *DEFAULT_SCOPES]})
        ).json()
        again = (await ApiClient(made["key"]).post("/accounts/acme/keys/rotate", {})).json()
        theirs = (await ApiClient(made["key"]).post(KEYS, {"name": "grandchild"})).json()
        other = (await self.owner.post(KEYS, {"name": "other"})).json()
        successor = await sync_to_async(rotate_api_key)(self.acme.pk, self.maker.pk)

        ended = (await self.owner.post(f"{KEYS}/{self.maker.pk}/revoke", {})).json()

        self.assertEqual(ended["id"], str(self.maker.pk))
        ids = [text.split("_")[2] for text in (made["key"], again["key"], theirs["key"])]
        self.assertEqual(set(ended["revoked"]), {self.maker.key_id, successor.key.key_id, *ids})
        self.assertEqual(await self.works(again["key"]), 401)
        self.assertEqual(await self.works(other["key"]), 200)
        state = (await self.owner.get(f"{KEYS}/{made['id']}")).json()["state"]
        self.assertEqual(state, "revoked")

    async def test_a_key_with_fewer_rights_may_revoke_one_with_more(self) -> None:
        weak = await sync_to_async(self.client_with)(scopes=["keys:write"])
        ended = await weak.post(f"{KEYS}/{self.maker.pk}/revoke", {})

        self.assertEqual(ended.json()["revoked"], [self.maker.key_id])
        again = await weak.post(f"{KEYS}/{self.maker.pk}/revoke", {})
        self.assertEqual((again.status, again.json()["revoked"]), (200, []))

    async def test_a_key_that_was_revoked_a_moment_ago_leaves_none_behind(self) -> None:
        self.assertEqual((await self.api.get(KEYS)).status, 200)
        await sync_to_async(change_row)(self.maker, revoked_at=timezone.now())

        self.assertEqual(await self.refused(self.api), (401, "unauthenticated"))

    async def test_rotating_another_key_makes_a_successor_with_its_rights(self) -> None:
        old, text = await sync_to_async(make_key)(
            self.acme, name="shop", scopes=["chat"], instance_ids=[self.bot.pk]
        )
        made = await self.owner.post(f"{KEYS}/{old.pk}/rotate", {"overlap_seconds": 60})

        key = made.json()
        self.assertEqual(made.status, 201)
        self.assertEqual((key["name"], key["scopes"], key["agents"]), ("shop", ["chat"], ["bot"]))
        self.assertEqual(await self.works(key["key"]), 200)
        self.assertEqual(await self.works(text), 200)
        self.assertEqual((await self.owner.get(f"{KEYS}/{old.pk}")).json()["state"], "rotated")
        again = await self.owner.post(f"{KEYS}/{old.pk}/rotate", {})
        self.assertEqual((again.status, again.json()["code"]), (409, "key_already_rotated"))

    async def test_nobody_rotates_a_key_into_rights_that_they_lack(self) -> None:
        answer = await self.admin.post(f"{KEYS}/{self.maker.pk}/rotate", {})
        self.assertEqual((answer.status, answer.json()["code"]), (403, "exceeds_caller"))
        here = await sync_to_async(self.client_with)(networks=["127.0.0.1"])
        answer = await here.post(f"{KEYS}/{self.maker.pk}/rotate", {})
        self.assertEqual((answer.status, answer.json()["code"]), (403, "exceeds_caller"))
        self.assertIsNone((await self.stored(str(self.maker.pk))).rotated_at)

    async def test_what_a_key_rotates_ends_with_it(self) -> None:
        end = timezone.now() + timedelta(hours=1)
        short = await sync_to_async(self.client_with)(expires_at=end, name="short")
        rotated = (await short.post(f"{KEYS}/{self.maker.pk}/rotate", {})).json()
        row = await self.stored(rotated["id"])

        self.assertEqual(row.expires_at, end)
        again = (await ApiClient(rotated["key"]).post("/accounts/acme/keys/rotate", {})).json()
        self.assertEqual(again["expires_at"], end.isoformat().replace("+00:00", "Z"))

    async def test_a_key_that_replaces_itself_here_is_as_before(self) -> None:
        rotated = (await self.api.post(f"{KEYS}/{self.maker.pk}/rotate", {})).json()
        row = await self.stored(rotated["id"])

        self.assertEqual((row.issued_by, row.rotated_from), ("", self.maker.key_id))

    async def test_ended_and_shown_keys_have_no_successor(self) -> None:
        shown = await sync_to_async(self.shown_key)()
        answer = await self.owner.post(f"{KEYS}/{shown.pk}/rotate", {})
        self.assertEqual((answer.status, answer.json()["code"]), (403, "forbidden"))
        await self.owner.post(f"{KEYS}/{shown.pk}/revoke", {})
        answer = await self.owner.post(f"{KEYS}/{shown.pk}/rotate", {})
        self.assertEqual((answer.status, answer.json()["code"]), (409, "key_ended"))

    def shown_key(self) -> ApiKey:
        key, _ = make_key(self.acme, scopes=["chat"])
        access = opened(make_root(), self.acme)
        as_platform(key.bind_to, access)
        as_platform(key.save, update_fields=["support_access_id", "expires_at"])
        return key


class ListTests(KeyApiCase):
    async def test_pages_hold_each_key_once_the_newest_first(self) -> None:
        for number in range(3):
            await self.owner.post(KEYS, {"name": f"n{number}"})
        names: list[str] = []
        query: dict[str, Any] = {"limit": 2}
        while True:
            page = (await self.owner.get(KEYS, **query)).json()
            names += [key["name"] for key in page["data"]]
            self.assertEqual(page["has_more"], page["next_cursor"] is not None)
            if not page["has_more"]:
                break
            query["cursor"] = page["next_cursor"]
        self.assertEqual(names, ["n2", "n1", "n0", "automation"])

    async def test_another_accounts_key_is_as_one_that_there_is_not(self) -> None:
        beta = await sync_to_async(make_account)("beta")
        theirs, _ = await sync_to_async(make_key)(beta)
        for method, what, raw in (
            ("GET", "", b""),
            ("POST", "/rotate", b"{}"),
            ("POST", "/revoke", b"{}"),
        ):
            answers: list[Answer] = [
                await self.owner.call(method, f"{KEYS}/{pk}{what}", raw=raw)
                for pk in (theirs.pk, uuid4(), "nonsense")
            ]
            self.assertEqual([answer.status for answer in answers], [404] * 3)
            self.assertEqual(len({answer.body for answer in answers}), 1)

    async def test_reading_and_writing_have_scopes_of_their_own(self) -> None:
        reader = await sync_to_async(self.client_with)(scopes=["keys:read"])
        self.assertEqual((await reader.get(KEYS)).status, 200)
        self.assertEqual(await self.refused(reader), (403, "forbidden"))
        member = await sync_to_async(make_member)(self.acme, MemberRole.MEMBER)
        self.assertEqual(
            (await (await sync_to_async(browser_of)(member.user)).get(KEYS)).status, 403
        )
        page = await sync_to_async(self.client_with)(
            kind=KeyKind.PUBLISHABLE, origins=["https://s.example"], instance_ids=[self.bot.pk]
        )
        page.headers["origin"] = "https://s.example"
        self.assertEqual((await page.get(KEYS)).status, 403)
