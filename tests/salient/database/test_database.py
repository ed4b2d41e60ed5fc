"""Which database is used, and what a person reads when it can not be."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import psycopg
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, IntegrityError, OperationalError, connection
from django.test import SimpleTestCase, TestCase
from psycopg import errors

from salient.database import check_server, config, database_config, diagnosis, embedded, explain
from salient.local.shared_process import ROOT, SharedProcessError

URL = "postgres://ann:s3cret@db.example:6543/shop?sslmode=require"


class ConfigTests(SimpleTestCase):
    def test_a_url_becomes_settings_with_a_bounded_pool(self) -> None:
        settings = database_config(URL, pool_size=8)

        self.assertEqual(settings["ENGINE"], "salient.database")
        self.assertNotIn("EMBEDDED", settings)
        server = [settings[name] for name in ("NAME", "USER", "PASSWORD", "HOST", "PORT")]
        self.assertEqual(server, ["shop", "ann", "s3cret", "db.example", "6543"])
        self.assertEqual(settings["OPTIONS"]["sslmode"], "require")
        pool = settings["OPTIONS"]["pool"]
        self.assertEqual((pool["min_size"], pool["max_size"], pool["timeout"]), (0, 8, 3.0))
        self.assertEqual((settings["CONN_MAX_AGE"], settings["CONN_HEALTH_CHECKS"]), (0, True))

    def test_without_a_url_it_is_the_embedded_server(self) -> None:
        settings = database_config(None, pool_size=8)

        self.assertEqual(settings["ENGINE"], "salient.database")
        self.assertIs(settings["EMBEDDED"], True)
        self.assertEqual(settings["HOST"], str(embedded.socket_directory()))

    def test_a_wrong_url_is_refused_without_showing_its_password(self) -> None:
        for url in (
            "mysql://ann:s3cret@host/name",
            "ann:s3cret@host/name",
            "postgres://ann:s3cret@host",
            "postgres://ann:s3cret@host:port/name",
            "postgres://ann:s3cret@host/name?nonsense=1",
            "postgres://ann:s3cret%zz@host/name",
        ):
            with self.subTest(url), self.assertRaises(ImproperlyConfigured) as caught:
                connect_nowhere(url)
            self.assertIn("DATABASE_URL", str(caught.exception))
            self.assertNotIn("s3cret", str(caught.exception))

    def test_a_pool_that_the_api_would_use_up_is_refused(self) -> None:
        with self.assertRaisesRegex(ImproperlyConfigured, "DATABASE_POOL_SIZE is 4"):
            database_config(URL, pool_size=4, api_connections=4)

    def test_the_socket_is_near_the_data_unless_its_path_gets_too_long(self) -> None:
        near, far = Path("/srv/salient/var/postgres"), Path("/srv") / ("x" * 90)
        other = Path("/srv") / ("y" * 90)

        self.assertEqual(embedded.socket_directory(near), near / "socket")
        for directory in (far, other):
            file = embedded.socket_directory(directory) / embedded.SOCKET_FILE
            self.assertLess(len(str(file)), embedded.SOCKET_PATH_LIMIT)
        self.assertNotEqual(embedded.socket_directory(far), embedded.socket_directory(other))


class ExplainTests(SimpleTestCase):
    def test_an_error_of_postgresql_becomes_one_line_of_advice(self) -> None:
        for message, advice in (
            ('connection to server at "x" failed: Connection refused\n\tIs it up?', "does it run"),
            ("failed to resolve host 'nowhere'", "host name is not known"),
            ('FATAL:  password authentication failed for user "ann"', "password is wrong"),
            ('FATAL:  database "shop" does not exist', "create it first"),
            ("connection timeout expired", "does not answer in time"),
            ("FATAL:  sorry, too many clients already", "connections are taken"),
        ):
            line = explain(wrapped(psycopg.OperationalError(message))) or ""
            self.assertIn(advice, line)
            self.assertNotIn("\n", line)

    def test_a_missing_right_and_a_full_disk_are_named(self) -> None:
        denied = errors.InsufficientPrivilege("permission denied for table accounts")
        self.assertIn("permission denied for table accounts", explain(wrapped(denied)) or "")
        full = errors.DiskFull("could not extend file")
        self.assertIn("its disk is full", explain(wrapped(full)) or "")

    def test_djangos_errors_are_explained_by_the_error_being_handled(self) -> None:
        denied = errors.InsufficientPrivilege("permission denied for schema public")
        outer = DatabaseError("Unable to create the table")
        outer.__context__ = denied
        self.assertIn("permission denied for schema public", explain(outer) or "")

    def test_settings_and_the_embedded_server_speak_for_themselves(self) -> None:
        self.assertEqual(
            explain(ImproperlyConfigured("SECRET_KEY is missing")), "SECRET_KEY is missing"
        )
        self.assertEqual(explain(wrapped(SharedProcessError("no disk"))), "no disk")

    def test_a_fault_of_the_program_is_not_explained_away(self) -> None:
        for error in (
            ValueError("bug"),
            IntegrityError("duplicate"),
            wrapped(errors.SyntaxError("x")),
        ):
            self.assertIsNone(explain(error))

    def test_a_server_too_old_is_refused(self) -> None:
        with self.assertRaisesRegex(diagnosis.DatabaseProblem, r"PostgreSQL 14\.9: at least 15"):
            diagnosis.check_version(140009)
        diagnosis.check_version(150000)


class CheckServerTests(TestCase):
    def test_the_tests_own_server_is_fine(self) -> None:
        check_server()

    def test_a_server_that_is_not_there_is_one_line(self) -> None:
        away = mock.patch.dict(connection.settings_dict, HOST="/nowhere")
        with away, self.assertRaisesRegex(diagnosis.DatabaseProblem, "there is no such socket"):
            check_server()

    def test_a_user_without_rights_is_one_line(self) -> None:
        self.addCleanup(self.superuser, "DROP ROLE IF EXISTS stranger")
        self.superuser("CREATE ROLE stranger LOGIN PASSWORD 'unknown'")
        login = {"USER": "stranger", "PASSWORD": "unknown"}
        stranger = mock.patch.dict(connection.settings_dict, login)
        with stranger, self.assertRaisesRegex(diagnosis.DatabaseProblem, "'stranger' may not read"):
            check_server()

    def superuser(self, statement: Any) -> None:
        with psycopg.connect(**diagnosis.parameters(), autocommit=True) as own:
            own.execute(statement)


class EmbeddedServerTests(SimpleTestCase):
    """A cluster of its own, started by processes of its own."""

    def setUp(self) -> None:
        folder = self.enterContext(tempfile.TemporaryDirectory())
        # As long as a checkout's path may be.
        self.directory = Path(folder) / ("long" * 40) / "postgres"

    def ask(self, query: str) -> str:
        """What a process that uses the server reads from it, or why it can not."""
        code = """if True:
            import sys, psycopg; from pathlib import Path; from salient.database import embedded
            directory = Path(sys.argv[1])
            try: embedded.ensure_running(directory)
            except embedded.SharedProcessError as error: sys.exit(str(error))
            host = str(embedded.socket_directory(directory))
            with psycopg.connect(host=host, user="salient", dbname="salient") as own:
                print(own.execute(sys.argv[2]).fetchone()[0])
        """
        command = [sys.executable, "-c", code, str(self.directory), query]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        return (done.stdout or done.stderr).strip()

    def stop(self) -> None:
        """Stop the server, which would else wait some seconds for another user."""
        state = json.loads((self.directory / "state.json").read_text())
        os.kill(state["keeper"], signal.SIGTERM)
        with (self.directory / "keeper.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)

    def test_it_works_at_a_long_path_and_after_a_crash(self) -> None:
        self.assertEqual(self.ask("SELECT current_user"), "salient")
        self.stop()
        sockets = embedded.socket_directory(self.directory)
        self.addCleanup(sockets.rmdir)
        # Process 1 lives and is no PostgreSQL.
        (self.directory / "data" / "postmaster.pid").write_text("1\n")
        (sockets / f"{embedded.SOCKET_FILE}.lock").write_text("1\n")
        self.assertEqual(self.ask("SELECT 6 * 7"), "42")
        self.stop()

        (self.directory / "data" / "PG_VERSION").write_text("17\n")
        self.assertRegex(self.ask("SELECT 1"), "made by PostgreSQL 17, installed is 18. To keep")

    def test_without_the_wheel_the_line_gives_advice(self) -> None:
        no_wheel = mock.patch.object(embedded, "find_spec", return_value=None)
        with no_wheel, self.assertRaisesRegex(SharedProcessError, "DATABASE_URL is not set"):
            embedded.ensure_running(self.directory)
        self.assertFalse(self.directory.exists())

    def test_the_reason_of_a_failed_start_is_found_in_its_log(self) -> None:
        server = embedded.EmbeddedServer(self.directory)
        full = "PANIC:  could not write: No space left on device"
        self.assertIn("is full", server.start_failure(full))
        other = "LOG:  starting\nFATAL:  could not load library\nLOG:  shut down"
        self.assertIn("could not load library", server.start_failure(other))


def connect_nowhere(url: str) -> None:
    """Read the settings as Django does at its start."""
    config.database_config(url, pool_size=8)


def wrapped(cause: Exception) -> Exception:
    """As Django hands it on."""
    error = OperationalError("outer")
    error.__cause__ = cause
    return error
