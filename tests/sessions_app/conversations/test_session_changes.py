"""Sessions as resources: made without a message, read, renamed, annotated, closed and reopened."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async
from django.test import TestCase

from accounts.auth.staff_tokens import new_token, write_token
from accounts.models import AuditEntry, MemberRole, Scope
from sessions_app.models import CompletionStatus, LLMRequest, Session
from tests.accounts.member_fixtures import browser_of, make_member
from tests.sessions_app.session_fixtures import ConversationFixtures
from tests.support.api_client import ApiClient
from tests.support.database.stored import row_of, rows_of
from tests.support.factories import (
    make_account,
    make_hold,
    make_instance,
    make_limits,
    make_llm_request,
    make_session,
)
from tests.support.fixtures import counts
from tests.support.people import make_staff

LONG = {str(number): "x" for number in range(17)}


class CreateTests(ConversationFixtures, TestCase):
    async def test_a_key_makes_one_with_title_metadata_and_end_user(self) -> None:
        notes = {"ticket": "4711"}
        made = await self.create(self.api, title=" Rabbits ", metadata=notes, end_user="cleo")

        self.assertEqual(made.status, 201, made.body)
        row = made.json()
        self.assertEqual(
            (row["title"], row["metadata"], row["end_user"]), ("Rabbits", notes, "cleo")
        )
        self.assertEqual((row["status"], row["turn_count"]), ("open", 0))
        self.assertEqual((await self.read(self.api, row["id"])).json(), row)
        self.assertIn("ratelimit", made.headers)

    async def test_a_message_goes_on_with_it_and_the_end_user_sees_it(self) -> None:
        session = (await self.create(self.api, end_user="cleo")).json()["id"]
        cleo = await self.start(sub="cleo")

        self.assertEqual(await self.ask(cleo, session_id=session), session)
        self.assertEqual(await self.listed(cleo), [session])
        self.assertEqual(await self.listed(await self.start(sub="dora")), [])

    async def test_an_empty_body_is_enough(self) -> None:
        made = await self.api.post(self.path("sessions"), b"")
        self.assertEqual((made.status, made.json()["title"]), (201, None))

    async def test_an_end_user_makes_their_own_and_sets_neither_owner_nor_metadata(self) -> None:
        cleo = await self.start(sub="cleo")
        made = await self.create(cleo, title="Mine")

        self.assertEqual((made.status, made.json()["end_user"]), (201, "cleo"))
        self.assertIsNone(made.json()["metadata"])
        for body in ({"end_user": "dora"}, {"end_user": "cleo"}, {"metadata": {"a": "b"}}):
            self.assertEqual((await self.create(cleo, **body)).status, 403, body)
        self.assertEqual(len(await self.listed(self.api)), 1)

    async def test_visitors_and_staff_begin_with_a_message(self) -> None:
        staff = await sync_to_async(make_staff)()
        token = write_token(new_token(staff, self.account.pk, self.instance.pk))
        for who in (await self.start(), ApiClient(token)):
            self.assertEqual((await self.create(who)).status, 403)
        self.assertEqual((await sync_to_async(counts)())[0], 0)

    async def test_a_member_makes_one_but_names_no_end_user(self) -> None:
        member = await sync_to_async(make_member)(self.account, MemberRole.MEMBER)
        browser = await sync_to_async(browser_of)(member.user)

        self.assertEqual((await self.create(browser, metadata={"a": "b"})).status, 201)
        self.assertEqual((await self.create(browser, end_user="cleo")).status, 403)

    async def test_what_cannot_be_stored_is_refused_by_name(self) -> None:
        for field, value in (
            ("title", " "),
            ("title", "x" * 201),
            ("title", "a\x00"),
            ("title", "a\nb"),
            ("end_user", ""),
            ("end_user", " cleo"),
            ("end_user", "x" * 256),
            ("metadata", LONG),
            ("metadata", {"": "x"}),
            ("metadata", {"x" * 65: "x"}),
            ("metadata", {"x": "x" * 513}),
            ("metadata", {"x": "\x00"}),
            ("metadata", {"x": 1}),
            ("status", "closed"),
        ):
            answer = await self.create(self.api, **{field: value})
            self.assertEqual(answer.status, 400, (field, value))
            [error] = answer.json()["errors"]
            self.assertTrue(error["field"].startswith(field), error)

    async def test_making_counts_as_a_call(self) -> None:
        await sync_to_async(make_limits)(self.account, writes_per_minute=4)
        statuses = [(await self.create(self.api)).status for _ in range(8)]
        self.assertIn(429, statuses)
        self.assertEqual((await sync_to_async(counts)())[0], statuses.count(201))


class ChangeTests(ConversationFixtures, TestCase):
    async def test_only_what_is_named_is_changed_and_null_removes(self) -> None:
        session = (await self.create(self.api, title="Old", metadata={"a": "b"})).json()["id"]

        renamed = await self.change(self.api, session, title="New")
        self.assertEqual(renamed.status, 200, renamed.body)
        self.assertEqual((renamed.json()["title"], renamed.json()["metadata"]), ("New", {"a": "b"}))
        noted = await self.change(self.api, session, metadata={"c": "d"})
        self.assertEqual((noted.json()["title"], noted.json()["metadata"]), ("New", {"c": "d"}))
        emptied = await self.change(self.api, session, title=None, metadata=None)
        self.assertEqual((emptied.json()["title"], emptied.json()["metadata"]), (None, {}))
        self.assertEqual((await self.change(self.api, session)).json(), emptied.json())

    async def test_a_hold_keeps_title_and_metadata(self) -> None:
        session = (await self.create(self.api, title="Old")).json()["id"]

        def hold() -> None:
            row = row_of(Session, pk=session)
            make_hold(row)

        await sync_to_async(hold)()
        refused = await self.change(self.api, session, title="New")
        self.assertEqual((refused.status, refused.json()["code"]), (409, "legal_hold"))
        changed = await self.change(
            self.api, session, title="Old", metadata={"a": "b"}, status="closed"
        )
        self.assertEqual((changed.status, changed.json()["metadata"]), (200, {"a": "b"}))
        self.assertEqual((await self.change(self.api, session, metadata=None)).status, 409)

    async def test_visitors_and_end_users_rename_their_own_and_see_no_metadata(self) -> None:
        for who in (await self.start(), await self.start(sub="cleo")):
            session = await self.ask(who)
            await self.change(self.api, session, metadata={"churn": "high"})

            renamed = await self.change(who, session, title="Mine")
            self.assertEqual((renamed.status, renamed.json()["title"]), (200, "Mine"))
            for found in (renamed, await self.read(who, session)):
                self.assertIsNone(found.json()["metadata"])
            for notes in ({"a": "b"}, None):
                self.assertEqual((await self.change(who, session, metadata=notes)).status, 403)
            kept = (await self.read(self.api, session)).json()
            self.assertEqual(kept["metadata"], {"churn": "high"})

    async def test_the_audit_log_says_who_and_keeps_no_text(self) -> None:
        session = await self.ask(self.api)
        await self.change(self.api, session, title="Secret title", metadata={"a": "Secret note"})
        await self.change(self.api, session, status="closed")
        await self.delete(self.api, session)

        about = {"object_type": "sessions", "object_id": session}
        entries = await sync_to_async(rows_of)(AuditEntry, "created_at", **about)
        changed = [set(entry.changes) for entry in entries]
        self.assertEqual(
            changed,
            [{"title", "meta"}, {"closed_at"}, {"title", "meta", "closed_at", "deleted_at"}],
        )
        self.assertEqual({entry.actor_kind for entry in entries}, {"key"})
        self.assertNotIn("Secret", str([entry.changes for entry in entries]))

    async def test_it_does_not_move_in_the_list(self) -> None:
        first, second = await self.ask(self.api), await self.ask(self.api)
        await self.change(self.api, first, title="First")
        self.assertEqual(await self.listed(self.api), [second, first])

    async def test_needs_the_right_and_a_session_of_ones_own(self) -> None:
        session = await self.ask(self.api)
        reader = await self.key(Scope.HISTORY_READ)
        self.assertEqual((await self.change(reader, session, title="x")).status, 403)
        self.assertEqual((await self.create(reader)).status, 403)
        chatter = await self.key(Scope.CHAT)
        self.assertEqual((await self.read(chatter, session)).status, 403)

        def others() -> list[Session]:
            beta = make_instance(make_account("beta"), "bot")
            return [make_session(beta), make_session(make_instance(self.account, "second"))]

        ada = await self.start()
        foreign = [row.pk for row in await sync_to_async(others)()]
        unknown = "00000000-0000-7000-8000-000000000000"
        for who, hidden in ((self.api, [*foreign, unknown, "x"]), (ada, [session, unknown])):
            answers = [await self.change(who, each, title="x") for each in hidden]
            answers += [await self.read(who, each) for each in hidden]
            self.assertEqual({answer.status for answer in answers}, {404})
            self.assertEqual({answer.body for answer in answers}, {answers[0].body})
            self.assertEqual(answers[0].json()["what"], "session")


class CloseTests(ConversationFixtures, TestCase):
    async def close(self, session: object, status: str = "closed") -> None:
        answer = await self.change(self.api, session, status=status)
        self.assertEqual((answer.status, answer.json()["status"]), (200, status))

    async def said(self, who: ApiClient, **body: Any) -> tuple[int, str]:
        answer = await who.post(self.path("chat"), {"message": "more", **body})
        return answer.status, str(answer.json().get("code"))

    async def test_a_closed_one_takes_no_message_and_a_reopened_one_does(self) -> None:
        session = await self.ask(self.api)
        await self.close(session)
        before = await sync_to_async(counts)()

        self.assertEqual(await self.said(self.api, session_id=session), (409, "session_closed"))
        stream = await self.api.post(self.path("stream"), {"message": "x", "session_id": session})
        self.assertEqual((stream.status, stream.json()["code"]), (409, "session_closed"))
        self.assertEqual(await sync_to_async(counts)(), before)
        await self.close(session, "open")
        self.assertEqual((await self.said(self.api, session_id=session))[0], 200)

    async def test_it_is_still_read_and_rated_and_keeps_the_moment(self) -> None:
        said = await self.say("hello")
        session = said["session_id"]
        await self.close(session)
        first = (await self.read(self.api, session)).json()["closed_at"]
        await self.close(session)

        self.assertIsNotNone(first)
        self.assertEqual((await self.read(self.api, session)).json()["closed_at"], first)
        self.assertEqual((await self.read(self.api, session, "/messages")).status, 200)
        rate = self.path(f"messages/{said['message_id']}/feedback")
        self.assertEqual((await self.api.post(rate, {"rating": "good"})).status, 200)

    async def test_visitors_and_end_users_close_and_do_not_reopen(self) -> None:
        for who in (await self.start(), await self.start(sub="cleo")):
            session = await self.ask(who)
            self.assertEqual((await self.change(who, session, status="closed")).status, 200)
            self.assertEqual(await self.said(who, session_id=session), (409, "session_closed"))
            self.assertEqual((await self.change(who, session, status="open")).status, 403)

    async def test_a_visitor_goes_on_after_deleting_the_closed_one(self) -> None:
        ada = await self.start()
        session = await self.ask(ada)
        await self.close(session)

        self.assertEqual(await self.said(ada), (409, "session_closed"))
        self.assertEqual((await self.delete(ada, session)).status, 204)
        self.assertNotEqual(await self.ask(ada), session)

    async def test_a_key_that_came_before_has_its_answer_after_the_end(self) -> None:
        sent = {"message": "hello"}
        key = {"idempotency-key": "one"}
        first = await self.api.post(self.path("chat"), sent, headers=key)
        session = first.json()["session_id"]
        sent = {"message": "again", "session_id": session}
        second = await self.api.post(self.path("chat"), sent, headers={"idempotency-key": "two"})
        await self.close(session)

        again = await self.api.post(self.path("chat"), sent, headers={"idempotency-key": "two"})
        self.assertEqual((again.status, again.json()), (200, second.json()))
        new = await self.api.post(self.path("chat"), sent, headers={"idempotency-key": "three"})
        self.assertEqual((new.status, new.json()["code"]), (409, "session_closed"))

    async def test_a_turn_that_runs_goes_on_to_its_end(self) -> None:
        session = await sync_to_async(make_session)(self.instance)
        await sync_to_async(make_llm_request)(session, completion_status="running")
        await self.close(session.pk)

        kept = await sync_to_async(row_of)(LLMRequest)
        self.assertEqual(kept.completion_status, CompletionStatus.RUNNING)
