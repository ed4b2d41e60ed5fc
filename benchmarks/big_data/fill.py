"""Fills a migrated scratch database: python -m benchmarks.big_data.fill --requests 5000000.

Millions of rows take a minute or two, because indexes and foreign keys are created once for all of
them. Every constraint is checked; either all rows are stored or none.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any

import psycopg

from benchmarks.big_data import rows
from benchmarks.big_data.without_indexes import without_indexes

LARGE = ("sessions", "llm_requests", "messages", "usage_days")
# Table and statement, in the order in which rows refer to each other.
SETUP_TABLES = {
    "accounts": rows.ACCOUNTS,
    "account_limits": rows.LIMITS,
    "rate_states": rows.RATE_STATES,
    "api_keys": rows.API_KEYS,
    "users": rows.USERS,
    "memberships": rows.MEMBERSHIPS,
    "agent_instances": rows.INSTANCES,
    "budgets": rows.BUDGETS,
    "config_versions": rows.VERSIONS,
}
USAGE_TABLES = {
    "sessions": rows.SESSIONS,
    "llm_requests": rows.REQUESTS,
    "messages": rows.MESSAGES,
    # Tables of sums come last.
    "usage_days": rows.USAGE_DAYS,
}

type Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Size:
    """How many rows are made; a conversation has eight requests, spread over `days`."""

    requests: int = 5_000_000
    accounts: int = 1_000
    instances_per_account: int = 3
    # Messages of the latest conversations; None: a fifth of the number of requests.
    messages: int | None = None
    days: int = 90
    # Messages of one more conversation, with the session key "long-session"; 0: there is none.
    long_session: int = 0
    until: datetime = field(default_factory=lambda: datetime.now(UTC))

    def values(self) -> dict[str, Any]:
        messages = self.requests // 5 if self.messages is None else self.messages
        return {
            "accounts": self.accounts,
            "instances": self.instances_per_account,
            "sessions": ceil(self.requests / rows.TURNS),
            "with_messages": ceil(messages / rows.TURNS / 2),
            "turns": rows.TURNS,
            "long_turns": self.long_session // 2,
            "long_key": rows.LONG_SESSION,
            "span": timedelta(days=self.days),
            "until": self.until,
        }


def fill(
    connection: psycopg.Connection[Any], size: Size, tell: Tell = lambda line: None
) -> dict[str, int]:
    """Insert the rows in one transaction; returns the number of rows by table.

    The connection's login owns the tables, and no other connection uses them meanwhile.
    """
    values, made = size.values(), dict[str, int]()
    with connection.transaction(), psycopg.ClientCursor(connection) as cursor:
        cursor.execute(
            "SET LOCAL maintenance_work_mem = '512MB'; SET LOCAL work_mem = '256MB';"
            "SET LOCAL synchronous_commit = off; SET LOCAL statement_timeout = 0;" + rows.FUNCTIONS
        )
        _insert(cursor, SETUP_TABLES, values, made, tell)
        cursor.execute(rows.CONVERSATIONS, values)
        cursor.execute(rows.LONG_CONVERSATION, values)
        cursor.execute("ANALYZE conversations")
        with without_indexes(connection, LARGE):
            _insert(cursor, USAGE_TABLES, values, made, tell)
            began = time.monotonic()
        tell(f"{'indexes and keys':<40} {time.monotonic() - began:7.1f} s")
    return made


def finish(connection: psycopg.Connection[Any]) -> None:
    """Vacuum and analyze, as autovacuum would later; the connection is in autocommit mode."""
    connection.execute("VACUUM (ANALYZE)")


def _insert(
    cursor: psycopg.ClientCursor[Any],
    statements: dict[str, str],
    values: dict[str, Any],
    made: dict[str, int],
    tell: Tell,
) -> None:
    for table, statement in statements.items():
        began = time.monotonic()
        cursor.execute(statement.encode(), values)
        made[table] = cursor.rowcount
        tell(f"{table:<24} {made[table]:>15,} {time.monotonic() - began:7.1f} s")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    defaults = Size()
    parser.add_argument(
        "--database-url",
        default=os.environ.get("DATABASE_URL", ""),
        help="a migrated database, and a login that owns it (default: $DATABASE_URL)",
    )
    for name, help_text in {
        "requests": "rows of llm_requests",
        "accounts": "number of accounts; a few of them have most requests",
        "instances_per_account": "agents of each account",
        "messages": "messages of the latest conversations (default: a fifth of the requests)",
        "days": "over which the requests are spread, up to now",
        "long_session": "messages of one more conversation (default: none)",
    }.items():
        option = "--" + name.replace("_", "-")
        parser.add_argument(option, type=int, default=getattr(defaults, name), help=help_text)
    arguments = parser.parse_args()
    if not arguments.database_url:
        parser.error("--database-url is missing")
    return arguments


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    options = vars(_arguments())
    began = time.monotonic()

    with psycopg.connect(options.pop("database_url"), autocommit=True) as connection:
        made = fill(connection, Size(**options), say)
        finish(connection)
        size = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    assert size is not None  # noqa: S101 - a SELECT without FROM has a row
    seconds = time.monotonic() - began
    say(f"{sum(made.values()):,} rows in {seconds:.0f} s, {size[0] / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
