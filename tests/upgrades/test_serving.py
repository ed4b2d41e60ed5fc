"""A server goes on while its database is backed up, restored and migrated."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import psycopg
from django.db.migrations.loader import MigrationLoader
from django.test import TransactionTestCase

from salient.database.diagnosis import parameters
from salient.database.upgrades.backups.contents import contents_of
from tests.support.commands import run_json
from tests.support.database.scratch_database import scratch_database
from tests.support.fixtures import AgentFixtures
from tests.support.servers.served import Served, served

FORGET = "DELETE FROM django_migrations WHERE app = %s AND name = %s"
RECORD = "INSERT INTO django_migrations (app, name, applied) VALUES (%s, %s, now())"
MESSAGES = "SELECT count(*) FROM messages WHERE role = 'assistant'"


# Between two messages: the limit of calls a minute stays out of reach.
PAUSE_SECONDS = 0.2


class Callers:
    """Somebody who sends one message after the other, and what each was answered."""

    def __init__(self, client: aiohttp.ClientSession, path: str) -> None:
        self._client, self._path = client, path
        self.answered: list[int] = []

    async def talk(self) -> None:
        while True:
            await self.say()
            await asyncio.sleep(PAUSE_SECONDS)

    async def say(self) -> tuple[int, Any]:
        async with self._client.post(self._path, json={"message": "Hi"}) as answer:
            body = await answer.json()
            self.answered.append(answer.status)
            return answer.status, body

    async def until(self, happened: Callable[[int], bool]) -> tuple[int, Any]:
        """Talk until an answer's status is one that is waited for."""
        while True:
            status, body = await self.say()
            if happened(status):
                return status, body
            await asyncio.sleep(PAUSE_SECONDS)

    async def answers(self, number: int) -> None:
        """Wait for so many more good answers."""
        wanted = self.answered.count(200) + number
        while self.answered.count(200) < wanted:  # noqa: ASYNC110 - the answers are the event
            await asyncio.sleep(0.02)

    @asynccontextmanager
    async def talking(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.talk())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def execute(statement: str, values: Any = None) -> None:
    with psycopg.connect(**parameters()) as own:
        own.execute(statement, values)


def number(query: str) -> int:
    with psycopg.connect(**parameters()) as own:
        [(found,)] = own.execute(query).fetchall()
    return int(found)


class ServingTests(AgentFixtures, TransactionTestCase):
    def setUp(self) -> None:
        self.enterContext(scratch_database(copied=True))
        super().setUp()
        self.folder = Path(self.enterContext(TemporaryDirectory()))

    def test_it_serves_through_a_backup_a_restore_and_a_pending_migration(self) -> None:
        asyncio.run(self.play())

    async def play(self) -> None:
        headers = {"Authorization": f"Bearer {self.secret}"}
        async with (
            asyncio.timeout(120),
            served(cut_after=3) as server,
            aiohttp.ClientSession(server.url, headers=headers) as client,
        ):
            callers = Callers(client, self.path("chat"))
            await self.back_up_and_restore(callers)
            await self.replace(callers)
            await self.wait_for_migrate(callers, server, client)

    async def back_up_and_restore(self, callers: Callers) -> None:
        """Backing up and restoring elsewhere disturbs nobody and loses nothing of its moment."""
        self.backup = self.folder / "served.backup"
        async with callers.talking():
            await callers.answers(3)
            made = await asyncio.to_thread(run_json, "backup", str(self.backup))
            await callers.answers(3)
            restored = await asyncio.to_thread(self.restored_elsewhere)
            await callers.answers(1)
        self.assertEqual({*callers.answered}, {200})
        tables = made["manifest"]["tables"]
        said = {name: (each["rows"], each["hash"]) for name, each in tables.items()}
        self.assertEqual(restored, said)
        self.assertGreaterEqual(said["public.messages"][0], 6)
        self.assertEqual(number(MESSAGES), len(callers.answered))

    def restored_elsewhere(self) -> dict[str, tuple[int, str]]:
        with scratch_database():
            run_json("restore", str(self.backup))
            with psycopg.connect(**parameters()) as own:
                found = contents_of(own)
        return {name: (table.rows, table.hash) for name, table in found.items()}

    async def replace(self, callers: Callers) -> None:
        """Going back to the backup under a running server: its calls wait, and go on."""
        async with callers.talking():
            await callers.answers(1)
            await asyncio.to_thread(run_json, "restore", str(self.backup), "--replace")
            before = number(MESSAGES)
            await callers.answers(5)
        found = Counter(callers.answered)
        # At most the call of that moment, and one that came while the tables were locked.
        self.assertLessEqual(found.total() - found[200], 2, found)
        self.assertGreaterEqual(number(MESSAGES), before + 4)

    async def wait_for_migrate(
        self, callers: Callers, server: Served, client: aiohttp.ClientSession
    ) -> None:
        """While a migration is pending everybody is told so; it ends without a restart."""
        [last] = MigrationLoader(None).graph.leaf_nodes("sessions_app")
        execute(FORGET, last)
        status, body = await callers.until(lambda status: status != 200)
        self.assertEqual((status, body["code"]), (503, "migration_pending"))
        async with client.get("/admin/", headers={"Accept": "text/html"}) as page:
            self.assertEqual(page.status, 503)
            self.assertIn("manage.py migrate", await page.text())
        async with client.get("/readyz") as ready:
            self.assertEqual(ready.status, 503)
        self.assertTrue(await server.answers())
        execute(RECORD, last)
        await callers.until(lambda status: status == 200)
        pending = [line for line in server.log.read_text().splitlines() if "callers" in line]
        self.assertEqual(len(pending), 2)
        self.assertIn(f"1 migration is pending, {'.'.join(last)} first", pending[0])
        self.assertIn("All migrations are applied: callers are let in.", pending[1])
