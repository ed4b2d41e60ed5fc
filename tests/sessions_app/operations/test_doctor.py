"""Each fault that the doctor knows is planted and told, with what to do."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest import mock

from django.conf import settings
from django.core.checks import Error
from django.core.checks import Warning as Advice
from django.db import connection
from django.tasks import TaskResultStatus
from django.test import SimpleTestCase, TestCase, override_settings
from django.utils import timezone
from django_tasks_db.models import DBTaskResult, get_date_max

from agents.config import loader
from agents.connections.connections import create_connection
from salient.database.diagnosis import DatabaseProblem
from sessions_app.operations.doctor import database, network, service
from sessions_app.operations.doctor.findings import Needs, Subject
from tests.support.commands import run
from tests.support.factories import (
    make_connection,
    make_delivery,
    make_invitation,
    make_session,
    make_webhook,
)
from tests.support.fixtures import AgentFixtures
from tests.support.servers.certificates import certificate, server_context

OLD = timedelta(hours=1)
type Plant = Callable[[Any], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Fault:
    subject: str
    plant: Plant
    status: str
    told: str


def setting(**values: Any) -> Plant:
    return lambda _case: override_settings(**values)


def patched(what: str, **values: Any) -> Plant:
    return lambda _case: mock.patch(f"sessions_app.operations.doctor.{what}", **values)


def sql(statement: str) -> Plant:
    @contextmanager
    def plant(_case: Any) -> Iterator[None]:
        with connection.cursor() as cursor:
            cursor.execute("SAVEPOINT planted")
            cursor.execute(statement)
        try:
            yield
        finally:
            with connection.cursor() as cursor:
                cursor.execute("ROLLBACK TO SAVEPOINT planted")

    return plant


def done(work: Callable[[Any], Any]) -> Plant:
    """Make rows, which the savepoint takes away again."""

    @contextmanager
    def plant(case: Any) -> Iterator[None]:
        with sql("SELECT 1")(case):
            work(case)
            yield

    return plant


def configured(text: str) -> Plant:
    @contextmanager
    def plant(case: Any) -> Iterator[None]:
        loader.forget()
        case.configure(text)
        yield
        loader.forget()
        case.configure(case.config)

    return plant


def task(path: str = "", age: timedelta = timedelta(), **fields: Any) -> Any:
    now = timezone.now()
    values = {
        "task_path": path or "somewhere.work",
        "args_kwargs": {"args": [], "kwargs": {}},
        "run_after": now - age,
        "backend_name": "default",
        "exception_class_path": "",
        "traceback": "",
    }
    return DBTaskResult.objects.create(**values | fields)


def enqueued_for_no_time(age: timedelta) -> Any:
    made = task(run_after=get_date_max())
    # Creating sets it to now.
    DBTaskResult.objects.filter(pk=made.pk).update(enqueued_at=timezone.now() - age)
    return made


def finished(age: timedelta, status: str = TaskResultStatus.SUCCESSFUL) -> Any:
    return task(status=status, finished_at=timezone.now() - age)


@contextmanager
def answering(status: int, *, pem: bytes = b"") -> Iterator[int]:
    """Run a server that answers each GET with this status; return its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    # A client that does not trust the certificate hangs up, which is no news.
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    if pem:
        server.socket = server_context(pem).wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def model_server(status: int, config: str = "model: mock:test\n") -> Plant:
    @contextmanager
    def plant(case: Any) -> Iterator[None]:
        with answering(status) as port:
            url = {"MOCK_BASE_URL": f"http://127.0.0.1:{port}/v1"}
            with mock.patch.dict(os.environ, url), configured(config)(case):
                yield

    return plant


@contextmanager
def closed_server(case: Any) -> Iterator[None]:
    url = {"MOCK_BASE_URL": "http://127.0.0.1:9/v1"}
    with mock.patch.dict(os.environ, url), configured("model: mock:test\n")(case):
        yield


@contextmanager
def own_certificate(_case: Any, *, trusted: bool) -> Iterator[None]:
    pem = certificate("localhost")
    with answering(200, pem=pem) as port, tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(pem[pem.index(b"-----BEGIN CERTIFICATE") :])
        trust = {"SSL_CERT_FILE": file.name} if trusted else {}
        public = f"https://localhost:{port}"
        with mock.patch.dict(os.environ, trust), override_settings(PUBLIC_URL=public):
            yield


def failing(case: Any) -> None:
    make_delivery(make_webhook(case.account, failing_since=timezone.now()))


