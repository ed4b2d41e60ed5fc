"""What a turn costs the database, and what happens to it when things end early."""

from __future__ import annotations

import asyncio
from copy import replace
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async
from django.db import connection
from django.test import TestCase, TransactionTestCase, override_settings
from django.test.utils import CaptureQueriesContext

from accounts.auth.decorators import Caller
from accounts.limits.quotas import set_limits
from accounts.tenancy.context import tenant_context
from agents.api.decorators import find_instance
from agents.config.versions.current import current_config
from agents.runtime.providers.base import ChatMessage, ToolSpec
from salient import database
from salient.api.problems import Invalid
from salient.ttl import clear_caches
from sessions_app.inputs.turn_input import TurnInput
from sessions_app.models import CompletionStatus
from sessions_app.turns import store
from sessions_app.turns import turn as turns
from tests.support.api_client import Call
from tests.support.database.reads import queries_of
from tests.support.fixtures import AgentFixtures, counts, stored

# Outside of tests the context and the statement are one message, without BEGIN and COMMIT.
OPEN_BUDGET, SETTLE_BUDGET = 4, 4


class StatementTests(AgentFixtures, TransactionTestCase):
    """Outside a TestCase's transaction, so that BEGIN and COMMIT are sent as in production."""

    def setUp(self) -> None:
        super().setUp()
        self.caller = Caller(self.account.pk, "acme", frozenset({"chat"}), "key:tests")

    def begin(self, message: TurnInput, caller: Caller | None = None) -> turns.Turn:
        who = caller or self.caller
        return async_to_sync(turns.begin_new)(who, self.instance, message, stream=True)

    def open_counted(
        self, message: TurnInput, caller: Caller | None = None
    ) -> tuple[turns.Turn, int]:
        with CaptureQueriesContext(connection) as queries:
            turn = self.begin(message, caller)
        return turn, len(queries)

    def answered(self, message: TurnInput) -> turns.Turn:
        """Open and settle one turn: the next one of its session may follow."""
        turn, _ = self.open_counted(message)
        self.settle_counted(turn)
        return turn

    async def run_counted(self, turn: turns.Turn) -> None:
        async for _ in turn.run.events():
            pass
        turn.end(CompletionStatus.COMPLETE)

    def test_a_turn_in_a_long_session_stays_within_its_statements(self) -> None:
        # The first turn of a process also notes which configuration serves.
        turn = self.answered(TurnInput(message="one"))
        again = TurnInput(message="two", session_id=turn.session_id)

        self.assertLessEqual(self.open_counted(again)[1], OPEN_BUDGET)

    def test_a_new_session_stays_within_the_same_statements(self) -> None:
        self.open_counted(TurnInput(message="one"))
        visitor = replace(self.caller, session_key="k" * 64)
        for caller in (self.caller, visitor, visitor):
            with self.subTest(visitor=caller.is_visitor):
                turn, number = self.open_counted(TurnInput(message="hello"), caller)
                self.assertLessEqual(number, OPEN_BUDGET)
                self.settle_counted(turn)

    def test_a_callers_conversation_costs_no_statement_more(self) -> None:
        self.open_counted(TurnInput(message="one"))
        before = (ChatMessage("user", "Hi"), ChatMessage("assistant", "Hello"))
        tool = ToolSpec("get_weather", "", {"type": "object"}, is_client=True)
        asked = TurnInput(message="two", conversation=before, client_tools=(tool,))

        turn, number = self.open_counted(asked)
        self.assertLessEqual(number, OPEN_BUDGET)
        self.assertLessEqual(self.settle_counted(turn), SETTLE_BUDGET)

    def test_opening_costs_the_same_after_one_turn_and_after_many(self) -> None:
        message = TurnInput(
            message="more", session_id=self.answered(TurnInput(message="one")).session_id
        )
        numbers = set()
        for _ in range(5):
            turn, number = self.open_counted(message)
            self.settle_counted(turn)
            numbers.add(number)

        self.assertEqual(len(numbers), 1)

    def test_settling_stays_within_its_statements(self) -> None:
        first = self.settle_counted(self.open_counted(TurnInput(message="one"))[0])
        second = self.settle_counted(self.open_counted(TurnInput(message="two"))[0])

        self.assertLessEqual(first, SETTLE_BUDGET)
        self.assertLessEqual(second, SETTLE_BUDGET)

    def settle_counted(self, turn: turns.Turn) -> int:
        asyncio.run(self.run_counted(turn))
        with CaptureQueriesContext(connection) as queries:
            self.assertTrue(async_to_sync(store.settle)(turn.as_settled(note_use=True)))
        return len(queries)

    def test_settling_twice_stores_once(self) -> None:
        turn, _ = self.open_counted(TurnInput(message="one"))
        asyncio.run(self.run_counted(turn))

        self.assertTrue(async_to_sync(store.settle)(turn.as_settled()))
        self.assertFalse(async_to_sync(store.settle)(turn.as_settled()))
        self.assertEqual(counts(), (1, 2, 1))

    def test_a_cached_configuration_needs_no_query(self) -> None:
        with tenant_context(self.account.pk):
            current_config("acme", self.instance)
        with tenant_context(self.account.pk), CaptureQueriesContext(connection) as queries:
            current_config("acme", self.instance)
        self.assertEqual(len(queries), 0)

    def test_an_expired_value_is_read_once_for_all_callers(self) -> None:
        async def come(callers: int) -> None:
            await asyncio.gather(
                *(find_instance(self.caller, self.instance.instance_slug) for _ in range(callers))
            )

        counts = []
        for callers in (1, 30):
            clear_caches()
            counts.append(queries_of(async_to_sync(come), callers))

        self.assertEqual(counts[1], counts[0])

    def test_a_version_is_cached_only_once_it_is_committed(self) -> None:
        with self.assertRaises(ZeroDivisionError), tenant_context(self.account.pk):
            current_config("acme", self.instance)
            raise ZeroDivisionError
        turn, _ = self.open_counted(TurnInput(message="one"))

        self.assertEqual(counts(), (1, 1, 1))
        self.assertIsNotNone(turn.current.version_id)

    def test_a_refused_turn_caches_no_missing_configuration(self) -> None:
        set_limits(self.account, message_bytes=1)
        with self.assertRaises(Invalid):
            self.begin(TurnInput(message="too long"))
        set_limits(self.account, message_bytes=None)

        self.answered(TurnInput(message="short"))


