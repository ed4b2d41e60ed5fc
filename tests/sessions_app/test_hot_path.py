"""What a turn costs the database, and what happens to it when things end early."""

from __future__ import annotations

import asyncio
from copy import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connection
from django.test import TestCase, TransactionTestCase, override_settings
from django.test.utils import CaptureQueriesContext

from accounts import limits
from accounts.auth import Caller
from accounts.limits import set_limits
from accounts.rates import Rate
from accounts.tenancy import tenant
from agents import pricing
from agents.access import find_instance
from agents.runtime.run import Run
from agents.versions import current_config
from salient import database
from salient.ids import uuid7
from salient.problems import Invalid
from salient.ttl import clear_caches
from sessions_app import ledger, turns
from sessions_app.models import CompletionStatus
from sessions_app.schemas import ChatIn
from tests.api_client import Call
from tests.worlds import World, counts, stored

# Outside of tests the door and the statement travel together, without BEGIN and COMMIT.
OPEN_BUDGET, SETTLE_BUDGET = 4, 4


class StatementTests(World, TransactionTestCase):
    """Outside a TestCase's transaction, so that BEGIN and COMMIT are what they are in life."""

    def setUp(self) -> None:
        self.make_world()
        self.caller = Caller(self.account.pk, "acme", frozenset({"chat"}), "key:tests")

    def open_counted(self, message: ChatIn) -> tuple[ledger.Opened, int]:
        with CaptureQueriesContext(connection) as queries:
            opened = async_to_sync(ledger.open_turn)(self.caller, self.instance, message)
        return opened, len(queries)

    def answered(self, message: ChatIn) -> ledger.Opened:
        """Open and settle one turn: the next one of its session may follow."""
        opened, _ = self.open_counted(message)
        self.settle_counted(opened)
        return opened

    def turn_of(self, opened: ledger.Opened) -> turns.Turn:
        return turns.Turn(
            caller=self.caller,
            instance=self.instance,
            current=opened.current,
            session_id=opened.session_id,
            request_id=opened.request_id,
            run=Run(opened.run),
            taken=opened.taken,
        )

    async def run_counted(self, turn: turns.Turn) -> None:
        async for _ in turn.run.events():
            pass
        turn.end(CompletionStatus.COMPLETE)

    def test_a_turn_in_a_long_session_stays_within_its_statements(self) -> None:
        # The first turn of a process also notes which configuration serves.
        opened = self.answered(ChatIn(message="one"))
        again = ChatIn(message="two", session_id=opened.session_id)

        self.assertLessEqual(self.open_counted(again)[1], OPEN_BUDGET)

    def test_a_new_session_stays_within_the_same_statements(self) -> None:
        self.open_counted(ChatIn(message="one"))
        visitor = replace(self.caller, session_key="k" * 64)
        for caller in (self.caller, visitor, visitor):
            with self.subTest(visitor=caller.is_visitor):
                with CaptureQueriesContext(connection) as queries:
                    opened = async_to_sync(ledger.open_turn)(
                        caller, self.instance, ChatIn(message="hello")
                    )
                self.assertLessEqual(len(queries), OPEN_BUDGET)
                self.settle_counted(opened)

    def test_opening_costs_the_same_after_one_turn_and_after_many(self) -> None:
        message = ChatIn(message="more", session_id=self.answered(ChatIn(message="one")).session_id)
        numbers = set()
        for _ in range(5):
            opened, number = self.open_counted(message)
            self.settle_counted(opened)
            numbers.add(number)

        self.assertEqual(len(numbers), 1)

    def test_settling_stays_within_its_statements(self) -> None:
        opened, _ = self.open_counted(ChatIn(message="one"))
        first = self.settle_counted(opened)
        second = self.settle_counted(self.open_counted(ChatIn(message="two"))[0])

        self.assertLessEqual(first, SETTLE_BUDGET)
        self.assertLessEqual(second, SETTLE_BUDGET)

    def settle_counted(self, opened: ledger.Opened) -> int:
        turn = self.turn_of(opened)
        asyncio.run(self.run_counted(turn))
        usage, price = turn.usage(), pricing.total(turn.run.calls)
        with CaptureQueriesContext(connection) as queries:
            self.assertTrue(async_to_sync(ledger.settle_turn)(turn, usage, price))
        return len(queries)

    def test_settling_twice_stores_once(self) -> None:
        opened, _ = self.open_counted(ChatIn(message="one"))
        turn = self.turn_of(opened)
        asyncio.run(self.run_counted(turn))
        usage, price = turn.usage(), pricing.total(turn.run.calls)

        self.assertTrue(async_to_sync(ledger.settle_turn)(turn, usage, price))
        self.assertFalse(async_to_sync(ledger.settle_turn)(turn, usage, price))
        self.assertEqual(counts(), (1, 2, 1))

    def test_a_known_configuration_is_not_looked_up_again(self) -> None:
        with tenant(self.account.pk):
            current_config("acme", self.instance)
        with tenant(self.account.pk), CaptureQueriesContext(connection) as queries:
            current_config("acme", self.instance)
        self.assertEqual(len(queries), 0)

    def test_what_is_no_longer_believed_is_asked_once_by_all_who_come_then(self) -> None:
        async def come(callers: int) -> None:
            await asyncio.gather(
                *(find_instance(self.caller, self.instance.instance_slug) for _ in range(callers))
            )

        asked = []
        for callers in (1, 30):
            clear_caches()
            with CaptureQueriesContext(connection) as queries:
                async_to_sync(come)(callers)
            asked.append(len(queries))

        self.assertEqual(asked[1], asked[0])

    def test_a_version_is_believed_only_once_it_is_committed(self) -> None:
        with self.assertRaises(ZeroDivisionError), tenant(self.account.pk):
            current_config("acme", self.instance)
            raise ZeroDivisionError
        opened, _ = self.open_counted(ChatIn(message="one"))

        self.assertEqual(counts(), (1, 1, 1))
        self.assertIsNotNone(opened.current.version_id)

    def test_a_refused_turn_leaves_no_configuration_behind_that_is_not_there(self) -> None:
        set_limits(self.account, message_bytes=1)
        with self.assertRaises(Invalid):
            async_to_sync(ledger.open_turn)(self.caller, self.instance, ChatIn(message="too long"))
        set_limits(self.account, message_bytes=None)

        self.answered(ChatIn(message="short"))


