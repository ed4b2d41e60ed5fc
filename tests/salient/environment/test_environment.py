"""Settings are checked: each wrong one is a line that names it and its value."""

from __future__ import annotations

import ast
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest import mock

from django.conf import settings
from django.test import SimpleTestCase

from salient import __main__
from salient.database.diagnosis import explain
from salient.environment import values as setting_values
from salient.environment.reader import Environment, SettingsError
from salient.local import environment_file

NUMBERS = ("-1", "NaN", "inf", "1_000", "٣", "10m", "1e999999", "abc", "0x10")
# What each setting refuses. Every one refuses what is in NUMBERS besides, if it is a number.
WRONG: dict[str, tuple[str, ...]] = {
    "DEBUG": ("flase", "2", "maybe"),
    "DEMO": ("nein",),
    "HTTPS": ("ture",),
    "ALLOW_HTTP": ("?",),
    "ALLOW_OPEN_DEBUG": ("-",),
    "TRUST_PROXY_HEADERS": ("10.0.0.0/8",),
    "TRUSTED_PROXIES": ("0.0.0.0/0", "::/0", "0.0.0.0/1", "10.0.0.1/8", "proxy", "10.0.0.0/33"),
    "ALLOWED_HOSTS": ("https://a.example", "a.example:443", "a.example/x", "a b", "300.1.1.1"),
    "CSRF_TRUSTED_ORIGINS": ("a.example", "https://a.example/x", "ftp://a.example"),
    "HOST": ("a b", "http://127.0.0.1", "127.0.0.1:80", "1.2.3"),
    "PORT": (*NUMBERS, "0", "65536"),
    "WEB_CONCURRENCY": (*NUMBERS, "0", "1.5", "100000"),
    "START_WORKER": ("beside",),
    "AGENT_CONFIG_DIR": ("/nowhere", "manage.py", "a\0b"),
    "API_KEY_DAYS": (*NUMBERS, "0"),
    "VISITOR_TOKEN_SECONDS": (*NUMBERS, "0"),
    "FORMER_SESSION_COOKIE": ("a\0b",),
    "MAX_BODY_BYTES": (*NUMBERS, "0", "256K"),
    "MAX_FILES_BODY_BYTES": (*NUMBERS, "0", "8M"),
    "MAX_PAGE_BODY_BYTES": (*NUMBERS, "0", "1MB"),
    "HEADER_TIMEOUT_SECONDS": (*NUMBERS, "0", "10s"),
    "BODY_TIMEOUT_SECONDS": (*NUMBERS, "0", "20s"),
    "SEND_TIMEOUT_SECONDS": (*NUMBERS, "0"),
    "STREAM_MAX_SECONDS": (*NUMBERS, "0", "1e9"),
    "STREAM_KEEP_ALIVE_SECONDS": (*NUMBERS, "0"),
    "REVOCATION_CHECK_SECONDS": (*NUMBERS, "0", "3600"),
    "OUTBOUND_PORTS": ("0", "70000", "http", "-1"),
    "WEBHOOK_TRUSTED_HOSTS": ("hooks.internal", "https://hooks:8000", "hooks:0", ":8000"),
    "OUTBOUND_TRUSTED_HOSTS": ("vllm.internal", "https://vllm:8000", "vllm:0", ":8000"),
    "LIMIT_REQUESTS_PER_MINUTE": (*NUMBERS, "0"),
    "LIMIT_REQUESTS_PER_MINUTE_PER_KEY": (*NUMBERS, "0"),
    "LIMIT_REQUESTS_PER_MINUTE_PER_VISITOR": (*NUMBERS, "0"),
    "LIMIT_REQUESTS_PER_MINUTE_PER_NETWORK": (*NUMBERS, "0"),
    "LIMIT_READS_PER_MINUTE": (*NUMBERS, "0"),
    "LIMIT_WRITES_PER_MINUTE": (*NUMBERS, "0"),
    "LIMIT_HEAVY_CALLS_PER_MINUTE": (*NUMBERS, "0"),
    "LIMIT_VISITOR_TOKENS_PER_MINUTE": (*NUMBERS, "0"),
    "LIMIT_NEW_SECRETS_PER_MINUTE": (*NUMBERS, "0"),
    "LIMIT_SENDS_PER_MINUTE": (*NUMBERS, "0"),
    "LIMIT_LOGINS_PER_MINUTE_PER_NETWORK": (*NUMBERS, "0"),
    "LIMIT_WRONG_KEYS_PER_MINUTE_PER_ADDRESS": (*NUMBERS, "0"),
    "LIMIT_CONCURRENT_TURNS": (*NUMBERS, "0"),
    "LIMIT_MESSAGE_BYTES": (*NUMBERS, "0", "32769"),
    "LIMIT_HISTORY_MESSAGES": NUMBERS,
    "DEFAULT_OUTPUT_TOKENS": (*NUMBERS, "0"),
    "UNKNOWN_PRICE_PER_MTOK": (*NUMBERS, "-5", "sNaN", "$10", "1,5"),
    "DATABASE_POOL_SIZE": (*NUMBERS, "0", "3"),
    "DATABASE_API_THREADS": (*NUMBERS, "0"),
    "DATABASE_API_CONNECTIONS": (*NUMBERS, "0", "1001"),
    "DATABASE_URL": (
        "mysql://x",
        "nonsense",
        "postgres://",
        "postgres://h/db?nonsense=1",
        "postgres://h:99999/db",
        "postgres://h:abc/db",
        "postgres://h",
        "sqlite:///x",
    ),
    "DATABASE_DISTRIBUTED": ("spread",),
    "DATABASE_REPLICA_URL": ("mysql://x", "postgres://", "postgres://h:99999/db", "postgres://h"),
    "DATABASE_REPLICA_MAX_LAG": (*NUMBERS, "0", "30s"),
    "HSTS_SECONDS": NUMBERS,
    "PUBLIC_URL": ("foo", "//a.example", "https://a.example/?x", "javascript:x", "https://u@a.b"),
    "EMAIL_URL": ("nonsense", "smtp://", "http://a", "smtp://h:99999", "smtp://h:x", "filemail://"),
    "DEFAULT_FROM_EMAIL": ("x", "a@", "A <a@b.example", "a@b.example>", "A\n<a@b.example>"),
    "LOG_LEVEL": ("loud", "10"),
    "LOG_FORMAT": ("yaml", "1"),
    "LOG_REQUESTS": ("some",),
    "METRICS_TOKEN": ("short", "with a blank inside it", "two\nlines-of-a-token"),
    "METRICS_ACCOUNTS": (*NUMBERS, "1001"),
    "OTEL_EXPORTER_OTLP_ENDPOINT": ("collector:4318", "grpc://collector:4317", "http://c/?a=b"),
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": ("span_only",),
}
# Texts of any kind, as long as they are on one line.
TEXTS = ("SECRET_KEY", "API_KEY_PEPPER", "LOCAL_MODEL_DIR", "TEST_DATABASE_NAME")
LISTS_OF_SECRETS = ("SECRET_KEY_FALLBACKS", "SECRET_ENCRYPTION_KEYS")