PRODUCTION = {"DEBUG": False, "HTTPS": True}
NO_SPACE = mock.Mock(return_value=mock.Mock(total=100 << 30, free=1 << 20))
LITTLE_SPACE = mock.Mock(return_value=mock.Mock(total=100 << 30, free=1 << 30))
FAULTS = (
    Fault("settings", patched("configured.run_checks", return_value=[Error("E")]), "fault", "E"),
    Fault("settings", patched("configured.run_checks", return_value=[Advice("W")]), "warning", "W"),
    Fault("PUBLIC_URL", setting(PUBLIC_URL="https://else.example"), "fault", "ALLOWED_HOSTS"),
    Fault("PUBLIC_URL", setting(PUBLIC_URL="http://localhost", HTTPS=True), "warning", "http://"),
    Fault("PUBLIC_URL", setting(**PRODUCTION), "warning", "is not set"),
    Fault("proxy", setting(HTTPS=True), "warning", "redirects to itself"),
    Fault(
        "proxy",
        setting(HTTPS=False, TRUSTED_PROXIES=["10.0.0.0/8"]),
        "warning",
        "counts for nothing",
    ),
    Fault("e-mail", done(lambda case: make_invitation(case.account)), "warning", "1 invitations"),
    Fault("disk", patched("database.shutil.disk_usage", new=NO_SPACE), "fault", "0.0 GB free"),
    Fault("disk", patched("database.shutil.disk_usage", new=LITTLE_SPACE), "warning", "1.0 GB"),
    Fault(
        "database",
        patched("database.check_server", side_effect=DatabaseProblem("down")),
        "fault",
        "down",
    ),
    Fault("schema", patched("database.pending_migrations", return_value=True), "fault", "pending"),
    Fault(
        "schema",
        sql(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_sessions_user'::regclass"
        ),
        "warning",
        "ix_sessions_user",
    ),
    Fault("roles", sql("REVOKE SELECT ON messages FROM salient_tenant"), "fault", "messages"),
    Fault(
        "row-level security",
        sql("ALTER TABLE sessions DISABLE ROW LEVEL SECURITY"),
        "fault",
        "sessions: any account",
    ),
    Fault("extensions", patched("database._rows", return_value=[]), "fault", "plpgsql"),
    Fault("connections", setting(WORKERS=500), "warning", "up to 4003 of this machine"),
    Fault("clock", patched("database.time.time", return_value=0.0), "fault", " s from"),
    Fault(
        "stored secrets",
        done(lambda case: make_connection(case.account, secret="lost")),
        "fault",
        "opens 1 of them: ",
    ),
    Fault(
        "stored secrets",
        lambda case: override_settings(
            SECRET_ENCRYPTION_KEYS=["new", *settings.SECRET_ENCRYPTION_KEYS]
        ),
        "warning",
        "older key",
    ),
    Fault("API_KEY_PEPPER", setting(), "warning", "API_KEY_PEPPER is not set"),
    Fault("configuration files", configured("modell: x\n"), "fault", "acme/bot"),
    Fault(
        "configuration files", configured("model: openai:gpt-5-mini\n"), "warning", "OPENAI_API_KEY"
    ),
    Fault("prices", model_server(200), "warning", "mock:test"),
    Fault("timeouts", setting(STREAM_MAX_SECONDS=60), "warning", "cuts it at 60"),
    Fault("queue", setting(), "warning", "no worker has run"),
    Fault("queue", done(lambda _case: finished(OLD)), "fault", "no worker runs"),
    Fault(
        "queue",
        done(lambda _case: (finished(timedelta()), task(age=OLD))),
        "fault",
        "1 jobs are due",
    ),
    Fault(
        "queue",
        done(lambda _case: (finished(timedelta()), enqueued_for_no_time(OLD))),
        "fault",
        "1 jobs are due",
    ),
    Fault(
        "jobs",
        done(lambda _case: finished(timedelta(), TaskResultStatus.FAILED)),
        "warning",
        "failed within a day: work (1)",
    ),
    Fault("jobs", done(lambda _case: task()), "warning", "never planned: "),
    Fault("webhooks", done(failing), "warning", "1 waiting, 1 endpoints fail"),
    Fault("model servers", closed_server, "fault", "cannot be reached"),
    Fault("model servers", model_server(401), "fault", "refuses the key"),
    Fault("model servers", model_server(500), "fault", "answers 500"),
    Fault("model servers", model_server(404), "warning", "has no list of models"),
    Fault("model servers", configured("model: connection/none:x\n"), "fault", "does not exist"),
    Fault("certificates", lambda case: own_certificate(case, trusted=False), "fault", "self"),
    Fault("certificates", lambda case: own_certificate(case, trusted=True), "warning", "in 0 days"),
)
ALL = {each.name: each for each in (database.DATABASE, database.SCHEMA, *service.SUBJECTS)}


