"""The two formats of the log: what a line holds, and what nobody can make it hold."""

from __future__ import annotations

import io
import json
import logging
import logging.config
from typing import Any
from uuid import UUID

import psycopg
from django.core.exceptions import DisallowedHost, PermissionDenied
from django.db import IntegrityError
from django.test import SimpleTestCase, override_settings
from pydantic import TypeAdapter, ValidationError

from salient.api.worker import refusal
from salient.observability import context
from salient.observability.logs import gunicorn_config, logging_config
from salient.security.logs import OneLineRefusals
from tests.support.api_client import ApiClient, connections_stay_open

SECRET = "sal_sk_abcdefghijkl_0123456789abcdefghijABCDEFGHIJ01"
FORGED = "gone\n2026-01-01 00:00:00,000 ERROR salient [-]: forged\r\u2028x"
SESSION, TURN = UUID(int=1), UUID(int=2)


def written(log_format: str, *args: Any, **more: Any) -> str:
    """What a process with this format writes for one error."""
    config = logging_config("INFO", log_format)
    stream = io.StringIO()
    config["handlers"]["console"]["stream"] = stream
    logger = logging.getLogger("tests.of.logs")
    config["loggers"] = {logger.name: {"handlers": ["console"], "propagate": False}}
    del config["root"]
    logging.config.dictConfig(config)
    try:
        logger.error(*args, **more)
    finally:
        logger.handlers.clear()
    return stream.getvalue()


class LevelTests(SimpleTestCase):
    def test_what_is_told_of_every_call_or_job_is_no_line(self) -> None:
        self.assertTrue(logging.getLogger("salient").isEnabledFor(logging.INFO))
        for name in ("httpx2", "psycopg.pool", "django.tasks", "django_tasks_db"):
            self.assertFalse(logging.getLogger(name).isEnabledFor(logging.INFO), name)


