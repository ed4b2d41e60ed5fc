"""Turns that a caller may not see are as if there were none; all others are told alike."""

from __future__ import annotations

import asyncio
from typing import Any

from asgiref.sync import sync_to_async
from django.test import TestCase

from accounts.models import Scope
from salient.api.lifespan import finish_background
from tests.support.api_client import ApiClient
from tests.support.factories import make_instance, make_key
from tests.support.fixtures import AgentFixtures, stored
from tests.support.servers.held_model import LONG, HeldModel


class HiddenTurnTests(AgentFixtures, TestCase):
    config = "model: mock:test-model\n"

    async def begun(self) -> Any:
        body = {"message": LONG, "background": True}
        return (await self.api.post(self.path("chat"), body)).json()

    async def test_a_response_of_another_agent_is_none(self) -> None:
        second = await sync_to_async(make_instance)(self.account, "second")
        _, secret = await sync_to_async(make_key)(
            self.account, scopes=[*Scope.values], instance_ids=[second.pk]
        )
        async with HeldModel(), asyncio.timeout(30):
            made = await self.api.post(
                self.path("v1/responses"), {"model": "x", "input": LONG, "background": True}
            )
            response_id = made.json()["id"]
            client = ApiClient(secret)
            for method, what in (("GET", ""), ("DELETE", ""), ("POST", "/cancel")):
                answers = [
                    await client.call(method, f"/accounts/acme/v1/responses/{each}{what}")
                    for each in (response_id, f"resp_{'0' * 32}")
                ]
                with self.subTest(method=method, what=what):
                    self.assertEqual({each.status for each in answers}, {404})
                    self.assertEqual(answers[0].json(), answers[1].json())
            await self.api.post(self.path(f"v1/responses/{response_id}/cancel"), {})
            await finish_background()

    async def test_three_who_cancel_at_once_get_the_same_turn(self) -> None:
        async with HeldModel(), asyncio.timeout(30):
            begun = await self.begun()
            path = self.path(f"turns/{begun['id']}/cancel")
            cancelled = await asyncio.gather(*(self.api.post(path, {}) for _ in range(3)))
            await finish_background()

        self.assertEqual(cancelled[0].json()["status"], "cancelled")
        self.assertEqual([each.json() for each in cancelled], [cancelled[0].json()] * 3)

    async def test_followers_are_told_how_it_ended_whenever_they_come(self) -> None:
        async with HeldModel(), asyncio.timeout(30):
            begun = await self.begun()
            path = self.path(f"turns/{begun['id']}/events")
            following = asyncio.create_task(self.api.get(path))
            await asyncio.sleep(0.5)
            await self.api.post(self.path(f"turns/{begun['id']}/cancel"), {})
            here = await following
            await finish_background()
        later = await self.api.get(path)
        [request] = (await sync_to_async(stored)())[1]

        self.assertEqual(request.completion_status, "cancelled")
        self.assertEqual(later.events()[-2:], here.events()[-2:])
