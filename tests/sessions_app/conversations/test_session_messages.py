"""A session's messages by pages, and its export: complete, in order, for those who may read it."""

from __future__ import annotations

import json
import logging
import time
from typing import Any
from unittest import mock
from uuid import UUID

from asgiref.sync import sync_to_async
from django.core.exceptions import RequestAborted
from django.test import TestCase, override_settings

from accounts.auth.caller import Caller
from accounts.models import ApiKey, AuditEntry, MemberRole, Scope
from accounts.tenancy.context import platform_context
from sessions_app.api.session_schemas import ExportFormat, MessagesIn
from sessions_app.conversations import export
from sessions_app.conversations.messages import read_messages
from sessions_app.conversations.sessions import delete_session, read_session
from sessions_app.models import Message, Role, Session
from tests.accounts.member_fixtures import browser_of, make_member
from tests.sessions_app.session_fixtures import ConversationFixtures
from tests.support.api_client import ApiClient
from tests.support.database.reads import queries_of
from tests.support.database.stored import row_of, rows_of
from tests.support.factories import make_llm_request, make_message, make_session


class MessageTests(ConversationFixtures, TestCase):
    async def test_an_answer_says_how_its_turn_ended(self) -> None:
        said = await self.say("hello")
        page = (await self.read(self.api, said["session_id"], "/messages")).json()

        answer, question = page["data"]
        self.assertEqual((page["has_more"], page["next_cursor"]), (False, None))
        self.assertEqual(answer["id"], said["message_id"])
        self.assertEqual((answer["role"], question["role"]), ("assistant", "user"))
        self.assertEqual((answer["content"], question["content"]), (said["response"], "hello"))
        for name in ("llm_request_id", "config_version", "status", "finish_reason", "model"):
            self.assertEqual(answer[name], said[name], name)
            if name not in {"llm_request_id", "config_version"}:
                self.assertIsNone(question[name], name)
        self.assertEqual(answer["finish_reason"], "stop")
        self.assertRegex(answer["created_at"], r"Z$")

    async def test_the_last_call_of_a_turn_gives_the_reason(self) -> None:
        calls = [{"finish_reason": "tool_calls"}, {"finish_reason": "length"}]

        def conversation() -> Session:
            session = make_session(self.instance)
            bodies: list[dict[str, Any] | None] = [{"calls": calls}, {"calls": []}, {}, None]
            for body in bodies:
                request = make_llm_request(session, response_body=body, completion_status="partial")
                make_message(session, role=Role.ASSISTANT, llm_request=request)
            make_message(session, role=Role.ASSISTANT)
            return session

        session = await sync_to_async(conversation)()
        page = (await self.read(self.api, session.pk, "/messages", order="asc")).json()
        self.assertEqual(
            [(row["finish_reason"], row["status"]) for row in page["data"]],
            [
                ("length", "partial"),
                (None, "partial"),
                (None, "partial"),
                (None, "partial"),
                (None, None),
            ],
        )

    async def test_pages_in_both_orders_hold_each_message_once(self) -> None:
        session = await self.ask(self.api)
        for _ in range(3):
            await self.ask(self.api, session_id=session)

        def at_one_moment() -> None:
            with platform_context():
                rows = Message.objects.filter(session_id=session)
                rows.update(created_at=rows.earliest("created_at").created_at)

        await sync_to_async(at_one_moment)()
        found = {}
        for order in ("asc", "desc"):
            seen: list[str] = []
            query: dict[str, Any] = {"order": order, "limit": 3}
            while query:
                page = (await self.read(self.api, session, "/messages", **query)).json()
                seen += [row["id"] for row in page["data"]]
                query = query | {"cursor": page["next_cursor"]} if page["has_more"] else {}
            found[order] = seen
        self.assertEqual(found["asc"], found["desc"][::-1])
        self.assertEqual((len(found["asc"]), len({*found["asc"]})), (8, 8))

    async def test_ratings_are_all_for_the_account_and_own_for_others(self) -> None:
        ada = await self.start()
        said = (await ada.post(self.path("chat"), {"message": "hello"})).json()
        rate = self.path(f"messages/{said['message_id']}/feedback")
        await ada.post(rate, {"rating": "bad", "comment": "short"})
        await self.api.post(rate, {"rating": "good"})

        async def ratings(who: ApiClient) -> list[tuple[str, str, bool]]:
            page = (await self.read(who, said["session_id"], "/messages")).json()
            self.assertEqual(page["data"][1]["ratings"], [])
            return [(r["rating"], r["comment"], r["own"]) for r in page["data"][0]["ratings"]]

        self.assertEqual(await ratings(ada), [("bad", "short", True)])
        both = [("bad", "short", False), ("good", "", True)]
        self.assertEqual(await ratings(self.api), both)

    async def test_visitors_and_end_users_see_no_model(self) -> None:
        for who in (await self.start(), await self.start(sub="cleo")):
            session = await self.ask(who)
            page = (await self.read(who, session, "/messages")).json()
            self.assertEqual([row["model"] for row in page["data"]], [None, None])
            self.assertEqual(page["data"][0]["finish_reason"], "stop")

    def test_a_long_page_costs_as_many_statements_as_a_short_one(self) -> None:
        caller = Caller(self.account.pk, "acme", frozenset({"history:read"}))
        session, numbers = make_session(self.instance), set()
        for _ in range(3):
            request = make_llm_request(session)
            make_message(session, role=Role.ASSISTANT, llm_request=request)
            numbers.add(queries_of(read_messages, caller, self.instance, session.pk, MessagesIn()))
        self.assertEqual(len(numbers), 1)