def read(**values: str) -> dict[str, Any]:
    """The settings module as a process with these values reads it."""
    with mock.patch.object(os, "environ", values):
        return runpy.run_path(str(settings.BASE_DIR / "salient/settings.py"))


def lines(**values: str) -> list[str]:
    try:
        read(**values)
    except SettingsError as error:
        return error.lines
    return []


class WrongValueTests(SimpleTestCase):
    def rounds(self) -> Iterator[dict[str, str]]:
        """One wrong value of each setting at a time, because reading the settings is slow."""
        table = WRONG | dict.fromkeys(TEXTS, ("two\nlines",))
        for number in range(max(map(len, table.values()))):
            yield {name: bad[number] for name, bad in table.items() if number < len(bad)}

    def test_each_wrong_value_is_one_line_that_names_the_setting(self) -> None:
        for wrong in self.rounds():
            found = lines(**wrong)
            self.assertTrue(all(line.isprintable() for line in found))
            for name, value in wrong.items():
                with self.subTest(name=name, value=value):
                    starts = (f"{name}=", f"{name} ")
                    self.assertEqual(len([line for line in found if line.startswith(starts)]), 1)

    def test_every_setting_is_in_the_table(self) -> None:
        declared = read()["env"].names

        self.assertEqual(declared, {*WRONG, *TEXTS, *LISTS_OF_SECRETS})

    def test_all_problems_are_reported_at_once_with_the_values(self) -> None:
        found = lines(UNKNOWN_PRICE_PER_MTOK="-5", MAX_BODY_BYTES="-1", STREAM_MAX_SECONDS="10m")

        starts = [line.partition(":")[0] for line in found]
        self.assertEqual(
            starts, ["MAX_BODY_BYTES=-1", "STREAM_MAX_SECONDS=10m", "UNKNOWN_PRICE_PER_MTOK=-5"]
        )

    def test_no_line_shows_a_secret(self) -> None:
        found = lines(
            SECRET_KEY="canary\nx",
            API_KEY_PEPPER="canary\n",
            DATABASE_URL="mysql://salient:canary@host/name?password=canary",
            EMAIL_URL="http://someone:can@canary@host",
        )

        self.assertEqual(len(found), 3)
        self.assertNotIn("canary", " ".join(found))

    def test_a_missing_secret_key_is_a_line(self) -> None:
        env = Environment({})
        env.text("SECRET_KEY", required="make one")

        self.assertEqual(env.problems, ["SECRET_KEY is not set; make one"])