@override_settings(DEBUG=True)
class DoctorTests(AgentFixtures, TestCase):
    def setUp(self) -> None:
        super().setUp()
        make_session(self.instance)
        create_connection(
            self.account.pk, name="own", base_url="https://llm.example.com/v1", key="sk-0123456789"
        )

    def test_each_fault_is_told(self) -> None:
        for fault in FAULTS:
            with self.subTest(fault.subject, told=fault.told), fault.plant(self):
                found = service.look(ALL[fault.subject])
                told = [
                    f"{each.text} {each.advice}" for each in found if each.status == fault.status
                ]
                self.assertTrue(any(fault.told in each for each in told), found)

    def test_every_subject_has_a_fault_here_or_none_to_tell(self) -> None:
        self.assertEqual({*ALL} - {fault.subject for fault in FAULTS}, {"database size"})

    def test_a_server_that_answers_is_well(self) -> None:
        with model_server(200)(self):
            [found] = service.look(ALL["model servers"])
        self.assertRegex(found.text, r"^mock: 127.0.0.1:\d+ answers$")

    def test_a_connection_of_an_account_is_probed_with_its_own_key(self) -> None:
        with (
            configured("model: connection/gate:x\n")(self),
            mock.patch.object(
                network,
                "probe_connection",
                return_value=mock.Mock(text="accepted the key", is_good=True),
            ) as probed,
        ):
            make_connection(self.account, name="gate")
            [found] = service.look(ALL["model servers"])
        self.assertEqual(found.text, "acme's connection/gate: accepted the key")
        self.assertEqual(probed.call_count, 1)

    def test_with_a_pepper_of_its_own_the_keys_are_well(self) -> None:
        with override_settings(API_KEY_PEPPER="another"):
            [found] = service.look(ALL["API_KEY_PEPPER"])
        self.assertEqual(found.status, "ok")

    def test_offline_it_prints_a_line_for_each_subject_and_calls_nobody(self) -> None:
        with (
            patched("network._providers")(self) as called,
            mock.patch("salient.database.shut_down"),
        ):
            lines = run("doctor", "--offline").splitlines()
        called.assert_not_called()
        subjects = [line.split(maxsplit=1)[1].partition(":")[0] for line in lines]
        self.assertEqual({*ALL} - {*subjects}, {"model servers", "certificates"})
        self.assertIn(
            "ok      row-level security: an unknown account can read none of", "\n".join(lines)
        )


class IsolationTests(SimpleTestCase):
    """What a subject raises is its own fault, and the others go on."""

    def examined(self, *subjects: Subject) -> list[tuple[str, str]]:
        with mock.patch.object(service, "SUBJECTS", subjects):
            return [(name, each.text) for name, each in service.examine()]

    def test_without_a_database_the_others_are_looked_at(self) -> None:
        broken = Subject("broken", mock.Mock(side_effect=ValueError("no\nmore")), Needs.NOTHING)
        deep = Subject("deep", mock.Mock())
        with patched("database.check_server", side_effect=DatabaseProblem("down"))(self):
            found = self.examined(broken, deep)
        self.assertEqual(
            found,
            [
                ("database", "down"),
                ("broken", "could not be checked: ValueError: no"),
                ("left out", "schema, deep"),
            ],
        )

    def test_one_that_takes_too_long_keeps_nobody_waiting(self) -> None:
        end = threading.Event()
        self.addCleanup(end.set)
        with mock.patch.object(network, "ALL_SECONDS", 0.05):
            [late, broken] = network._side_by_side(
                {"slow": lambda: end.wait() and mock.Mock(), "broken": lambda: 1 / 0}  # type: ignore[dict-item, return-value]
            )
        self.assertEqual(late.text, "slow was not checked in time")
        self.assertEqual(broken.text, "broken: division by zero")

    def test_an_address_that_a_tenant_chose_must_be_public(self) -> None:
        with self.assertRaisesRegex(OSError, "not public"):
            network.days_left("127.0.0.1", 443, only_public=True)
