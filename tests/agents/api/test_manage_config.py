"""Configuring an agent by the API: the rules, notes, locks and checks of the admin's pages."""

from __future__ import annotations

import json
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.test import TestCase, override_settings

from accounts.models import ApiKey, AuditEntry, KeyMode, MemberRole, Scope
from accounts.tenancy.context import platform_context
from agents.config.versions import publishing
from agents.config.versions.publishing import etag_of
from salient.ttl import clear_caches
from tests.accounts.member_fixtures import browser_of, make_member
from tests.support.api_client import Answer, ApiClient
from tests.support.database.stored import row_of
from tests.support.factories import make_account, make_connection, make_instance, make_saved_chat
from tests.support.fixtures import AgentFixtures, key_client
from tests.support.people import make_root

CONFIG = "/accounts/acme/agents/bot/config"
TEXT = "system_prompt: Be a pirate.\n"
NEW = {"If-None-Match": "*"}


class ConfigCase(AgentFixtures, TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.ann = make_member(self.account, MemberRole.ADMIN, "ann@example.com").user
        self.admin = browser_of(self.ann)

    async def put(self, text: str, etag: str | None = None, **body: Any) -> Answer:
        headers = NEW if etag is None else {"If-Match": f'"{etag}"'}
        raw = json.dumps({"text": text, **body}).encode()
        return await self.api.call("PUT", f"{CONFIG}/draft", raw=raw, headers=headers)

    async def publish(self, etag: str, note: str = "Better", **body: Any) -> Answer:
        headers = {"If-Match": f'"{etag}"'}
        return await self.api.post(f"{CONFIG}/publish", {"note": note, **body}, headers=headers)

    async def published(self, text: str, note: str = "Better") -> Any:
        found = await self.api.get(f"{CONFIG}/draft")
        put = await self.put(text, found.json()["etag"] if found.status == 200 else None)
        made = await self.publish(put.json()["etag"], note)
        self.assertEqual(made.status, 201, made.body)
        return made.json()

    async def values(self) -> dict[str, tuple[Any, str]]:
        rows = (await self.api.get(CONFIG)).json()["values"]
        return {row["key"]: (row["value"], row["origin"]) for row in rows}

    def by_staff(self, text: str) -> None:
        with platform_context():
            publishing.publish(self.instance, text, "By staff", make_root())

    def client_with(self, **wanted: Any) -> ApiClient:
        return key_client(self.account, **wanted)


class ReadingTests(ConfigCase):
    async def test_every_value_has_its_origin_and_what_would_hold_without_it(self) -> None:
        await self.published(f"{TEXT}temperature: 0.5\n")
        found = (await self.api.get(CONFIG)).json()

        rows = {row.pop("key"): row for row in found["values"]}
        self.assertEqual(
            rows["system_prompt"],
            {
                "value": "Be a pirate.",
                "origin": "published",
                "below": {"value": "Be brief.", "origin": "system_prompt.md"},
            },
        )
        self.assertEqual(
            rows["temperature"],
            {"value": 0.5, "origin": "published", "below": {"value": None, "origin": "default"}},
        )
        self.assertEqual(
            (rows["model"]["value"], rows["model"]["origin"]), ("scripted:echo", "config.yaml")
        )
        self.assertEqual((rows["tools"]["value"], rows["tools"]["origin"]), ([], "default"))
        self.assertEqual(
            [
                found[k]
                for k in ("can_answer", "status", "published_version", "draft_etag", "problems")
            ],
            [True, "active", 1, None, []],
        )

    async def test_broken_files_are_named_and_the_place_of_the_files_is_not(self) -> None:
        self.configure("model: scripted:echo\ntemprature: 1\n")
        found = (await self.api.get(CONFIG)).json()

        self.assertEqual((found["can_answer"], found["values"]), (False, []))
        [problem] = found["problems"]
        self.assertEqual(
            [problem[k] for k in ("file", "line", "key", "suggestion")],
            ["acme/bot/config.yaml", 2, "temprature", "temperature"],
        )
        nowhere = settings.AGENT_CONFIG_DIR / "nowhere"
        with override_settings(AGENT_CONFIG_DIR=nowhere):
            answer = await self.api.get(CONFIG)
        self.assertTrue(answer.json()["problems"])
        self.assertNotIn(str(settings.AGENT_CONFIG_DIR), answer.body.decode())

    async def test_a_model_that_cannot_be_called_is_why_it_does_not_answer(self) -> None:
        self.configure("model: connection/none:m\n")
        found = (await self.api.get(CONFIG)).json()

        self.assertFalse(found["can_answer"])
        self.assertIn("connection “none”", found["problems"][0]["message"])

    async def test_a_fallback_is_a_model_that_can_be_called_only_where_its_connection_is(
        self,
    ) -> None:
        self.configure("model: openai:gpt-4o-mini\nfallback_models: [connection/none:m]\n")
        found = (await self.api.get(CONFIG)).json()
        self.assertEqual((found["can_answer"], len(found["problems"])), (False, 1))
        self.assertIn("OPENAI_API_KEY", found["problems"][0]["message"])

        await sync_to_async(make_connection)(self.account, name="none")
        found = (await self.api.get(CONFIG)).json()
        self.assertEqual((found["can_answer"], found["problems"]), (True, []))
        self.assertIn("OPENAI_API_KEY", found["warnings"][0]["message"])

    async def test_the_prompt_is_for_config_read_alone(self) -> None:
        reader = await sync_to_async(self.client_with)(scopes=["config:read"])
        caller = await sync_to_async(self.client_with)(
            scopes=[each for each in Scope.values if each != "config:read"]
        )
        for path in ("", "/draft", "/diff?from=files&to=published", "/versions", "/versions/1"):
            query = dict(pair.split("=") for pair in path.partition("?")[2].split("&") if pair)
            self.assertEqual(
                (await caller.get(CONFIG + path.partition("?")[0], **query)).status, 403
            )
        self.assertEqual((await reader.get(CONFIG)).status, 200)
        self.assertEqual((await reader.post(f"{CONFIG}/validate", {"text": TEXT})).status, 200)
        for method, path in (
            ("PUT", "draft"),
            ("DELETE", "draft"),
            ("POST", "publish"),
            ("POST", "rollback"),
        ):
            raw = b"" if method == "DELETE" else b"{}"
            answer = await reader.call(method, f"{CONFIG}/{path}", raw=raw)
            self.assertEqual(answer.status, 403)


class DraftTests(ConfigCase):
    async def test_a_draft_is_written_read_and_discarded(self) -> None:
        self.assertEqual((await self.api.get(f"{CONFIG}/draft")).status, 404)
        made = await self.put(TEXT)
        self.assertEqual(made.status, 201)
        read = await self.api.get(f"{CONFIG}/draft")
        self.assertEqual(read.json(), made.json())
        self.assertEqual(read.headers["etag"], f'"{made.json()["etag"]}"')
        self.assertEqual((read.json()["text"], read.json()["base"]), (TEXT, 0))
        self.assertTrue(read.json()["author"].startswith("API key "))

        headers = {"If-Match": read.headers["etag"]}
        gone = await self.api.call("DELETE", f"{CONFIG}/draft", headers=headers)
        self.assertEqual(gone.status, 204)
        again = await self.api.call("DELETE", f"{CONFIG}/draft", headers=headers)
        self.assertEqual(again.status, 404)

    async def test_a_draft_may_be_wrong_and_serves_nobody(self) -> None:
        await self.put("nonsense: [\n")
        self.assertEqual((await self.values())["system_prompt"][0], "Be brief.")
        said = await self.api.post("/accounts/acme/agents/bot/chat", {"message": "hello"})
        self.assertEqual(said.status, 200)

    async def test_nobodys_draft_is_overwritten_unseen(self) -> None:
        first = (await self.put(TEXT)).json()["etag"]
        second = await self.put("temperature: 1\n", first)
        self.assertEqual(second.status, 200)
        stale = await self.put("temperature: 2\n", first)
        self.assertEqual((stale.status, stale.json()["code"]), (412, "draft_changed"))
        self.assertEqual(stale.headers["etag"], second.headers["etag"])
        for refused in (await self.put(TEXT), await self.publish(first)):
            self.assertEqual((refused.status, refused.json()["code"]), (412, "draft_changed"))
        self.assertEqual((await self.api.get(f"{CONFIG}/draft")).json()["text"], "temperature: 1\n")

    async def test_writing_says_what_was_read(self) -> None:
        raw = json.dumps({"text": TEXT}).encode()
        for headers in ({}, {"If-Match": "*"}, {"If-Match": '""'}, {"If-None-Match": '"x"'}):
            for method, path, body in (
                ("PUT", "draft", raw),
                ("DELETE", "draft", b""),
                ("POST", "publish", b'{"note": "x"}'),
            ):
                answer = await self.api.call(method, f"{CONFIG}/{path}", raw=body, headers=headers)
                self.assertEqual(
                    (answer.status, answer.json()["code"]), (428, "precondition_required")
                )

    async def test_a_member_is_named_as_its_author(self) -> None:
        raw = json.dumps({"text": TEXT}).encode()
        await self.admin.call("PUT", f"{CONFIG}/draft", raw=raw, headers=NEW)
        self.assertEqual(
            (await self.api.get(f"{CONFIG}/draft")).json()["author"], "ann@example.com"
        )

    async def test_the_admins_page_and_the_api_share_one_draft(self) -> None:
        etag = (await self.put(TEXT)).json()["etag"]
        await sync_to_async(self.save_as_staff)("temperature: 1\n", etag)
        self.assertEqual((await self.put(TEXT, etag)).status, 412)

    def save_as_staff(self, text: str, seen: str) -> None:
        with platform_context():
            draft = publishing.save_draft(self.instance, text, make_root(), seen=seen)
            self.assertNotEqual(etag_of(draft), seen)


class ValidateTests(ConfigCase):
    async def test_errors_name_line_and_key_and_nothing_is_stored(self) -> None:
        text = "temperature: hot\nmodel: scripted:echo\nfoo: 1\n"
        found = (await self.api.post(f"{CONFIG}/validate", {"text": text})).json()

        self.assertFalse(found["valid"])
        self.assertEqual(
            [(p["file"], p["line"], p["key"]) for p in found["problems"]],
            [(None, 1, "temperature"), (None, 3, "foo")],
        )
        self.assertEqual((await self.api.get(f"{CONFIG}/draft")).status, 404)

    async def test_a_good_text_says_what_it_would_change(self) -> None:
        found = (await self.api.post(f"{CONFIG}/validate", {"text": TEXT})).json()

        self.assertEqual((found["valid"], found["problems"]), (True, []))
        self.assertEqual(
            found["changes"],
            [
                {
                    "key": "system_prompt",
                    "before": "Be brief.",
                    "after": "Be a pirate.",
                    "before_origin": "system_prompt.md",
                    "after_origin": "published",
                }
            ],
        )


class PublishTests(ConfigCase):
    async def test_a_published_draft_is_in_force_and_the_log_names_the_key(self) -> None:
        made = await self.published(TEXT, note="Pirates sell better")

        self.assertEqual(
            (made["number"], made["note"], made["is_newest"]), (1, "Pirates sell better", True)
        )
        self.assertEqual((await self.values())["system_prompt"], ("Be a pirate.", "published"))
        self.assertEqual((await self.api.get(f"{CONFIG}/draft")).status, 404)
        actor = await sync_to_async(self.actor)()
        key = await sync_to_async(row_of)(ApiKey, name="tests")
        self.assertEqual(actor, ("key", str(key.pk)))

    def actor(self) -> tuple[str, str]:
        with platform_context():
            row = AuditEntry.objects.filter(object_type="config_publications").latest("created_at")
            return row.actor_kind, row.actor_id

    async def test_a_note_is_needed(self) -> None:
        etag = (await self.put(TEXT)).json()["etag"]
        for note in ("", " \n", "x" * 2001):
            refused = await self.publish(etag, note)
            self.assertEqual(refused.status, 400)
            self.assertEqual([e["field"] for e in refused.json()["errors"]], ["note"])

    async def test_a_wrong_draft_is_not_published(self) -> None:
        etag = (await self.put("model: scripted:echo\nfoo: 1\n")).json()["etag"]
        refused = await self.publish(etag)

        self.assertEqual((refused.status, refused.json()["code"]), (422, "invalid_configuration"))
        self.assertEqual([(p["line"], p["key"]) for p in refused.json()["problems"]], [(2, "foo")])

    async def test_what_is_in_force_already_is_not_published_again(self) -> None:
        await self.published(TEXT)
        etag = (await self.put(TEXT)).json()["etag"]
        refused = await self.publish(etag)
        self.assertEqual((refused.status, refused.json()["code"]), (409, "nothing_to_publish"))

    async def test_what_somebody_else_published_meanwhile_is_seen_first(self) -> None:
        etag = (await self.put(TEXT)).json()["etag"]
        await sync_to_async(self.by_staff)("temperature: 1\n")
        refused = await self.publish(etag)
        self.assertEqual((refused.status, refused.json()["code"]), (409, "publication_changed"))
        self.assertIn("By staff", refused.json()["detail"])
        self.assertEqual((await self.publish(etag, base=1)).status, 201)

    async def test_a_test_chat_that_did_not_pass_needs_a_reason(self) -> None:
        await sync_to_async(make_saved_chat)(self.instance, name="Greets")
        etag = (await self.put(TEXT)).json()["etag"]
        refused = await self.publish(etag)
        self.assertEqual((refused.status, refused.json()["code"]), (409, "publish_checks_failed"))
        self.assertEqual(
            refused.json()["failures"],
            [{"name": "Greets", "why": "has not been run with this configuration"}],
        )
        made = await self.publish(etag, gate_reason="An emergency")
        self.assertEqual((made.status, made.json()["gate_reason"]), (201, "An emergency"))

    async def test_a_test_key_publishes_nothing(self) -> None:
        etag = (await self.put(TEXT)).json()["etag"]
        test = await sync_to_async(self.client_with)(mode=KeyMode.TEST)
        answer = await test.post(f"{CONFIG}/publish", {"note": "x"}, headers={"If-Match": etag})
        self.assertEqual(answer.status, 403)
        self.assertEqual((await test.get(CONFIG)).status, 200)


class VersionTests(ConfigCase):
    async def test_versions_are_listed_and_shown_with_their_text(self) -> None:
        for number in range(3):
            await self.published(f"temperature: {number}.5\n" if number < 2 else TEXT, f"n{number}")
        first = (await self.api.get(f"{CONFIG}/versions", limit=2)).json()
        rest = (await self.api.get(f"{CONFIG}/versions", cursor=first["next_cursor"])).json()

        self.assertEqual([row["number"] for row in first["data"]], [3, 2])
        self.assertEqual([row["is_newest"] for row in first["data"]], [True, False])
        self.assertEqual([row["note"] for row in rest["data"]], ["n0"])
        self.assertEqual((rest["has_more"], rest["next_cursor"]), (False, None))
        shown = (await self.api.get(f"{CONFIG}/versions/2")).json()
        self.assertEqual((shown["text"], shown["note"]), ("temperature: 1.5\n", "n1"))
        for none in ("4", "0", "02", "x", "9" * 30):
            self.assertEqual((await self.api.get(f"{CONFIG}/versions/{none}")).status, 404)

    async def test_two_versions_and_the_draft_are_compared(self) -> None:
        await self.published("temperature: 0.5\n")
        await self.published(TEXT)
        found = (await self.api.get(f"{CONFIG}/diff", **{"from": "1", "to": "2"})).json()
        self.assertEqual((found["from"], found["to"]), ("1", "2"))
        self.assertEqual(
            {(c["key"], c["before"], c["after"]) for c in found["changes"]},
            {("temperature", "0.5", ""), ("system_prompt", "Be brief.", "Be a pirate.")},
        )
        self.assertIn("-temperature: 0.5\n+system_prompt: Be a pirate.", found["text"])
        self.assertEqual((await self.api.get(f"{CONFIG}/diff")).status, 404)
        await self.put("temperature: hot\n")
        found = (await self.api.get(f"{CONFIG}/diff")).json()
        self.assertEqual((found["from"], found["to"], found["changes"]), ("published", "draft", []))
        self.assertEqual([p["key"] for p in found["problems"]], ["temperature"])
        for wrong in ("0", "drafts", "01", ""):
            answer = await self.api.get(f"{CONFIG}/diff", to=wrong)
            self.assertEqual([e["field"] for e in answer.json()["errors"]], ["to"])

    async def test_rolling_back_publishes_an_earlier_text_again(self) -> None:
        await self.published("temperature: 0.5\n")
        await self.published(TEXT)
        back = await self.api.post(f"{CONFIG}/rollback", {"version": 1, "note": "Too many parrots"})
        self.assertEqual((back.status, back.json()["number"], back.json()["restores"]), (201, 3, 1))
        self.assertEqual((await self.values())["temperature"], (0.5, "published"))
        files = await self.api.post(f"{CONFIG}/rollback", {"version": 0, "note": "Start over"})
        self.assertEqual(files.json()["restores"], 0)
        self.assertEqual((await self.values())["temperature"], (None, "default"))

    async def test_a_roll_back_is_refused_where_it_cannot_be_meant(self) -> None:
        await self.published(TEXT)
        for body, status, code in (
            ({"version": 9, "note": "x"}, 400, "invalid_request"),
            ({"version": 0, "note": " "}, 400, "invalid_request"),
            ({"version": -1, "note": "x"}, 400, "invalid_request"),
            ({"version": 0, "note": "x", "base": 0}, 409, "publication_changed"),
            ({"version": 1, "note": "x"}, 409, "nothing_to_publish"),
        ):
            answer = await self.api.post(f"{CONFIG}/rollback", body)
            self.assertEqual((answer.status, answer.json()["code"]), (status, code), body)


class WhoseTests(ConfigCase):
    async def test_another_accounts_agent_is_as_one_that_there_is_not(self) -> None:
        await sync_to_async(self.make_others)()
        confined = await sync_to_async(self.client_with)(instance_ids=[self.second.pk])
        for client, slug in ((self.api, "theirs"), (self.api, "nobody"), (confined, "bot")):
            for method, path, raw in (
                ("GET", "", b""),
                ("GET", "/draft", b""),
                ("GET", "/versions", b""),
                ("PUT", "/draft", b'{"text": ""}'),
                ("POST", "/validate", b'{"text": ""}'),
                ("POST", "/publish", b'{"note": "x"}'),
                ("POST", "/rollback", b'{"version": 0, "note": "x"}'),
            ):
                with self.subTest(slug=slug, path=path):
                    at = f"/accounts/acme/agents/{slug}/config{path}"
                    answer = await client.call(method, at, raw=raw, headers=NEW)
                    self.assertEqual((answer.status, answer.json()["code"]), (404, "not_found"))

    def make_others(self) -> None:
        make_instance(make_account("beta"), "theirs")
        self.second = make_instance(self.account, "second")

    async def test_an_inactive_agent_is_configured_before_it_is_active(self) -> None:
        raw = b'{"status": "inactive"}'
        await self.api.call("PATCH", "/accounts/acme/agents/bot", raw=raw)
        clear_caches()
        await self.published(TEXT)
        found = (await self.api.get(CONFIG)).json()
        self.assertEqual((found["status"], found["can_answer"]), ("inactive", False))