class FormatTests(SimpleTestCase):
    def inside(self, log_format: str, *args: Any, **more: Any) -> str:
        begun = context.begin({"headers": [(b"x-request-id", b"job-7")]})
        try:
            context.note_turn("acme", "bot", SESSION, TURN)
            return written(log_format, *args, **more)
        finally:
            context.end(begun)

    def test_a_line_names_what_it_is_about(self) -> None:
        found = json.loads(self.inside("json", "Refused: %s", "no key"))

        self.assertRegex(found.pop("time"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertGreater(found.pop("process"), 0)
        self.assertEqual(
            found,
            {
                "level": "ERROR",
                "logger": "tests.of.logs",
                "message": "Refused: no key",
                "request_id": "job-7",
                "account": "acme",
                "agent": "bot",
                "session_id": str(SESSION),
                "turn_id": str(TURN),
            },
        )
        about = f"[job-7 acme/bot session={SESSION} turn={TURN}]: Refused: no key\n"
        self.assertTrue(self.inside("text", "Refused: %s", "no key").endswith(about))

    def test_outside_of_a_request_it_names_nothing(self) -> None:
        found = json.loads(written("json", "Hello"))

        self.assertEqual(set(found), {"time", "level", "logger", "message", "process"})
        self.assertIn("ERROR tests.of.logs [-]: Hello", written("text", "Hello"))

    def test_a_text_with_line_breaks_forges_no_line(self) -> None:
        as_json, as_text = written("json", FORGED), written("text", "%s", FORGED)

        self.assertEqual(as_json.splitlines(), [as_json.removesuffix("\n")])
        self.assertEqual(json.loads(as_json)["message"], FORGED)
        first, *others = as_text.removesuffix("\n").split("\n")
        self.assertTrue(first.endswith("gone"))
        self.assertTrue(all(line.startswith("    ") for line in others))
        self.assertNotIn("\r", as_text)

    def test_a_traceback_forges_no_line_either(self) -> None:
        as_json, as_text = (
            written(log_format, "Failed", exc_info=ValueError(FORGED))
            for log_format in ("json", "text")
        )
        _, *others = as_text.removesuffix("\n").split("\n")

        self.assertEqual(as_json.splitlines(), [as_json.removesuffix("\n")])
        self.assertGreater(len(others), 1)
        self.assertEqual([line for line in others if not line.startswith("    ")], [])

    def test_secrets_are_left_out_also_of_tracebacks(self) -> None:
        for log_format in ("json", "text"):
            with self.subTest(log_format):
                try:
                    int(SECRET)
                except ValueError:
                    line = written(log_format, "Failed for %s", SECRET, exc_info=True)

                self.assertNotIn("0123456789abcdef", line)
                self.assertIn(
                    "ValueError: invalid literal for int() with base 10: 'sal_sk_abcdefghijkl'",
                    line,
                )
                if log_format == "json":
                    self.assertIn("Traceback", json.loads(line)["exception"])

    def test_a_traceback_holds_no_text_of_a_row_or_a_request(self) -> None:
        refused = (
            'null value in column "role" of relation "messages"\n'
            "DETAIL:  Failing row contains (1, My name is\n\nDora Secret., null).\n"
            "CONTEXT:  SQL statement by Dora Secret"
        )
        said = "Dora\nSecret"
        for log_format in ("json", "text"):
            with self.subTest(log_format):
                try:
                    try:
                        raise psycopg.errors.NotNullViolation(refused)
                    except psycopg.Error as error:
                        raise IntegrityError(str(error)) from error
                except IntegrityError as error:
                    line = written(log_format, "Not stored: %s", error, exc_info=True)
                try:
                    TypeAdapter(int).validate_python(said)
                except ValidationError as error:
                    line += written(log_format, "Not read: %s", error, exc_info=True)

                self.assertNotIn("Dora", line)
                self.assertNotIn("Secret", line)
                self.assertEqual(line.count("in column"), 3)
                self.assertIn("input_type=str", line)

    def test_gunicorn_writes_as_the_rest_does(self) -> None:
        config = gunicorn_config("loud", "json")

        self.assertEqual(config["handlers"]["console"]["formatter"], "json")
        self.assertEqual(config["loggers"]["gunicorn.error"]["level"], "INFO")
        self.assertEqual(gunicorn_config("info", "text"), {})


class RequestLineTests(SimpleTestCase):
    async def test_it_has_the_route_and_not_the_path(self) -> None:
        with override_settings(LOG_REQUESTS=True), self.assertLogs("salient.requests") as logs:
            await ApiClient().get("/accounts/acme/agents/secret-agent/chat", q="secret")
            await ApiClient().call("BREW", "/healthz")

        [chat, health] = logs.records
        facts: dict[str, Any] = chat.__dict__["fields"]
        self.assertEqual(
            (facts["method"], facts["route"], facts["status"]),
            ("GET", "/accounts/{account}/agents/{instance}/chat", 405),
        )
        self.assertNotIn("secret", chat.getMessage())
        self.assertEqual(health.__dict__["fields"]["method"], "OTHER")

    async def test_there_is_none_by_default(self) -> None:
        with self.assertNoLogs("salient.requests"):
            await ApiClient().get("/healthz")


class ApartTests(SimpleTestCase):
    def test_a_turn_of_several_has_ids_of_its_own(self) -> None:
        with context.apart("job"):
            outer = context.request_id()
            context.note(account="acme")
            with context.apart():
                context.note_turn("acme", "bot", SESSION, TURN)
                self.assertEqual(context.request_id(), outer)
            found = context.current()

        self.assertRegex(outer, "^job-[0-9a-f]{8}$")
        assert found is not None
        self.assertEqual((found.account, found.agent, found.turn_id), ("acme", "", None))


class RequestIdTests(SimpleTestCase):
    async def test_the_clients_own_id_is_kept(self) -> None:
        for path in ("/healthz", "/admin/nothing", "/login/"):
            with self.subTest(path=path), connections_stay_open():
                answer = await ApiClient(headers={"x-request-id": "job-7.a_b:c~d"}).get(path)
                self.assertEqual(answer.request_id, "job-7.a_b:c~d")

    async def test_what_is_no_id_is_replaced(self) -> None:
        for sent in ("", "a b", "x" * 129, "ä", 'a"b', "sal_sk_secret", "a,sal_sk_secret"):
            answer = await ApiClient(headers={"x-request-id": sent}).get("/healthz")
            self.assertRegex(answer.request_id, r"^[0-9a-f]{24}$")

    async def test_each_request_gets_another(self) -> None:
        found = {(await ApiClient().get("/healthz")).request_id for _ in range(3)}
        self.assertEqual(len(found), 3)

    async def test_an_error_and_a_refusal_have_one(self) -> None:
        for path, headers in (("/accounts/acme/nothing", {}), ("/healthz/x", {"host": "evil"})):
            answer = await ApiClient(headers=headers).get(path)
            self.assertRegex(answer.request_id, r"^[0-9a-f]{24}$")
        self.assertRegex(refusal(400, "", ()).decode(), r"X-Request-Id: [0-9a-f]{24}\r\n")

    async def test_lines_of_the_log_name_the_request(self) -> None:
        with self.assertLogs("salient.api.limits") as logs:
            logs.records.clear()
            handler = logging.getLogger("salient.api.limits").handlers[0]
            handler.addFilter(context.ContextFilter())
            await ApiClient(headers={"host": "evil.example", "x-request-id": "job-7"}).get(
                "/login/"
            )
        self.assertEqual([record.request_id for record in logs.records], ["job-7"])  # type: ignore[attr-defined]

    def test_outside_of_any_there_is_none(self) -> None:
        self.assertEqual(context.request_id(), "-")


class RefusalTests(SimpleTestCase):
    def test_a_request_that_django_finds_suspicious_is_one_line(self) -> None:
        error = DisallowedHost("Invalid HTTP_HOST header")
        facts = (type(error), error, None)
        for name, is_short in (("django.security.DisallowedHost", True), ("django.request", False)):
            record = logging.LogRecord(name, logging.ERROR, "", 0, "refused", (), facts)
            line = OneLineRefusals().filter(record)
            self.assertEqual(line.exc_info is None, is_short)
            self.assertEqual(line.levelname, "WARNING" if is_short else "ERROR")

    def test_a_page_that_is_forbidden_is_one_line(self) -> None:
        error = PermissionDenied()
        facts = (type(error), error, None)
        record = logging.LogRecord("django.request", logging.WARNING, "", 0, "no", (), facts)
        self.assertIsNone(OneLineRefusals().filter(record).exc_info)
        # Others may want it.
        self.assertEqual(record.exc_info, facts)
