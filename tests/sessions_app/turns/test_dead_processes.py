"""Turns of a killed process are settled at once, and their sessions continue."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any
from unittest import mock
from uuid import UUID

import aiohttp
from asgiref.sync import async_to_sync, sync_to_async
from django.db import OperationalError, connection
from django.test import SimpleTestCase, TestCase, TransactionTestCase
from django.utils import timezone

from accounts.auth.caller import Caller
from accounts.limits.budgets import set_budget
from accounts.models import AccountLimits, Budget
from accounts.tenancy.context import call_as_tenant, platform_context
from salient.database import MaybeDone
from salient.database.circuit_breaker import Unanswered
from salient.ids import uuid7
from sessions_app.inputs.turn_input import TurnInput
from sessions_app.models import LLMRequest, ServerProcess
from sessions_app.turns import abandoned, heartbeat, server_processes, store
from sessions_app.turns import turn as turns
from sessions_app.turns.heartbeat import Heartbeat
from sessions_app.turns.problems import TurnInProgress
from sessions_app.turns.server_processes import dead_among, this_host, this_process
from tests.support.commands import run_json
from tests.support.database.stored import as_platform, change_all, count_of, row_of, rows_of
from tests.support.factories import make_instance, make_llm_request, make_session
from tests.support.fixtures import AgentFixtures, counts, stored
from tests.support.servers.held_model import LONG, SHORT, HeldModel, Stream, ask
from tests.support.servers.served import Served, eventually, served

LATE = timedelta(seconds=30)


def another_process(**fields: Any) -> ServerProcess:
    """A process of another machine that was last seen half a minute ago."""
    values = {"host": "elsewhere", "pid": 1, "seen_at": timezone.now() - LATE} | fields
    with platform_context():
        row: ServerProcess = ServerProcess.objects.create(**values)
    return row


def requests() -> list[LLMRequest]:
    return rows_of(LLMRequest, "created_at")


class DeathTests(TestCase):
    """Which processes are dead."""

    def dead(self, *ids: UUID, may_trust_age: bool = True) -> set[UUID]:
        return as_platform(dead_among, ids, may_trust_age=may_trust_age)

    def test_on_this_machine_the_kernel_decides_and_not_the_row(self) -> None:
        mine = this_process()
        mine.seen_at = timezone.now() - LATE
        again = another_process(host=this_host(), pid=os.getpid(), pid_started=1)
        with platform_context():
            mine.save(force_insert=True)
            other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
            started = server_processes.started_of(other.pid) or 0
            theirs = ServerProcess.objects.create(
                host=this_host(), pid=other.pid, pid_started=started
            )
        self.assertEqual(self.dead(mine.pk, theirs.pk, again.pk), {again.pk})
        other.kill()
        # A zombie, until somebody waits for it.
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
        self.assertEqual(self.dead(mine.pk, theirs.pk), {theirs.pk})
        other.communicate()
        self.assertEqual(self.dead(mine.pk, theirs.pk), {theirs.pk})

    def test_of_a_hidden_process_of_another_user_the_row_decides(self) -> None:
        late = another_process(host=this_host(), pid=2**22, pid_started=7)
        lives = another_process(host=this_host(), pid=2**22, seen_at=timezone.now())
        with mock.patch("os.kill", side_effect=PermissionError):
            self.assertEqual(self.dead(late.pk, lives.pk), {late.pk})
            self.assertEqual(self.dead(late.pk, lives.pk, may_trust_age=False), set())
        self.assertEqual(self.dead(late.pk, lives.pk, may_trust_age=False), {late.pk, lives.pk})

    def test_on_another_machine_the_age_of_its_row_decides_after_a_steady_time(self) -> None:
        late, lives = another_process(), another_process(seen_at=timezone.now())
        self.assertEqual(self.dead(late.pk, lives.pk), {late.pk})
        self.assertEqual(self.dead(late.pk, lives.pk, may_trust_age=False), set())

    def test_one_that_has_removed_its_row_has_ended(self) -> None:
        gone = uuid7()
        self.assertEqual(self.dead(gone, may_trust_age=False), {gone})


class HeartbeatTests(TestCase):
    def test_a_beat_makes_and_renews_the_row_and_stopping_removes_it(self) -> None:
        beating = Heartbeat()
        self.assertIsNone(beating.id)
        with mock.patch.object(connection, "close"):
            for _ in range(2):
                beating.beat()
                change_all(ServerProcess, seen_at=timezone.now() - LATE)
            beating.beat()
            row = row_of(ServerProcess)
            self.assertEqual((row.pk, row.pid), (beating.id, os.getpid()))
            self.assertGreater(row.seen_at, timezone.now() - LATE / 2)
            with mock.patch.object(beating, "join"):
                beating.stop()
        self.assertFalse(count_of(ServerProcess))

    def test_failing_beats_are_logged_once_in_one_line(self) -> None:
        beating = Heartbeat()
        with self.assertLogs("sessions_app.turns.heartbeat") as logs:
            for _ in range(2):
                beating._miss(OperationalError("no such table\nLINE 1: UPDATE"))
        self.assertEqual([each.getMessage()[-13:] for each in logs.records], ["no such table"])

    def test_ages_are_trusted_only_after_beats_without_a_gap(self) -> None:
        beating, now = Heartbeat(), mock.Mock(return_value=100.0)
        with mock.patch("time.monotonic", now):
            for moment in (100, 102, 104, 108.5, 110, 112, 114):
                now.return_value = moment
                beating.beat()
                self.assertFalse(beating.is_steady, moment)
            now.return_value = 115.0
            beating.beat()
            self.assertTrue(beating.is_steady)
            # The database stood still: everybody's row is old now.
            now.return_value = 200.0
            self.assertFalse(beating.is_steady)
            beating.beat()
            self.assertFalse(beating.is_steady)


class CommandTests(TestCase):
    def setUp(self) -> None:
        self.session = make_session(make_instance())

    def running(self, process: UUID) -> LLMRequest:
        return make_llm_request(
            self.session, completion_status="running", server_process_id=process
        )

    @mock.patch.object(abandoned, "WAIT_SECONDS", 0)
    def test_the_periodic_command_ends_the_turns_of_dead_processes_whatever_their_age(self) -> None:
        request = self.running(another_process().pk)

        report = run_json("settle_abandoned")

        self.assertEqual([each["id"] for each in report["turns"]], [str(request.pk)])
        self.assertEqual(requests()[0].error_code, "abandoned")

    def test_after_a_pause_of_the_database_the_command_waits_for_the_next_heartbeats(self) -> None:
        lives = another_process()
        self.running(lives.pk)

        def beat(_seconds: float) -> None:
            change_all(ServerProcess, seen_at=timezone.now())

        with mock.patch("time.sleep", beat):
            self.assertEqual(run_json("settle_abandoned")["found"], 0)


class NextMessageTests(AgentFixtures, TransactionTestCase):
    """Turns of this process, after those of a process whose row shows that it is dead."""

    def setUp(self) -> None:
        super().setUp()
        self.caller = Caller(self.account.pk, "acme", frozenset({"chat"}), "key:tests")

    async def open(self, **body: Any) -> turns.Turn:
        return await turns.begin_new(
            self.caller, self.instance, TurnInput(message="hello", **body), stream=True
        )

    def abandoned_by(self, process: UUID | None) -> turns.Turn:
        with mock.patch.object(heartbeat, "process_id", return_value=process):
            return async_to_sync(self.open)()

    def test_a_turn_knows_its_process(self) -> None:
        process = uuid7()
        self.abandoned_by(process)
        self.assertEqual(requests()[0].server_process_id, process)

    def test_the_next_message_settles_the_turn_of_a_dead_process(self) -> None:
        left = self.abandoned_by(uuid7())
        turn = async_to_sync(self.open)(session_id=left.session_id)

        before, now = requests()
        self.assertEqual((before.completion_status, before.error_code), ("error", "abandoned"))
        self.assertEqual((now.pk, now.completion_status), (turn.request_id, "running"))

    def test_a_turn_of_a_running_process_is_not_settled(self) -> None:
        mine = this_process()
        as_platform(mine.save, force_insert=True)
        for process in (mine.pk, None):
            left = self.abandoned_by(process)
            with self.assertRaises(TurnInProgress):
                async_to_sync(self.open)(session_id=left.session_id)
        self.assertEqual({each.completion_status for each in requests()}, {"running"})

    async def test_a_turn_that_was_stored_although_the_connection_broke_is_undone(self) -> None:
        really_ask = call_as_tenant

        async def breaks(*args: Any, **options: Any) -> Any:
            await really_ask(*args, **options)
            raise OperationalError from MaybeDone("server closed the connection unexpectedly")

        with (
            mock.patch.object(store, "call_as_tenant", breaks),
            self.assertRaises(OperationalError),
        ):
            await self.open()
        async with asyncio.timeout(10):
            while (await sync_to_async(stored)())[1][0].settled_at is None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

        [message], [request] = await sync_to_async(stored)()
        self.assertEqual((message.content, request.error_code), ("hello", "abandoned"))
        self.assertEqual((request.requests, request.charged_cost), (0, 0))
        self.assertIsNone(request.idempotency_key)
        await self.open(session_id=request.session_id)

    async def test_a_turn_that_was_never_sent_is_not_undone(self) -> None:
        refused = mock.AsyncMock(side_effect=Unanswered)
        with (
            mock.patch.object(store, "call_as_tenant", refused),
            mock.patch.object(turns, "in_background") as looked_for,
            self.assertRaises(OperationalError),
        ):
            await self.open()
        looked_for.assert_not_called()


class KilledWorkerTests(AgentFixtures, TransactionTestCase):
    """A real server whose worker is killed."""

    config = "model: mock:test-model\n"

    def setUp(self) -> None:
        super().setUp()
        set_budget(self.account, period="day", limit=Decimal(100))

    @asynccontextmanager
    async def killed(
        self, *headers: tuple[str, str]
    ) -> AsyncIterator[tuple[Served, HeldModel, aiohttp.ClientSession, str]]:
        """Have one conversation; kill the worker at its second turn, and wait for the next."""
        stream = Stream(LONG)
        bearer = {"Authorization": f"Bearer {self.secret}"}
        async with (
            asyncio.timeout(240),
            HeldModel() as model,
            served(cut_after=1) as server,
            aiohttp.ClientSession(server.url, headers=bearer) as client,
        ):
            model.released.set()
            _, first = await ask(client, self.path("chat"), SHORT)
            session, path = first["session_id"], self.path("stream")
            await eventually_async(self.has_process)
            reading = asyncio.create_task(follow(stream, client, path, session, dict(headers)))
            await stream.spoke.wait()
            [worker] = server.workers()
            os.kill(worker, signal.SIGKILL)
            await reading
            await eventually(lambda: bool(server.workers() - {worker}))
            await server.until(answering=True)
            yield server, model, client, session

    async def has_process(self) -> bool:
        return await sync_to_async(count_of)(ServerProcess) > 0

    def assert_settled(self) -> None:
        left = next(each for each in requests() if each.error_code == "abandoned")
        self.assertEqual(left.charged_cost, left.reserved_cost)
        self.assertEqual(row_of(AccountLimits).running, 0)
        self.assertEqual(row_of(Budget).reserved, 0)

    def test_after_kill_9_the_next_message_of_the_session_is_answered(self) -> None:
        async def play() -> tuple[int, Any]:
            async with self.killed() as (_, _, client, session):
                return await ask_in(client, self.path("chat"), session)

        status, answer = async_to_sync(play)()

        self.assertEqual((status, answer["status"]), (200, "complete"))
        self.assert_settled()

    def test_after_kill_9_the_next_worker_ends_its_turns_although_nobody_asks(self) -> None:
        async def play() -> None:
            async with self.killed():
                await eventually_async(self.nothing_runs)

        async_to_sync(play)()
        self.assert_settled()

    async def nothing_runs(self) -> bool:
        rows = await sync_to_async(requests)()
        return all(each.settled_at is not None for each in rows)

    def test_after_kill_9_the_same_idempotency_key_gets_the_outcome(self) -> None:
        key = ("Idempotency-Key", "once")

        async def play() -> tuple[int, Any, str]:
            async with self.killed(key) as (_, _, client, session):
                status, answer = await ask_in(client, self.path("chat"), session, LONG, key)
                return status, answer, session

        status, answer, session = async_to_sync(play)()

        self.assertEqual((status, answer["code"]), (503, "abandoned"))
        self.assertEqual(answer["session_id"], session)
        self.assertEqual(answer["llm_request_id"], str(requests()[-1].pk))
        self.assertEqual(counts()[2], 2)
        self.assert_settled()


async def follow(
    stream: Stream, client: aiohttp.ClientSession, path: str, session: str, headers: dict[str, str]
) -> None:
    body = {"message": stream.message, "session_id": session}
    try:
        async with client.post(path, json=body, headers=headers) as answer:
            async for line in answer.content:
                if b"data: three" in line or b" three" in line:
                    stream.spoke.set()
    except aiohttp.ClientError:
        return


async def ask_in(
    client: aiohttp.ClientSession,
    path: str,
    session: str,
    message: str = SHORT,
    *headers: tuple[str, str],
) -> tuple[int, Any]:
    body = {"message": message, "session_id": session}
    async with client.post(path, json=body, headers=dict(headers)) as answer:
        return answer.status, await answer.json(content_type=None)


async def eventually_async(happened: Any) -> None:
    async with asyncio.timeout(60):
        while not await happened():  # noqa: ASYNC110 - no event of this process tells of it
            await asyncio.sleep(0.05)


class NamesTests(SimpleTestCase):
    def test_this_machine_has_a_name(self) -> None:
        self.assertEqual(this_host(), this_host())
        self.assertTrue(this_process().pid_started)