class GoodValueTests(SimpleTestCase):
    def test_good_values_are_read(self) -> None:
        found = read(
            HTTPS="on",
            DEBUG="",
            MAX_BODY_BYTES=" 2048 ",
            STREAM_MAX_SECONDS="0.5",
            UNKNOWN_PRICE_PER_MTOK="0",
            TRUSTED_PROXIES="10.0.0.0/8, 192.0.2.1,fd00::/8",
            ALLOWED_HOSTS="a.example,.b.example,[::1]",
            CSRF_TRUSTED_ORIGINS="https://a.example,https://*.b.example",
            OUTBOUND_PORTS="8443",
            OUTBOUND_TRUSTED_HOSTS="vllm.internal:8000,[fd00::1]:80",
            PUBLIC_URL="https://a.example/",
            DEFAULT_FROM_EMAIL="Salient <salient@a.example>",
            LOG_LEVEL="warning",
            HOST="::1",
        )

        expected: dict[str, Any] = {
            "HTTPS": True,
            "DEBUG": False,
            "MAX_BODY_BYTES": 2048,
            "STREAM_MAX_SECONDS": 0.5,
            "UNKNOWN_PRICE_PER_MTOK": Decimal(0),
            "TRUSTED_PROXIES": ["10.0.0.0/8", "192.0.2.1", "fd00::/8"],
            "ALLOWED_HOSTS": ["a.example", ".b.example", "[::1]"],
            "OUTBOUND_PORTS": [8443],
            "PUBLIC_URL": "https://a.example",
            "LOG_LEVEL": "WARNING",
            "BIND": "[::1]:8000",
        }
        self.assertEqual({name: found[name] for name in expected}, expected)

    def test_an_empty_value_is_the_default_but_an_empty_list_is_empty(self) -> None:
        empty = dict.fromkeys(("MAX_BODY_BYTES", "EMAIL_URL", "PUBLIC_URL", "DATABASE_URL"), "")
        found = read(**empty, ALLOWED_HOSTS="", SECRET_KEY_FALLBACKS="")

        self.assertEqual((found["MAX_BODY_BYTES"], found["ALLOWED_HOSTS"]), (262_144, []))
        self.assertEqual(found["SECRET_KEY_FALLBACKS"], [])

    def test_addresses_of_mail_servers(self) -> None:
        for url, expected in (
            ("smtp+tls://u:p%40@mail.example:587", ("mail.example", 587, "p@", True, False)),
            ("smtps://mail.example:465", ("mail.example", 465, "", True, False)),
            ("smtp+ssl://mail.example:465", ("mail.example", 465, "", False, True)),
            ("smtp://localhost", ("localhost", 25, "", False, False)),
        ):
            options = read(EMAIL_URL=url)["MAILERS"]["default"]["OPTIONS"]
            found = [options[n] for n in ("host", "port", "password", "use_tls", "use_ssl")]
            with self.subTest(url):
                self.assertEqual(tuple(found), expected)
        options = read(EMAIL_URL="filemail:///var/mail")["MAILERS"]["default"]["OPTIONS"]
        self.assertEqual(options, {"file_path": "/var/mail"})

    def test_databases_of_several_hosts_and_with_options(self) -> None:
        url = "postgresql://u:p@a:5432,b:5433/salient?sslmode=verify-full&target_session_attrs=any"

        self.assertEqual(read(DATABASE_URL=url)["DATABASES"]["default"]["PORT"], "5432,5433")


