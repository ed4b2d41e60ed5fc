"""A call that waits for a silent server starts a probe; all are refused until it answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import psycopg
from django.db import OperationalError
from django.test import TransactionTestCase, override_settings
from psycopg.conninfo import conninfo_to_dict

from accounts.tenancy.context import platform_context
from salient import database
from salient.database import circuit_breaker, database_config
from salient.database.circuit_breaker import Circuit, LimitedConnection, ReplyTimeout, Unanswered
from salient.database.pipeline import execute
from tests.support.servers.silent_proxy import SilentProxy


def eventually(happened: Callable[[], object]) -> None:
    until = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.02)


class CircuitTests(TransactionTestCase):
    available_apps = ()

    def setUp(self) -> None:
        self.proxy = self.enterContext(SilentProxy())
        self.addCleanup(self.proxy.release)
        by_proxy: dict[str, Any] = {**conninfo_to_dict(self.proxy.url), "autocommit": True}
        by_proxy["connect_timeout"] = 2
        self.enterContext(mock.patch.object(circuit_breaker, "_parameters", return_value=by_proxy))
        self.enterContext(mock.patch.object(circuit_breaker, "PROBE_SECONDS", 0.3))

    def test_only_silence_is_no_answer(self) -> None:
        self.assertTrue(circuit_breaker.server_answers())
        nobody = {"host": "127.0.0.1", "port": "1", "dbname": "x"}
        with mock.patch.object(circuit_breaker, "_parameters", return_value=nobody):
            self.assertTrue(circuit_breaker.server_answers())
        self.proxy.hold()
        self.assertFalse(circuit_breaker.server_answers())

    def test_it_opens_when_the_server_is_silent_and_closes_when_it_answers(self) -> None:
        circuit, heard = Circuit(), list[bool]()
        circuit.listen(lambda: heard.append(circuit.is_open))
        circuit.suspect()
        eventually(lambda: circuit._prober is None)
        circuit.refuse()
        self.assertEqual((heard, circuit.generation), ([], 0))

        self.proxy.hold()
        with self.assertLogs("salient.database.circuit_breaker", "WARNING") as logs:
            for _ in range(3):
                circuit.suspect()
            eventually(lambda: circuit.is_open)
            with self.assertRaises(Unanswered):
                circuit.refuse()
            self.proxy.release()
            eventually(lambda: circuit._prober is None)
        circuit.refuse()
        self.assertEqual((heard, circuit.generation), ([True, False], 1))
        self.assertEqual(len(logs.output), 2)

    def test_a_limited_connection_gives_up_and_is_closed_and_a_commands_waits(self) -> None:
        with LimitedConnection.connect(self.proxy.url) as limited:
            limited.reply_seconds = 0.3
            self.assertEqual(limited.execute("SELECT 1").fetchone(), (1,))
            self.proxy.hold()
            with self.assertRaises(ReplyTimeout):
                limited.execute("SELECT 1")
            self.assertTrue(limited.closed)
            self.proxy.release()
        results: list[Any] = []

        def patiently() -> None:
            with LimitedConnection.connect(self.proxy.url) as command:
                self.proxy.hold()
                results.append(command.execute("SELECT 2").fetchone())

        waiting = threading.Thread(target=patiently)
        waiting.start()
        waiting.join(1)
        self.assertTrue(waiting.is_alive())
        self.proxy.release()
        waiting.join()
        self.assertEqual(results, [(2,)])

    def test_an_error_of_the_server_comes_through_as_it_is(self) -> None:
        with LimitedConnection.connect(self.proxy.url) as limited:
            limited.reply_seconds = 5
            with self.assertRaises(psycopg.errors.DivisionByZero):
                limited.execute("SELECT 1 / 0")

    @override_settings(DATABASE_API_THREADS=1)
    async def test_while_it_is_open_no_path_to_the_database_waits(self) -> None:
        self.addCleanup(database.shut_down)
        with mock.patch.object(database.circuit, "is_open", new=True):
            with self.assertRaises(OperationalError):
                await execute((b"SELECT 1", []))
            with self.assertRaises(OperationalError):
                await database.in_database(time.sleep, 0)
            with self.assertRaises(OperationalError), platform_context():
                self.fail("nothing is sent")

    def test_the_keep_alive_settings_reach_the_kernel(self) -> None:
        url = "postgres://u@h/d?tcp_user_timeout=5000&connect_timeout=9"
        options = database_config(url, pool_size=8)["OPTIONS"]
        self.assertEqual((options["keepalives"], options["keepalives_idle"]), (1, 10))
        self.assertEqual((options["tcp_user_timeout"], options["connect_timeout"]), ("5000", "9"))
