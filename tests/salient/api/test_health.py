from __future__ import annotations

from unittest import mock

from django.db import OperationalError
from django.db.migrations.recorder import MigrationRecorder
from django.test import TestCase

from salient.api import health
from tests.support.api_client import ApiClient


class HealthTests(TestCase):
    async def test_a_living_process_says_so_without_the_database(self) -> None:
        with mock.patch.object(health, "in_database", side_effect=OperationalError):
            answer = await ApiClient().get("/healthz")
        self.assertEqual((answer.status, answer.json()), (200, {"status": "ok"}))

    async def test_ready_when_every_migration_is_applied(self) -> None:
        answer = await ApiClient().get("/readyz")

        self.assertEqual((answer.status, answer.json()), (200, {"status": "ready"}))

    async def test_not_ready_while_a_migration_is_pending(self) -> None:
        await MigrationRecorder.Migration.objects.filter(app="sessions_app").adelete()
        answer = await ApiClient().get("/readyz")

        self.assertEqual(answer.status, 503)
        self.assertIn("migrations are pending", answer.json()["detail"])

    async def test_not_ready_while_the_database_is_away(self) -> None:
        with mock.patch.object(health, "in_database", side_effect=OperationalError):
            answer = await ApiClient().get("/readyz")

        self.assertEqual(answer.status, 503)
        self.assertEqual(answer.headers["retry-after"], "5")

    async def test_an_unknown_address_is_a_problem_document(self) -> None:
        for path in ("/accounts", "/accounts/acme/nothing", "/accounts/../x"):
            answer = await ApiClient().get(path)
            self.assertEqual((answer.status, answer.json()["code"]), (404, "unknown_route"))