class EarlyEndTests(World, TestCase):
    config = "model: scripted:echo?delay_ms=20\n"

    def setUp(self) -> None:
        self.make_world()

    async def test_a_client_that_leaves_is_settled_with_what_came(self) -> None:
        call = Call(self.api, "POST", self.path("stream"), raw=b'{"message": "hello"}')
        running = asyncio.create_task(call.run())
        seen = 0
        async for part in call.parts():
            seen += part.count(b"event: message")
            if seen >= 3:
                call.leave()
                break
        await running

        [_, partial], [request] = await sync_to_async(stored)()
        self.assertEqual(request.completion_status, "cancelled")
        self.assertTrue(partial.content.startswith("Hello! This is"))
        self.assertNotIn("hello", partial.content)
        self.assertGreater(request.completion_tokens or 0, 0)
        self.assertGreater(request.prompt_tokens or 0, 0)
        self.assertTrue(request.tokens_estimated)

    async def test_a_client_that_leaves_a_chat_is_settled(self) -> None:
        call = Call(self.api, "POST", self.path("chat"), raw=b'{"message": "hello"}')
        running = asyncio.create_task(call.run())
        while not (await sync_to_async(counts)())[2]:  # noqa: ASYNC110 - the row is the event
            await asyncio.sleep(0.01)
        call.leave()
        await running

        _, [request] = await sync_to_async(stored)()
        self.assertEqual(request.completion_status, "cancelled")

    @override_settings(STREAM_HEARTBEAT_SECONDS=0.05)
    async def test_a_quiet_stream_shows_that_it_lives(self) -> None:
        self.configure("model: scripted:echo?first_ms=300\n")
        answer = await self.api.post(self.path("stream"), {"message": "hello"})

        beats = answer.body.count(b": still here\n\n")
        self.assertGreaterEqual(beats, 2)
        self.assertEqual(answer.events()[-1][0], "done")