class FileTests(SimpleTestCase):
    def setUp(self) -> None:
        self.path = Path(self.enterContext(tempfile.TemporaryDirectory())) / ".env"
        self.enterContext(mock.patch.dict(os.environ))

    def problems(self, content: bytes) -> list[str]:
        self.path.write_bytes(content)
        env = Environment()
        env.read_file(self.path)
        return env.problems

    def test_what_is_no_setting_is_named_by_its_line(self) -> None:
        for content, number in (
            (b"A=1\nB = 2\n", 2),
            (b"A: 1\n", 1),
            (b"A=1\n\n# b\n  C=1", 4),
            (b"A=\0", 1),
        ):
            with self.subTest(content):
                wanted = [f".env has no NAME=value in line {number}"]
                self.assertEqual(self.problems(content), wanted)

    def test_a_file_of_another_kind_is_a_few_lines_that_name_the_setting(self) -> None:
        self.path.write_bytes(b"root:x:0\n" * 100)
        env = Environment()
        env.read_file(self.path, must_exist=True)

        named = [f"ENV_FILE={self.path} has no NAME=value in line {n}" for n in range(1, 6)]
        more = f"ENV_FILE={self.path} has no NAME=value in 95 more lines"
        self.assertEqual(env.problems, [*named, more])

    def test_another_encoding_is_named_by_its_line(self) -> None:
        wanted = [".env is not UTF-8 in line 2: save it as UTF-8"]

        self.assertEqual(self.problems("A=1\nNAME=Köln\n".encode("latin-1")), wanted)

    def test_a_mark_of_the_byte_order_is_no_part_of_a_name(self) -> None:
        self.assertEqual(self.problems(b"\xef\xbb\xbfSALIENT_OPS_PROBE=1\n"), [])
        self.assertEqual(os.environ["SALIENT_OPS_PROBE"], "1")

    def test_a_folder_and_what_may_not_be_read_are_lines(self) -> None:
        self.path.mkdir()
        env = Environment()
        env.read_file(self.path)
        with mock.patch.object(Path, "read_bytes", side_effect=PermissionError(13, "Denied")):
            env.read_file(self.path)

        self.assertEqual(
            env.problems, [".env cannot be read: is a directory", ".env cannot be read: denied"]
        )

    def test_the_set_up_says_so_too(self) -> None:
        self.path.mkdir()
        with mock.patch.object(environment_file, "PATH", self.path):
            code = environment_file.main()

        self.assertRegex(code or "", r"salient: .*\.env cannot be used: is a directory")

    def test_a_slip_is_a_warning_with_the_name_that_was_meant(self) -> None:
        self.path.write_text("MAX_BODY_BYTE=1\nOPENAI_API_KEY=x\nPORT=80\nlog_level=info\nX=1\n")
        env = Environment()
        env.read_file(self.path)
        env.names |= {*WRONG, *TEXTS}

        self.assertEqual(
            env.warnings(),
            [
                "MAX_BODY_BYTE in .env is no setting: is MAX_BODY_BYTES meant?",
                "PORT has no effect in .env: set it in the environment",
                "log_level in .env is no setting: is LOG_LEVEL meant?",
            ],
        )


