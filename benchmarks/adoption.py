"""Adopts a large Alembic database while a reader and a writer use it: time, locks, contents.

    python -m benchmarks.adoption URL_OF_AN_EMPTY_DATABASE [--sessions 40000] [--revision baseline]

Each session has seven messages and four requests, every fourth a profile: 40,000 are 500,000 rows.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import psycopg

BASE: Final = Path(__file__).parents[1]
SCHEMAS: Final = {"newest": "newest.sql", "baseline": "baseline.sql"}
OWNER: Final = "default_account/simple_chat1"
# How often the traffic works, and locks are looked at, in seconds.
PACE: Final = 0.02
LOOK: Final = 0.004
# ruff: noqa: S608 - built from constants of this module only
_WORDS: Final = """
    (SELECT string_agg(md5((n * 7 + w)::text)::varchar(6), ' ') FROM generate_series(1, 30) AS w)
"""
_SESSION: Final = "('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid"
_AGENT: Final = "('00000000-0000-4000-8000-00000000a90' || 1 + mod(n, 3))::uuid"
_ACCOUNT: Final = """
    ('00000000-0000-4000-8000-00000000ac0' || CASE mod(n, 3) WHEN 0 THEN 1 ELSE 2 END)::uuid
"""
_SINCE: Final = "'2025-01-01'::timestamptz + n * interval '1 minute'"
# What is between brackets belongs to the newest revision only.
_ROWS: Final = f"""
    INSERT INTO sessions (id, session_key, email, is_anonymous, created_at, last_activity_at
            [, account_id, agent_instance_id])
        SELECT {_SESSION}, md5('key' || n), NULL, true, {_SINCE}, {_SINCE} + interval '1 hour'
            [, {_ACCOUNT}, {_AGENT}]
        FROM generate_series(%(first)s, %(last)s) AS n;
    INSERT INTO llm_requests (id, session_id, provider, model, request_body, prompt_tokens,
            completion_tokens, total_tokens, latency_ms, created_at
            [, account_id, agent_instance_id, agent_type, total_cost, completion_status])
        SELECT gen_random_uuid(), {_SESSION}, 'openai', 'gpt-5', '{{"temperature": 1}}', 100, 50,
            150, 900, {_SINCE} + m * interval '1 minute'
            [, {_ACCOUNT}, {_AGENT}, 'simple_chat', 0.00012345, 'complete']
        FROM generate_series(%(first)s, %(last)s) AS n, generate_series(1, 4) AS m;
    INSERT INTO messages (id, session_id, role, content, created_at [, agent_instance_id])
        SELECT gen_random_uuid(), {_SESSION}, CASE mod(m, 2) WHEN 0 THEN 'human' ELSE 'assistant'
            END, {_WORDS}, {_SINCE} + m * interval '1 second' [, {_AGENT}]
        FROM generate_series(%(first)s, %(last)s) AS n, generate_series(1, 7) AS m;
    INSERT INTO profiles (id, session_id, customer_name, updated_at)
        SELECT gen_random_uuid(), {_SESSION}, 'Person ' || n, {_SINCE}
        FROM generate_series(%(first)s, %(last)s) AS n WHERE mod(n, 4) = 0;
"""
_WRITE: Final = f"""
    INSERT INTO sessions (id, session_key, is_anonymous, created_at, last_activity_at)
        VALUES (%(id)s, %(key)s, true, now(), now());
    INSERT INTO messages (id, session_id, role, content, created_at [, agent_instance_id])
        VALUES (gen_random_uuid(), %(id)s, 'human', 'late', now()
            [, '00000000-0000-4000-8000-00000000a902']);
    UPDATE sessions SET last_activity_at = now(), meta = '{{"late": true}}' WHERE id = (
        SELECT {_SESSION} FROM (SELECT %(n)s::bigint AS n) AS given);
    DELETE FROM profiles WHERE session_id = (
        SELECT {_SESSION} FROM (SELECT %(n)s::bigint AS n) AS given)
"""
_READ: Final = f"""
    SELECT content FROM messages WHERE session_id = (
        SELECT {_SESSION} FROM (SELECT %(n)s::bigint AS n) AS given) ORDER BY created_at
"""
_WAITS: Final = """
    SELECT coalesce(max(extract(epoch FROM clock_timestamp() - waitstart)), 0)
    FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE NOT granted AND application_name = 'old application'
