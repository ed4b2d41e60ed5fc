"""A publication is in the next turn of the process that made it; a draft is in none."""

from __future__ import annotations

from asgiref.sync import sync_to_async
from django.test import TransactionTestCase

from accounts.tenancy.context import platform_context
from agents.config.versions import publishing
from agents.models import ConfigPublication
from tests.support.fixtures import AgentFixtures, stored


class PublishedTurnTests(AgentFixtures, TransactionTestCase):
    def publish(self, text: str) -> ConfigPublication:
        with platform_context():
            return publishing.publish(self.instance, text, "For this test", None)

    def draft(self, text: str) -> None:
        with platform_context():
            publishing.save_draft(self.instance, text, None)

    def versions(self) -> list[object]:
        _, requests = stored()
        return [request.config_version_id for request in requests]

    async def test_a_publication_is_in_the_next_turn_and_so_is_its_roll_back(self) -> None:
        await self.say("before")
        first = await sync_to_async(self.publish)("temperature: 1.5\n")
        await self.say("after")
        await sync_to_async(self.publish)("")
        await self.say("back")
        before, after, back = await sync_to_async(self.versions)()

        self.assertEqual(after, first.config_version_id)
        self.assertNotEqual(after, before)
        self.assertEqual(back, before)

    async def test_a_draft_is_in_no_turn_of_others(self) -> None:
        await self.say("before")
        await sync_to_async(self.draft)("temperature: 1.5\n")
        await self.say("after")
        before, after = await sync_to_async(self.versions)()

        self.assertEqual(after, before)
