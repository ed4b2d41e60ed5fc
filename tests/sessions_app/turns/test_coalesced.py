"""Turns that come at the same time are opened and settled in batches, as if each came alone."""

from __future__ import annotations

import asyncio
import re
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from asgiref.sync import sync_to_async
from django.db import DatabaseError, connection
from django.test import TestCase, TransactionTestCase, override_settings

from accounts.auth.caller import Caller
from accounts.tenancy.context import platform_context, tenant_context
from agents.runtime.events import ModelCall
from salient import database
from salient.ids import uuid7
from salient.ttl import clear_caches
from sessions_app.models import LLMRequest, Message, Session, UsageDay
from sessions_app.turns import store
from sessions_app.usage import rollup
from tests.support.database.reads import reads
from tests.support.database.stored import rows_of
from tests.support.database.turn_functions import TurnFunctions
from tests.support.fixtures import AgentFixtures, counts
from tests.support.servers.served import database_url


class FunctionCase(AgentFixtures, TurnFunctions, TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.caller = Caller(self.account.pk, "acme", frozenset({"chat"}), "key:tests")


class BatchTests(FunctionCase):
    def test_each_gets_its_own_conversation_and_history(self) -> None:
        visitor = "v" * 64
        before = [self.wanted("one"), self.wanted("uno", session_key=visitor)]
        known = self.opened(*before)
        self.ask("app_settle_turns", [*map(self.outcome, before, known)])
        first, of_visitor = (each["session_id"] for each in known)

        wanted = [
            self.wanted("begin"),
            self.wanted("two", session=UUID(first)),
            self.wanted("hello", session_key="w" * 64),
            self.wanted("due", session_key=visitor),
            self.wanted("tre", session_key="x" * 64),
        ]
        opened = self.opened(*wanted)

        begun = [str(wanted[place]["new_session_id"]) for place in (0, 2, 4)]
        self.assertEqual(
            [each["session_id"] for each in opened],
            [begun[0], first, begun[1], of_visitor, begun[2]],
        )
        self.assertEqual(
            [each["history"] for each in opened],
            [[], expected_history("one"), [], expected_history("uno"), []],
        )
        # The cost of the history is reserved.
        fresh, longer = Decimal(opened[0]["reserved"]), Decimal(opened[1]["reserved"])
        self.assertGreaterEqual(longer, fresh)
        with platform_context():
            expected = {
                str(message.llm_request_id): (str(message.session_id), message.content)
                for message in Message.objects.filter(role="human")
            }
            noted = dict(LLMRequest.objects.values_list("id", "request_body"))
        for mine, each in zip(wanted, opened, strict=True):
            row = str(mine["request_id"])
            self.assertEqual(expected[row], (each["session_id"], mine["message"]))
            body = noted[mine["request_id"]]
            assert body is not None
            self.assertEqual(body["history_messages"], len(each["history"]))
            size = sum(len(text) for _, text in each["history"])
            self.assertEqual(body["history_bytes"], size)

    def test_usage_days_agree_with_the_requests(self) -> None:
        slow = ModelCall("openai", "gpt-4o-mini", 100, 20, latency_ms=900)
        other = ModelCall("openai", "gpt-4o", 5, 7, cached_tokens=3)
        unknown = ModelCall("openai", "nobody-knows-it", 1, 1)
        calls = [slow, slow, other, unknown, slow, slow]
        for _ in range(2):
            wanted = [self.wanted(f"turn {number}") for number in range(6)]
            outcomes = [
                self.outcome(mine, each, [call])
                for mine, each, call in zip(wanted, self.opened(*wanted), calls, strict=True)
            ]
            outcomes[0]["latency_ms"] = 2_000_000_000
            outcomes[1]["latency_ms"] = None
            outcomes[4]["completion_status"] = "error"
            outcomes[4]["answer"] = None
            outcomes[5]["completion_status"] = "cancelled"
            self.ask("app_settle_turns", outcomes)

        self.assertFalse(rollup.compare(self.account.pk))
        with platform_context():
            days = {day.model: day for day in UsageDay.objects.all()}
            sessions = set(Session.objects.values_list("turn_count", "last_status"))
        mini = days["openai:gpt-4o-mini"]
        self.assertEqual((mini.requests, mini.failed, mini.cancelled, mini.unpriced), (8, 2, 2, 0))
        self.assertEqual(sum(mini.latency_buckets), 6)
        self.assertEqual(mini.latency_buckets[33], 2)
        self.assertEqual(days["openai:nobody-knows-it"].unpriced, 2)
        self.assertEqual(sessions, {(1, "complete"), (1, "error"), (1, "cancelled")})
        self.assertEqual(running_turns(), 0)
        self.assertEqual(counts(), (12, 22, 12))

    def test_a_plan_made_for_empty_tables_scans_no_whole_table(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("DISCARD PLANS")
        with reads() as found:
            for _ in range(3):
                wanted = [self.wanted("hello") for _ in range(4)]
                self.ask("app_settle_turns", [*map(self.outcome, wanted, self.opened(*wanted))])
        read_whole = {name for name, times in found.tables.items() if times}
        self.assertEqual({"sessions", "llm_requests", "messages"} & read_whole, set())

    def test_a_batch_with_a_settled_turn_settles_none(self) -> None:
        wanted = [self.wanted("one"), self.wanted("two")]
        one, two = map(self.outcome, wanted, self.opened(*wanted))
        self.ask("app_settle_turns", [one])
        with self.assertRaisesMessage(DatabaseError, "settled before"):
            self.ask("app_settle_turns", [two, one])

        self.assertEqual(running_turns(), 1)
        self.assertFalse(rollup.compare(self.account.pk))

    def test_the_lock_timeout_is_restored(self) -> None:
        begun = [self.wanted("one"), self.wanted("two")]
        self.ask("app_settle_turns", [*map(self.outcome, begun, self.opened(*begun))])
        known = [row.pk for row in rows_of(Session)]
        again = [self.wanted("more", session=each) for each in known]
        opened = self.assert_as_it_was("app_open_turns", again)["each"]
        self.assert_as_it_was("app_settle_turns", [*map(self.outcome, again, opened)])

    def assert_as_it_was(self, function: str, turns: Any) -> Any:
        with tenant_context(self.account.pk), connection.cursor() as cursor:
            cursor.execute("SHOW lock_timeout")
            before = cursor.fetchone()
            values: list[Any] = [self.account.pk, msgspec.json.encode(turns).decode()]
            cursor.execute(f"SELECT {function}(%s, %s)", values)
            answer = msgspec.json.decode(cursor.fetchone()[0])
            cursor.execute("SHOW lock_timeout")
            self.assertEqual(cursor.fetchone(), before)
        return answer


def expected_history(question: str) -> list[list[str]]:
    """Return the history of a session of one turn, newest first."""
    return [["assistant", "Hi."], ["human", question]]


@override_settings(DATABASE_API_THREADS=4)
class CoalescedTurnTests(AgentFixtures, TransactionTestCase):
    """Turns of one key that come at the same time are opened and settled in batches."""

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(database.shut_down)
        clear_caches()

    async def test_they_share_transactions_and_nothing_else(self) -> None:
        # The first one fills the caches.
        await self.api.post(self.path("chat"), {"message": "hello"})
        answers = await asyncio.gather(
            *(self.api.post(self.path("chat"), {"message": f"I am {n}."}) for n in range(40))
        )

        self.assertEqual([answer.status for answer in answers], [200] * 40)
        self.assertEqual(len({answer.json()["session_id"] for answer in answers}), 40)
        for number, answer in enumerate(answers):
            self.assertIn(f"I am {number}.", answer.json()["response"])
        # As if they had come one after the other: each header has what was left after its call.
        batches = await sync_to_async(batches_of_sessions)()
        self.assertLess(len(batches), 20)
        left_of = {a.json()["session_id"]: remaining(a.headers["ratelimit"]) for a in answers}
        for batch in batches:
            left = sorted(left_of[session_id] for session_id in batch if session_id in left_of)
            self.assertEqual(left, list(range(left[0], left[0] + len(left))) if left else [])
        self.assertEqual(await sync_to_async(running_turns)(), 0)

    async def test_a_refused_turn_fails_no_other(self) -> None:
        await self.api.post(self.path("chat"), {"message": "hello"})
        bodies = [{"message": f"I am {n}."} for n in range(20)]
        bodies[7]["session_id"] = str(uuid7())
        answers = await asyncio.gather(*(self.api.post(self.path("chat"), body) for body in bodies))
        self.assertEqual([answer.status for answer in answers].index(404), 7)
        self.assertEqual([answer.status for answer in answers].count(200), 19)
        self.assertEqual(await sync_to_async(counts)(), (20, 40, 20))
        self.assertEqual(await sync_to_async(running_turns)(), 0)

    async def test_a_turn_whose_session_is_locked_blocks_no_other(self) -> None:
        held = (await self.say("hello"))["session_id"]
        async with await psycopg.AsyncConnection.connect(database_url()) as holder:
            await holder.execute("SELECT FROM sessions WHERE id = %s FOR UPDATE", [held])
            tasks = [asyncio.create_task(self.say(f"I am {n}.")) for n in range(5)]
            tasks.append(asyncio.create_task(self.say("me too", session_id=held)))
            await asyncio.wait_for(asyncio.gather(*tasks[:-1]), 30)
            self.assertFalse(tasks[-1].done())
            await holder.rollback()
        answers = await asyncio.gather(*tasks)
        self.assertEqual([answer["status"] for answer in answers], ["complete"] * 6)
        self.assertEqual(await sync_to_async(counts)(), (6, 14, 7))
        self.assertEqual(await sync_to_async(running_turns)(), 0)


class FieldNameTests(TestCase):
    def test_the_functions_read_every_field_of_the_rows(self) -> None:
        for function, row in (
            ("app_open_turns", store.OpenTurn),
            ("app_settle_turns", store.SettleTurn),
        ):
            with connection.cursor() as cursor:
                newest = "SELECT prosrc FROM pg_proc WHERE oid = %s::regprocedure"
                cursor.execute(newest, [f"{function}(uuid, jsonb)"])
                [text] = cursor.fetchone()
            words = set(re.findall(r"\w+", text))
            self.assertEqual(set(row.__struct_fields__) - words, set())


def remaining(header: str) -> int:
    return int(header.partition("r=")[2].partition(";")[0])


def batches_of_sessions() -> list[list[str]]:
    """The sessions whose first message each transaction has stored."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT array_agg(session_id::text) FROM messages WHERE role = 'human' GROUP BY xmin"
        )
        return [ids for (ids,) in cursor.fetchall()]


def running_turns() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT sum(running) FROM account_limits")
        return int(cursor.fetchone()[0])
