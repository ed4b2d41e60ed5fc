"""The cookie of the application before Salient stands for its visitor's conversation."""

from __future__ import annotations

import hashlib

from django.test import TestCase, override_settings

from accounts.models import KeyKind
from tests.support.api_client import ApiClient
from tests.support.factories import make_instance, make_key, make_message, make_session
from tests.support.fixtures import AgentFixtures

SITE = "https://shop.example"
OLD_KEY = "0123456789abcdef0123456789abcdef"


@override_settings(FORMER_SESSION_COOKIE="old_session")
class FormerVisitorTests(AgentFixtures, TestCase):
    def setUp(self) -> None:
        super().setUp()
        stored = hashlib.sha256(OLD_KEY.encode()).hexdigest()
        make_message(make_session(self.instance, session_key=stored), content="From before")
        self.keys = {
            name: make_key(
                self.account, kind=KeyKind.PUBLISHABLE, origins=[SITE], instance_ids=[agent.pk]
            )[1]
            for name, agent in (
                ("bot", self.instance),
                ("other", make_instance(self.account, "other")),
            )
        }

    async def history(self, cookie: str, instance: str = "bot") -> list[str]:
        """Return what a browser with this cookie finds in its conversation."""
        page = ApiClient(self.keys[instance], {"Origin": SITE, "Cookie": cookie})
        made = await page.post(self.path("visitors", instance=instance), {})
        self.assertEqual(made.status, 201, made.body)
        visitor = ApiClient(made.json()["token"], {"Origin": SITE})
        found = await visitor.get(self.path("history", instance=instance))
        self.assertEqual(found.status, 200, found.body)
        return [message["content"] for message in found.json()["messages"]]

    async def test_the_conversation_goes_on(self) -> None:
        self.assertEqual(await self.history(f"old_session={OLD_KEY}"), ["From before"])

    async def test_what_is_not_its_cookie_is_a_new_visitor(self) -> None:
        stored = hashlib.sha256(OLD_KEY.encode()).hexdigest()
        for cookie in (
            f"other={OLD_KEY}",
            f"old_session={OLD_KEY[::-1]}",
            f"old_session={stored}",
            "old_session=short",
        ):
            with self.subTest(cookie):
                self.assertEqual(await self.history(cookie), [])
        self.assertEqual(await self.history(f"old_session={OLD_KEY}", "other"), [])

    async def test_it_is_off_unless_its_name_is_set(self) -> None:
        with override_settings(FORMER_SESSION_COOKIE=""):
            self.assertEqual(await self.history(f"old_session={OLD_KEY}"), [])