@override_settings(DATABASE_API_THREADS=4)
class ManyStreamsTests(World, TransactionTestCase):
    """200 people wait for a slow model; the database does not notice."""

    config = "model: scripted:echo?first_ms=1000\n"

    def setUp(self) -> None:
        self.make_world()
        self.addCleanup(database.shut_down)
        clear_caches()

    async def test_200_streams_need_no_more_connections_than_the_api_keeps(self) -> None:
        most = 0
        asking = [asyncio.create_task(self.ask(number)) for number in range(200)]
        while not all(task.done() for task in asking):
            most = max(most, await sync_to_async(connections_in_use)())
            await asyncio.sleep(0.05)
        endings = [task.result() for task in asking]

        self.assertEqual(endings, ["done"] * 200)
        # Four threads and three channels of the API, and the one that counts.
        self.assertLessEqual(most, 8)
        self.assertEqual(await sync_to_async(counts)(), (200, 400, 200))

    async def ask(self, number: int) -> Any:
        answer = await self.api.post(self.path("stream"), {"message": f"I am {number}"})
        return answer.events()[-1][0]


@override_settings(DATABASE_API_THREADS=4)
class TogetherTests(World, TransactionTestCase):
    """Turns of one key that come at the same time are opened and settled together."""

    def setUp(self) -> None:
        self.make_world()
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
        # As if they had come one after the other: each header tells what was left after its call.
        batches = await sync_to_async(batches_of_sessions)()
        self.assertLess(len(batches), 20)
        told = {a.json()["session_id"]: remaining(a.headers["ratelimit"]) for a in answers}
        for batch in batches:
            left = sorted(told[session_id] for session_id in batch if session_id in told)
            self.assertEqual(left, list(range(left[0], left[0] + len(left))) if left else [])
        self.assertEqual(await sync_to_async(running_turns)(), 0)

    async def test_one_that_is_refused_takes_nobody_with_it(self) -> None:
        await self.api.post(self.path("chat"), {"message": "hello"})
        bodies = [{"message": f"I am {n}."} for n in range(20)]
        bodies[7]["session_id"] = str(uuid7())
        answers = await asyncio.gather(*(self.api.post(self.path("chat"), body) for body in bodies))
        self.assertEqual([answer.status for answer in answers].index(404), 7)
        self.assertEqual([answer.status for answer in answers].count(200), 19)
        self.assertEqual(await sync_to_async(counts)(), (20, 40, 20))
        self.assertEqual(await sync_to_async(running_turns)(), 0)


class FormerServerTests(World, TestCase):
    """While a new version migrates, servers of the one before open and settle as ever."""

    def setUp(self) -> None:
        self.make_world()

    def ask(self, function: str, turn: dict[str, Any]) -> dict[str, Any]:
        with tenant(self.account.pk), connection.cursor() as cursor:
            cursor.execute(f"SELECT {function}(%s)", [msgspec.json.encode(turn).decode()])
            answer: dict[str, Any] = msgspec.json.decode(cursor.fetchone()[0])
            return answer

    def test_what_they_open_they_can_settle(self) -> None:
        caller = Caller(self.account.pk, "acme", frozenset({"chat"}), "key:tests")
        with tenant(self.account.pk):
            current = current_config("acme", self.instance)
        run, message = current.run_request((), stream=True), ChatIn(message="hello")
        wanted = ledger._wanted(caller, self.instance, current, run, message)
        rates = wanted.pop("rates")
        former = {"policies": "policy", "subjects": "subject", "quotas": "usual"}
        wanted |= {name: [rate[key] for rate in rates] for name, key in former.items()}
        opened = self.ask("app_open_turn", wanted | {"most_messages": 10})
        taken = limits.taken(
            [Rate(**rate) for rate in opened["rates"]], Decimal(opened["reserved"])
        )
        session_id, request_id = UUID(opened["session_id"]), wanted["request_id"]
        turn = turns.Turn(caller, self.instance, current, session_id, request_id, Run(run), taken)
        turn.end(CompletionStatus.COMPLETE)
        outcome = ledger._outcome(turn, turn.usage(), turn.price()) | {"note_use": False}
        self.ask("app_settle_turn", outcome)

        [_], [request] = stored()
        self.assertEqual(request.completion_status, "complete")
        self.assertEqual(running_turns(), 0)


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


def connections_in_use() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND backend_type = 'client backend'"
        )
        return int(cursor.fetchone()[0])
