"""Which conversations a caller lists, and what is left of a deleted one."""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async
from django.db import connection
from django.http import HttpResponse
from django.test import TestCase, TransactionTestCase

from accounts.auth import visitor_tokens
from accounts.auth.caller import Caller
from accounts.models import Scope
from accounts.tenancy.context import platform_context, tenant_context
from salient.api.problems import NotFound
from sessions_app.api.session_schemas import SessionsIn
from sessions_app.conversations.history import own_session
from sessions_app.conversations.session_list import list_sessions
from sessions_app.conversations.sessions import leave_tombstone
from sessions_app.inputs.turn_input import TurnInput
from sessions_app.models import LLMRequest, Profile, Session
from sessions_app.turns import turn as turns
from tests.sessions_app.session_fixtures import ConversationFixtures
from tests.support.api_client import ApiClient
from tests.support.database.reads import queries_of
from tests.support.factories import (
    make_account,
    make_instance,
    make_llm_request,
    make_message,
    make_profile,
    make_session,
    make_user,
)
from tests.support.fixtures import AgentFixtures, stored


class ListTests(ConversationFixtures, TestCase):
    async def test_each_sees_their_own(self) -> None:
        ada, bob, cleo = await self.start(), await self.start(), await self.start(sub="cleo")
        adas, bobs = await self.ask(ada), await self.ask(bob)
        cleos = [await self.ask(cleo), await self.ask(cleo)]
        keys_own = await self.ask(self.api)

        self.assertEqual(await self.listed(ada), [adas])
        self.assertEqual(await self.listed(bob), [bobs])
        self.assertEqual(await self.listed(cleo), cleos[::-1])
        self.assertEqual(await self.listed(await self.start(sub="dora")), [])
        self.assertEqual(await self.listed(self.api), [keys_own, *cleos[::-1], bobs, adas])

    async def test_a_first_party_visitor_sees_its_own(self) -> None:
        response = HttpResponse()
        visitor_tokens.set_cookie(response, "acme", "bot")
        cookie = response.cookies.output(header="", attrs=[]).strip()
        ada = ApiClient(headers={"cookie": cookie, "sec-fetch-site": "same-origin"})
        await self.ask(self.api)
        adas = await self.ask(ada)

        self.assertEqual(await self.listed(ada), [adas])
        ada.headers["sec-fetch-site"] = "cross-site"
        self.assertEqual((await ada.get(self.path("sessions"))).status, 403)
        self.assertEqual((await self.delete(ada, adas)).status, 403)

    async def test_a_listed_session_has_these_fields(self) -> None:
        session = await self.ask(await self.start(sub="cleo"))
        answer = await self.api.get(self.path("sessions"))

        [row] = answer.json()["sessions"]
        self.assertEqual((row["session_id"], row["end_user"]), (session, "cleo"))
        self.assertEqual(
            {name: row[name] for name in ("title", "status", "metadata", "closed_at")},
            {"title": None, "status": "open", "metadata": {}, "closed_at": None},
        )
        self.assertEqual((row["id"], row["turn_count"]), (session, 1))
        self.assertRegex(row["created_at"], r"^\d{4}-\d\d-\d\dT[\d:.]+Z$")
        self.assertEqual(answer.json()["data"], answer.json()["sessions"])

    async def test_pages_hold_each_conversation_once(self) -> None:
        sessions = [await self.ask(self.api) for _ in range(5)]

        def at_one_moment() -> None:
            with platform_context():
                Session.objects.filter(pk__in=sessions[:4]).update(
                    last_activity_at=Session.objects.get(pk=sessions[0]).last_activity_at
                )

        await sync_to_async(at_one_moment)()
        seen: list[str] = []
        query: dict[str, Any] = {"limit": 2}
        while True:
            page = (await self.api.get(self.path("sessions"), **query)).json()
            seen += [row["session_id"] for row in page["sessions"]]
            if page["before"] is None:
                break
            query["before"] = page["before"]
        self.assertEqual(sorted(seen), sorted(sessions))
        self.assertEqual(seen[0], sessions[4])

    def test_a_long_list_costs_as_many_statements_as_a_short_one(self) -> None:
        caller = Caller(self.account.pk, "acme", frozenset({"history:read"}))
        numbers = set()
        for _ in range(2):
            make_session(self.instance)
            make_session(self.instance)
            numbers.add(queries_of(list_sessions, caller, self.instance, SessionsIn()))
        self.assertEqual(len(numbers), 1)

    async def test_other_instances_and_accounts_stay_out(self) -> None:
        def others() -> None:
            make_session(make_instance(self.account, "second"))
            make_session(make_instance(make_account("beta"), "bot"), end_user="cleo")

        await sync_to_async(others)()
        self.assertEqual(await self.listed(self.api), [])
        self.assertEqual(await self.listed(await self.start(sub="cleo")), [])

    async def test_needs_the_scope(self) -> None:
        chatter = await self.key(Scope.CHAT)
        self.assertEqual((await chatter.get(self.path("sessions"))).status, 403)

    async def test_invalid_queries_are_refused(self) -> None:
        for query in (
            {"limit": 0},
            {"limit": 201},
            {"before": "x"},
            {"before": "2026-01-01T00:00:00.000000_x"},
            {"created_from": "2026-01-02", "created_to": "2026-01-01"},
            {"status": "shut"},
            {"q": " "},
        ):
            answer = await self.api.get(self.path("sessions"), **query)
            self.assertEqual(answer.status, 400, query)


