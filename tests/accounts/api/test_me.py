from __future__ import annotations

from asgiref.sync import sync_to_async
from django.test import TestCase

from accounts.models import KeyMode, Scope
from tests.support.api_client import ApiClient
from tests.support.factories import make_instance, make_key
from tests.support.fixtures import AgentFixtures

ME = "/accounts/acme/me"


class MeTests(AgentFixtures, TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.second = make_instance(self.account, "second")

    async def test_tells_a_key_what_it_may_do(self) -> None:
        key, secret = await sync_to_async(make_key)(
            self.account,
            name="shop",
            mode=KeyMode.TEST,
            scopes=[Scope.CHAT, Scope.AGENTS_READ],
            instance_ids=[self.second.pk, self.instance.pk],
            networks=["127.0.0.1"],
        )
        described = (await ApiClient(secret).get(ME)).json()

        described.pop("limits")
        assert key.expires_at is not None
        expires_at = key.expires_at.isoformat().replace("+00:00", "Z")
        self.assertEqual(
            described,
            {
                "account": "acme",
                "kind": "secret_key",
                "name": "shop",
                "role": None,
                "mode": "test",
                "scopes": ["agents:read", "chat"],
                "agents": ["bot", "second"],
                "networks": ["127.0.0.1/32"],
                "expires_at": expires_at,
            },
        )

    async def test_null_is_all(self) -> None:
        described = (await self.api.get(ME)).json()

        self.assertEqual(
            (described["agents"], described["networks"], described["mode"]), (None, None, "live")
        )

    async def test_a_visitor_does_not_see_the_accounts_limits(self) -> None:
        for body, kind in (({}, "visitor"), ({"sub": "customer-42"}, "end_user")):
            answer = await self.api.post(self.path("visitors"), body)
            described = (await ApiClient(answer.json()["token"]).get(ME)).json()

            self.assertEqual(
                (described["kind"], described["name"], described["limits"]), (kind, None, None)
            )
            self.assertEqual(described["scopes"], ["chat", "history:delete", "history:read"])
            self.assertEqual(described["agents"], ["bot"])
            self.assertEqual(described["expires_at"], answer.json()["expires_at"])

    async def test_another_account_is_the_same_404(self) -> None:
        foreign = await self.api.get("/accounts/default/me")
        unknown = await self.api.get("/accounts/nobody/me")

        self.assertEqual((foreign.status, foreign.body), (404, unknown.body))
        self.assertEqual(foreign.headers, unknown.headers)

    async def test_without_credentials_it_is_401(self) -> None:
        self.assertEqual((await ApiClient().get(ME)).status, 401)