class StartTests(SimpleTestCase):
    """With the settings as a process reads them; each start costs a second."""

    def start(self, *command: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *command],
            cwd=settings.BASE_DIR,
            env={"PATH": os.environ["PATH"], "ENV_FILE": os.devnull, "SECRET_KEY": "x" * 40}
            | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def test_manage_py_and_the_server_report_the_same_without_a_traceback(self) -> None:
        wrong = {"UNKNOWN_PRICE_PER_MTOK": "-5", "WEB_CONCURRENCY": "abc", "EMAIL_URL": "nonsense"}
        for command in (["manage.py", "check"], ["-m", "salient"]):
            process = self.start(*command, **wrong)
            output, _ = process.communicate()
            with self.subTest(command):
                self.assertEqual(process.returncode, 1)
                program = command[-1].replace("check", "manage.py")
                names = [line.split("=")[0] for line in output.splitlines()]
                self.assertEqual(names, [f"{program}: {name}" for name in sorted(wrong)[::-1]])

    def test_a_python_without_the_packages_is_a_line_that_names_the_right_one(self) -> None:
        python = sys._base_executable  # type: ignore[attr-defined]
        command = [python, "-I", "-S", "manage.py", "check"]
        done = subprocess.run(
            command, cwd=settings.BASE_DIR, capture_output=True, text=True, check=False
        )

        self.assertEqual(done.returncode, 1)
        self.assertEqual(
            done.stderr,
            f"manage.py: {python} has no module django: call .venv/bin/python manage.py, "
            "which make run sets up\n",
        )

    def test_gunicorn_as_it_is_says_it_too(self) -> None:
        process = self.start("-m", "gunicorn", PORT="abc", MAX_BODY_BYTES="-1")
        output, _ = process.communicate()

        self.assertEqual(process.returncode, 1)
        self.assertNotIn("Traceback", output)
        self.assertIn("salient: PORT=abc", output)
        self.assertIn("salient: MAX_BODY_BYTES=-1", output)

    def test_ctrl_c_during_the_start_is_no_traceback(self) -> None:
        interrupted = KeyboardInterrupt()
        with (
            mock.patch("django.core.management.execute_from_command_line", side_effect=interrupted),
            self.assertRaises(SystemExit) as of_manage_py,
        ):
            runpy.run_path(str(settings.BASE_DIR / "manage.py"), run_name="__main__")
        with (
            mock.patch("gunicorn.__main__.run", side_effect=interrupted),
            mock.patch.object(sys, "argv", ["salient"]),
            self.assertRaises(SystemExit) as of_the_server,
        ):
            runpy.run_path(str(settings.BASE_DIR / "salient/__main__.py"), run_name="__main__")

        self.assertEqual((of_manage_py.exception.code, of_the_server.exception.code), (130, 130))

    def test_what_takes_a_while_to_import_is_imported_where_ctrl_c_is_caught(self) -> None:
        for name in ("manage.py", "salient/__main__.py"):
            tree = ast.parse((settings.BASE_DIR / name).read_text())
            for node in tree.body:
                if isinstance(node, ast.Import | ast.ImportFrom):
                    module = getattr(node, "module", None) or node.names[0].name
                    self.assertIn(module, sys.stdlib_module_names)

    def test_a_folder_that_cannot_be_written_is_a_line(self) -> None:
        error = OSError(30, "Read-only file system", "/srv/var/postgres")

        self.assertEqual(explain(error), "/srv/var/postgres cannot be used: read-only file system")
        with mock.patch.object(Path, "mkdir", side_effect=error):
            self.assertEqual(
                lines(), ["/srv/var/postgres cannot be written: read-only file system"]
            )

    def test_the_server_gives_gunicorn_its_arguments(self) -> None:
        with (
            mock.patch("gunicorn.__main__.run") as run,
            mock.patch.object(sys, "argv", ["x", "-w"]),
        ):
            self.assertEqual(__main__.main(), 0)
            self.assertEqual(sys.argv[1:], ["-w"])

        run.assert_called_once_with(prog="gunicorn")

    def test_the_address_is_one_that_gunicorn_reads(self) -> None:
        for host, bind in (
            ("::1", "[::1]:80"),
            ("[::1]", "[::1]:80"),
            ("a.example", "a.example:80"),
        ):
            found = setting_values.serving(Environment({"HOST": host, "PORT": "80"}))
            self.assertEqual(found, (bind, 1))
