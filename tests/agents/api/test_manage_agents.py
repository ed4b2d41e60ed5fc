"""Agents by the API: made, changed, archived; what those who only call one see of it."""

from __future__ import annotations

import json
from typing import Any
from unittest import mock

from asgiref.sync import sync_to_async
from django.conf import settings
from django.test import TestCase

from accounts.models import AuditEntry, KeyMode, MemberRole, Scope
from agents.instances import managed
from agents.models import AgentInstance
from salient.ttl import clear_caches
from tests.accounts.member_fixtures import browser_of, make_member
from tests.support.api_client import Answer, ApiClient
from tests.support.database.stored import row_of, rows_of
from tests.support.factories import make_instance
from tests.support.fixtures import AgentFixtures, key_client

AGENTS = "/accounts/acme/agents"
CONFIG = "model: scripted:echo\nsystem_prompt: Be a secret pirate.\n"


class AgentCase(AgentFixtures, TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.ann = make_member(self.account, MemberRole.ADMIN, "ann@example.com").user
        self.admin = browser_of(self.ann)

    def key(self, **wanted: Any) -> ApiClient:
        return key_client(self.account, **wanted)

    async def patch(self, body: Any, client: ApiClient | None = None) -> Answer:
        clear_caches()
        raw = json.dumps(body).encode()
        return await (client or self.api).call("PATCH", f"{AGENTS}/bot", raw=raw)

    def log(self, object_type: str) -> list[tuple[str, str, Any]]:
        rows = rows_of(AuditEntry, "created_at", object_type=object_type)
        return [(row.actor_kind, row.actor_id, row.changes) for row in rows]

    async def logged(self, object_type: str) -> list[tuple[str, str, Any]]:
        return await sync_to_async(self.log)(object_type)


class MakingTests(AgentCase):
    async def test_an_agent_is_made_with_its_first_configuration_and_answers(self) -> None:
        body = {"instance_slug": "fresh", "display_name": "The new one", "config": CONFIG}
        made = await self.admin.post(AGENTS, body)

        self.assertEqual(made.status, 201, made.body)
        agent = made.json()
        self.assertEqual(
            [agent[k] for k in ("instance_slug", "display_name", "status", "published_version")],
            ["fresh", "The new one", "active", 1],
        )
        self.assertEqual((agent["can_answer"], agent["model"]), (True, "scripted:echo"))
        self.assertNotIn("pirate", made.body.decode())
        said = await self.api.post(f"{AGENTS}/fresh/chat", {"message": "hello"})
        self.assertEqual(said.status, 200)
        shown = (await self.admin.get(f"{AGENTS}/fresh")).json()
        self.assertEqual(shown["id"], agent["id"])
        [*_, (kind, who, changes)] = await self.logged("config_publications")
        self.assertEqual((kind, who), ("member", str(self.ann.pk)))
        self.assertEqual(changes["note"], [None, "First configuration"])
        [version] = (await self.admin.get(f"{AGENTS}/fresh/config/versions")).json()["data"]
        self.assertEqual((version["number"], version["author"]), (1, "ann@example.com"))

    async def test_one_without_a_configuration_says_that_it_cannot_answer(self) -> None:
        made = (await self.admin.post(AGENTS, {"instance_slug": "empty"})).json()

        self.assertEqual((made["can_answer"], made["model"]), (False, None))
        self.assertEqual(made["display_name"], "Empty")
        self.assertFalse((settings.AGENT_CONFIG_DIR / "acme" / "empty").exists())

    async def test_a_wrong_configuration_makes_no_agent_and_names_file_line_and_key(self) -> None:
        wrong = "model: scripted:echo\nsystem_prompt: x\ntemprature: 2\n"
        answer = await self.admin.post(AGENTS, {"instance_slug": "fresh", "config": wrong})

        self.assertEqual((answer.status, answer.json()["code"]), (422, "invalid_configuration"))
        self.assertEqual(
            answer.json()["problems"],
            [
                {
                    "file": None,
                    "line": 3,
                    "key": "temprature",
                    "message": "unknown key",
                    "suggestion": "temperature",
                }
            ],
        )
        self.assertEqual((await self.admin.get(f"{AGENTS}/fresh")).status, 404)

    async def test_what_cannot_be_an_agent_is_refused_by_name(self) -> None:
        for body, field in (
            ({"instance_slug": "No Slug"}, "instance_slug"),
            ({"instance_slug": "admin"}, "instance_slug"),
            ({"instance_slug": ""}, "instance_slug"),
            ({"display_name": ""}, "display_name"),
            ({"display_name": " x"}, "display_name"),
            ({"allowed_origins": ["shop.example"]}, "allowed_origins.0"),
            ({"config": "a: \0"}, "config"),
            ({"status": "archived"}, "status"),
            ({"agent_type": "simple_chat"}, "agent_type"),
        ):
            with self.subTest(body=body):
                answer = await self.admin.post(AGENTS, {"instance_slug": "fresh", **body})
                self.assertEqual(answer.status, 400, answer.body)
                self.assertEqual([e["field"] for e in answer.json()["errors"]], [field])

    async def test_a_name_is_taken_also_by_an_archived_agent(self) -> None:
        await self.patch({"status": "archived"})
        again = await self.admin.post(AGENTS, {"instance_slug": "bot"})
        self.assertEqual((again.status, again.json()["code"]), (409, "agent_exists"))

    async def test_their_number_has_a_bound(self) -> None:
        with mock.patch.object(managed, "MOST_AGENTS", 1):
            answer = await self.admin.post(AGENTS, {"instance_slug": "fresh"})
        self.assertEqual((answer.status, answer.json()["code"]), (409, "too_many_agents"))

    async def test_who_makes_none(self) -> None:
        for wanted in (
            {"scopes": [each for each in Scope.values if each != "agents:write"]},
            {"mode": KeyMode.TEST},
            {"instance_ids": [self.instance.pk]},
        ):
            client = await sync_to_async(self.key)(**wanted)
            answer = await client.post(AGENTS, {"instance_slug": "fresh"})
            self.assertEqual((answer.status, answer.json()["code"]), (403, "forbidden"), wanted)


class ChangingTests(AgentCase):
    async def test_a_name_and_sites_are_changed_and_logged(self) -> None:
        body = {"display_name": "Bot the Second", "allowed_origins": ["https://shop.example"]}
        changed = await self.patch(body)

        self.assertEqual(changed.status, 200)
        self.assertEqual({name: changed.json()[name] for name in body}, body)
        [*_, (kind, _, changes)] = await self.logged("agent_instances")
        self.assertEqual(kind, "key")
        self.assertEqual(changes["display_name"], ["Bot", "Bot the Second"])

    async def test_an_empty_change_changes_nothing(self) -> None:
        before = await self.logged("agent_instances")
        self.assertEqual((await self.patch({})).status, 200)
        self.assertEqual(await self.logged("agent_instances"), before)

    async def test_a_suspended_agent_is_gone_for_callers_and_there_for_those_who_manage(
        self,
    ) -> None:
        caller = await sync_to_async(self.key)(scopes=["chat", "agents:read"])
        for status in ("inactive", "archived"):
            changed = await self.patch({"status": status})
            self.assertEqual(
                (changed.json()["status"], changed.json()["can_answer"]), (status, False)
            )
            clear_caches()
            self.assertEqual((await caller.get(f"{AGENTS}/bot")).status, 404)
            self.assertEqual((await self.api.get(f"{AGENTS}/bot")).json()["status"], status)
            said = await self.api.post(f"{AGENTS}/bot/chat", {"message": "hello"})
            self.assertEqual(said.status, 404)
        await self.patch({"status": "active"})
        clear_caches()
        self.assertTrue((await caller.get(f"{AGENTS}/bot")).json()["can_answer"])

    async def test_the_list_shows_others_than_active_ones_to_those_who_manage(self) -> None:
        await sync_to_async(make_instance)(self.account, "second")
        await self.patch({"status": "inactive"})
        slugs = {}
        for status in ("active", "inactive", "all"):
            page = (await self.api.get(AGENTS, status=status)).json()
            self.assertEqual(page["data"], page["instances"])
            self.assertEqual((page["has_more"], page["next_cursor"]), (False, None))
            slugs[status] = [row["instance_slug"] for row in page["data"]]
        self.assertEqual(
            slugs, {"active": ["second"], "inactive": ["bot"], "all": ["bot", "second"]}
        )
        caller = await sync_to_async(self.key)(scopes=["agents:read"])
        self.assertEqual((await caller.get(AGENTS, status="all")).status, 403)
        self.assertEqual((await caller.get(AGENTS)).status, 200)

    async def test_a_key_of_one_agent_changes_that_one_alone(self) -> None:
        second = await sync_to_async(make_instance)(self.account, "second")
        own = await sync_to_async(self.key)(instance_ids=[self.instance.pk])
        other = await sync_to_async(self.key)(instance_ids=[second.pk])
        test = await sync_to_async(self.key)(mode=KeyMode.TEST)
        self.assertEqual((await self.patch({"display_name": "Mine"}, own)).status, 200)
        self.assertEqual((await self.patch({"display_name": "Not mine"}, other)).status, 404)
        self.assertEqual((await self.patch({"display_name": "Test"}, test)).status, 403)
        self.assertEqual(await sync_to_async(self.name)(), "Mine")

    def name(self) -> str:
        return str(row_of(AgentInstance, pk=self.instance.pk).display_name)

    async def test_what_is_for_those_who_manage_stays_with_them(self) -> None:
        await self.patch({"allowed_origins": ["https://shop.example"]})
        caller = await sync_to_async(self.key)(scopes=["agents:read"])
        seen = (await caller.get(f"{AGENTS}/bot")).json()

        self.assertIsNone(seen["allowed_origins"])
        self.assertEqual((seen["can_answer"], seen["model"]), (True, "scripted:echo"))

    async def test_files_that_break_are_told_to_those_who_manage(self) -> None:
        self.configure("model: [\n")
        caller = await sync_to_async(self.key)(scopes=["agents:read"])
        told = await self.api.get(f"{AGENTS}/bot")
        self.assertEqual((told.status, told.json()["can_answer"]), (200, False))
        with self.assertLogs("agents.config.versions.current", "ERROR"):
            self.assertEqual((await caller.get(f"{AGENTS}/bot")).status, 503)
