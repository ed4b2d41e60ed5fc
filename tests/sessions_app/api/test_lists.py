"""Every list of the API has one shape and one cursor, and the names from before beside them."""

from __future__ import annotations

from typing import Any

from asgiref.sync import async_to_sync
from django.test import TestCase

from accounts.models import MemberRole
from agents.config.versions import publishing
from tests.accounts.member_fixtures import make_member
from tests.support.database.stored import as_platform
from tests.support.factories import (
    make_audit_entry,
    make_connection,
    make_delivery,
    make_instance,
    make_invitation,
    make_key,
    make_message,
    make_session,
    make_webhook,
)
from tests.support.fixtures import AgentFixtures
from tests.support.isolation.routes import Route, routes

AGENT = "agents/<str:instance>"
# Each list with the name that its objects had before; "" where it is new.
LISTS = {
    "agents": "instances",
    "audit": "entries",
    "connections": "connections",
    "members": "members",
    "invitations": "",
    "keys": "",
    f"{AGENT}/config/versions": "",
    "webhooks/<str:webhook_id>/deliveries": "",
    f"{AGENT}/sessions": "sessions",
    f"{AGENT}/sessions/<str:session_id>/messages": "",
}


class ListTests(AgentFixtures, TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.session = make_session(self.instance)
        self.webhook = make_webhook(self.account)
        for number in range(4):
            make_instance(self.account, f"agent-{number}")
            make_connection(self.account, name=f"gpu-{number}")
            make_member(self.account, MemberRole.VIEWER, f"m{number}@example.com")
            make_invitation(self.account)
            make_message(self.session)
            make_session(self.instance)
            make_audit_entry(self.account)
            make_key(self.account)
            make_delivery(self.webhook)
            as_platform(
                publishing.publish, self.instance, f"system_prompt: Be {number}.\n", "More", None
            )

    def page(self, short: str, **query: Any) -> Any:
        [route] = [route for route in routes() if route.short == short]
        values = {"account": "acme", "instance": "bot", "session_id": str(self.session.pk)}
        values["webhook_id"] = str(self.webhook.pk)
        answer = async_to_sync(self.api.get)(route.path(values), **query)
        self.assertEqual(answer.status, 200, (short, answer.body))
        return answer.json()

    def test_every_list_has_the_shape_and_the_names_from_before(self) -> None:
        for short, name in LISTS.items():
            with self.subTest(short):
                page = self.page(short)
                self.assertGreaterEqual(len(page["data"]), 4)
                self.assertEqual((page["has_more"], page["next_cursor"]), (False, None))
                if name:
                    self.assertEqual(page[name], page["data"])
                for row in page["data"]:
                    self.assertRegex(row["created_at"], r"Z$")
                    self.assertRegex(row["id"], r"^[0-9a-f-]{36}$")

    def test_the_pages_of_every_list_together_are_the_whole(self) -> None:
        for short in LISTS:
            with self.subTest(short):
                whole = [row["id"] for row in self.page(short)["data"]]
                seen: list[str] = []
                query: dict[str, Any] = {"limit": 3}
                while query:
                    page = self.page(short, **query)
                    self.assertLessEqual(len(page["data"]), 3)
                    self.assertEqual(page["has_more"], page["next_cursor"] is not None)
                    seen += [row["id"] for row in page["data"]]
                    query = query | {"cursor": page["next_cursor"]} if page["has_more"] else {}
                self.assertEqual(seen, whole)

    def test_there_is_no_other_list(self) -> None:
        """A route whose query has a cursor is a list, and is tried here."""
        found = {
            route.short
            for route in filter(Route.is_api, routes())
            for operation in route.operations.values()
            if operation.query and "cursor" in operation.query.model_fields
        }
        self.assertEqual(found, {*LISTS})