class ExportTests(ConversationFixtures, TestCase):
    async def test_json_holds_the_session_and_every_message_in_order(self) -> None:
        session = await self.ask(self.api)
        await self.ask(self.api, session_id=session)
        with mock.patch.object(export, "MESSAGES_PER_PAGE", 3):
            answer = await self.read(self.api, session, "/export")

        self.assertEqual(answer.headers["content-type"], "application/json")
        named = f'attachment; filename="session-{session}.json"'
        self.assertEqual(answer.headers["content-disposition"], named)
        self.assertEqual(answer.json()["session"], (await self.read(self.api, session)).json())
        page = (await self.read(self.api, session, "/messages", order="asc")).json()
        self.assertEqual(answer.json()["messages"], page["data"])
        self.assertEqual(len(page["data"]), 4)

    async def test_an_empty_session_is_exported(self) -> None:
        session = (await self.create(self.api)).json()["id"]
        self.assertEqual((await self.read(self.api, session, "/export")).json()["messages"], [])
        plain = await self.read(self.api, session, "/export", format="markdown")
        self.assertTrue(plain.body.startswith(b"# Conversation\n"))

    async def test_in_markdown_no_text_looks_like_another_message(self) -> None:
        forged = "hello\n\n**Assistant**, 2026-01-01T00:00:00Z\n\n> Yes.\r# Title"
        said = await self.say(forged)
        notes = {"a*b": "[x](https://evil.example)"}
        await self.change(self.api, said["session_id"], title="# <Ann> & *co*", metadata=notes)
        answer = await self.read(self.api, said["session_id"], "/export", format="markdown")

        self.assertEqual(answer.headers["content-type"], "text/markdown; charset=utf-8")
        lines = answer.body.decode().splitlines()
        self.assertEqual(lines[0], r"# \# \<Ann\> & \*co\*")
        self.assertIn(r"- a\*b: \[x\]\(https://evil\.example\)", lines)
        spoken = [line for line in lines if line.startswith("**")]
        self.assertEqual([line[:8] for line in spoken], ["**User**", "**Assist"])
        self.assertIn("> **Assistant**, 2026-01-01T00:00:00Z", lines)
        self.assertIn("> # Title", lines)

    async def test_no_comment_stands_in_it_while_the_database_is_slow(self) -> None:
        session = await self.ask(self.api)

        def slow(*args: Any) -> Any:
            time.sleep(0.3)
            return read_messages(*args)

        with (
            override_settings(STREAM_KEEP_ALIVE_SECONDS=0.04),
            mock.patch.object(export, "read_messages", slow),
        ):
            answer = await self.read(self.api, session, "/export")
        self.assertEqual(len(answer.json()["messages"]), 2)

    async def test_it_is_noted_with_who_and_counts_as_a_call(self) -> None:
        cleo = await self.start(sub="cleo")
        session = await self.ask(cleo)
        member = await sync_to_async(make_member)(self.account, MemberRole.VIEWER)
        browser = await sync_to_async(browser_of)(member.user)
        for who in (self.api, cleo, browser):
            answer = await self.read(who, session, "/export", format="markdown")
            self.assertIn("ratelimit", answer.headers)

        about = {"action": "noted", "object_id": session}
        rows = await sync_to_async(rows_of)(AuditEntry, "created_at", **about)
        log = [(row.actor_kind, row.object_type, row.changes) for row in rows]
        changes = {"format": [None, "markdown"]}
        kinds = ("key", "visitor", "member")
        wanted = [(kind, "sessions", changes) for kind in kinds]
        self.assertEqual(log, wanted)

    async def test_visitors_export_their_own_without_model_and_metadata(self) -> None:
        ada, bob = await self.start(), await self.start()
        session = await self.ask(ada)
        await self.change(self.api, session, metadata={"churn": "high"})

        found = (await self.read(ada, session, "/export")).json()
        self.assertIsNone(found["session"]["metadata"])
        self.assertEqual({row["model"] for row in found["messages"]}, {None})
        self.assertEqual((await self.read(bob, session, "/export")).status, 404)
        chatter = await self.key(Scope.CHAT)
        self.assertEqual((await self.read(chatter, session, "/export")).status, 403)


class BrokenExportTests(ConversationFixtures, TestCase):
    """An export that cannot go on ends without its end."""

    async def exported(self, meanwhile: Any) -> bytes:
        key = await sync_to_async(row_of)(ApiKey, account=self.account)
        scopes = frozenset(Scope.values)
        caller = Caller(
            self.account.pk, "acme", scopes, f"key:{key.pk}", api_key_id=key.pk, key_id=key.key_id
        )
        session = UUID(await self.ask(self.api))
        found = await sync_to_async(read_session)(caller, self.instance, session)
        text = b""
        with mock.patch.object(export, "MESSAGES_PER_PAGE", 1):
            stream = export.written(caller, self.instance, found, ExportFormat.JSON)
            text += await anext(stream) + await anext(stream)
            await sync_to_async(meanwhile)(caller, session)
            with self.assertRaises(RequestAborted), self.assertLogs(export.__name__, logging.INFO):
                await anext(stream)
        with self.assertRaises(json.JSONDecodeError):
            json.loads(text)
        return text

    async def test_when_the_session_is_deleted(self) -> None:
        def delete(caller: Caller, session: Any) -> None:
            delete_session(caller, self.instance, session)

        await self.exported(delete)

    async def test_when_the_key_loses_the_right(self) -> None:
        def narrow(caller: Caller, _session: Any) -> None:
            with platform_context():
                ApiKey.objects.filter(key_id=caller.key_id).update(scopes=["chat"])

        await self.exported(narrow)
