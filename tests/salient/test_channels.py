"""Statements from the event loop: one transaction each, whatever happens to the connection."""

from __future__ import annotations

import asyncio

from django.db import DataError, OperationalError, connection
from django.test import TransactionTestCase, override_settings

from salient import database
from salient.database.channels import ask
from salient.database.channels import Statement

PID: Statement = (b"SELECT pg_backend_pid()::text", [])


@override_settings(DATABASE_API_THREADS=2, DATABASE_API_CHANNELS=2)
class ChannelTests(TransactionTestCase):
    def setUp(self) -> None:
        self.addCleanup(database.shut_down)

    async def test_the_last_statement_gives_the_value(self) -> None:
        told = await ask((b"SELECT $1", ["one"]), (b"SELECT $1 || '!'", ["it's \\ 'two'"]))
        self.assertEqual(told, "it's \\ 'two'!")

    async def test_what_is_set_ends_with_the_call(self) -> None:
        local = (b"SELECT set_config('app.account_id', $1, true)", ["mine"])
        read: Statement = (b"SELECT current_setting('app.account_id', true)", [])
        self.assertEqual(await ask(local, read), "mine")
        for _ in range(4):
            self.assertEqual(await ask(read), "")

    async def test_an_error_is_djangos_and_takes_everything_back(self) -> None:
        table: Statement = (b"CREATE TABLE half_done (id int)", [])
        with self.assertRaises(DataError) as caught:
            await ask(table, (b"SELECT (1 / $1::int)::text", ["0"]))
        self.assertEqual(getattr(caught.exception.__cause__, "sqlstate", None), "22012")
        self.assertEqual(await ask((b"SELECT to_regclass('half_done') IS NULL", [])), "t")

    async def test_many_calls_share_the_connections(self) -> None:
        pids = await asyncio.gather(*(ask(PID) for _ in range(50)))
        self.assertLessEqual(len(set(pids)), 2)

    async def test_a_connection_that_is_ended_fails_its_call_and_is_replaced(self) -> None:
        sleeping = asyncio.create_task(ask(PID, (b"SELECT pg_sleep(30)::text", [])))
        await asyncio.sleep(0.2)
        end = (
            b"SELECT count(pg_terminate_backend(pid))::text FROM pg_stat_activity WHERE "
            b"datname = current_database() AND query LIKE 'SELECT pg_sleep%'"
        )
        self.assertEqual(await ask((end, [])), "1")
        with self.assertRaises(OperationalError):
            await sleeping
        self.assertEqual(len(set(await asyncio.gather(*(ask(PID) for _ in range(8)))) & {""}), 0)

    async def test_an_idle_connection_that_is_ended_fails_nobody(self) -> None:
        first = await ask(PID)
        await database.in_database(end_backend, first)
        await asyncio.sleep(0.2)
        self.assertNotEqual(await ask(PID), first)

    async def test_a_cancelled_caller_keeps_nobody_waiting(self) -> None:
        waiting = [asyncio.create_task(ask((b"SELECT pg_sleep(0.1)::text", []))) for _ in range(4)]
        await asyncio.sleep(0.05)
        for task in waiting:
            task.cancel()
        self.assertEqual(await ask((b"SELECT 'done'", [])), "done")


def end_backend(pid: str) -> None:

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [int(pid)])
