"""Reports are read from a standby, in the same contexts; and from the primary where it fails."""

from __future__ import annotations

import logging
import time
from typing import Any
from unittest import mock

from asgiref.sync import async_to_sync
from django.db import DatabaseError
from django.test import SimpleTestCase, override_settings

from accounts.audit.csv_export import Export, Right, csv_pages
from accounts.tenancy import replica
from accounts.tenancy.context import alias_in_use, connection_in_use
from accounts.tenancy.replica import read_as_platform, read_as_tenant
from agents.models import AgentInstance
from salient.database import REPLICA
from sessions_app.models import UsageDay
from sessions_app.usage import rollup
from tests.support.api_client import ApiClient
from tests.support.factories import make_key
from tests.support.servers.standby import Server, replicated
from tests.support.usage import busy_account, settled

SEEN = Export("usage", {"requests": "requests"}, moment="day", key=("model",), is_cut=False)


class ReplicaTests(SimpleTestCase):
    databases = {"default"}
    primary: Server
    standby: Server

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        # It is not there before.
        cls.databases = {"default", REPLICA}
        cls.primary, cls.standby = cls.enterClassContext(replicated())
        cls.instance = busy_account("acme")
        cls.other = busy_account("globex", turns=5)
        _, cls.secret = make_key(cls.instance.account)
        cls.catch_up()

    instance: AgentInstance
    other: AgentInstance
    secret: str

    @classmethod
    def catch_up(cls) -> None:
        """Wait until the standby has what the primary has."""
        (written,) = cls.primary.fetch("SELECT pg_current_wal_flush_lsn()")
        while not cls.standby.fetch(f"SELECT pg_last_wal_replay_lsn() >= '{written}'")[0]:
            time.sleep(0.02)

    def setUp(self) -> None:
        self.enterContext(mock.patch.object(replica, "_state", replica._State()))

    def requests(self) -> int:
        """As the API answers it."""
        answer = async_to_sync(ApiClient(self.secret).get)("/accounts/acme/usage")
        self.assertEqual(answer.status, 200, answer.body)
        found: int = answer.json()["total"]["requests"]
        return found

    def exported(self) -> bytes:
        async def read() -> bytes:
            right = mock.create_autospec(Right, instance=True)
            right.refusal.return_value = ""
            of_acme = UsageDay.objects.filter
            pages = csv_pages(SEEN, lambda: of_acme(account_id=self.instance.account_id), right)
            return b"".join([page async for page in pages])

        return async_to_sync(read)()

    def use_more(self) -> None:
        settled(self.instance)
        rollup.rebuild(self.instance.account_id)

    def test_a_context_there_sees_one_account_and_writes_nothing(self) -> None:
        def look() -> tuple[str, set[Any]]:
            with connection_in_use().cursor() as cursor:
                cursor.execute("SELECT account_id FROM usage_days")
                return alias_in_use(), {account for (account,) in cursor.fetchall()}

        account_id = self.instance.account_id
        both = {account_id, self.other.account_id}
        self.assertEqual(read_as_tenant(account_id, look), (REPLICA, {account_id}))
        found = read_as_tenant(account_id, look, snapshot=True)
        self.assertEqual(found, (REPLICA, {account_id}))
        self.assertEqual(read_as_platform(look), (REPLICA, both))
        with (
            self.assertLogs(replica.logger, logging.WARNING) as logged,
            self.assertRaisesMessage(DatabaseError, "canary"),
        ):
            read_as_tenant(account_id, self.write)
        self.assertIn("read-only transaction", logged.output[0])

    def write(self) -> None:
        """Fail on the primary too, or this would be repeated there."""
        if alias_in_use() != REPLICA:
            raise DatabaseError("canary")
        UsageDay.objects.update(requests=0)

    def test_usage_and_exports_are_what_the_standby_has_until_it_is_too_far_behind(self) -> None:
        self.standby.fetch("SELECT pg_wal_replay_pause()")
        try:
            before = self.requests()
            self.use_more()
            self.assertEqual(self.requests(), before)
            self.assertIn(f'"{before}"'.encode(), self.exported())
            with (
                override_settings(DATABASE_REPLICA_MAX_LAG=0),
                self.assertLogs(replica.logger, logging.WARNING) as logged,
            ):
                self.assertEqual(self.requests(), before + 1)
                self.assertIn(f'"{before + 1}"'.encode(), self.exported())
        finally:
            self.standby.fetch("SELECT pg_wal_replay_resume()")
        [line] = logged.output
        self.assertIn("Reports are read from the primary database: the replica is", line)
        self.catch_up()

    def test_while_it_is_away_the_primary_answers_and_it_is_asked_again_later(self) -> None:
        before = self.requests()
        self.standby.stop()
        try:
            self.use_more()
            with self.assertLogs(replica.logger, logging.WARNING) as logged:
                self.assertEqual([self.requests(), self.requests()], [before + 1] * 2)
            self.assertEqual(len(logged.output), 1)
            self.assertIn("the replica failed", logged.output[0])
        finally:
            self.standby.run()
        self.catch_up()
        replica._state.ask_at = 0.0
        with self.assertLogs(replica.logger, logging.WARNING) as logged:
            self.assertEqual(self.requests(), before + 1)
        self.assertEqual(len(logged.output), 1)
        self.assertIn("from the replica again", logged.output[0])
