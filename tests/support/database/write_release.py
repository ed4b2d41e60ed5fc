"""`make release`: writes what the tests keep of this code's version (releases.py)."""

from __future__ import annotations

import gzip
import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "salient.settings")
os.environ |= {"SECRET_KEY": "release", "DEBUG": "true"}
django.setup()

from asgiref.sync import async_to_sync  # noqa: E402 - after Django is set up
from django.db import connection  # noqa: E402
from django.test import override_settings  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402

from accounts.models import Account  # noqa: E402
from salient.database.upgrades.backups.programs import Programs  # noqa: E402
from salient.ttl import clear_caches  # noqa: E402
from tests.support.api_client import ApiClient  # noqa: E402
from tests.support.database.releases import FOLDER, Statement, version_of_code  # noqa: E402
from tests.support.database.scratch_database import migrate, scratch_database  # noqa: E402
from tests.support.database.tenant_rows import make_tenant  # noqa: E402
from tests.support.factories import make_key, write_config  # noqa: E402

# What pg_dump writes for psql and for readers.
DECORATION = re.compile(r"^(?:--\n-- .*\n--\n|\\(?:un)?restrict .*\n)", re.MULTILINE)
HEAD = re.compile(r"^(?:--|SET|SELECT) .*\n", re.MULTILINE)
TRANSACTION = re.compile(r"(?:BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE)\b")
# Functions of ours, whose answers the release's code reads.
FUNCTION = re.compile(r"SELECT app_\w+\(")
BOT = "/accounts/acme/agents/bot"


def main() -> None:
    """Write the files of this code's version."""
    FOLDER.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as configs,
        override_settings(AGENT_CONFIG_DIR=Path(configs), DEMO=True, DATABASE_API_THREADS=0),
        scratch_database(),
    ):
        migrate()
        secret = _make_rows(Path(configs))
        dump = _dump()
        sent = _record(secret)
    version = version_of_code()
    (FOLDER / f"{version}.sql.gz").write_bytes(gzip.compress(dump.encode(), mtime=0))
    text = json.dumps(sent, indent=1, ensure_ascii=False)
    (FOLDER / f"{version}.json").write_text(text + "\n")
    sys.stdout.write(f"{version}: {len(dump):,} characters of SQL, {len(sent)} statements\n")


def _make_rows(configs: Path) -> str:
    """Two accounts with a row in every table; return a secret key of acme."""
    write_config(configs, "acme", "bot", "model: scripted:echo\n", "Be brief.")
    accounts = [make_tenant(slug)[Account] for slug in ("acme", "beta")]
    _, secret = make_key(accounts[0], expires_at=None)
    # What its first turn writes once (a version, a prompt's sections) belongs to the rows.
    _say(secret, "Good morning")
    return secret


def _dump() -> str:
    options = ["--no-owner", "--no-privileges", "--inserts"]
    programs = Programs.for_server(connection.pg_version // 10_000)  # type: ignore[attr-defined]
    text = programs.output("pg_dump", *options).decode()
    head, create, rest = DECORATION.sub("", text).partition("CREATE ")
    return f"{HEAD.sub('', head).strip()}SET check_function_bodies = false;\n{create}{rest}"


def _say(secret: str, message: str, session: str | None = None) -> Any:
    body = {"message": message} | ({"session_id": session} if session else {})
    answer = async_to_sync(ApiClient(secret).post)(f"{BOT}/chat", body)
    assert answer.status == 200, answer.body
    return answer.json()


def _record(secret: str) -> list[Statement]:
    results: list[Statement] = []

    def noted(execute: Any, sql: Any, params: Any, many: Any, context: Any) -> Any:
        result = execute(sql, params, many, context)
        cursor = context["cursor"]
        answer = None
        if FUNCTION.match(str(sql)):
            [answer] = cursor.fetchone()
            cursor.scroll(0, mode="absolute")
        results.append({"rows": cursor.rowcount, "answer": answer})
        return result

    # A process that has just started.
    clear_caches()
    with CaptureQueriesContext(connection) as queries, connection.execute_wrapper(noted):
        session = _say(secret, "Hello")["session_id"]
        _say(secret, "And again", session)
        path = f"{BOT}/sessions/{session}/messages"
        answer = async_to_sync(ApiClient(secret).get)(path)
        assert answer.status == 200, answer.body
    rest = iter(results)
    nothing = {"rows": None, "answer": None}
    return [
        {"sql": sql} | (nothing if TRANSACTION.match(sql) else next(rest))
        for sql in (query["sql"] for query in queries)
    ]


if __name__ == "__main__":
    main()