"""


def _for(text: str, revision: str) -> str:
    """Keep what is between brackets for the newest revision."""
    if revision == "newest":
        return text.replace("[", "").replace("]", "")
    kept = text.split("[")
    return kept[0] + "".join(part.partition("]")[2] for part in kept[1:])


def fill(url: str, sessions: int, revision: str, *, at_once: int = 2_000) -> None:
    """Make the old tables and their rows in an empty database."""
    with psycopg.connect(url) as made:
        made.execute((BASE / "tests" / "data" / SCHEMAS[revision]).read_bytes())
        for first in range(1, sessions + 1, at_once):
            values = {"first": first, "last": min(sessions, first + at_once - 1)}
            with psycopg.ClientCursor(made) as cursor:
                cursor.execute(_for(_ROWS, revision).encode(), values)
            made.commit()
        made.commit()
        made.autocommit = True
        made.execute("ANALYZE")


@dataclass(slots=True)
class Traffic:
    """The old application: how often it read and wrote, and the longest it waited, in seconds."""

    url: str
    sessions: int
    revision: str
    reads: int = 0
    writes: int = 0
    slowest: float = 0.0
    longest_lock: float = 0.0
    errors: list[str] = field(default_factory=list)
    _ends: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def going_on(self) -> Iterator[Traffic]:
        threads = [threading.Thread(target=work) for work in (self._read, self._write, self._look)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self.stop()
            for thread in threads:
                thread.join()

    def stop(self) -> None:
        self._ends.set()

    def _read(self) -> None:
        def once(cursor: psycopg.ClientCursor[Any], number: int) -> None:
            cursor.execute(_READ.encode(), {"n": 1 + number * 7919 % self.sessions})
            self.reads += 1

        self._again_and_again(once)

    def _write(self) -> None:
        statements = _for(_WRITE, self.revision).encode()

        def once(cursor: psycopg.ClientCursor[Any], number: int) -> None:
            place = 1 + number * 104_729 % self.sessions
            cursor.execute(statements, {"id": uuid4(), "key": uuid4().hex, "n": place})
            self.writes += 1

        self._again_and_again(once)

    def _again_and_again(self, once: Callable[[psycopg.ClientCursor[Any], int], None]) -> None:
        """Work until the end, or until a statement fails because the tables were switched."""
        number = 0
        with psycopg.connect(self.url, application_name="old application", autocommit=True) as own:
            cursor = psycopg.ClientCursor(own)
            while not self._ends.wait(PACE):
                number += 1
                began = time.perf_counter()
                try:
                    once(cursor, number)
                except psycopg.Error as error:
                    self.errors.append(str(error).partition("\n")[0])
                    return
                finally:
                    self.slowest = max(self.slowest, time.perf_counter() - began)

    def _look(self) -> None:
        with psycopg.connect(self.url, autocommit=True) as own:
            while not self._ends.wait(LOOK):
                row = own.execute(_WAITS).fetchone()
                self.longest_lock = max(self.longest_lock, float(row[0]) if row else 0.0)


def adopt(url: str, *options: str) -> dict[str, Any]:
    """Run manage.py adopt in a process of its own and return its report."""
    command = [sys.executable, "manage.py", "adopt", url, "--json", *options]
    done = subprocess.run(  # noqa: S603 - our own command
        command, cwd=BASE, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"adopt {' '.join(options)}: {done.stderr or done.stdout}")
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def measure(url: str, sessions: int, revision: str) -> dict[str, Any]:
    began = time.monotonic()
    fill(url, sessions, revision)
    filled = time.monotonic()
    options = ["--owner", OWNER] if revision == "newest" else []
    carrying = Traffic(url, sessions, revision)
    with carrying.going_on():
        adopt(url, *options)
    carried = time.monotonic()
    switching = Traffic(url, sessions, revision)
    with switching.going_on():
        report = adopt(url, "--switch", "--others")
    return {
        "load": os.getloadavg(),
        "seconds_to_fill": round(filled - began, 1),
        "seconds_to_carry": round(carried - filled, 1),
        "seconds_to_switch": round(time.monotonic() - carried, 1),
        "carrying": _said(carrying),
        "switching": _said(switching),
        "report": report,
    }


def _said(traffic: Traffic) -> dict[str, Any]:
    return {
        "reads": traffic.reads,
        "writes": traffic.writes,
        "errors": traffic.errors,
        "slowest_ms": round(traffic.slowest * 1000, 1),
        "longest_lock_ms": round(traffic.longest_lock * 1000, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("url")
    parser.add_argument("--sessions", type=int, default=40_000)
    parser.add_argument("--revision", choices=sorted(SCHEMAS), default="newest")
    given = parser.parse_args()
    sys.stdout.write(json.dumps(measure(given.url, given.sessions, given.revision), indent=2))


if __name__ == "__main__":
    main()
