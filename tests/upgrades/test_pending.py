"""While a migration is pending, callers are refused; that costs those who are let in nothing."""

from __future__ import annotations

from unittest import mock

from django.conf import settings
from django.db import OperationalError, ProgrammingError, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.test import SimpleTestCase, TestCase

from salient.api.problems import Unavailable
from salient.database.upgrades import pending
from salient.database.upgrades.pending import MigrationPending, Migrations
from tests.support.api_client import ApiClient

CHAT = "/accounts/acme/agents/bot/chat"
APPLIED = MigrationRecorder.Migration


class RefusedTests(TestCase):
    def setUp(self) -> None:
        self.enterContext(mock.patch.object(pending.migrations, "problem", "1 is pending"))

    async def test_calls_are_refused_without_a_query(self) -> None:
        # assertNumQueries cannot be awaited in; a query of another thread would fail the guard.
        with mock.patch("django.db.backends.utils.CursorWrapper.execute") as execute:
            answer = await ApiClient("sal_sk_any").post(CHAT, {"message": "Hi"})

        execute.assert_not_called()
        self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "5"))
        self.assertEqual(
            answer.json(),
            {
                "type": "urn:salient:problem:migration_pending",
                "title": "Service Unavailable",
                "status": 503,
                "code": "migration_pending",
                "detail": "The service is being updated; try again in a moment.",
            },
        )

    async def test_clients_of_openai_read_it_in_their_form(self) -> None:
        answer = await ApiClient("any").get("/accounts/acme/agents/bot/v1/models")

        self.assertEqual(answer.status, 503)
        self.assertEqual(answer.json()["error"]["code"], "migration_pending")

    async def test_a_page_of_another_origin_may_read_why(self) -> None:
        caller = ApiClient("any", {"origin": "https://shop.example"})
        answer = await caller.post(CHAT, {"message": "Hi"})

        self.assertEqual(answer.headers["access-control-allow-origin"], "https://shop.example")

    async def test_pages_say_so_too(self) -> None:
        for path in ("/admin/", "/login/", "/accounts/acme/agents/bot/"):
            answer = await ApiClient(headers={"accept": "text/html"}).get(path)

            self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "5"), path)
            self.assertIn("manage.py migrate", answer.body.decode())

    async def test_what_needs_no_table_is_answered(self) -> None:
        for path in ("/healthz", "/readyz", "/openapi.json"):
            self.assertEqual((await ApiClient().get(path)).status, 200, path)
        # The tests serve no files; it is looked for.
        self.assertEqual((await ApiClient().get("/static/chat.css")).status, 301)


class KnownMigrationsTests(TestCase):
    def setUp(self) -> None:
        self.migrations = Migrations()

    def test_a_look_is_one_query_once_all_are_applied(self) -> None:
        self.migrations.look()
        with self.assertNumQueries(1):
            self.migrations.look()
        self.assertIsNone(self.migrations.problem)

    def test_who_is_let_in_is_not_asked_for(self) -> None:
        with self.assertNumQueries(0):
            for _ in range(100):
                self.migrations.require(CHAT)

    def test_migrations_of_a_newer_release_are_no_reason_to_refuse(self) -> None:
        for app in ("accounts", "sessions_app", "an_app_of_then"):
            APPLIED.objects.create(app=app, name="9999_of_the_next_release")

        self.assertIsNone(self.migrations.find_problem())

    def test_it_is_noticed_and_ends_without_a_restart_with_one_line_each(self) -> None:
        self.migrations.look()
        [(app, name)] = MigrationLoader(None).graph.leaf_nodes("sessions_app")
        last = APPLIED.objects.get(app=app, name=name)
        last.delete()
        with self.assertLogs(pending.logger) as logged:
            self.migrations.look()
            self.migrations.look()
            with self.assertRaises(MigrationPending):
                self.migrations.require(CHAT)
            APPLIED.objects.create(app=last.app, name=last.name)
            self.migrations.look()
            self.migrations.look()
        self.migrations.require(CHAT)

        self.assertEqual(
            logged.output,
            [
                f"ERROR:{pending.__name__}:1 migration is pending, {last.app}.{last.name} first; "
                "run “manage.py migrate”. Until then callers get 503.",
                f"WARNING:{pending.__name__}:All migrations are applied: callers are let in.",
            ],
        )

    def test_a_database_without_the_table_is_none_to_serve(self) -> None:
        self.migrations.look()
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE django_migrations RENAME TO gone")
        with (
            mock.patch.object(pending, "_applied", side_effect=ProgrammingError("no such table")),
            self.assertLogs(pending.logger) as logged,
        ):
            self.migrations.look()
        self.assertRegex(logged.output[0], "migrations are pending, .* first; run ")
        with self.assertRaises(MigrationPending):
            self.migrations.require(CHAT)

    def test_a_login_that_may_not_read_the_table_is_named(self) -> None:
        self.migrations.look()
        denied = ProgrammingError("permission denied for table django_migrations\nmore")
        with (
            mock.patch.object(pending, "_applied", side_effect=denied),
            mock.patch.object(pending, "MigrationExecutor", side_effect=denied),
            self.assertLogs(pending.logger) as logged,
        ):
            self.migrations.look()
        self.assertIn("permission denied for table django_migrations. Until", logged.output[0])
        with self.assertRaises(MigrationPending):
            self.migrations.require(CHAT)


class WatchTests(SimpleTestCase):
    def watch(self, migrations: Migrations) -> pending.Watch:
        watch = pending.Watch(migrations)
        watch.start()
        self.addCleanup(watch.join)
        self.addCleanup(watch.stop)
        return watch

    def test_nobody_is_let_in_before_the_first_answer(self) -> None:
        migrations = Migrations()
        migrations.problem = pending.NOT_KNOWN
        with mock.patch.object(Migrations, "find_problem", side_effect=OperationalError):
            self.assertTrue(self.watch(migrations).has_looked.wait(10))
            with self.assertRaises(Unavailable):
                migrations.require(CHAT)
            migrations.require(settings.STATIC_URL)

    def test_a_silent_database_changes_nothing(self) -> None:
        migrations = Migrations()
        with mock.patch.object(Migrations, "find_problem", side_effect=OperationalError):
            self.assertTrue(self.watch(migrations).has_looked.wait(10))
        self.assertIsNone(migrations.problem)

    async def test_a_server_looks_before_its_first_call(self) -> None:
        migrations = Migrations()
        with (
            mock.patch.object(pending, "migrations", migrations),
            mock.patch.object(Migrations, "find_problem", return_value="1 is pending."),
            self.assertLogs(pending.logger, "ERROR"),
        ):
            pending.start()
            watch = pending._watch
            await pending.stop()
        assert watch is not None
        watch.join()
        self.assertEqual(migrations.problem, "1 is pending.")