class DeleteTests(ConversationFixtures, TestCase):
    async def test_visitors_and_end_users_delete_their_own(self) -> None:
        for who in (await self.start(), await self.start(sub="cleo")):
            session = await self.ask(who)
            self.assertEqual((await self.delete(who, session)).status, 204)
            self.assertEqual(await self.listed(who), [])
            self.assertEqual((await self.delete(who, session)).status, 404)
            history = await who.get(self.path("history"), session_id=session)
            self.assertEqual(history.status, 404)

    async def test_a_visitor_then_begins_anew(self) -> None:
        ada = await self.start()
        old = await self.ask(ada)
        await self.delete(ada, old)
        new = await ada.post(self.path("chat"), {"message": "do you remember?"})

        self.assertNotEqual(new.json()["session_id"], old)
        self.assertNotIn("earlier message", new.json()["response"])

    async def test_a_key_needs_the_scope(self) -> None:
        session = await self.ask(self.api)
        reader = await self.key(Scope.CHAT, Scope.HISTORY_READ)
        self.assertEqual((await self.delete(reader, session)).status, 403)
        eraser = await self.key(Scope.HISTORY_DELETE)
        self.assertEqual((await self.delete(eraser, session)).status, 204)

    async def test_nobody_elses_not_this_instances_and_no_sessions_are_one_answer(self) -> None:
        def others() -> list[Session]:
            beta = make_instance(make_account("beta"), "bot")
            return [make_session(beta), make_session(make_instance(self.account, "second"))]

        foreign = await sync_to_async(others)()
        unknown = await self.delete(self.api, "00000000-0000-7000-8000-000000000000")
        self.assertEqual(unknown.status, 404)
        for session in (*(row.pk for row in foreign), "x", "00000000"):
            answer = await self.delete(self.api, session)
            self.assertEqual((answer.status, answer.body), (404, unknown.body))
            self.assertEqual(answer.headers, unknown.headers)

    async def test_while_an_answer_is_written_nothing_is_deleted(self) -> None:
        def running() -> Session:
            session = make_session(self.instance)
            make_llm_request(session, completion_status="running")
            make_message(session)
            return session

        session = await sync_to_async(running)()
        answer = await self.delete(self.api, session.pk)
        self.assertEqual((answer.status, answer.json()["code"]), (409, "turn_in_progress"))
        messages, _ = await sync_to_async(stored)(session.pk)
        self.assertEqual(len(messages), 1)

    async def test_nothing_personal_is_left_and_every_cent_is(self) -> None:
        canary = "Canary 4711"

        def conversation() -> tuple[Session, LLMRequest]:
            session = make_session(
                self.instance,
                session_key=canary,
                email=canary,
                title=canary,
                meta={"name": canary},
                end_user=canary,
                user=make_user(),
                is_anonymous=False,
            )
            request = make_llm_request(
                session,
                prompt_tokens=3,
                completion_tokens=4,
                total_tokens=7,
                total_cost=Decimal("0.00012345"),
                cost_source="reported",
                request_body={"messages": canary},
                response_body={"choices": canary},
                caller=canary,
                idempotency_key=canary,
                idempotency_hash=canary,
            )
            make_message(session, llm_request=request, content=canary, meta={"note": canary})
            make_profile(session, customer_name=canary)
            return session, request

        session, request = await sync_to_async(conversation)()
        self.assertEqual((await self.delete(self.api, session.pk)).status, 204)

        def left() -> tuple[str, LLMRequest, int]:
            with platform_context():
                rows = [*Session.objects.values(), *LLMRequest.objects.values()]
                return str(rows), LLMRequest.objects.get(pk=request.pk), Profile.objects.count()

        rows, after, profiles = await sync_to_async(left)()
        messages, _ = await sync_to_async(stored)()
        self.assertEqual((messages, profiles), ([], 0))
        self.assertNotIn(canary, rows)
        self.assertNotIn("'user_id': UUID", rows)
        self.assertEqual(
            (after.prompt_tokens, after.completion_tokens, after.total_tokens, after.total_cost),
            (3, 4, 7, Decimal("0.00012345")),
        )
        self.assertEqual(after.cost_source, "reported")
        self.assertEqual(after.session_id, session.pk)

    async def test_the_conversation_beside_it_stays(self) -> None:
        mine, other = await self.ask(self.api), await self.ask(self.api)
        await self.delete(self.api, mine)

        messages, _ = await sync_to_async(stored)(other)
        self.assertEqual(len(messages), 2)
        self.assertEqual(await self.listed(self.api), [other])


class RaceTests(AgentFixtures, TransactionTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.caller = Caller(self.account.pk, "acme", frozenset(Scope.values), "key:test")
        self.session = make_session(self.instance)
        self.caught: list[BaseException] = []

    def ask(self) -> None:
        try:
            message = TurnInput(message="too late", session_id=self.session.pk)
            async_to_sync(turns.begin_new)(self.caller, self.instance, message, stream=True)
        except BaseException as error:
            self.caught.append(error)
        finally:
            connection.close()

    def test_a_message_that_meets_a_deletion_is_stored_nowhere(self) -> None:
        asking = threading.Thread(target=self.ask)
        with tenant_context(self.account.pk):
            session = own_session(self.caller, self.instance, self.session.pk, lock=True)
            leave_tombstone(session)
            asking.start()
            while not waiting_for_a_lock():
                asking.join(0.01)
                self.assertTrue(asking.is_alive(), self.caught)
        asking.join(10)

        self.assertEqual([type(error) for error in self.caught], [NotFound])
        self.assertEqual(stored(), ([], []))


def waiting_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) "
            "WHERE NOT granted AND datname = current_database()"
        )
        return bool(cursor.fetchone()[0])