class EarlyEndTests(AgentFixtures, TestCase):
    config = "model: scripted:echo?delay_ms=20\n"

    async def test_a_client_that_leaves_is_settled_with_the_partial_answer(self) -> None:
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
        call = Call(self.api, "POST", self.path("chat"), raw=b'{"message": "hello"}').begin()
        while not (await sync_to_async(counts)())[2]:  # noqa: ASYNC110 - the row is the event
            await asyncio.sleep(0.01)
        await call.end()

        _, [request] = await sync_to_async(stored)()
        self.assertEqual(request.completion_status, "cancelled")

    @override_settings(STREAM_KEEP_ALIVE_SECONDS=0.05)
    async def test_a_quiet_stream_shows_that_it_lives(self) -> None:
        self.configure("model: scripted:echo?first_ms=300\n")
        answer = await self.api.post(self.path("stream"), {"message": "hello"})

        beats = answer.body.count(b": still here\n\n")
        self.assertGreaterEqual(beats, 2)
        self.assertEqual(answer.events()[-1][0], "done")


@override_settings(DATABASE_API_THREADS=4)
class ManyStreamsTests(AgentFixtures, TransactionTestCase):
    """200 people wait for a slow model; the database does not notice."""

    config = "model: scripted:echo?first_ms=1000\n"

    def setUp(self) -> None:
        super().setUp()
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
        # Four threads and three pipeline connections of the API, and the one of this test.
        self.assertLessEqual(most, 8)
        self.assertEqual(await sync_to_async(counts)(), (200, 400, 200))

    async def ask(self, number: int) -> Any:
        answer = await self.api.post(self.path("stream"), {"message": f"I am {number}"})
        return answer.events()[-1][0]


def connections_in_use() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND backend_type = 'client backend'"
        )
        return int(cursor.fetchone()[0])
