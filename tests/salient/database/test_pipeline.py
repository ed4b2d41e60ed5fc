"""Statements from the event loop: one transaction each, whatever happens to the connection."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest import mock

from django.db import DataError, OperationalError, connection
from django.test import TransactionTestCase, override_settings

from salient import database
from salient.database import pipeline
from salient.database.pipeline import MAX_BATCH, call_batched, execute
from salient.database.pipeline.batches import Answer, MaybeDone, Statement

PID: Statement = (b"SELECT pg_backend_pid()::text", [])


@override_settings(DATABASE_API_THREADS=2, DATABASE_API_CONNECTIONS=2)
class PoolTests(TransactionTestCase):
    def setUp(self) -> None:
        self.addCleanup(database.shut_down)

    async def test_the_last_statement_returns_the_value(self) -> None:
        value = await execute((b"SELECT $1", ["one"]), (b"SELECT $1 || '!'", ["it's \\ 'two'"]))
        self.assertEqual(value, "it's \\ 'two'!")

    async def test_a_setting_ends_with_the_call(self) -> None:
        local = (b"SELECT set_config('app.account_id', $1, true)", ["mine"])
        read: Statement = (b"SELECT current_setting('app.account_id', true)", [])
        self.assertEqual(await execute(local, read), "mine")
        for _ in range(4):
            self.assertEqual(await execute(read), "")

    async def test_an_error_is_djangos_and_takes_everything_back(self) -> None:
        table: Statement = (b"CREATE TABLE half_done (id int)", [])
        with self.assertRaises(DataError) as caught:
            await execute(table, (b"SELECT (1 / $1::int)::text", ["0"]))
        self.assertEqual(getattr(caught.exception.__cause__, "sqlstate", None), "22012")
        self.assertEqual(await execute((b"SELECT to_regclass('half_done') IS NULL", [])), "t")

    async def test_many_calls_share_the_connections(self) -> None:
        pids = await asyncio.gather(*(execute(PID) for _ in range(50)))
        self.assertLessEqual(len(set(pids)), 2)

    async def test_a_connection_that_is_ended_fails_its_call_and_is_replaced(self) -> None:
        sleeping = asyncio.create_task(execute(PID, (b"SELECT pg_sleep(30)::text", [])))
        await asyncio.sleep(0.2)
        end = (
            b"SELECT count(pg_terminate_backend(pid))::text FROM pg_stat_activity WHERE "
            b"datname = current_database() AND query LIKE 'SELECT pg_sleep%'"
        )
        self.assertEqual(await execute((end, [])), "1")
        with self.assertRaises(OperationalError) as caught:
            await sleeping
        # It was sent, so it may have been done.
        self.assertIsInstance(caught.exception.__cause__, MaybeDone)
        self.assertEqual(
            len(set(await asyncio.gather(*(execute(PID) for _ in range(8)))) & {""}), 0
        )

    async def test_an_idle_connection_that_is_ended_fails_no_call(self) -> None:
        first = await execute(PID)
        await database.in_database(end_backend, first)
        await asyncio.sleep(0.2)
        self.assertNotEqual(await execute(PID), first)

    async def test_a_cancelled_caller_blocks_no_other(self) -> None:
        waiting = [
            asyncio.create_task(execute((b"SELECT pg_sleep(0.1)::text", []))) for _ in range(4)
        ]
        await asyncio.sleep(0.05)
        for task in waiting:
            task.cancel()
        self.assertEqual(await execute((b"SELECT 'done'", [])), "done")


@override_settings(DATABASE_API_THREADS=2, DATABASE_API_CONNECTIONS=2)
class BatchTests(TransactionTestCase):
    """Calls that wait at the same time share a transaction, and nothing else."""

    def setUp(self) -> None:
        self.addCleanup(database.shut_down)

    async def test_each_has_its_own_answer_and_its_place_in_one_transaction(self) -> None:
        answers = await asyncio.gather(*(call(ECHO, number, "a") for number in range(40)))

        self.assertEqual([int(answer.own) for answer in answers], list(range(40)))
        shared: dict[bytes, list[int]] = {}
        for answer in answers:
            shared.setdefault(answer.common, []).append(answer.place)
        # The first has the connection for itself; those that come meanwhile share the next ones.
        self.assertEqual([len(places) for places in shared.values()], [16, 16, 8])
        for places in shared.values():
            self.assertEqual(places, list(range(len(places))))
            self.assertLessEqual(len(places), MAX_BATCH)

    async def test_calls_of_different_batch_keys_are_not_coalesced(self) -> None:
        answers = await asyncio.gather(*(call(ECHO, number, number) for number in range(12)))
        self.assertEqual(len({answer.common for answer in answers}), 12)

    async def test_calls_of_different_contexts_are_not_coalesced(self) -> None:
        contexts = [(b"SELECT set_config('app.actor', $1, true)", [name]) for name in "ab" * 6]
        answers = await asyncio.gather(*(call(ACTOR, 0, "a", context) for context in contexts))
        self.assertEqual([answer.common for answer in answers], [b'"a"', b'"b"'] * 6)

    async def test_a_call_that_fails_fails_no_other(self) -> None:
        numbers = [1, 2, 0, 4, 5]
        answers = await asyncio.gather(
            *(call(INVERSE, number, "a") for number in numbers), return_exceptions=True
        )
        self.assertIsInstance(answers.pop(2), DataError)
        own = [answer.own for answer in answers if isinstance(answer, Answer)]
        self.assertEqual(own, [b"10", b"5", b"2", b"2"])

    async def test_a_full_queue_blocks_no_other(self) -> None:
        sleepers = [asyncio.create_task(call(SLEEP, number, "slow")) for number in range(40)]
        await asyncio.sleep(0)
        await call(ECHO, 1, "quick")
        self.assertFalse(any(sleeper.done() for sleeper in sleepers))
        await asyncio.gather(*sleepers)

    @mock.patch.object(pipeline, "CONTEXT_WAIT_SECONDS", 10.0)
    async def test_batches_of_one_context_take_turns_and_block_no_other_context(self) -> None:
        mine, others = ((b"SELECT set_config('app.actor', $1, true)", [name]) for name in "ab")
        slow = asyncio.create_task(call(SLEEP, 1, "slow", mine))
        await asyncio.sleep(0.05)
        quick = [asyncio.create_task(call(ECHO, number, "quick", mine)) for number in range(3)]
        await call(ECHO, 1, "quick", others)
        self.assertFalse(slow.done() or any(each.done() for each in quick))

        answers = await asyncio.gather(*quick)
        self.assertTrue(slow.done())
        self.assertEqual([answer.place for answer in answers], [0, 1, 2])

    async def test_a_batch_waits_only_shortly_for_another_one_of_its_context(self) -> None:
        context = (b"SELECT set_config('app.actor', $1, true)", ["a"])
        slow = asyncio.create_task(call(SLEEP, 1, "slow", context))
        await asyncio.sleep(0.02)
        await call(ECHO, 1, "quick", context)
        self.assertFalse(slow.done())
        await slow

    async def test_a_call_that_is_sent_alone_blocks_no_other_of_its_context(self) -> None:
        context = (b"SELECT set_config('app.actor', $1, true)", ["a"])
        # The batch fails; then one of them fails alone and the other one takes its time.
        pair = [asyncio.create_task(call(SLEEP_UNLESS_FIRST, n, "a", context)) for n in (0, 1)]
        with self.assertRaises(DataError):
            await pair[0]
        await call(ECHO, 1, "b", context)
        self.assertFalse(pair[1].done())
        await pair[1]

    async def test_waiting_calls_use_another_connection_when_one_ends(self) -> None:
        await asyncio.gather(execute(PID), execute(PID))
        first = asyncio.create_task(call(SLEEP_FOR, 30, "a"))
        await asyncio.sleep(0.2)
        waiting = [asyncio.create_task(call(SLEEP_FOR, 0, "a")) for _ in range(2)]
        await execute((END_SLEEPERS, []))
        with self.assertRaises(OperationalError):
            await first
        self.assertEqual([answer.own for answer in await asyncio.gather(*waiting)], [b"0", b"0"])

    async def test_a_batch_is_sorted_by_order(self) -> None:
        calls = [
            call_batched((ECHO, [str(n)]), batch_key="a", order=str(9 - n)) for n in range(1, 6)
        ]
        answers = await asyncio.gather(*calls)
        self.assertEqual([answer.place for answer in answers], [4, 3, 2, 1, 0])

    async def test_a_connection_that_ends_fails_its_whole_batch(self) -> None:
        """The outcome is unknown: the caller decides whether to try again."""
        sleepers = [asyncio.create_task(call(SLEEP_FOR, 30, "a")) for _ in range(3)]
        await asyncio.sleep(0.2)
        await execute((END_SLEEPERS, []))
        ended = await asyncio.gather(*sleepers, return_exceptions=True)
        self.assertTrue(all(isinstance(error, OperationalError) for error in ended))
        self.assertEqual((await call(ECHO, 7, "a")).own, b"7")


END_SLEEPERS = (
    b"SELECT count(pg_terminate_backend(pid))::text FROM pg_stat_activity WHERE "
    b"datname = current_database() AND query LIKE '%FROM pg_sleep((%' AND pid <> pg_backend_pid()"
)
ECHO = b"SELECT jsonb_build_object('all', pg_current_xact_id()::text, 'each', $1::jsonb)"
ACTOR = b"SELECT jsonb_build_object('all', current_setting('app.actor'), 'each', $1::jsonb)"
INVERSE = (
    b"SELECT jsonb_build_object('all', 0, 'each', jsonb_agg(10 / value::integer))"
    b" FROM jsonb_array_elements_text($1::jsonb)"
)
SLEEP = b"SELECT jsonb_build_object('all', 0, 'each', $1::jsonb) FROM pg_sleep(0.3)"
# It fails where the first value is 0.
SLEEP_UNLESS_FIRST = (
    b"SELECT jsonb_build_object('all', 1 / ($1::jsonb ->> 0)::integer, 'each', $1::jsonb)"
    b" FROM pg_sleep(0.3 * ($1::jsonb ->> 0)::integer)"
)
# As many seconds as the first value says.
SLEEP_FOR = (
    b"SELECT jsonb_build_object('all', 0, 'each', $1::jsonb)"
    b" FROM pg_sleep(($1::jsonb ->> 0)::float)"
)


async def call(text: bytes, value: object, batch_key: Any, *before: Statement) -> Answer:
    return await call_batched(*before, (text, [str(value)]), batch_key=batch_key)


def end_backend(pid: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [int(pid)])
